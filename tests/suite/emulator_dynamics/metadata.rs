//! Metadata: entity definitions, typed attributes, CSDL, imports.

use recordport::emulator::service::Service;
use serde_json::{Value, json};

use super::{org, rows, text};

#[test]
fn definitions_are_listed_filtered_and_expanded() {
    let org = org();
    let all = org.json("EntityDefinitions?$select=LogicalName,EntitySetName", "");
    assert!(rows(&all).len() >= 10);
    assert!(rows(&all).iter().all(|row| row["MetadataId"].is_string() && row.get("SchemaName").is_none()));
    let custom = org.json(
        "EntityDefinitions?$select=LogicalName&$filter=IsCustomEntity eq true and OwnershipType eq \
         Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned' and CanCreateAttributes/Value eq true",
        "",
    );
    assert_eq!(rows(&custom)[0]["LogicalName"], "new_invoice");
    let one = org.json(
        "EntityDefinitions(LogicalName='new_invoice')?$select=EntitySetName&$expand=Keys,Attributes($select=LogicalName),\
         ManyToOneRelationships($select=ReferencingEntityNavigationPropertyName,ReferencingAttribute)",
        "",
    );
    assert_eq!(one["EntitySetName"], "new_invoices");
    assert_eq!(one["Keys"][0]["SchemaName"], "new_ExternalIdKey");
    let navs = one["ManyToOneRelationships"].as_array().expect("a list");
    let named = |attribute: &str| -> Vec<&str> {
        navs.iter()
            .filter(|nav| nav["ReferencingAttribute"] == attribute)
            .filter_map(|nav| nav["ReferencingEntityNavigationPropertyName"].as_str())
            .collect()
    };
    assert_eq!(named("new_account"), ["new_Account"]);
    assert_eq!(named("new_party"), ["new_Party_account", "new_Party_contact"]);
    assert_eq!(named("ownerid"), ["ownerid"]);
    let id = one["MetadataId"].as_str().expect("an id");
    assert_eq!(org.json(&format!("EntityDefinitions({id})"), "")["LogicalName"], "new_invoice");
    assert_eq!(org.refused("EntityDefinitions(LogicalName='nothing')", 404).0, "0x80060888");
}

#[test]
fn casts_tell_what_their_type_has() {
    let org = org();
    let cast = |class: &str, more: &str| {
        let path = format!(
            "EntityDefinitions(LogicalName='new_invoice')/Attributes/Microsoft.Dynamics.CRM.{class}{more}"
        );
        rows(&org.json(&path, "")).clone()
    };
    let picks = cast("PicklistAttributeMetadata", "?$select=LogicalName&$expand=OptionSet,GlobalOptionSet");
    let color = picks.iter().find(|row| row["LogicalName"] == "new_color").expect("a row");
    assert_eq!(color["GlobalOptionSet"]["Name"], "new_color");
    assert_eq!(color["OptionSet"]["Options"][1]["Label"]["UserLocalizedLabel"]["Label"], "Green, light");
    let status = cast("StatusAttributeMetadata", "?$select=LogicalName&$expand=OptionSet");
    assert_eq!(status[0]["OptionSet"]["Options"][2]["State"], 1);
    let state = cast("StateAttributeMetadata", "?$expand=OptionSet($select=Options)");
    assert_eq!(state[0]["OptionSet"]["Options"][0]["DefaultStatus"], 1);
    let paid = cast("BooleanAttributeMetadata", "?$select=LogicalName,DisplayName&$expand=OptionSet");
    assert_eq!(paid[0]["OptionSet"]["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"], "Paid");
    assert_eq!(paid[0]["DisplayName"]["LocalizedLabels"][1]["LanguageCode"], 1031);
    let lookups = cast("LookupAttributeMetadata", "?$select=LogicalName,Targets");
    let related = lookups.iter().find(|row| row["LogicalName"] == "new_related").expect("a row");
    assert_eq!(related["Targets"], json!(["account", "contact", "opportunity"]));
    let dates = cast("DateTimeAttributeMetadata", "?$select=LogicalName,DateTimeBehavior,Format");
    let behaviour = |name: &str| {
        dates
            .iter()
            .find(|row| row["LogicalName"] == name)
            .map(|row| row["DateTimeBehavior"]["Value"].clone())
    };
    assert_eq!(behaviour("new_due"), Some(json!("DateOnly")));
    assert_eq!(behaviour("new_checkin"), Some(json!("TimeZoneIndependent")));
    assert_eq!(behaviour("new_reminder"), Some(json!("UserLocal")));
    assert_eq!(cast("StringAttributeMetadata", "?$select=LogicalName,MaxLength")[0]["MaxLength"], 100);
    assert!(!cast("MultiSelectPicklistAttributeMetadata", "?$expand=OptionSet").is_empty());
    // Without a cast there are only the properties that all attributes have.
    let plain = org.json("EntityDefinitions(LogicalName='account')/Attributes", "");
    assert!(rows(&plain).iter().all(|row| row.get("MaxLength").is_none() && row.get("OptionSet").is_none()));
    let (_, message) =
        org.refused("EntityDefinitions(LogicalName='account')/Attributes?$select=LogicalName,MaxLength", 400);
    assert!(message.contains("AttributeMetadata"), "{message}");
}

