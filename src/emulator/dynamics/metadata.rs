//! The metadata endpoints: EntityDefinitions with attributes, keys and relationships, global option sets,
//! relationship definitions. Everything comes in one answer; there are no pages.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::describe::Model;
use super::errors::{QUERY, Refusal};
use super::guid;
use super::json_reply;
use super::odata::{self, Expr, Literal, Operand, Operator};
use super::request::{Call, KeyPart, Segment};
use crate::emulator::service::Reply;

const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";
/// Properties of EntityMetadata that are only told when expanded.
const ENTITY_LISTS: [&str; 5] =
    ["Attributes", "Keys", "ManyToOneRelationships", "OneToManyRelationships", "ManyToManyRelationships"];
/// Properties of attributes that are only told when expanded.
const ATTRIBUTE_SETS: [&str; 2] = ["OptionSet", "GlobalOptionSet"];

/// Whether a first segment belongs to the metadata.
pub(super) fn owns(name: &str) -> bool {
    matches!(name, "EntityDefinitions" | "GlobalOptionSetDefinitions" | "RelationshipDefinitions")
}

/// Answers one request.
///
/// # Errors
/// The service's own refusals.
pub(super) fn handle(model: &Model, call: &Call<'_>) -> Result<Reply, Refusal> {
    for option in ["$top", "$skip", "$orderby", "$search", "$apply"] {
        if call.option(option).is_some() {
            let message = format!("The query parameter {option} is not supported.");
            return Err(Refusal::new(QUERY, message));
        }
    }
    let Some((first, rest)) = call.segments.split_first() else { return Err(Refusal::no_segment("")) };
    let all: Vec<Value> = match first.name.as_str() {
        "EntityDefinitions" => {
            let named = |name: &str| {
                rest.iter().any(|segment| segment.name == name)
                    || call.option("$expand").is_some_and(|text| text.contains(name))
            };
            // A description is large: only the table that is named is copied.
            let wanted = |describe: &Value| {
                first.key.as_deref().is_none_or(|key| match key {
                    [KeyPart { name: Some(property), value: Literal::Text(text) }] => {
                        describe[property.as_str()] == text.as_str()
                    }
                    _ => true,
                })
            };
            let tables = model.tables.iter().filter(|table| wanted(&table.describe));
            tables.map(|table| without_lists(&table.describe, named)).collect()
        }
        "GlobalOptionSetDefinitions" => model.choices.clone(),
        _ => relationships(model),
    };
    let at = Level { value: Value::Array(all), context: first.name.clone(), class: base_class(&first.name) };
    let mut level = at.keyed(first)?;
    for segment in rest {
        level = level.step(segment)?;
    }
    level.answer(call)
}

