//! Many-to-many relationships. Dataverse keeps each in a table of its own that joins the two, which nobody writes
//! to directly: here that table is a record type whose records are the links. Creating one associates two records,
//! deleting one disassociates them, and which links there are is searched like everything else.
//!
//! Source: "Associate and disassociate table rows", `ManyToManyRelationshipMetadata`.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::discover::{self, TargetColumns};
use super::metadata::{Table, is_name};
use super::records::DynamicsRecords;
use super::writes::{Operation, Write};
use super::{api, odata};
use crate::error::{Error, Result};
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome, VersionedKey, WriteOptions};
use crate::record::capability::{Capability, GetCapability, UpsertCapability, WriteCapability};
use crate::record::record_type::{Field, FieldType, Reference};
use crate::record::{Key, KeyFields, KeyPart, RecordType};

/// A relationship, as the definitions tell it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ManyToMany {
    intersect_entity_name: Option<String>,
    #[serde(rename = "Entity1LogicalName")]
    one: Option<String>,
    #[serde(rename = "Entity1IntersectAttribute")]
    one_column: Option<String>,
    #[serde(rename = "Entity1NavigationPropertyName")]
    one_nav: Option<String>,
    #[serde(rename = "Entity2LogicalName")]
    two: Option<String>,
    #[serde(rename = "Entity2IntersectAttribute")]
    two_column: Option<String>,
    #[serde(rename = "Entity2NavigationPropertyName")]
    two_nav: Option<String>,
}

/// The resource that lists all relationships.
pub(super) const RESOURCE: &str = "RelationshipDefinitions/Microsoft.Dynamics.CRM.ManyToManyRelationshipMetadata\
    ?$select=IntersectEntityName,Entity1LogicalName,Entity1IntersectAttribute,Entity1NavigationPropertyName,\
    Entity2LogicalName,Entity2IntersectAttribute,Entity2NavigationPropertyName";

/// One end of a relationship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The joining table's column.
    pub(super) column: String,
    /// The table it leads to.
    pub(super) table: String,
    /// The navigation property of that table which leads to the other end's records.
    nav: Option<String>,
}

/// How the records of a joining table are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Both ends, as the definition orders them.
    pub(super) ends: [End; 2],
    /// The entity set of each end's table.
    sets: [String; 2],
}

impl ManyToMany {
    /// Both ends, when the definition names all that is needed.
    fn ends(&self) -> Option<[End; 2]> {
        let end = |table: &Option<String>, column: &Option<String>, nav: &Option<String>| {
            Some(End {
                table: table.clone().filter(|name| is_name(name))?,
                column: column.clone().filter(|name| is_name(name))?,
                nav: nav.clone().filter(|name| is_name(name)),
            })
        };
        let one = end(&self.one, &self.one_column, &self.one_nav)?;
        let two = end(&self.two, &self.two_column, &self.two_nav)?;
        (one.column != two.column && (one.nav.is_some() || two.nav.is_some())).then_some([one, two])
    }
}

/// The ends of the relationship that a joining table belongs to.
pub(super) fn ends_of(table: &Table, relationships: &[ManyToMany]) -> Option<[End; 2]> {
    let own = |relationship: &&ManyToMany| {
        relationship.intersect_entity_name.as_deref() == Some(table.logical_name.as_str())
    };
    if table.is_intersect != Some(true) {
        return None;
    }
    relationships.iter().find(own)?.ends()
}

/// The link of a joining table whose ends can both be addressed.
pub(super) fn link_of(table: &Table, relationships: &[ManyToMany], tables: &[Table]) -> Option<Link> {
    let ends = ends_of(table, relationships)?;
    let set = |end: &End| {
        let table = tables.iter().find(|table| table.logical_name == end.table)?;
        table.address().map(|(set, _)| set.to_owned())
    };
    let sets = [set(&ends[0])?, set(&ends[1])?];
    Some(Link { ends, sets })
}

/// Makes the record type of a joining table one of links: both ends are references, and together the key.
pub(super) fn as_links(record_type: &mut RecordType, link: &Link, tables: &[Table], targets: &TargetColumns) {
    let key = KeyFields::of(link.ends.iter().map(|end| end.column.clone()));
    for end in &link.ends {
        let Some(field) = record_type.fields.iter_mut().find(|field| field.name == end.column) else {
            continue;
        };
        let (id_field, label_field) = targets.get(&end.table).cloned().unwrap_or_default();
        let table = tables.iter().find(|table| table.logical_name == end.table);
        let reference = Reference {
            targets: vec![end.table.clone()],
            relationship: None,
            type_field: None,
            id_field,
            label_field,
            max_length: None,
        };
        *field = Field {
            label: table.map_or_else(|| field.label.clone(), discover::label),
            help: field.help.take(),
            nullable: false,
            required_on_create: true,
            createable: true,
            updatable: false,
            filterable: true,
            sortable: true,
            ..Field::new(end.column.as_str(), FieldType::Reference(reference))
        };
    }
    record_type.alternate_keys = Vec::new();
    let old = &record_type.capability;
    let write = WriteCapability::batches_of(discover::BATCH);
    record_type.capability = Capability {
        search: old.search.clone(),
        get: Some(GetCapability { batch_max: discover::GET_MAX, by: vec![key.clone()] }),
        create: Some(write.clone()),
        update: None,
        upsert: Some(UpsertCapability {
            write: write.clone(),
            by: vec![key.clone()],
            match_only: Vec::new(),
        }),
        delete: Some(write),
        changes: Some(super::changes::capability(false)),
        content: None,
    };
    record_type.key = key;
}

