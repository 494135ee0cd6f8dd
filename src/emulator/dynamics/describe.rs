//! What metadata says of tables, read once into the form that queries and writes need.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::Value;

use super::seed::{self, Recipe};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The primary key.
    Id,
    Guid,
    Text,
    Memo,
    Integer,
    BigInt,
    Decimal,
    Double,
    Money,
    Boolean,
    Picklist,
    State,
    Status,
    Multi,
    /// DateOnly behaviour.
    Date,
    /// UserLocal or TimeZoneIndependent behaviour: an instant, or one that no zone moves.
    DateTime,
    Lookup,
    Image,
    /// Nothing that rows show: virtual columns, party lists.
    Other,
}

impl Kind {
    pub(super) fn is_choice(self) -> bool {
        matches!(self, Self::Picklist | Self::State | Self::Status)
    }

    /// The type in `$metadata`; `None` for what is no property.
    pub(super) fn edm(self) -> Option<&'static str> {
        Some(match self {
            Self::Id | Self::Guid | Self::Lookup => "Edm.Guid",
            Self::Text | Self::Memo | Self::Multi => "Edm.String",
            Self::Integer | Self::Picklist | Self::State | Self::Status => "Edm.Int32",
            Self::BigInt => "Edm.Int64",
            Self::Decimal | Self::Money => "Edm.Decimal",
            Self::Double => "Edm.Double",
            Self::Boolean => "Edm.Boolean",
            Self::Date => "Edm.Date",
            Self::DateTime => "Edm.DateTimeOffset",
            Self::Image => "Edm.Binary",
            Self::Other => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) value: i64,
    pub(super) label: String,
    pub(super) state: Option<i64>,
    pub(super) default_status: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The property in rows: `_x_value` for a lookup.
    pub(super) wire: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) max_length: usize,
    pub(super) low: Option<Decimal>,
    pub(super) high: Option<Decimal>,
    pub(super) precision: u32,
    /// Logical names of the tables that a lookup may point to.
    pub(super) targets: Vec<String>,
    pub(super) options: Vec<Choice>,
    pub(super) required: bool,
    pub(super) create: bool,
    pub(super) update: bool,
    /// Whether rows and queries know this column at all.
    pub(super) shown: bool,
    pub(super) filterable: bool,
    pub(super) auto_number: Option<String>,
    /// Whether the format, not the behaviour, is of dates alone.
    pub(super) date_format: bool,
    /// Whether the row holds the id of a file.
    pub(super) file: bool,
    pub(super) full_image: bool,
    pub(super) max_kilobytes: Option<u64>,
    pub(super) recipe: Recipe,
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) columns: Vec<usize>,
    pub(super) active: bool,
}

/// What happens to rows that point to a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDelete {
    Cascade,
    Restrict,
    Clear,
    Keep,
}

/// A single-valued navigation property.
#[derive(Debug, Clone)]
pub(super) struct Nav {
    pub(super) name: String,
    pub(super) column: usize,
    /// The table it leads to; `owner` stands for users and teams.
    pub(super) target: String,
    pub(super) on_delete: OnDelete,
    /// The collection on the other side.
    pub(super) back: String,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) set: String,
    pub(super) id: usize,
    pub(super) primary_name: Option<usize>,
    pub(super) columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    by_wire: HashMap<String, usize>,
    pub(super) keys: Vec<Key>,
    pub(super) navs: Vec<Nav>,
    pub(super) tracked: bool,
    pub(super) concurrency: bool,
    pub(super) describe: Arc<Value>,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn flag(value: &Value, key: &str, otherwise: bool) -> bool {
    match &value[key] {
        Value::Bool(on) => *on,
        Value::Object(managed) => managed.get("Value").and_then(Value::as_bool).unwrap_or(otherwise),
        _ => otherwise,
    }
}

/// The text of a label in the user's language.
pub(super) fn label_of(value: &Value) -> Option<&str> {
    value["UserLocalizedLabel"]["Label"].as_str().or_else(|| value["LocalizedLabels"][0]["Label"].as_str())
}

