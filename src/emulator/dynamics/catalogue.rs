//! Expands the compact table of tables into full metadata, in the form of the metadata endpoints' own answers.

use serde_json::{Map, Value, json};

use super::guid;
use super::labels;

const TABLE: &str = include_str!("catalogue.txt");

/// Everything that the metadata endpoints tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogue {
    /// EntityMetadata with attributes, keys and relationships, and its number of rows at scale 1.
    pub(super) tables: Vec<(Value, u64)>,
    /// Global option sets.
    pub(super) choices: Vec<Value>,
}

#[derive(Debug)]
struct Line {
    words: Vec<String>,
}

impl Line {
    fn at(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().skip(2).find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn has(&self, flag: &str) -> bool {
        self.words.iter().skip(2).any(|word| word == flag)
    }
}

/// The tables of the emulated environment.
pub(super) fn catalogue() -> Catalogue {
    let mut out = Catalogue::default();
    let mut keys = Vec::new();
    let mut many = Vec::new();
    let mut heads: Vec<(Line, Vec<Line>)> = Vec::new();
    for text in TABLE.lines() {
        let line = Line { words: words(text) };
        match line.at(0) {
            "" | "#" => {}
            "choice" => out.choices.push(labels::option_set(line.at(1), line.at(2), line.at(3), true)),
            "table" => heads.push((line, Vec::new())),
            "key" => keys.push(line),
            "many" => many.push(line),
            first => {
                if let Some((head, columns)) = heads.last_mut() {
                    match common(first, head) {
                        Some(lines) => columns.extend(lines.lines().map(|line| Line { words: words(line) })),
                        None => columns.push(line),
                    }
                }
            }
        }
    }
    let mut relations = Vec::new();
    for (head, columns) in &heads {
        let rows = head.at(7).parse().unwrap_or_default();
        out.tables.push((table(head, columns, &out.choices, &mut relations), rows));
    }
    for line in &keys {
        let key = key(line);
        if let Some(table) = find(&mut out, line.at(1)) {
            push(table, "Keys", key);
        }
    }
    for relation in relations {
        let (from, to) = (text(&relation, "ReferencingEntity"), text(&relation, "ReferencedEntity"));
        if let Some(table) = find(&mut out, &from) {
            push(table, "ManyToOneRelationships", relation.clone());
        }
        if let Some(table) = find(&mut out, &to) {
            push(table, "OneToManyRelationships", relation);
        }
    }
    for line in &many {
        let relation = many_to_many(line);
        for name in [line.at(2), line.at(4)] {
            if let Some(table) = find(&mut out, name) {
                push(table, "ManyToManyRelationships", relation.clone());
            }
        }
    }
    out
}

fn find<'a>(catalogue: &'a mut Catalogue, name: &str) -> Option<&'a mut Value> {
    catalogue.tables.iter_mut().map(|(table, _)| table).find(|table| table["LogicalName"] == name)
}

fn push(table: &mut Value, list: &str, entry: Value) {
    if let Some(list) = table[list].as_array_mut() {
        list.push(entry);
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Words, with quoted parts kept together and their quotes dropped.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut started) = (false, false);
    for letter in line.trim().chars().chain([' ']) {
        match letter {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            ' ' if !quoted => {
                if started {
                    out.push(std::mem::take(&mut word));
                }
                started = false;
            }
            letter => {
                word.push(letter);
                started = true;
            }
        }
    }
    out
}

/// Columns that many tables share.
fn common(name: &str, head: &Line) -> Option<String> {
    let table = head.at(1);
    Some(match name {
        "%audit" => format!(
            "createdon datetime \"Created On\" sys\n\
             createdby lookup \"Created By\" sys to=systemuser rel=lk_{table}base_createdby nav=createdby\n\
             modifiedon datetime \"Modified On\" sys\n\
             modifiedby lookup \"Modified By\" sys to=systemuser rel=lk_{table}base_modifiedby nav=modifiedby\n\
             overriddencreatedon userdate \"Record Created On\" fixed\n\
             importsequencenumber int:-2147483648..2147483647 \"Import Sequence Number\" fixed\n\
             versionnumber bigint \"Version Number\" sys"
        ),
        "%owner" => format!(
            "ownerid owner \"Owner\" req rel=owner_{table} nav=ownerid\n\
             owningbusinessunit lookup \"Owning Business Unit\" sys to=businessunit rel=business_unit_{table} nav=owningbusinessunit\n\
             owninguser lookup \"Owning User\" sys to=systemuser rel=user_{table} nav=owninguser\n\
             owningteam lookup \"Owning Team\" sys to=team rel=team_{table} nav=owningteam"
        ),
        "%state" => "statecode state \"Status\" opt=\"0=Active>1|1=Inactive>2\"\n\
                     statuscode status \"Status Reason\" opt=\"1=Active@0|2=Inactive@1\""
            .to_owned(),
        _ => return None,
    })
}

