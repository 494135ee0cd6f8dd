//! Where the lookups of rows to write lead: to records named by their id, or by a key of their own.

use serde_json::Value as Json;
use serde_json::value::to_raw_value;

use super::discover::BATCH;
use super::records::DynamicsRecords;
use super::rows::{self, Bind, Binds};
use super::{api, keys, odata};
use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::Part;
use crate::provider::{Context, Edit, Edits};
use crate::record::record_type::Reference;
use crate::record::{FieldType, Key, KeyFields};

impl DynamicsRecords {
    /// The edits with each parent that is named by a key of its own (`"new_Account":{"accountnumber":"A1"}`) as
    /// the value of its lookup, which tells the parent's type too.
    pub(super) fn with_parents(&self, edits: &Edits) -> Edits {
        let record_type = self.record_type_here();
        let mut out = Edits::with_capacity(edits.len());
        for (name, edit) in edits {
            let relationship = match record_type.field(name) {
                None => record_type.relationship(name),
                Some(_) => None,
            };
            let way = relationship.and_then(|way| Some((way, self.described.wires.ways.get(&way.name)?)));
            let Some((way, (_, target))) = way else {
                out.push((name.clone(), edit.clone()));
                continue;
            };
            match edit {
                Edit::Set(parent) if parent.get().trim() != "null" => {
                    let (Ok(parent), Ok(target)) = (to_raw_value(parent.get()), to_raw_value(target)) else {
                        out.push((name.clone(), edit.clone()));
                        continue;
                    };
                    out.push((way.field.clone(), Edit::Set(parent)));
                    let field = record_type.field(&way.field).map(|field| &field.field_type);
                    if let Some(FieldType::Reference(Reference { type_field: Some(type_field), .. })) = field
                    {
                        out.push((type_field.clone(), Edit::Set(target)));
                    }
                }
                Edit::Set(_) | Edit::Clear => out.push((way.field.clone(), Edit::Clear)),
                Edit::List { .. } => out.push((way.field.clone(), edit.clone())),
            }
        }
        out
    }

    /// Where the lookups of each row lead. For a lookup with several targets whose row does not tell the type,
    /// Dataverse is asked which table has the record.
    pub(super) async fn binds(&self, cx: &Context, rows: &[Edits]) -> Result<Vec<Result<Binds>>> {
        struct Wanted {
            row: usize,
            field: String,
            value: String,
            targets: Vec<String>,
        }
        let record_type = self.record_type_here();
        let mut out: Vec<Result<Binds>> = rows.iter().map(|_| Ok(Binds::new())).collect();
        let mut wanted: Vec<Wanted> = Vec::new();
        for (row, edits) in rows.iter().enumerate() {
            for (name, edit) in edits.iter() {
                let Some(field) = record_type.field(name) else { continue };
                let FieldType::Reference(reference) = &field.field_type else { continue };
                let Some(value) = rows::text_of(edit) else { continue };
                let told = reference.type_field.as_ref().and_then(|type_field| {
                    let companion = edits.iter().find(|(edited, _)| edited == type_field);
                    companion.and_then(|(_, edit)| rows::text_of(edit))
                });
                let targets = match told {
                    Some(told) if reference.targets.contains(&told) => vec![told],
                    Some(told) => {
                        out[row] = Err(rows::refuse(
                            &self.described,
                            name,
                            &format!("it leads to {}, not to {told}", reference.targets.join(", ")),
                        ));
                        continue;
                    }
                    None => reference.targets.clone(),
                };
                wanted.push(Wanted { row, field: name.clone(), value, targets });
            }
        }
        let mut probes: Vec<(usize, String, Part)> = Vec::new();
        for (at, wish) in wanted.iter().enumerate() {
            if wish.targets.len() > 1 {
                for target in &wish.targets {
                    // A key that this target does not have cannot be one of its records.
                    if let Ok(address) = self.target_address(cx, target, &wish.value).await {
                        let resource = address.trim_start_matches('/');
                        probes.push((at, target.clone(), api::part_get(self.version(), resource)));
                    }
                }
            }
        }
        let mut holders: Vec<Option<String>> = wanted.iter().map(|_| None).collect();
        for batch in probes.chunks(BATCH) {
            let parts: Vec<Part> = batch.iter().map(|(_, _, part)| part.clone()).collect();
            for ((at, target, _), reply) in batch.iter().zip(self.read_batch(cx, "describe", &parts).await?) {
                match reply {
                    Ok(_) => holders[*at] = Some(target.clone()),
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (wish, holder) in wanted.into_iter().zip(holders) {
            let target = match (holder, wish.targets.as_slice()) {
                (Some(holder), _) => Ok(holder),
                (None, [only]) => Ok(only.clone()),
                (None, several) => Err(rows::refuse(
                    &self.described,
                    &wish.field,
                    &format!("neither of {} has the record {:?}", several.join(", "), wish.value),
                )),
            };
            let bind = match target {
                Ok(target) => self
                    .target_address(cx, &target, &wish.value)
                    .await
                    .map(|address| Bind { target, address })
                    .map_err(|error| rows::refuse(&self.described, &wish.field, error.message())),
                Err(error) => Err(error),
            };
            match (&mut out[wish.row], bind) {
                (Ok(binds), Ok(bind)) => drop(binds.insert((wish.field, wish.value), bind)),
                (row @ Ok(_), Err(error)) => *row = Err(error),
                (Err(_), _) => {}
            }
        }
        Ok(out)
    }

    /// The address of a record of another table: by its id, or by an alternate key that is written as a JSON
    /// object with the key's columns.
    async fn target_address(&self, cx: &Context, target: &str, value: &str) -> Result<String> {
        if let Some(id) = odata::canonical_guid(value) {
            let set = self.environment.set_of(cx, target).await?;
            return Ok(format!("/{set}({id})"));
        }
        let members = serde_json::from_str::<serde_json::Map<String, Json>>(value).map_err(|_| {
            Error::invalid(
                "a record id is wanted, or the columns of an alternate key as JSON such as {\"accountnumber\":\"A1\"}",
            )
        })?;
        let described = self.environment.described(cx, target).await?;
        let names = |fields: &KeyFields| {
            fields.0.len() == members.len() && fields.0.iter().all(|name| members.contains_key(name))
        };
        let key =
            described.record_type.alternate_keys.iter().find(|key| names(&key.fields)).ok_or_else(|| {
                let given: Vec<&str> = members.keys().map(String::as_str).collect();
                Error::invalid(format!("{target} has no alternate key of {}", given.join(", ")))
            })?;
        let address = keys::address(
            &described,
            &key.fields,
            &Key::from_json(&Json::Object(members.clone()), &key.fields)?,
        )?;
        if !address.fits {
            return Err(Error::invalid("an address cannot carry this key; give the record's id"));
        }
        Ok(format!("/{}({})", described.wires.set, address.predicate(&described.wires.id)))
    }
}