/// The service's code for a link that is there already.
const THERE_ALREADY: &str = "0x80040237";

impl DynamicsRecords {
    /// Whether the records are links.
    pub(super) fn link(&self) -> Option<&Link> {
        self.described.wires.link.as_ref()
    }

    /// Associates records.
    pub(super) async fn create_links(
        &self,
        cx: &Context,
        link: &Link,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.no_options("create", options)?;
        let root = self.environment.root(cx).await?;
        let made = rows.iter().map(|row| {
            let ids = [end_id(link, 0, &row.fields)?, end_id(link, 1, &row.fields)?];
            self.associate(link, ids, Write::Create, &root)
        });
        let made = made.collect();
        self.send_operations(cx, Write::Create, made).await
    }

    /// Associates records that may be associated already.
    pub(super) async fn upsert_links(
        &self,
        cx: &Context,
        link: &Link,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.no_options("upsert", options)?;
        let root = self.environment.root(cx).await?;
        let made = rows.iter().map(|row| {
            let ids = ids_of(&row.key)?;
            self.associate(link, ids, Write::Upsert, &root)
                .map_err(|error| error.with_key(row.key.to_string()))
        });
        let made = made.collect();
        let outcomes = self.send_operations(cx, Write::Upsert, made).await?;
        let there = outcomes.into_iter().zip(rows).map(|(outcome, row)| match outcome {
            Outcome::Updated(key) => Outcome::Created(key),
            Outcome::Failed(error) if error.code() == Some(THERE_ALREADY) => {
                Outcome::Unchanged(row.key.clone())
            }
            outcome => outcome,
        });
        Ok(there.collect())
    }

    /// Disassociates records.
    pub(super) async fn delete_links(
        &self,
        cx: &Context,
        link: &Link,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.no_options("delete", options)?;
        let made = rows.iter().map(|row| {
            let ids = ids_of(&row.key).map_err(|error| error.with_key(row.key.to_string()))?;
            let (from, nav) = way(link)?;
            let resource = format!("{}({})/{nav}({})/$ref", link.sets[from], ids[from], ids[1 - from]);
            let part = api::part_write(self.version(), Method::DELETE, &resource, String::new());
            Ok(Operation {
                part,
                write: Write::Delete,
                key: Some(key_of(&ids)),
                marker: None,
                idempotent: true,
                joins: false,
            })
        });
        let made = made.collect();
        self.send_operations(cx, Write::Delete, made).await
    }

    fn associate(&self, link: &Link, ids: [String; 2], write: Write, root: &str) -> Result<Operation> {
        let (from, nav) = way(link)?;
        let resource = format!("{}({})/{nav}/$ref", link.sets[from], ids[from]);
        let body = json!({ "@odata.id": format!("{root}{}({})", link.sets[1 - from], ids[1 - from]) });
        Ok(Operation {
            part: api::part_write(self.version(), Method::POST, &resource, body.to_string()),
            write,
            key: Some(key_of(&ids)),
            marker: None,
            // The second time it would be refused, and the row would be told that it failed.
            idempotent: write == Write::Upsert,
            joins: false,
        })
    }

    fn no_options(&self, operation: &'static str, options: &WriteOptions) -> Result<()> {
        match options.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!("{operation} of links has no option {name:?}"))
                .with_field(name, "links have no options")),
        }
    }
}

/// The end to start from and its navigation property; a relationship may hide that of one side.
fn way(link: &Link) -> Result<(usize, &str)> {
    let navs = link.ends.iter().enumerate();
    let mut named = navs.filter_map(|(at, end)| Some((at, end.nav.as_deref()?)));
    named.next().ok_or_else(|| Error::bug("a link has no navigation property"))
}

fn key_of(ids: &[String; 2]) -> Key {
    Key::of(ids.iter().cloned().map(KeyPart::Text).collect())
}

/// The ids of both ends in a key.
fn ids_of(key: &Key) -> Result<[String; 2]> {
    let id = |at: usize| {
        let text = key.parts().get(at).map(ToString::to_string).unwrap_or_default();
        odata::canonical_guid(&text).ok_or_else(|| super::keys::no_id(&text))
    };
    Ok([id(0)?, id(1)?])
}

/// The id that a new row gives for one end.
fn end_id(link: &Link, at: usize, edits: &Edits) -> Result<String> {
    let column = &link.ends[at].column;
    let edit = edits.iter().find(|(name, _)| name == column).map(|(_, edit)| edit);
    let text = match edit {
        Some(Edit::Set(raw)) => serde_json::from_str::<String>(raw.get()).unwrap_or_default(),
        _ => String::new(),
    };
    odata::canonical_guid(&text).ok_or_else(|| {
        Error::invalid(format!("{column} names no record of {}", link.ends[at].table))
            .with_field(column, "the id of a record")
    })
}
