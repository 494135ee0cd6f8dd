//! The definitions that Dataverse gives of its tables, as its documents write them.
//!
//! Source: "Query table definitions using the Web API", and the types `EntityMetadata` and `AttributeMetadata`
//! with those that derive from it.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// A collection.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    /// Where the answer belongs in the model; begins with the API's own address.
    #[serde(rename = "@odata.context")]
    pub(super) context: Option<String>,
    pub(super) value: Vec<T>,
}

/// A text in the user's language.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Label {
    user_localized_label: Option<LocalizedLabel>,
    #[serde(deserialize_with = "null_is_default")]
    localized_labels: Vec<LocalizedLabel>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LocalizedLabel {
    label: Option<String>,
}

impl Label {
    /// The text in the user's language, else in the first that there is.
    pub(super) fn text(&self) -> Option<&str> {
        self.user_localized_label
            .iter()
            .chain(&self.localized_labels)
            .filter_map(|label| label.label.as_deref().map(str::trim))
            .find(|text| !text.is_empty())
    }

    /// Every text, in any language.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.user_localized_label
            .iter()
            .chain(&self.localized_labels)
            .filter_map(|label| label.label.as_deref())
    }
}

/// A property whose value an administrator may or may not change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Managed<T: Default> {
    pub(super) value: T,
}

/// A table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Table {
    pub(super) logical_name: String,
    pub(super) schema_name: Option<String>,
    pub(super) entity_set_name: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) display_name: Label,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) display_collection_name: Label,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) description: Label,
    pub(super) primary_id_attribute: Option<String>,
    pub(super) primary_name_attribute: Option<String>,
    pub(super) is_custom_entity: Option<bool>,
    pub(super) is_intersect: Option<bool>,
    pub(super) is_private: Option<bool>,
    pub(super) table_type: Option<String>,
    pub(super) change_tracking_enabled: Option<bool>,
    pub(super) is_optimistic_concurrency_enabled: Option<bool>,
}

/// The properties of [`Table`] that are asked for.
pub(super) const TABLE_SELECT: &str = "LogicalName,SchemaName,EntitySetName,DisplayName,DisplayCollectionName,\
    Description,PrimaryIdAttribute,PrimaryNameAttribute,IsCustomEntity,IsIntersect,IsPrivate,TableType,ChangeTrackingEnabled,\
    IsOptimisticConcurrencyEnabled";

impl Table {
    /// The entity set and the primary key of a table that the Web API offers; others have neither.
    pub(super) fn address(&self) -> Option<(&str, &str)> {
        let set = self.entity_set_name.as_deref().filter(|set| is_name(set))?;
        let id = self.primary_id_attribute.as_deref().filter(|id| is_name(id))?;
        (self.is_private != Some(true) && is_name(&self.logical_name)).then_some((set, id))
    }
}

/// Whether a name can stand in an address and in an expression as it is.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A column, with what its own kind adds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Attribute {
    pub(super) logical_name: String,
    pub(super) attribute_type: Option<String>,
    pub(super) attribute_type_name: Option<Managed<Option<String>>>,
    pub(super) attribute_of: Option<String>,
    pub(super) column_number: Option<i64>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) display_name: Label,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) description: Label,
    pub(super) required_level: Option<Managed<Option<String>>>,
    pub(super) is_valid_for_create: Option<bool>,
    pub(super) is_valid_for_read: Option<bool>,
    pub(super) is_valid_for_update: Option<bool>,
    pub(super) is_primary_id: Option<bool>,
    pub(super) is_custom_attribute: Option<bool>,
    pub(super) is_sortable_enabled: Option<Managed<Option<bool>>>,
    #[serde(rename = "IsValidODataAttribute")]
    pub(super) is_valid_odata_attribute: Option<bool>,
    pub(super) source_type: Option<i64>,
    pub(super) auto_number_format: Option<String>,
    // What the kinds add.
    pub(super) max_length: Option<u64>,
    pub(super) format: Option<String>,
    pub(super) format_name: Option<Managed<Option<String>>>,
    pub(super) date_time_behavior: Option<Managed<Option<String>>>,
    pub(super) min_value: Option<serde_json::Number>,
    pub(super) max_value: Option<serde_json::Number>,
    pub(super) precision: Option<u32>,
    pub(super) targets: Option<Vec<String>>,
    pub(super) option_set: Option<OptionSet>,
    pub(super) global_option_set: Option<OptionSet>,
    pub(super) default_form_value: Option<i64>,
    pub(super) default_value: Option<bool>,
    pub(super) can_store_full_image: Option<bool>,
    #[serde(rename = "MaxSizeInKB")]
    pub(super) max_size_in_kb: Option<u64>,
}

/// The properties of every column that are asked for.
pub(super) const ATTRIBUTE_SELECT: &str = "LogicalName,AttributeType,AttributeTypeName,AttributeOf,ColumnNumber,\
    DisplayName,Description,RequiredLevel,IsValidForCreate,IsValidForRead,IsValidForUpdate,IsPrimaryId,\
    IsCustomAttribute,IsSortableEnabled,IsValidODataAttribute,SourceType,AutoNumberFormat";

impl Attribute {
    /// The kind by its precise name: `StringType`, `MultiSelectPicklistType`.
    pub(super) fn kind(&self) -> String {
        let named = self.attribute_type_name.as_ref().and_then(|name| name.value.clone());
        named.unwrap_or_else(|| format!("{}Type", self.attribute_type.as_deref().unwrap_or("Virtual")))
    }

