//! Real descriptions from files: EntityDefinitions as JSON (one or a list, with Attributes expanded), or a
//! `$metadata` document.

use serde_json::{Map, Value, json};

/// The EntityMetadata of every table in a file.
///
/// # Errors
/// A sentence when the text is neither.
pub(super) fn read(text: &str) -> Result<Vec<Value>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return from_csdl(text);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let tables = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("value") {
            Some(Value::Array(list)) => list,
            _ => vec![Value::Object(object)],
        },
        _ => Vec::new(),
    };
    if tables.is_empty() || !tables.iter().all(|table| table["LogicalName"].is_string()) {
        return Err("this is neither EntityDefinitions with LogicalName nor a $metadata document".to_owned());
    }
    Ok(tables)
}

/// One tag of an XML document: its name without prefix, its attributes, and what kind of tag it is.
#[derive(Debug)]
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
    closes: bool,
    empty: bool,
}

impl Tag<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

/// All tags in order; text between them is of no interest in CSDL.
fn tags(text: &str) -> Result<Vec<Tag<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").ok_or("a comment does not end")?.1;
            continue;
        }
        let end = tag_end(rest).ok_or("a tag does not end")?;
        let (inside, tail) = (&rest[..end], &rest[end + 1..]);
        rest = tail;
        if inside.starts_with(['?', '!']) {
            continue;
        }
        let closes = inside.starts_with('/');
        let empty = inside.ends_with('/');
        let inside = inside.trim_start_matches('/').trim_end_matches('/');
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let name = name.rsplit(':').next().unwrap_or(name);
        out.push(Tag { name, attributes: attributes_of(attributes), closes, empty });
    }
    Ok(out)
}

/// Where a tag ends: at the first `>` outside quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, letter)| {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '>') => return Some(at),
            _ => {}
        }
        None
    })
}

fn attributes_of(text: &str) -> Vec<(&str, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once('=') {
        let tail = tail.trim_start();
        let Some(quote) = tail.chars().next().filter(|letter| matches!(letter, '"' | '\'')) else { break };
        let Some((value, tail)) = tail[1..].split_once(quote) else { break };
        let value =
            value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        out.push((name.trim(), value));
        rest = tail;
    }
    out
}

/// Tables as far as CSDL tells them: lengths, labels and options are not in it.
fn from_csdl(text: &str) -> Result<Vec<Value>, String> {
    let tags = tags(text)?;
    let mut sets: Map<String, Value> = Map::new();
    for tag in tags.iter().filter(|tag| tag.name == "EntitySet") {
        if let (Some(name), Some(kind)) = (tag.get("Name"), tag.get("EntityType")) {
            sets.insert(kind.rsplit('.').next().unwrap_or(kind).to_owned(), json!(name));
        }
    }
    let mut out = Vec::new();
    let mut open: Option<Entity> = None;
    for tag in &tags {
        match (tag.name, tag.closes) {
            ("EntityType", false) => {
                open = tag.get("Name").map(Entity::new);
                if tag.empty {
                    open = None;
                }
            }
            ("EntityType", true) => {
                if let Some(entity) = open.take()
                    && let Some(set) = sets.get(&entity.name)
                    && entity.id.is_some()
                {
                    out.push(entity.describe(set));
                }
            }
            _ => {
                if let Some(entity) = &mut open {
                    entity.take(tag);
                }
            }
        }
    }
    if out.is_empty() {
        Err("the $metadata document has no entity set with a key".to_owned())
    } else {
        Ok(out)
    }
}

/// An entity type while its tags are read.
#[derive(Debug)]
struct Entity {
    name: String,
    id: Option<String>,
    properties: Vec<(String, String)>,
    /// Navigation property, target, partner, constrained property.
    navs: Vec<(String, String, String, Option<String>)>,
}