impl Table {
    /// Reads EntityMetadata.
    ///
    /// # Errors
    /// A sentence when it lacks what no table can be without.
    pub(super) fn read(describe: Value) -> Result<Self, String> {
        let name = text(&describe, "LogicalName");
        if name.is_empty() {
            return Err("an entity has no LogicalName".to_owned());
        }
        let list = |key: &str| describe[key].as_array().cloned().unwrap_or_default();
        let mut columns: Vec<Column> = list("Attributes").iter().map(|one| column(&name, one)).collect();
        let primary = text(&describe, "PrimaryIdAttribute");
        let id = columns.iter().position(|column| column.name == primary).ok_or_else(|| {
            format!("{name}: PrimaryIdAttribute {primary:?} is not among its Attributes; export with $expand=Attributes")
        })?;
        columns[id].kind = Kind::Id;
        let primary_name = text(&describe, "PrimaryNameAttribute");
        let primary_name = columns.iter().position(|column| column.name == primary_name);
        let by_name: HashMap<String, usize> =
            columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        let by_wire = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.shown)
            .map(|(at, column)| (column.wire.clone(), at))
            .collect();
        let keys = list("Keys")
            .iter()
            .map(|key| Key {
                name: text(key, "SchemaName"),
                columns: key["KeyAttributes"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|name| by_name.get(name.as_str()?).copied())
                    .collect(),
                active: key["EntityKeyIndexStatus"].as_str().is_none_or(|status| status == "Active"),
            })
            .filter(|key| !key.columns.is_empty())
            .collect();
        let navs = list("ManyToOneRelationships")
            .iter()
            .filter_map(|relation| {
                let column = *by_name.get(relation["ReferencingAttribute"].as_str()?)?;
                Some(Nav {
                    name: text(relation, "ReferencingEntityNavigationPropertyName"),
                    column,
                    target: text(relation, "ReferencedEntity"),
                    on_delete: match relation["CascadeConfiguration"]["Delete"].as_str() {
                        Some("Cascade") => OnDelete::Cascade,
                        Some("Restrict") => OnDelete::Restrict,
                        Some("RemoveLink") => OnDelete::Clear,
                        _ => OnDelete::Keep,
                    },
                    back: text(relation, "ReferencedEntityNavigationPropertyName"),
                })
            })
            .collect();
        let set = match text(&describe, "EntitySetName") {
            empty if empty.is_empty() => text(&describe, "LogicalCollectionName"),
            set => set,
        };
        if set.is_empty() {
            return Err(format!("{name}: there is no EntitySetName"));
        }
        Ok(Self {
            tracked: flag(&describe, "ChangeTrackingEnabled", false),
            concurrency: flag(&describe, "IsOptimisticConcurrencyEnabled", true),
            name,
            set,
            id,
            primary_name,
            columns,
            by_name,
            by_wire,
            keys,
            navs,
            describe: Arc::new(describe),
        })
    }

    /// A column by its logical name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A column by the property that rows have.
    pub(super) fn property(&self, wire: &str) -> Option<usize> {
        self.by_wire.get(wire).copied()
    }

    /// Shows a column to queries and writes, or hides it as if it had been deleted.
    pub(super) fn show(&mut self, number: usize, shown: bool) {
        let Some(column) = self.columns.get_mut(number) else { return };
        column.shown = shown;
        if shown {
            self.by_wire.insert(column.wire.clone(), number);
            self.by_name.insert(column.name.clone(), number);
        } else {
            self.by_wire.remove(&column.wire);
            self.by_name.remove(&column.name);
        }
    }

    pub(super) fn nav(&self, name: &str) -> Option<&Nav> {
        self.navs.iter().find(|nav| nav.name == name)
    }
}