fn table(head: &Line, columns: &[Line], choices: &[Value], relations: &mut Vec<Value>) -> Value {
    let (name, schema, set) = (head.at(1), head.at(2), head.at(3));
    let custom = head.has("custom");
    let id = columns.iter().find(|line| line.at(1) == "id").map_or("", |line| line.at(0));
    let primary_name = columns.iter().find(|line| line.has("name")).map_or("", |line| line.at(0));
    let image = columns.iter().find(|line| line.at(1) == "image").map(|line| line.at(0));
    let mut attributes = Vec::new();
    for line in columns {
        attributes.push(column(name, custom, line, choices));
        attributes.extend(companions(name, line));
        relations.extend(references(name, custom, line));
    }
    for (number, attribute) in attributes.iter_mut().enumerate() {
        attribute["ColumnNumber"] = json!(number + 1);
    }
    let managed = |value: bool| json!({ "Value": value, "CanBeChanged": true, "ManagedPropertyLogicalName": "canmodifyadditionalsettings" });
    let owner = head.value("owner").unwrap_or("UserOwned");
    let flags = json!({
        "ActivityTypeMask": if head.has("activity") { 2 } else { 0 }, "AutoRouteToOwnerQueue": false, "CanTriggerWorkflow": true,
        "Description": labels::label("", None), "DisplayCollectionName": labels::label(head.at(6), None),
        "DisplayName": labels::label(head.at(5), head.value("de")), "EntityHelpUrlEnabled": false, "EntityHelpUrl": null,
        "IsDocumentManagementEnabled": false, "IsActivity": head.has("activity"), "IsActivityParty": false,
        "IsAvailableOffline": true, "IsChildEntity": false, "IsCustomEntity": custom, "IsLogicalEntity": false,
        "IsManaged": !custom, "IsEnabledForCharts": true, "IsIntersect": head.has("intersect"), "IsPrivate": false,
        "IsValidForAdvancedFind": true, "IsStateModelAware": true,
    });
    let names = json!({
        "LogicalName": name, "ObjectTypeCode":
        head.at(4).parse::<u32>().unwrap_or_default(), "OwnershipType": owner,
        "PrimaryNameAttribute": primary_name, "PrimaryIdAttribute": id, "PrimaryImageAttribute": image,
        "SchemaName": schema, "TableType": "Standard", "EntitySetName": set, "LogicalCollectionName": set,
        "CollectionSchemaName": format!("{schema}s"),
    });
    let abilities = json!({
        "ChangeTrackingEnabled": !head.has("-tracking"),
        "CanChangeTrackingBeEnabled": managed(true), "IsOptimisticConcurrencyEnabled": !head.has("-concurrency"),
        "IsDuplicateDetectionEnabled": managed(name == "account" || name == "contact"),
        "CanCreateAttributes": managed(true), "CanCreateForms": managed(true), "IsAuditEnabled": managed(false),
        "IsCustomizable": managed(true), "IsRenameable": managed(true), "IsValidForQueue": managed(false),
    });
    let rest = json!({
        "IntroducedVersion": "5.0.0.0", "ExternalCollectionName": null, "ExternalName": null,
        "DataProviderId": null, "DataSourceId": null, "HasNotes": true, "HasActivities": true, "HasFeedback": false,
        "IsBPFEntity": false, "IsSolutionAware": false, "CreatedOn": "1900-01-01T00:00:00Z",
        "ModifiedOn": "2025-01-01T00:00:00Z", "HasChanged": null, "MetadataId": guid::text(guid::named(name)),
        "Attributes": attributes, "Keys": [], "ManyToOneRelationships": [], "OneToManyRelationships": [],
        "ManyToManyRelationships": [],
    });
    joined([flags, names, abilities, rest])
}

/// One object with the members of several.
fn joined<const N: usize>(parts: [Value; N]) -> Value {
    let mut out = Map::new();
    for part in parts {
        if let Value::Object(members) = part {
            out.extend(members);
        }
    }
    Value::Object(out)
}

