//! A record type as the emulator works with it, read from a full describe (ours or an imported one).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::seed::Recipe;

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Reference,
    Text,
    Picklist,
    MultiPicklist,
    Boolean,
    Int,
    Double,
    Date,
    DateTime,
    Time,
    Base64,
    Address,
    Location,
}

/// How a value comes about that is not stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Derived {
    /// Parts of an address or location: the name in the JSON object and the field.
    Compound(Vec<(&'static str, usize)>),
    /// First and last name.
    PersonName { first: usize, last: usize },
    /// A true flag when the field has one of these values.
    Flag { of: usize, values: &'static [&'static str] },
    /// Amount times probability.
    Expected { amount: usize, probability: usize },
    /// `amount * (1 - discount / 100)`.
    Discounted { amount: usize, discount: usize },
    /// Year or quarter of a date.
    Calendar { of: usize, quarter: bool },
    /// Byte count of a base64 value.
    Size { of: usize },
    /// The forecast category that belongs to a stage.
    Forecast { stage: usize },
}

#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub(super) value: String,
    pub(super) active: bool,
    pub(super) default: bool,
    valid_for: Option<Vec<u8>>,
}

impl Pick {
    /// Whether this entry may stand beside the controller's entry with this index; missing bits are no.
    pub(super) fn valid_for(&self, controller: usize) -> bool {
        match &self.valid_for {
            None => true,
            Some(bits) => bits.get(controller / 8).is_some_and(|byte| byte & (0x80 >> (controller % 8)) != 0),
        }
    }
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "these are the describe's own flags")]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    /// The type's name in the describe.
    pub(super) wire: String,
    pub(super) length: usize,
    pub(super) precision: u32,
    pub(super) scale: u32,
    pub(super) digits: u32,
    pub(super) nillable: bool,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) filterable: bool,
    pub(super) sortable: bool,
    pub(super) groupable: bool,
    pub(super) aggregatable: bool,
    pub(super) unique: bool,
    pub(super) case_sensitive: bool,
    pub(super) external_id: bool,
    pub(super) id_lookup: bool,
    pub(super) auto_number: bool,
    pub(super) defaulted: bool,
    pub(super) restricted: bool,
    pub(super) html: bool,
    pub(super) custom: bool,
    pub(super) polymorphic: bool,
    pub(super) name_field: bool,
    pub(super) default: Value,
    pub(super) picks: Vec<Pick>,
    pub(super) controller: Option<usize>,
    pub(super) targets: Vec<String>,
    pub(super) relationship: Option<String>,
    pub(super) derived: Option<Derived>,
    pub(super) recipe: Recipe,
    /// Field-level security can close it.
    pub(super) permissionable: bool,
    /// The user does not see it.
    pub(super) hidden: bool,
    /// It is no longer part of the type; then it is hidden too.
    pub(super) removed: bool,
}

impl Field {
    /// Whether the value is text that compares without regard to case.
    pub(super) fn folds_case(&self) -> bool {
        !self.case_sensitive && !matches!(self.kind, Kind::Id | Kind::Reference)
    }

    /// Whether a write may name rows by this field.
    pub(super) fn identifies(&self) -> bool {
        self.external_id || self.id_lookup
    }

    pub(super) fn required_on_create(&self) -> bool {
        self.createable && !self.hidden && !self.nillable && !self.defaulted && self.kind != Kind::Boolean
    }
}

#[derive(Debug, Clone)]
pub(super) struct ChildRelation {
    pub(super) object: String,
    pub(super) field: String,
    pub(super) name: Option<String>,
    pub(super) cascade: bool,
    pub(super) restrict: bool,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "these are the describe's own flags")]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) label_plural: String,
    pub(super) prefix: String,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) deletable: bool,
    pub(super) queryable: bool,
    pub(super) fields: Vec<Field>,
    pub(super) children: Vec<ChildRelation>,
    pub(super) describe: Value,
    /// Imported describes are answered as they were read.
    pub(super) verbatim: bool,
    /// The user does not see this type.
    pub(super) hidden: bool,
    /// When the control surface last changed it.
    pub(super) changed: Option<Timestamp>,
}