/// EntityMetadata without the long lists that nobody asked for.
fn without_lists(describe: &Value, named: impl Fn(&str) -> bool) -> Value {
    let members = describe.as_object().into_iter().flatten();
    let kept = members.filter(|(name, _)| !ENTITY_LISTS.contains(&name.as_str()) || named(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn relationships(model: &Model) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for table in &model.tables {
        for list in ["ManyToOneRelationships", "ManyToManyRelationships"] {
            for relation in table.describe[list].as_array().into_iter().flatten() {
                if !out.iter().any(|known| known["SchemaName"] == relation["SchemaName"]) {
                    out.push(relation.clone());
                }
            }
        }
    }
    out
}

/// The type whose properties a listing without a cast has.
fn base_class(list: &str) -> &'static str {
    match list {
        "EntityDefinitions" => "EntityMetadata",
        "Attributes" => "AttributeMetadata",
        "Keys" => "EntityKeyMetadata",
        "GlobalOptionSetDefinitions" | "OptionSet" | "GlobalOptionSet" => "OptionSetMetadataBase",
        "ManyToOneRelationships" | "OneToManyRelationships" => "OneToManyRelationshipMetadata",
        "ManyToManyRelationships" => "ManyToManyRelationshipMetadata",
        _ => "RelationshipMetadataBase",
    }
}

/// Where the path has led so far.
struct Level {
    value: Value,
    context: String,
    /// The type of the value, or of its entries.
    class: &'static str,
}

fn absent(what: &str) -> Refusal {
    Refusal::new("0x80060888", what).with_status(StatusCode::NOT_FOUND)
}

impl Level {
    /// The one entry that a key names.
    fn keyed(self, segment: &Segment) -> Result<Self, Refusal> {
        let Some(key) = &segment.key else { return Ok(self) };
        let [KeyPart { name, value }] = key.as_slice() else {
            return Err(Refusal::new(QUERY, "A metadata key has one value."));
        };
        let (property, wanted) = match (name.as_deref(), value) {
            (Some(name @ ("LogicalName" | "Name" | "SchemaName")), Literal::Text(text)) => {
                (name, text.clone())
            }
            (None | Some("MetadataId"), Literal::Guid(id)) => ("MetadataId", guid::text(*id)),
            _ => {
                return Err(Refusal::new(
                    QUERY,
                    "The key in the request URI is not valid for this resource.",
                ));
            }
        };
        let found =
            self.value.as_array().into_iter().flatten().find(|entry| entry[property] == wanted.as_str());
        let Some(found) = found else {
            let what = match self.class {
                "EntityMetadata" => format!("Could not find an entity with name {wanted} and id {wanted}."),
                "AttributeMetadata" => format!("Could not find an attribute with specified name {wanted}."),
                _ => format!("Could not find {wanted}."),
            };
            return Err(absent(&what));
        };
        let context = if self.context.contains('/') || self.context == "EntityDefinitions" {
            let shown = if property == "MetadataId" { wanted } else { format!("'{wanted}'") };
            format!("{}({shown})", self.context)
        } else {
            self.context
        };
        Ok(Self { value: found.clone(), context, class: self.class })
    }

    fn step(self, segment: &Segment) -> Result<Self, Refusal> {
        let name = segment.name.as_str();
        if let Some(class) = name.strip_prefix(NAMESPACE) {
            return self.cast(class)?.keyed(segment);
        }
        let known = ENTITY_LISTS.contains(&name) && self.class == "EntityMetadata"
            || ATTRIBUTE_SETS.contains(&name) && self.class != "AttributeMetadata";
        let inner = self.value.get(name).filter(|_| known);
        let Some(inner) = inner.filter(|inner| !inner.is_null()) else {
            return Err(Refusal::no_segment(name));
        };
        let next = Self {
            value: inner.clone(),
            context: format!("{}/{name}", self.context),
            class: base_class(name),
        };
        next.keyed(segment)
    }

    /// Only entries of one type, with the properties of that type.
    fn cast(self, class: &str) -> Result<Self, Refusal> {
        const CLASSES: [&str; 22] = [
            "AttributeMetadata",
            "BigIntAttributeMetadata",
            "BooleanAttributeMetadata",
            "DateTimeAttributeMetadata",
            "DecimalAttributeMetadata",
            "DoubleAttributeMetadata",
            "EntityNameAttributeMetadata",
            "FileAttributeMetadata",
            "ImageAttributeMetadata",
            "IntegerAttributeMetadata",
            "LookupAttributeMetadata",
            "MemoAttributeMetadata",
            "MoneyAttributeMetadata",
            "MultiSelectPicklistAttributeMetadata",
            "PicklistAttributeMetadata",
            "StateAttributeMetadata",
            "StatusAttributeMetadata",
            "StringAttributeMetadata",
            "OptionSetMetadata",
            "BooleanOptionSetMetadata",
            "OneToManyRelationshipMetadata",
            "ManyToManyRelationshipMetadata",
        ];
        let Some(class) = CLASSES.iter().find(|known| **known == class) else {
            return Err(Refusal::no_segment(&format!("{NAMESPACE}{class}")));
        };
        let wanted = format!("#{NAMESPACE}{class}");
        let fits = |entry: &Value| *class == "AttributeMetadata" || entry["@odata.type"] == wanted.as_str();
        let value = match self.value {
            Value::Array(list) => Value::Array(list.into_iter().filter(fits).collect()),
            one if fits(&one) => one,
            _ => return Err(absent("The resource is not of the type in the address.")),
        };
        Ok(Self { value, context: format!("{}/{NAMESPACE}{class}", self.context), class })
    }

    fn answer(self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let view = View::read(self.class, call.option("$select"), call.option("$expand"))?;
        let selected = view.select.as_ref().map(|names| format!("({})", names.join(","))).unwrap_or_default();
        let mut out = Map::new();
        match self.value {
            Value::Array(list) => {
                let test =
                    call.option("$filter").map(|text| odata::filter(text, &call.aliases())).transpose()?;
                out.insert(
                    "@odata.context".to_owned(),
                    json!(call.context(&format!("{}{selected}", self.context))),
                );
                let mut rows = Vec::new();
                for entry in list {
                    if let Some(test) = &test
                        && !holds(test, &entry)?
                    {
                        continue;
                    }
                    rows.push(view.show(entry)?);
                }
                out.insert("value".to_owned(), Value::Array(rows));
            }
            one => {
                let context =
                    format!("{}{selected}/$entity", self.context.split('(').next().unwrap_or_default());
                out.insert("@odata.context".to_owned(), json!(call.context(&context)));
                if let Value::Object(one) = view.show(one)? {
                    out.extend(one);
                }
            }
        }
        Ok(json_reply(StatusCode::OK, Value::Object(out).to_string()))
    }
}

/// What of a value is shown.
struct View {
    class: &'static str,
    select: Option<Vec<String>>,
    expand: Vec<(String, View)>,
}

impl View {
    fn read(class: &'static str, select: Option<&str>, expand: Option<&str>) -> Result<Self, Refusal> {
        let names = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let select = select.map(names).filter(|names| !names.iter().any(|name| name == "*"));
        let mut inner = Vec::new();
        for part in expand.map(|text| odata::split(text, ',')).unwrap_or_default() {
            let part = part.trim();
            let (name, options) = part
                .split_once('(')
                .map_or((part, ""), |(name, rest)| (name, rest.strip_suffix(')').unwrap_or(rest)));
            let option = |wanted: &str| {
                odata::split(options, ';')
                    .into_iter()
                    .find_map(|option| option.trim().strip_prefix(wanted)?.trim_start().strip_prefix('='))
            };
            // A cast may stand before the property of its type.
            let name = name.rsplit('/').next().unwrap_or(name);
            let known = match class {
                "EntityMetadata" => ENTITY_LISTS.contains(&name),
                "AttributeMetadata" => part.contains('/') && ATTRIBUTE_SETS.contains(&name),
                _ => ATTRIBUTE_SETS.contains(&name),
            };
            if !known {
                return Err(Refusal::no_property(name, class));
            }
            let view = Self::read(base_class(name), option("$select"), option("$expand"))?;
            inner.push((name.to_owned(), view));
        }
        Ok(Self { class, select, expand: inner })
    }

    fn show(&self, value: Value) -> Result<Value, Refusal> {
        let Value::Object(members) = value else {
            return match value {
                Value::Array(list) => {
                    Ok(Value::Array(list.into_iter().map(|one| self.show(one)).collect::<Result<_, _>>()?))
                }
                other => Ok(other),
            };
        };
        if let Some(names) = &self.select {
            let known =
                |name: &str| name == "@odata.type" || members.contains_key(name) && self.is_shown(name);
            if let Some(unknown) = names.iter().find(|name| !known(name)) {
                let lacks =
                    matches!(self.class, "AttributeMetadata" | "EntityMetadata" | "EntityKeyMetadata");
                if lacks || !may_have(unknown) {
                    return Err(Refusal::no_property(unknown, self.class));
                }
            }
        }
        let mut out = Map::new();
        for (name, value) in members {
            let expanded = self.expand.iter().find(|(own, _)| *own == name);
            if let Some((_, view)) = expanded {
                out.insert(name, view.show(value)?);
                continue;
            }
            let chosen = self
                .select
                .as_ref()
                .is_none_or(|names| names.contains(&name) || name == "MetadataId" || name == "@odata.type");
            if chosen && self.is_shown(&name) {
                out.insert(name, value);
            }
        }
        Ok(Value::Object(out))
    }

    /// Whether a property of this type is told without being expanded.
    fn is_shown(&self, name: &str) -> bool {
        match self.class {
            "EntityMetadata" => !ENTITY_LISTS.contains(&name) && name != "Hidden",
            // Without a cast only the properties that all attributes have.
            "AttributeMetadata" => COMMON.contains(&name),
            _ => !ATTRIBUTE_SETS.contains(&name),
        }
    }
}

/// Names that some entries of a listing lack although their type has them.
fn may_have(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

const COMMON: [&str; 49] = [
    "@odata.type",
    "AttributeOf",
    "AttributeType",
    "AttributeTypeName",
    "AutoNumberFormat",
    "CanBeSecuredForCreate",
    "CanBeSecuredForRead",
    "CanBeSecuredForUpdate",
    "CanModifyAdditionalSettings",
    "ColumnNumber",
    "DeprecatedVersion",
    "Description",
    "DisplayName",
    "EntityLogicalName",
    "ExternalName",
    "HasChanged",
    "InheritsFrom",
    "IntroducedVersion",
    "IsAuditEnabled",
    "IsCustomAttribute",
    "IsCustomizable",
    "IsDataSourceSecret",
    "IsFilterable",
    "IsGlobalFilterEnabled",
    "IsLogical",
    "IsManaged",
    "IsPrimaryId",
    "IsPrimaryName",
    "IsRenameable",
    "IsRequiredForForm",
    "IsRetrievable",
    "IsSearchable",
    "IsSecured",
    "IsSortableEnabled",
    "IsValidForAdvancedFind",
    "IsValidForCreate",
    "IsValidForForm",
    "IsValidForGrid",
    "IsValidForRead",
    "IsValidForUpdate",
    "IsValidODataAttribute",
    "LinkedAttributeId",
    "LogicalName",
    "MetadataId",
    "RequiredLevel",
    "SchemaName",
    "SourceType",
    "IsLocalizable",
    "SettingOf",
];

/// Whether a metadata condition holds for an entry.
fn holds(test: &Expr, entry: &Value) -> Result<bool, Refusal> {
    Ok(match test {
        Expr::All(list) => {
            list.iter().try_fold(true, |all, one| Ok::<_, Refusal>(all && holds(one, entry)?))?
        }
        Expr::Any(list) => {
            list.iter().try_fold(false, |any, one| Ok::<_, Refusal>(any || holds(one, entry)?))?
        }
        Expr::Not(inner) => !holds(inner, entry)?,
        Expr::Compare { left: Operand::Path(path), operator, right: Operand::Literal(literal) }
        | Expr::Compare { left: Operand::Literal(literal), operator, right: Operand::Path(path) } => {
            compare(entry, path, *operator, literal)?
        }
        _ => {
            return Err(Refusal::new(
                QUERY,
                "Metadata can be filtered by comparisons of properties with values only.",
            ));
        }
    })
}

fn compare(entry: &Value, path: &[String], operator: Operator, literal: &Literal) -> Result<bool, Refusal> {
    let first = path.first().map(String::as_str).unwrap_or_default();
    let Some(mut value) = entry.get(first) else {
        return Err(Refusal::no_property(first, "EntityMetadata"));
    };
    for name in &path[1..] {
        value = value.get(name).ok_or_else(|| Refusal::no_property(name, first))?;
    }
    if value.is_object() || value.is_array() {
        let message = format!("The metadata property '{first}' cannot be filtered.");
        return Err(Refusal::new(QUERY, message));
    }
    let wanted = match literal {
        Literal::Null => Value::Null,
        Literal::Boolean(on) => json!(on),
        Literal::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        Literal::Text(text) | Literal::Enumeration(text) | Literal::Moment(text) => json!(text),
        Literal::Guid(id) => json!(guid::text(*id)),
    };
    let order = match (value, &wanted) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().zip(other.as_f64()).and_then(|(one, other)| one.partial_cmp(&other))
        }
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) if one == other => Some(std::cmp::Ordering::Equal),
        _ => None,
    };
    Ok(super::evaluate::decides(operator, order))
}