    pub(super) fn required(&self) -> bool {
        let level = self.required_level.as_ref().and_then(|level| level.value.as_deref());
        // ApplicationRequired is a rule of forms; the API does not keep it.
        level == Some("SystemRequired")
    }

    /// Takes over what the kind's own definition adds.
    pub(super) fn add(&mut self, more: Attribute) {
        self.max_length = more.max_length.or(self.max_length);
        self.format = more.format.or(self.format.take());
        self.format_name = more.format_name.or(self.format_name.take());
        self.date_time_behavior = more.date_time_behavior.or(self.date_time_behavior.take());
        self.min_value = more.min_value.or(self.min_value.take());
        self.max_value = more.max_value.or(self.max_value.take());
        self.precision = more.precision.or(self.precision);
        self.targets = more.targets.or(self.targets.take());
        self.option_set = more.option_set.or(self.option_set.take());
        self.global_option_set = more.global_option_set.or(self.global_option_set.take());
        self.default_form_value = more.default_form_value.or(self.default_form_value);
        self.default_value = more.default_value.or(self.default_value);
        self.can_store_full_image = more.can_store_full_image.or(self.can_store_full_image);
        self.max_size_in_kb = more.max_size_in_kb.or(self.max_size_in_kb);
    }

    /// The option set, the column's own or the shared one.
    pub(super) fn options(&self) -> Option<&OptionSet> {
        let filled = |set: &&OptionSet| !set.options.is_empty() || set.true_option.is_some();
        [&self.option_set, &self.global_option_set].into_iter().flatten().find(filled)
    }
}

/// The definitions of one kind, and what has to be asked for to get them: one request for all columns of it.
pub(super) fn cast_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "StringType" => "StringAttributeMetadata?$select=LogicalName,MaxLength,FormatName",
        "MemoType" => "MemoAttributeMetadata?$select=LogicalName,MaxLength,Format",
        "IntegerType" => "IntegerAttributeMetadata?$select=LogicalName,MinValue,MaxValue",
        "DecimalType" => "DecimalAttributeMetadata?$select=LogicalName,MinValue,MaxValue,Precision",
        "DoubleType" => "DoubleAttributeMetadata?$select=LogicalName,MinValue,MaxValue,Precision",
        "MoneyType" => "MoneyAttributeMetadata?$select=LogicalName,MinValue,MaxValue,Precision",
        "DateTimeType" => "DateTimeAttributeMetadata?$select=LogicalName,Format,DateTimeBehavior",
        "PicklistType" => {
            "PicklistAttributeMetadata?$select=LogicalName,DefaultFormValue&$expand=OptionSet,GlobalOptionSet"
        }
        "MultiSelectPicklistType" => {
            "MultiSelectPicklistAttributeMetadata?$select=LogicalName,DefaultFormValue&$expand=OptionSet,GlobalOptionSet"
        }
        "StateType" => "StateAttributeMetadata?$select=LogicalName&$expand=OptionSet",
        "StatusType" => "StatusAttributeMetadata?$select=LogicalName&$expand=OptionSet",
        "BooleanType" => "BooleanAttributeMetadata?$select=LogicalName,DefaultValue&$expand=OptionSet",
        "LookupType" | "CustomerType" | "OwnerType" => "LookupAttributeMetadata?$select=LogicalName,Targets",
        "ImageType" => "ImageAttributeMetadata?$select=LogicalName,MaxSizeInKB,CanStoreFullImage",
        "FileType" => "FileAttributeMetadata?$select=LogicalName,MaxSizeInKB",
        _ => return None,
    })
}

/// The values of a choice.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct OptionSet {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) options: Vec<Choice>,
    pub(super) true_option: Option<Choice>,
    pub(super) false_option: Option<Choice>,
}

/// One value of a choice.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Choice {
    pub(super) value: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) label: Label,
    pub(super) is_hidden: Option<bool>,
    /// The status that a status reason belongs to.
    pub(super) state: Option<i64>,
    /// The status reason that a status takes by itself.
    pub(super) default_status: Option<i64>,
}

/// An alternate key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AlternateKey {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) key_attributes: Vec<String>,
    pub(super) entity_key_index_status: Option<String>,
}

/// The way from a lookup to one of its targets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ManyToOne {
    pub(super) referencing_attribute: String,
    pub(super) referenced_entity: String,
    pub(super) referencing_entity_navigation_property_name: Option<String>,
}

/// A table with everything that its definition consists of.
#[derive(Debug, Default)]
pub(super) struct Definition {
    pub(super) table: Table,
    pub(super) attributes: Vec<Attribute>,
    pub(super) keys: Vec<AlternateKey>,
    pub(super) many_to_one: Vec<ManyToOne>,
}

/// Puts what the kinds' own definitions say to the columns.
pub(super) fn merge(attributes: &mut [Attribute], details: Vec<Attribute>) {
    let mut by_name: HashMap<String, Attribute> =
        details.into_iter().map(|detail| (detail.logical_name.clone(), detail)).collect();
    for attribute in attributes {
        if let Some(detail) = by_name.remove(&attribute.logical_name) {
            attribute.add(detail);
        }
    }
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A number as plain text without a fraction of zero.
pub(super) fn number_text(number: &serde_json::Number) -> String {
    let text = Json::Number(number.clone()).to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