impl Object {
    /// Reads a describe.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(super) fn read(describe: Value, verbatim: bool) -> Result<Self, String> {
        let name = text(&describe, "name");
        if name.is_empty() {
            return Err("a describe has a `name`; this document has none".to_owned());
        }
        let rows = describe
            .get("fields")
            .and_then(Value::as_array)
            .ok_or_else(|| format!("the describe of {name} has no array `fields`"))?;
        let mut fields = rows.iter().map(read_field).collect::<Result<Vec<_>, _>>()?;
        if !fields.iter().any(|field| field.kind == Kind::Id) {
            return Err(format!("the describe of {name} has no field of type id"));
        }
        for (at, row) in rows.iter().enumerate() {
            let place = |name: &str| fields.iter().position(|field| field.name == name);
            let controller = place(&text(row, "controllerName"));
            let derived = derive(&name, &fields, at, rows);
            let recipe = super::seed::recipe(&name, &fields[at], text(row, "compoundFieldName").as_str());
            let field = &mut fields[at];
            field.controller = controller;
            field.derived = derived;
            field.recipe = recipe;
        }
        let children =
            describe.get("childRelationships").and_then(Value::as_array).map_or_else(Vec::new, |rows| {
                rows.iter()
                    .map(|row| ChildRelation {
                        object: text(row, "childSObject"),
                        field: text(row, "field"),
                        name: row.get("relationshipName").and_then(Value::as_str).map(str::to_owned),
                        cascade: flag(row, "cascadeDelete"),
                        restrict: flag(row, "restrictedDelete"),
                    })
                    .collect()
            });
        Ok(Self {
            label: text(&describe, "label"),
            label_plural: text(&describe, "labelPlural"),
            prefix: text(&describe, "keyPrefix"),
            createable: flag(&describe, "createable"),
            updateable: flag(&describe, "updateable"),
            deletable: flag(&describe, "deletable"),
            queryable: flag(&describe, "queryable"),
            name,
            fields,
            children,
            describe,
            verbatim,
            hidden: false,
            changed: None,
        })
    }

    /// A field that the user sees, by name in any case.
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        let visible =
            |same: &dyn Fn(&Field) -> bool| self.fields.iter().position(|field| !field.hidden && same(field));
        visible(&|field| field.name == name)
            .or_else(|| visible(&|field| field.name.eq_ignore_ascii_case(name)))
    }

    /// A field by name, hidden or not.
    pub(super) fn any_field(&self, name: &str) -> Option<usize> {
        self.field(name).or_else(|| {
            self.fields.iter().position(|field| !field.removed && field.name.eq_ignore_ascii_case(name))
        })
    }

    /// The describe as the user is told it.
    pub(super) fn told(&self) -> Cow<'_, Value> {
        if self.changed.is_none() {
            return Cow::Borrowed(&self.describe);
        }
        let mut out = self.describe.clone();
        let rows = self.describe.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let visible = rows.iter().zip(&self.fields).filter(|(_, field)| !field.hidden).map(|(row, field)| {
            let mut row = row.clone();
            row["createable"] = Value::Bool(field.createable);
            row["updateable"] = Value::Bool(field.updateable);
            row
        });
        out["fields"] = Value::Array(visible.collect());
        for (key, flag) in
            [("createable", self.createable), ("updateable", self.updateable), ("deletable", self.deletable)]
        {
            out[key] = Value::Bool(flag);
        }
        Cow::Owned(out)
    }

    /// A flag as the describe had it before anything was changed.
    pub(super) fn flag_at_first(&self, field: Option<usize>, key: &str) -> bool {
        match field {
            None => flag(&self.describe, key),
            Some(field) => {
                self.describe.get("fields").and_then(|rows| rows.get(field)).is_some_and(|row| flag(row, key))
            }
        }
    }

    /// Adds a field after all others.
    ///
    /// # Errors
    /// A sentence when the type has such a field or the description lacks a name.
    pub(super) fn add_field(&mut self, row: Value) -> Result<(), String> {
        let mut field = read_field(&row)?;
        if self.any_field(&field.name).is_some() {
            return Err(format!("{} has a field {} already: remove it first", self.name, field.name));
        }
        field.controller = self.field(&text(&row, "controllerName"));
        field.recipe = super::seed::recipe(&self.name, &field, &text(&row, "compoundFieldName"));
        self.fields.push(field);
        if let Some(rows) = self.describe.get_mut("fields").and_then(Value::as_array_mut) {
            rows.push(row);
        }
        Ok(())
    }

    /// The reference field whose parent is reached under this relationship name.
    pub(super) fn relationship(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| {
            field.kind == Kind::Reference
                && !field.hidden
                && field.relationship.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }

    pub(super) fn name_field(&self) -> Option<usize> {
        self.fields.iter().position(|field| field.name_field)
    }
}

