//! `$metadata`: the entity model as CSDL. Properties carry a type and no more, single-valued navigation
//! properties always say `Nullable="false"`, as recorded from real environments.

use std::fmt::Write as _;

use super::describe::{Column, Kind, Model, Table};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><edmx:Edmx Version=\"4.0\" \
xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\"><edmx:Reference \
Uri=\"http://vocabularies.odata.org/OData.Community.Keys.V1.xml\"><edmx:Include Namespace=\"OData.Community.Keys.V1\" \
Alias=\"Keys\"/></edmx:Reference><edmx:DataServices><Schema Namespace=\"Microsoft.Dynamics.CRM\" Alias=\"mscrm\" \
xmlns=\"http://docs.oasis-open.org/odata/ns/edm\"><EntityType Name=\"crmbaseentity\" Abstract=\"true\"/>\
<EntityType Name=\"principal\" BaseType=\"mscrm.crmbaseentity\"><Key><PropertyRef Name=\"ownerid\"/></Key>\
<Property Name=\"ownerid\" Type=\"Edm.Guid\"/></EntityType>";

/// The whole document.
pub(super) fn document(model: &Model, annotations: bool) -> String {
    let mut out = String::from(HEAD);
    for (at, table) in model.tables.iter().enumerate() {
        entity(model, at, table, annotations, &mut out);
    }
    out.push_str(
        "<ComplexType Name=\"WhoAmIResponse\"><Property Name=\"BusinessUnitId\" Type=\"Edm.Guid\" Nullable=\"false\"/>\
         <Property Name=\"UserId\" Type=\"Edm.Guid\" Nullable=\"false\"/><Property Name=\"OrganizationId\" \
         Type=\"Edm.Guid\" Nullable=\"false\"/></ComplexType><Function Name=\"WhoAmI\"><ReturnType \
         Type=\"mscrm.WhoAmIResponse\" Nullable=\"false\"/></Function><EntityContainer Name=\"System\">",
    );
    for (at, table) in model.tables.iter().enumerate() {
        container(model, at, table, &mut out);
    }
    out.push_str(
        "<FunctionImport Name=\"WhoAmI\" Function=\"Microsoft.Dynamics.CRM.WhoAmI\"/></EntityContainer>",
    );
    out.push_str("</Schema></edmx:DataServices></edmx:Edmx>");
    out
}

fn entity(model: &Model, at: usize, table: &Table, annotations: bool, out: &mut String) {
    let base =
        if matches!(table.name.as_str(), "systemuser" | "team") { "principal" } else { "crmbaseentity" };
    let _ = write!(out, "<EntityType Name=\"{}\" BaseType=\"mscrm.{base}\">", table.name);
    if base == "crmbaseentity" {
        let _ = write!(out, "<Key><PropertyRef Name=\"{}\"/></Key>", table.columns[table.id].name);
    }
    for column in table.columns.iter().filter(|column| column.shown) {
        property(column, annotations, out);
    }
    for nav in &table.navs {
        let Some(column) = table.columns.get(nav.column) else { continue };
        let target = if nav.target == "owner" { "principal" } else { nav.target.as_str() };
        let referenced = if nav.target == "owner" {
            "ownerid".to_owned()
        } else {
            match model.table(target) {
                Some(to) => model.tables[to].columns[model.tables[to].id].name.clone(),
                None => continue,
            }
        };
        let partner = if nav.target == "owner" || nav.back.is_empty() {
            String::new()
        } else {
            format!(" Partner=\"{}\"", nav.back)
        };
        let _ = write!(
            out,
            "<NavigationProperty Name=\"{}\" Type=\"mscrm.{target}\" Nullable=\"false\"{partner}>\
             <ReferentialConstraint Property=\"{}\" ReferencedProperty=\"{referenced}\"/></NavigationProperty>",
            nav.name, column.wire
        );
    }
    for (name, type_name, partner) in collections(model, at) {
        let _ = write!(
            out,
            "<NavigationProperty Name=\"{name}\" Type=\"Collection(mscrm.{type_name})\" Partner=\"{partner}\"/>"
        );
    }
    if table.keys.iter().any(|key| key.active) {
        out.push_str("<Annotation Term=\"OData.Community.Keys.V1.AlternateKeys\"><Collection>");
        for key in table.keys.iter().filter(|key| key.active) {
            out.push_str(
                "<Record Type=\"OData.Community.Keys.V1.AlternateKey\"><PropertyValue Property=\"Key\"><Collection>",
            );
            for column in &key.columns {
                let wire = &table.columns[*column].wire;
                let _ = write!(
                    out,
                    "<Record Type=\"OData.Community.Keys.V1.PropertyRef\"><PropertyValue Property=\"Alias\" \
                     String=\"{wire}\"/><PropertyValue Property=\"Name\" PropertyPath=\"{wire}\"/></Record>"
                );
            }
            out.push_str("</Collection></PropertyValue></Record>");
        }
        out.push_str("</Collection></Annotation>");
    }
    out.push_str("</EntityType>");
}

fn property(column: &Column, annotations: bool, out: &mut String) {
    let Some(edm) = column.kind.edm() else { return };
    let more = match column.kind {
        Kind::Text | Kind::Memo | Kind::Multi => " Unicode=\"false\"",
        Kind::Decimal | Kind::Money => " Scale=\"Variable\"",
        _ => "",
    };
    let _ = write!(out, "<Property Name=\"{}\" Type=\"{edm}\"{more}", column.wire);
    let computed = column.kind == Kind::Lookup || !(column.create || column.update);
    if !annotations {
        out.push_str("/>");
        return;
    }
    let _ = write!(
        out,
        "><Annotation Term=\"Org.OData.Core.V1.Description\" String=\"{}\"/>",
        escaped(&column.label)
    );
    if computed {
        out.push_str("<Annotation Term=\"Org.OData.Core.V1.Computed\" Bool=\"true\"/>");
    }
    out.push_str("</Property>");
}

/// Collection-valued navigation properties: name, type, partner.
fn collections(model: &Model, at: usize) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for (child, number) in model.children(at) {
        let table = &model.tables[child];
        let nav = &table.navs[number];
        if nav.target != "owner" && !nav.back.is_empty() {
            out.push((nav.back.clone(), table.name.clone(), nav.name.clone()));
        }
    }
    for many in &model.many {
        for (side, (table, nav)) in many.sides.iter().enumerate() {
            if *table == at {
                let (other, back) = &many.sides[1 - side];
                out.push((nav.clone(), model.tables[*other].name.clone(), back.clone()));
            }
        }
    }
    out
}

fn container(model: &Model, at: usize, table: &Table, out: &mut String) {
    let _ = write!(
        out,
        "<EntitySet Name=\"{}\" EntityType=\"Microsoft.Dynamics.CRM.{}\">",
        table.set, table.name
    );
    for nav in &table.navs {
        if let Some(to) = model.table(&nav.target) {
            let set = &model.tables[to].set;
            let _ = write!(out, "<NavigationPropertyBinding Path=\"{}\" Target=\"{set}\"/>", nav.name);
        }
    }
    for (name, type_name, _) in collections(model, at) {
        if let Some(to) = model.table(&type_name) {
            let set = &model.tables[to].set;
            let _ = write!(out, "<NavigationPropertyBinding Path=\"{name}\" Target=\"{set}\"/>");
        }
    }
    out.push_str("</EntitySet>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