fn column(table: &str, about: &Value) -> Column {
    let name = text(about, "LogicalName");
    let kind = kind(about);
    let number = |key: &str| {
        about[key].as_f64().filter(|number| number.is_finite()).and_then(|number| {
            serde_json::Number::from_f64(number)
                .and_then(|number| Decimal::from_scientific(&number.to_string()).ok())
                .or_else(|| Decimal::try_from(number).ok())
        })
    };
    let shown = about["AttributeOf"].is_null()
        && flag(about, "IsValidODataAttribute", true)
        && flag(about, "IsValidForRead", true)
        && kind.edm().is_some();
    let wire = if kind == Kind::Lookup { format!("_{name}_value") } else { name.clone() };
    let format = text(about, "Format");
    let mut out = Column {
        wire,
        label: label_of(&about["DisplayName"]).unwrap_or(&name).to_owned(),
        kind,
        max_length: about["MaxLength"].as_u64().unwrap_or_default() as usize,
        low: number("MinValue"),
        high: number("MaxValue"),
        precision: about["Precision"].as_u64().unwrap_or(2) as u32,
        targets: about["Targets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|target| target.as_str().map(str::to_owned))
            .collect(),
        options: options(about),
        required: about["RequiredLevel"]["Value"] == "SystemRequired",
        create: flag(about, "IsValidForCreate", true),
        update: flag(about, "IsValidForUpdate", true),
        shown,
        filterable: flag(about, "IsFilterable", true) || kind == Kind::Id,
        auto_number: about["AutoNumberFormat"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
        date_format: format == "DateOnly",
        file: about["AttributeTypeName"]["Value"] == "FileType",
        full_image: flag(about, "CanStoreFullImage", false),
        max_kilobytes: about["MaxSizeInKB"].as_u64(),
        recipe: Recipe::Generic,
        name,
    };
    out.recipe = seed::recipe(table, &out, &format);
    out
}

fn kind(about: &Value) -> Kind {
    let type_name = about["AttributeTypeName"]["Value"].as_str().unwrap_or_default();
    match (type_name, about["AttributeType"].as_str().unwrap_or_default()) {
        ("MultiSelectPicklistType", _) => Kind::Multi,
        ("ImageType", _) => Kind::Image,
        // A row shows the id of the file.
        ("FileType", _) => Kind::Guid,
        (_, "Uniqueidentifier") => Kind::Guid,
        (_, "String" | "EntityName") => Kind::Text,
        (_, "Memo") => Kind::Memo,
        (_, "Integer") => Kind::Integer,
        (_, "BigInt") => Kind::BigInt,
        (_, "Decimal") => Kind::Decimal,
        (_, "Double") => Kind::Double,
        (_, "Money") => Kind::Money,
        (_, "Boolean") => Kind::Boolean,
        (_, "Picklist") => Kind::Picklist,
        (_, "State") => Kind::State,
        (_, "Status") => Kind::Status,
        (_, "DateTime") if about["DateTimeBehavior"]["Value"] == "DateOnly" => Kind::Date,
        (_, "DateTime") => Kind::DateTime,
        (_, "Lookup" | "Customer" | "Owner") => Kind::Lookup,
        _ => Kind::Other,
    }
}

fn options(about: &Value) -> Vec<Choice> {
    let set = if about["OptionSet"].is_object() { &about["OptionSet"] } else { &about["GlobalOptionSet"] };
    let two = [&set["FalseOption"], &set["TrueOption"]];
    let listed = set["Options"].as_array().into_iter().flatten();
    listed
        .chain(two.into_iter().filter(|option| option.is_object()))
        .filter_map(|option| {
            Some(Choice {
                value: option["Value"].as_i64()?,
                label: label_of(&option["Label"]).unwrap_or_default().to_owned(),
                state: option["State"].as_i64(),
                default_status: option["DefaultStatus"].as_i64(),
            })
        })
        .collect()
}

/// A collection-valued navigation property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collection {
    /// Rows of a table whose lookup points here: the table and the number of its navigation property.
    Children { table: usize, nav: usize },
    /// The other side of a many-to-many relationship; `side` is this table's.
    Many { relation: usize, side: usize },
}

/// A many-to-many relationship.
#[derive(Debug, Clone)]
pub(super) struct Many {
    pub(super) schema: String,
    /// Table and navigation property of each side.
    pub(super) sides: [(usize, String); 2],
    /// The table whose rows are the links, and its column for each side.
    pub(super) rows: usize,
    pub(super) columns: [usize; 2],
}

/// All tables and how they hang together.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) tables: Vec<Table>,
    pub(super) many: Vec<Many>,
    pub(super) choices: Vec<Value>,
    by_name: HashMap<String, usize>,
    by_set: HashMap<String, usize>,
    collections: Vec<HashMap<String, Collection>>,
}