/// The schema name: given, or capitals where tools put them.
fn schema_name(line: &Line) -> String {
    let name = line.at(0);
    let capital = |text: &str| {
        let mut letters = text.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    match (line.value("schema"), name.split_once('_')) {
        (Some(given), _) => given.to_owned(),
        (None, Some((prefix @ "new", rest))) => format!("{prefix}_{}", capital(rest)),
        _ => capital(name),
    }
}

/// Every key that all kinds of attributes have.
fn attribute(table: &str, name: &str, schema: &str, kind: (&str, &str, &str)) -> Value {
    let (class, code, type_name) = kind;
    let managed = |value: bool| json!({ "Value": value, "CanBeChanged": true, "ManagedPropertyLogicalName": "canmodifyadditionalsettings" });
    let head = json!({
        "@odata.type": format!("#Microsoft.Dynamics.CRM.{class}"),
        "AttributeOf": null, "AttributeType": code, "AttributeTypeName": { "Value": type_name },
        "CanBeSecuredForCreate": false, "CanBeSecuredForRead": false, "CanBeSecuredForUpdate": false,
        "CanModifyAdditionalSettings": managed(true), "ColumnNumber": 0, "DeprecatedVersion": null,
        "Description": labels::label("", None), "DisplayName": labels::label("", None),
        "EntityLogicalName": table, "ExternalName": null, "HasChanged": null, "InheritsFrom": null,
    });
    let flags = json!({
        "IntroducedVersion": "5.0.0.0", "IsAuditEnabled": managed(true), "IsCustomAttribute": false,
        "IsCustomizable": managed(true), "IsDataSourceSecret": false, "IsFilterable": true,
        "IsGlobalFilterEnabled": managed(true), "IsLogical": false, "IsManaged": true, "IsPrimaryId": false,
        "IsPrimaryName": false, "IsRenameable": managed(true), "IsRequiredForForm": false, "IsRetrievable": true,
        "IsSearchable": true, "IsSecured": false, "IsSortableEnabled": managed(true),
    });
    let rest = json!({
        "IsValidForAdvancedFind": managed(true), "IsValidForCreate": true, "IsValidForForm": true,
        "IsValidForGrid": true, "IsValidForRead": true, "IsValidForUpdate": true, "IsValidODataAttribute": true,
        "LinkedAttributeId": null, "LogicalName": name, "RequiredLevel": required("None"), "SchemaName": schema,
        "SourceType": 0, "AutoNumberFormat": null,
        "MetadataId": guid::text(guid::named(&format!("{table}.{name}"))),
    });
    let mut out = joined([head, flags, rest]);
    if class == "AttributeMetadata" {
        // The base class needs no type name.
        if let Some(out) = out.as_object_mut() {
            out.remove("@odata.type");
        }
    }
    out
}

fn required(level: &str) -> Value {
    json!({ "Value": level, "CanBeChanged": level != "SystemRequired",
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings" })
}

fn class(kind: &str) -> (&'static str, &'static str, &'static str) {
    match kind {
        "id" | "guid" => ("AttributeMetadata", "Uniqueidentifier", "UniqueidentifierType"),
        "string" => ("StringAttributeMetadata", "String", "StringType"),
        "memo" => ("MemoAttributeMetadata", "Memo", "MemoType"),
        "int" => ("IntegerAttributeMetadata", "Integer", "IntegerType"),
        "bigint" => ("BigIntAttributeMetadata", "BigInt", "BigIntType"),
        "decimal" => ("DecimalAttributeMetadata", "Decimal", "DecimalType"),
        "double" => ("DoubleAttributeMetadata", "Double", "DoubleType"),
        "money" => ("MoneyAttributeMetadata", "Money", "MoneyType"),
        "bool" => ("BooleanAttributeMetadata", "Boolean", "BooleanType"),
        "pick" => ("PicklistAttributeMetadata", "Picklist", "PicklistType"),
        "state" => ("StateAttributeMetadata", "State", "StateType"),
        "status" => ("StatusAttributeMetadata", "Status", "StatusType"),
        "multi" => ("MultiSelectPicklistAttributeMetadata", "Virtual", "MultiSelectPicklistType"),
        "date" | "datetime" | "tzi" | "tzidate" | "userdate" => {
            ("DateTimeAttributeMetadata", "DateTime", "DateTimeType")
        }
        "lookup" => ("LookupAttributeMetadata", "Lookup", "LookupType"),
        "customer" => ("LookupAttributeMetadata", "Customer", "CustomerType"),
        "owner" => ("LookupAttributeMetadata", "Owner", "OwnerType"),
        "entityname" => ("EntityNameAttributeMetadata", "EntityName", "EntityNameType"),
        "image" => ("ImageAttributeMetadata", "Virtual", "ImageType"),
        "file" => ("FileAttributeMetadata", "Virtual", "FileType"),
        _ => ("AttributeMetadata", "Virtual", "VirtualType"),
    }
}

fn column(table: &str, custom_table: bool, line: &Line, choices: &[Value]) -> Value {
    let name = line.at(0);
    let (kind, details) = line.at(1).split_once(':').unwrap_or((line.at(1), ""));
    let mut out = attribute(table, name, &schema_name(line), class(kind));
    out["DisplayName"] = labels::label(line.at(2), line.value("de"));
    let custom = custom_table && name.starts_with("new_");
    out["IsCustomAttribute"] = json!(custom);
    out["IsManaged"] = json!(!custom);
    out["IsPrimaryId"] = json!(kind == "id");
    out["IsPrimaryName"] = json!(line.has("name"));
    out["SourceType"] = json!(line.value("source").and_then(|text| text.parse::<u8>().ok()).unwrap_or(0));
    if let Some(format) = line.value("auto") {
        out["AutoNumberFormat"] = json!(format);
    }
    if line.has("sys") {
        out["IsValidForCreate"] = json!(false);
        out["IsValidForUpdate"] = json!(false);
    }
    if line.has("fixed") || kind == "id" {
        out["IsValidForUpdate"] = json!(false);
    }
    if line.has("unfiltered") || matches!(kind, "image" | "file") {
        out["IsFilterable"] = json!(false);
    }
    let level = match () {
        () if line.has("req") || kind == "id" => "SystemRequired",
        () if line.has("app") => "ApplicationRequired",
        () if line.has("rec") => "Recommended",
        () if kind == "state" => "SystemRequired",
        () => "None",
    };
    out["RequiredLevel"] = required(level);
    by_kind(&mut out, table, line, (kind, details), choices);
    out
}

fn by_kind(out: &mut Value, table: &str, line: &Line, (kind, details): (&str, &str), choices: &[Value]) {
    let name = line.at(0);
    let mut set = |more: Value| {
        if let (Some(out), Value::Object(more)) = (out.as_object_mut(), more) {
            out.extend(more);
        }
    };
    let length = || details.parse::<u32>().unwrap_or(100);
    let (precision, range) = details.split_once(':').unwrap_or(("", details));
    let (low, high) = range.split_once("..").unwrap_or(("0", "0"));
    let precision: u32 = precision.parse().unwrap_or(2);
    let float = |text: &str| text.parse::<f64>().unwrap_or_default();
    match kind {
        "string" => {
            let format = line.value("format").unwrap_or("Text");
            set(json!({ "MaxLength": length(), "DatabaseLength": length() * 2, "Format": format,
                "FormatName": { "Value": format }, "ImeMode": "Auto", "IsLocalizable": false, "YomiOf": null,
                "FormulaDefinition": "", "SourceTypeMask": 0 }));
        }
        "memo" => {
            set(json!({ "MaxLength": length(), "Format": "TextArea", "FormatName": { "Value": "TextArea" },
                "ImeMode": "Auto", "IsLocalizable": false }))
        }
        "int" => set(json!({ "MinValue": low.parse::<i64>().unwrap_or_default(), "MaxValue":
                high.parse::<i64>().unwrap_or_default(), "Format": "None", "FormulaDefinition": "", "SourceTypeMask": 0 })),
        "bigint" => set(json!({ "MinValue": i64::MIN, "MaxValue": i64::MAX })),
        "decimal" => set(json!({ "MinValue": float(low), "MaxValue": float(high), "Precision": precision,
                "ImeMode": "Disabled", "FormulaDefinition": "", "SourceTypeMask": 0 })),
        "double" => set(json!({ "MinValue": float(low), "MaxValue": float(high), "Precision": precision,
                "ImeMode": "Disabled" })),
        "money" => set(json!({ "MinValue": float(low), "MaxValue": float(high), "Precision": precision,
                "PrecisionSource": 2, "IsBaseCurrency": line.value("base").is_some(),
                "CalculationOf": line.value("base"), "ImeMode": "Disabled", "FormulaDefinition": "",
                "SourceTypeMask": 0 })),
        "date" | "datetime" | "tzi" | "tzidate" | "userdate" => {
            let (format, behaviour) = match kind {
                "date" => ("DateOnly", "DateOnly"),
                "tzi" => ("DateAndTime", "TimeZoneIndependent"),
                "tzidate" => ("DateOnly", "TimeZoneIndependent"),
                "userdate" => ("DateOnly", "UserLocal"),
                _ => ("DateAndTime", "UserLocal"),
            };
            set(json!({ "Format": format, "DateTimeBehavior": { "Value": behaviour },
                "CanChangeDateTimeBehavior": { "Value": false, "CanBeChanged": true,
                "ManagedPropertyLogicalName": "canchangedatetimebehavior" }, "ImeMode": "Inactive",
                "MinSupportedValue": "1753-01-01T00:00:00Z", "MaxSupportedValue": "9999-12-30T23:59:59Z",
                "FormulaDefinition": "", "SourceTypeMask": 0 }));
        }
        "bool" | "pick" | "state" | "status" | "multi" => {
            set(json!({ "DefaultFormValue": if kind == "state" { json!(null) } else { json!(-1) },
                "FormulaDefinition": "", "SourceTypeMask": 0 }));
            if kind == "bool" {
                set(json!({ "DefaultValue": false }));
            }
            match line.value("global") {
                Some(global) => {
                    let found = choices.iter().find(|choice| choice["Name"] == global);
                    set(json!({ "OptionSet": found, "GlobalOptionSet": found }));
                }
                None => {
                    let name = format!("{table}_{name}");
                    let options = line.value("opt").unwrap_or_default();
                    let own = match kind {
                        "bool" => labels::boolean_set(&name, line.at(2), options),
                        "state" | "status" => labels::state_set(&name, line.at(2), options, kind),
                        _ => labels::option_set(&name, line.at(2), options, false),
                    };
                    set(json!({ "OptionSet": own, "GlobalOptionSet": null }));
                }
            }
            if kind == "multi" {
                set(json!({ "ParentPicklistLogicalName": null, "ChildPicklistLogicalNames": [] }));
            }
        }
        "lookup" | "customer" | "owner" => {
            set(json!({ "Targets": targets(line), "Format": "None" }));
        }
        "image" => {
            set(json!({ "IsPrimaryImage": true, "MaxSizeInKB": 10240, "MaxHeight": 144, "MaxWidth": 144,
                "CanStoreFullImage": true }))
        }
        "file" => set(json!({ "MaxSizeInKB": 32768 })),
        _ => {}
    }
}

fn targets(line: &Line) -> Vec<&str> {
    match line.at(1) {
        "customer" => vec!["account", "contact"],
        "owner" => vec!["systemuser", "team"],
        _ => line.value("to").unwrap_or_default().split(',').collect(),
    }
}

/// Columns that only tell more about another one: formatted names and the type of a lookup's target.
fn companions(table: &str, line: &Line) -> Vec<Value> {
    let name = line.at(0);
    let kind = line.at(1);
    let mut out = Vec::new();
    let mut add = |suffix: &str, kind: &str| {
        let name = format!("{name}{suffix}");
        let mut companion = attribute(table, &name, &name, class(kind));
        companion["AttributeOf"] = json!(line.at(0));
        for key in [
            "IsValidForCreate",
            "IsValidForUpdate",
            "IsValidODataAttribute",
            "IsValidForForm",
            "IsFilterable",
        ] {
            companion[key] = json!(false);
        }
        companion["IsLogical"] = json!(true);
        if kind == "string" {
            companion["MaxLength"] = json!(160);
        }
        out.push(companion);
    };
    match kind {
        "lookup" => add("name", "string"),
        "customer" | "owner" => {
            add("name", "string");
            add("type", "entityname");
        }
        "bool" | "pick" | "state" | "status" | "multi" => add("name", "virtual"),
        _ => {}
    }
    out
}

/// The many-to-one relationships of a lookup: one for each target, and a single one for an owner.
fn references(table: &str, custom_table: bool, line: &Line) -> Vec<Value> {
    let (name, kind) = (line.at(0), line.at(1));
    if !matches!(kind, "lookup" | "customer" | "owner") {
        return Vec::new();
    }
    let targets = if kind == "owner" { vec!["owner"] } else { targets(line) };
    let several = targets.len() > 1;
    let custom = custom_table && name.starts_with("new_");
    let base = if custom { schema_name(line) } else { name.to_owned() };
    let own = |key: &str, target: &str| {
        line.value(&format!("{key}.{target}"))
            .or_else(|| line.value(key).filter(|_| !several || key == "del"))
    };
    let make = |target: &&str| {
        let suffixed = if several { format!("{base}_{target}") } else { base.clone() };
        let nav = own("nav", target).map_or(suffixed, str::to_owned);
        let schema = own("rel", target).map_or_else(|| format!("{table}_{name}_{target}"), str::to_owned);
        let back = own("coll", target).map_or_else(|| schema.clone(), str::to_owned);
        let delete = match own("del", target) {
            Some("cascade") => "Cascade",
            Some("restrict") => "Restrict",
            _ if matches!(
                name,
                "createdby" | "modifiedby" | "ownerid" | "owninguser" | "owningteam" | "owningbusinessunit"
            ) =>
            {
                "NoCascade"
            }
            _ => "RemoveLink",
        };
        let referenced_id = if *target == "owner" { "ownerid".to_owned() } else { format!("{target}id") };
        json!({
            "@odata.type": "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
            "MetadataId": guid::text(guid::named(&format!("{table}.{name}.{target}"))), "HasChanged": null,
            "IsCustomRelationship": custom, "IsManaged": !custom, "IsValidForAdvancedFind": true,
            "IntroducedVersion": "5.0.0.0", "SecurityTypes": "Append", "SchemaName": schema,
            "RelationshipType": "OneToManyRelationship", "ReferencingEntity": table, "ReferencingAttribute": name,
            "ReferencedEntity": target, "ReferencedAttribute": referenced_id,
            "ReferencingEntityNavigationPropertyName": nav, "ReferencedEntityNavigationPropertyName": back,
            "IsHierarchical": table == *target, "EntityKey": null, "IsRelationshipAttributeDenormalized": false,
            "RelationshipBehavior": 0,
            "CascadeConfiguration": { "Assign": "NoCascade", "Delete": delete, "Archive": "RemoveLink", "Merge":
                "NoCascade", "Reparent": "NoCascade", "Share": "NoCascade", "Unshare": "NoCascade", "RollupView":
                "NoCascade" },
            "IsCustomizable": { "Value": true, "CanBeChanged": true, "ManagedPropertyLogicalName": "iscustomizable" },
        })
    };
    targets.iter().map(make).collect()
}

fn key(line: &Line) -> Value {
    let (table, schema) = (line.at(1), line.at(2));
    let status = if line.at(4).is_empty() { "Active" } else { line.at(4) };
    json!({
        "MetadataId": guid::text(guid::named(&format!("{table}/{schema}"))), "HasChanged": null,
        "KeyAttributes": line.at(3).split(',').collect::<Vec<_>>(), "DisplayName": labels::label(schema, None),
        "LogicalName": schema.to_lowercase(), "SchemaName": schema, "EntityLogicalName": table, "AsyncJob": null,
        "IsManaged": false, "IntroducedVersion": "1.0", "IsSynchronous": false, "IsExportKey": false, "IsSecondaryKey": false,
        "EntityKeyIndexStatus": status,
        "IsCustomizable": { "Value": true, "CanBeChanged": true, "ManagedPropertyLogicalName": "iscustomizable" },
    })
}

fn many_to_many(line: &Line) -> Value {
    let (schema, one, one_nav, two, two_nav) = (line.at(1), line.at(2), line.at(3), line.at(4), line.at(5));
    let mut out = Map::new();
    let fixed = json!({
        "@odata.type": "#Microsoft.Dynamics.CRM.ManyToManyRelationshipMetadata", "HasChanged": null,
        "MetadataId": guid::text(guid::named(schema)), "SchemaName": schema, "IsCustomRelationship": true,
        "IsManaged": false, "IsValidForAdvancedFind": true, "RelationshipType": "ManyToManyRelationship",
        "SecurityTypes": "None", "IntersectEntityName": schema.to_lowercase(),
        "Entity1LogicalName": one, "Entity1IntersectAttribute": format!("{one}id"),
        "Entity1NavigationPropertyName": one_nav,
        "Entity2LogicalName": two, "Entity2IntersectAttribute": format!("{two}id"),
        "Entity2NavigationPropertyName": two_nav, "IntroducedVersion": "1.0",
    });
    if let Value::Object(fixed) = fixed {
        out.extend(fixed);
    }
    Value::Object(out)
}