fn text(row: &Value, key: &str) -> String {
    row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn flag(row: &Value, key: &str) -> bool {
    row.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn size(row: &Value, key: &str) -> u32 {
    row.get(key).and_then(Value::as_u64).and_then(|size| u32::try_from(size).ok()).unwrap_or(0)
}

fn read_field(row: &Value) -> Result<Field, String> {
    let name = text(row, "name");
    if name.is_empty() {
        return Err("a field of the describe has no `name`".to_owned());
    }
    let wire = text(row, "type");
    let kind = match wire.as_str() {
        "id" => Kind::Id,
        "reference" if row.get("referenceTo").and_then(Value::as_array).is_some_and(|to| !to.is_empty()) => {
            Kind::Reference
        }
        "picklist" => Kind::Picklist,
        "multipicklist" => Kind::MultiPicklist,
        "boolean" => Kind::Boolean,
        "int" | "long" => Kind::Int,
        "double" | "currency" | "percent" => Kind::Double,
        "date" => Kind::Date,
        "datetime" => Kind::DateTime,
        "time" => Kind::Time,
        "base64" => Kind::Base64,
        "address" => Kind::Address,
        "location" => Kind::Location,
        _ => Kind::Text,
    };
    let picks = row.get("picklistValues").and_then(Value::as_array).map_or_else(Vec::new, |rows| {
        rows.iter()
            .map(|entry| Pick {
                value: text(entry, "value"),
                active: flag(entry, "active"),
                default: flag(entry, "defaultValue"),
                valid_for: entry
                    .get("validFor")
                    .and_then(Value::as_str)
                    .and_then(|bits| STANDARD.decode(bits).ok())
                    .filter(|bits| !bits.is_empty()),
            })
            .collect()
    });
    let targets = row
        .get("referenceTo")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |rows| rows.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    Ok(Field {
        label: text(row, "label"),
        kind,
        length: row
            .get("length")
            .and_then(Value::as_u64)
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(0),
        precision: size(row, "precision"),
        scale: size(row, "scale"),
        digits: size(row, "digits"),
        nillable: flag(row, "nillable"),
        createable: flag(row, "createable"),
        updateable: flag(row, "updateable"),
        filterable: flag(row, "filterable"),
        sortable: flag(row, "sortable"),
        groupable: flag(row, "groupable"),
        aggregatable: flag(row, "aggregatable"),
        unique: flag(row, "unique"),
        case_sensitive: flag(row, "caseSensitive"),
        external_id: flag(row, "externalId"),
        id_lookup: flag(row, "idLookup"),
        auto_number: flag(row, "autoNumber"),
        defaulted: flag(row, "defaultedOnCreate"),
        restricted: flag(row, "restrictedPicklist"),
        html: flag(row, "htmlFormatted"),
        custom: flag(row, "custom"),
        polymorphic: flag(row, "polymorphicForeignKey"),
        name_field: flag(row, "nameField"),
        default: row.get("defaultValue").cloned().unwrap_or(Value::Null),
        picks,
        controller: None,
        targets,
        relationship: row.get("relationshipName").and_then(Value::as_str).map(str::to_owned),
        derived: None,
        recipe: Recipe::Generic,
        permissionable: flag(row, "permissionable"),
        hidden: false,
        removed: false,
        name,
        wire,
    })
}

/// The rule for a value that follows from other fields of the same row.
fn derive(object: &str, fields: &[Field], at: usize, rows: &[Value]) -> Option<Derived> {
    let field = &fields[at];
    let place = |name: &str| fields.iter().position(|field| field.name == name);
    let parts = || {
        rows.iter()
            .enumerate()
            .filter(|(part, row)| *part != at && text(row, "compoundFieldName") == field.name)
            .map(|(part, _)| part)
            .collect::<Vec<_>>()
    };
    if matches!(field.kind, Kind::Address | Kind::Location) {
        let named = parts()
            .into_iter()
            .filter_map(|part| Some((part_name(&fields[part].name)?, part)))
            .collect::<Vec<_>>();
        return Some(Derived::Compound(named));
    }
    let person = || {
        let last = place("LastName")?;
        Some(Derived::PersonName { first: place("FirstName")?, last })
    };
    match (object, field.name.as_str()) {
        (_, "Name") if !field.createable && !field.auto_number => person(),
        ("Opportunity", "IsClosed") => {
            Some(Derived::Flag { of: place("StageName")?, values: &["Closed Won", "Closed Lost"] })
        }
        ("Opportunity", "IsWon") => Some(Derived::Flag { of: place("StageName")?, values: &["Closed Won"] }),
        ("Opportunity", "ExpectedRevenue") => {
            Some(Derived::Expected { amount: place("Amount")?, probability: place("Probability")? })
        }
        ("Opportunity", "ForecastCategory") => Some(Derived::Forecast { stage: place("StageName")? }),
        ("Opportunity", "FiscalYear") => Some(Derived::Calendar { of: place("CloseDate")?, quarter: false }),
        ("Opportunity", "FiscalQuarter") => {
            Some(Derived::Calendar { of: place("CloseDate")?, quarter: true })
        }
        ("Case", "IsClosed") => Some(Derived::Flag { of: place("Status")?, values: &["Closed"] }),
        ("Task", "IsClosed") => Some(Derived::Flag { of: place("Status")?, values: &["Completed"] }),
        ("Task", "IsHighPriority") => Some(Derived::Flag { of: place("Priority")?, values: &["High"] }),
        ("Attachment", "BodyLength") => Some(Derived::Size { of: place("Body")? }),
        ("Invoice__c", "Total__c") => {
            Some(Derived::Discounted { amount: place("Amount__c")?, discount: place("Discount__c")? })
        }
        _ => None,
    }
}

/// The key of a part inside an address or location object.
fn part_name(field: &str) -> Option<&'static str> {
    const ENDINGS: [(&str, &str); 11] = [
        ("GeocodeAccuracy", "geocodeAccuracy"),
        ("PostalCode", "postalCode"),
        ("CountryCode", "countryCode"),
        ("StateCode", "stateCode"),
        ("Latitude", "latitude"),
        ("Longitude", "longitude"),
        ("Latitude__s", "latitude"),
        ("Longitude__s", "longitude"),
        ("Country", "country"),
        ("Street", "street"),
        ("City", "city"),
    ];
    if field.ends_with("State") {
        return Some("state");
    }
    ENDINGS.iter().find(|(ending, _)| field.ends_with(ending)).map(|(_, key)| *key)
}