impl Model {
    pub(super) fn new(tables: Vec<Table>, choices: Vec<Value>) -> Self {
        let by_name: HashMap<String, usize> =
            tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
        let by_set = tables.iter().enumerate().map(|(at, table)| (table.set.clone(), at)).collect();
        let mut collections = vec![HashMap::new(); tables.len()];
        for (child, table) in tables.iter().enumerate() {
            for (number, nav) in table.navs.iter().enumerate() {
                if let Some(parent) = by_name.get(&nav.target)
                    && !nav.back.is_empty()
                {
                    collections[*parent]
                        .insert(nav.back.clone(), Collection::Children { table: child, nav: number });
                }
            }
        }
        let mut many: Vec<Many> = Vec::new();
        for table in &tables {
            for relation in table.describe["ManyToManyRelationships"].as_array().into_iter().flatten() {
                let side = |number: u8| {
                    let at = *by_name.get(relation[format!("Entity{number}LogicalName")].as_str()?)?;
                    Some((at, text(relation, &format!("Entity{number}NavigationPropertyName"))))
                };
                let schema = text(relation, "SchemaName");
                let rows = by_name.get(&text(relation, "IntersectEntityName")).copied();
                let column = |number: u8| {
                    tables[rows?].column(&text(relation, &format!("Entity{number}IntersectAttribute")))
                };
                if let (Some(one), Some(two), Some(rows), Some(first), Some(second)) =
                    (side(1), side(2), rows, column(1), column(2))
                    && !many.iter().any(|known| known.schema == schema)
                {
                    for (side, (table, nav)) in [&one, &two].into_iter().enumerate() {
                        let here = Collection::Many { relation: many.len(), side };
                        collections[*table].insert(nav.clone(), here);
                    }
                    many.push(Many { schema, sides: [one, two], rows, columns: [first, second] });
                }
            }
        }
        Self { tables, many, choices, by_name, by_set, collections }
    }

    pub(super) fn table(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn set(&self, set: &str) -> Option<usize> {
        self.by_set.get(set).copied()
    }

    pub(super) fn collection(&self, table: usize, name: &str) -> Option<Collection> {
        self.collections.get(table).and_then(|all| all.get(name)).copied()
    }

    /// The navigation properties of other tables that lead to this one.
    pub(super) fn children(&self, table: usize) -> Vec<(usize, usize)> {
        let name = self.tables[table].name.as_str();
        let reaches =
            |target: &str| target == name || target == "owner" && matches!(name, "systemuser" | "team");
        let mut out = Vec::new();
        for (child, about) in self.tables.iter().enumerate() {
            let navs = about.navs.iter().enumerate();
            out.extend(navs.filter(|(_, nav)| reaches(&nav.target)).map(|(number, _)| (child, number)));
        }
        out
    }

    /// Whether a navigation property may lead to rows of this table.
    pub(super) fn reaches(&self, nav: &Nav, table: usize) -> bool {
        let name = self.tables[table].name.as_str();
        nav.target == name || nav.target == "owner" && matches!(name, "systemuser" | "team")
    }

    /// The navigation property of a lookup that leads to a table.
    pub(super) fn nav_to(&self, from: usize, column: usize, to: usize) -> Option<&Nav> {
        self.tables[from].navs.iter().find(|nav| nav.column == column && self.reaches(nav, to))
    }
}