#[test]
fn the_document_names_what_rows_have() {
    let org = org();
    let sets = org.json("", "");
    assert!(rows(&sets).iter().any(|set| set["name"] == "opportunities"));
    let document = text(&org.get("$metadata"));
    for part in [
        "<EntityType Name=\"account\" BaseType=\"mscrm.crmbaseentity\"><Key><PropertyRef Name=\"accountid\"/></Key>",
        "<Property Name=\"revenue\" Type=\"Edm.Decimal\" Scale=\"Variable\"/>",
        "<ReferentialConstraint Property=\"_new_legacy_value\" ReferencedProperty=\"accountid\"/>",
        "<NavigationProperty Name=\"LegacyReference_account\" Type=\"mscrm.account\" Nullable=\"false\"",
        "OData.Community.Keys.V1.AlternateKeys",
        "<EntitySet Name=\"new_invoices\" EntityType=\"Microsoft.Dynamics.CRM.new_invoice\">",
        "<EntityContainer Name=\"System\">",
    ] {
        assert!(document.contains(part), "{part}");
    }
    let row = org.json("accounts?$top=1", "")["value"][0].clone();
    let account = document
        .split("<EntityType Name=\"account\"")
        .nth(1)
        .and_then(|rest| rest.split("</EntityType>").next());
    let account = account.expect("the type");
    for name in row.as_object().expect("a row").keys().filter(|name| !name.contains('@')) {
        assert!(account.contains(&format!("<Property Name=\"{name}\"")), "{name}");
    }
}

#[test]
fn a_described_table_can_be_imported_from_json_and_from_a_document() {
    let org = org();
    let mut account = org.json("EntityDefinitions(LogicalName='account')?$expand=Attributes,Keys", "");
    account["LogicalName"] = json!("ext_thing");
    account["EntitySetName"] = json!("ext_things");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("thing.json");
    std::fs::write(&file, account.to_string()).expect("written");
    org.service.import(&file).expect("imported");
    assert_eq!(rows(&org.json("ext_things?$select=accountid", "")).len(), 100);
    let document = text(&org.get("$metadata"))
        .replace("account\"", "firm\"")
        .replace("\"accounts\"", "\"firms\"")
        .replace("CRM.account", "CRM.firm");
    let file = dir.path().join("metadata.xml");
    std::fs::write(&file, document).expect("written");
    org.service.import(&file).expect("imported");
    assert_eq!(rows(&org.json("firms?$select=name", "")).len(), 100);
    std::fs::write(&file, "{\"nothing\": 1}").expect("written");
    assert!(org.service.import(&file).is_err());
}

#[test]
fn every_state_has_the_rows_of_its_table() {
    let org = org();
    for (table, count) in [("account", 120), ("contact", 300), ("new_invoice", 90), ("systemuser", 8)] {
        assert_eq!(org.state(table).len(), count, "{table}");
    }
    assert!(org.service.state("nothing").is_none());
    let nulls = org.state("new_invoice").iter().filter(|row| row["new_code"] == Value::Null).count();
    assert!(nulls > 0);
}