impl Entity {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), id: None, properties: Vec::new(), navs: Vec::new() }
    }

    fn take(&mut self, tag: &Tag<'_>) {
        let text = |name: &str| tag.get(name).unwrap_or_default().to_owned();
        match tag.name {
            "PropertyRef" if self.id.is_none() => self.id = Some(text("Name")),
            "Property" if !tag.closes => self.properties.push((text("Name"), text("Type"))),
            "NavigationProperty" if !tag.closes && !text("Type").starts_with("Collection(") => {
                let kind = text("Type");
                let target = kind.rsplit('.').next().unwrap_or_default().to_owned();
                self.navs.push((text("Name"), target, text("Partner"), None));
            }
            "ReferentialConstraint" => {
                if let Some(nav) = self.navs.last_mut() {
                    nav.3 = Some(text("Property"));
                }
            }
            _ => {}
        }
    }

    fn describe(self, set: &Value) -> Value {
        let mut attributes = Vec::new();
        let mut relations = Vec::new();
        for (wire, edm) in &self.properties {
            let lookup = wire.strip_prefix('_').and_then(|rest| rest.strip_suffix("_value"));
            let name = lookup.unwrap_or(wire);
            let navs = self.navs.iter().filter(|nav| nav.3.as_deref() == Some(wire));
            let targets: Vec<&str> = navs.clone().map(|nav| nav.1.as_str()).collect();
            for (nav, target, partner, _) in navs {
                let target = if target == "principal" { "owner" } else { target };
                relations.push(json!({
                    "SchemaName": partner, "ReferencingEntity": self.name, "ReferencingAttribute": name,
                    "ReferencedEntity": target, "ReferencingEntityNavigationPropertyName": nav,
                    "ReferencedEntityNavigationPropertyName": partner,
                }));
            }
            let id = self.id.as_deref() == Some(name);
            attributes.push(attribute(&self.name, name, edm, lookup.is_some(), id, &targets));
        }
        json!({
            "LogicalName": self.name, "SchemaName": self.name, "EntitySetName": set, "LogicalCollectionName": set,
            "PrimaryIdAttribute": self.id, "PrimaryNameAttribute": null, "ObjectTypeCode": 10_500,
            "IsCustomEntity": self.name.contains('_'), "ChangeTrackingEnabled": false, "IsActivity": false,
            "IsOptimisticConcurrencyEnabled": true, "MetadataId": super::guid::text(super::guid::named(&self.name)),
            "DisplayName": super::labels::label(&self.name, None), "OwnershipType": "UserOwned",
            "DisplayCollectionName": super::labels::label(&self.name, None), "TableType": "Standard",
            "Attributes": attributes, "Keys": [], "ManyToOneRelationships": relations,
            "OneToManyRelationships": [], "ManyToManyRelationships": [],
        })
    }
}

fn attribute(table: &str, name: &str, edm: &str, lookup: bool, id: bool, targets: &[&str]) -> Value {
    let (class, kind) = match edm {
        _ if lookup => ("Lookup", "Lookup"),
        "Edm.Guid" => ("", "Uniqueidentifier"),
        "Edm.Int32" => ("Integer", "Integer"),
        "Edm.Int64" => ("BigInt", "BigInt"),
        "Edm.Decimal" => ("Decimal", "Decimal"),
        "Edm.Double" => ("Double", "Double"),
        "Edm.Boolean" => ("Boolean", "Boolean"),
        "Edm.Date" | "Edm.DateTimeOffset" => ("DateTime", "DateTime"),
        "Edm.Binary" => ("Image", "Virtual"),
        _ => ("String", "String"),
    };
    let behaviour = if edm == "Edm.Date" { "DateOnly" } else { "UserLocal" };
    let type_name = if edm == "Edm.Binary" { "ImageType".to_owned() } else { format!("{kind}Type") };
    let targets: Vec<&str> = targets
        .iter()
        .flat_map(|target| if *target == "principal" { vec!["systemuser", "team"] } else { vec![*target] })
        .collect();
    json!({
        "@odata.type": format!("#Microsoft.Dynamics.CRM.{class}AttributeMetadata"),
        "LogicalName": name, "SchemaName": name, "EntityLogicalName": table, "AttributeType": kind,
        "AttributeTypeName": { "Value": type_name }, "AttributeOf": null,
        "DisplayName": super::labels::label(name, None), "RequiredLevel": { "Value": if id { "SystemRequired" } else { "None" } },
        "IsPrimaryId": id, "IsPrimaryName": false, "IsValidForCreate": true, "IsValidForUpdate": !id,
        "IsValidForRead": true, "IsValidODataAttribute": true, "IsFilterable": true, "MaxLength": 4000,
        "Precision": 10, "DateTimeBehavior": { "Value": behaviour }, "Targets": targets,
        "MetadataId": super::guid::text(super::guid::named(&format!("{table}.{name}"))),
    })
}
