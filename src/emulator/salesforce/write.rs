//! Creates, updates, upserts and deletes of rows, each undone as a whole when its transaction fails.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::Kind;
use super::errors::Refusal;
use super::rows::{Place, Row, Store};
use super::seed::{self, Recipe};
use super::{Call, id, validate};
use crate::emulator::json::Json;

/// Why a row was refused; never empty.
pub(super) type Refusals = Vec<Refusal>;

/// Writes within one request.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) store: &'a mut Store,
    pub(super) now: Timestamp,
    undo: Vec<(Place, Option<Row>)>,
    /// Duplicates are saved where their rule allows it.
    pub(super) save_duplicates: bool,
    /// `v60.0`, for addresses in refusals.
    pub(super) version: String,
}

/// What an upsert did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Upserted {
    Created(Place),
    Updated(Place),
    /// Several rows have the value.
    Ambiguous(Vec<Place>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
}

impl<'a> Work<'a> {
    pub(super) fn new(store: &'a mut Store, now: Timestamp) -> Self {
        let now = now.checked_sub(store.commit_delay).unwrap_or(now);
        Self { store, now, undo: Vec::new(), save_duplicates: false, version: "v60.0".to_owned() }
    }

    /// The writes of a request, with what its headers ask for.
    pub(super) fn of(store: &'a mut Store, call: &Call<'_>) -> Self {
        let options = call.header("sforce-duplicate-rule-header").unwrap_or_default();
        let save_duplicates =
            options.split([';', ',']).filter_map(|option| option.split_once('=')).any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("allowSave") && value.trim().eq_ignore_ascii_case("true")
            });
        let mut work = Self::new(store, call.request.now);
        work.save_duplicates = save_duplicates;
        work.version = call.version.to_owned();
        work
    }

    /// Whether rows were changed and not put back.
    pub(super) fn changed(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Puts everything back.
    pub(super) fn roll_back(&mut self) {
        while let Some((at, before)) = self.undo.pop() {
            self.store.restore(at, before);
        }
    }

    pub(super) fn remember(&mut self, at: Place) {
        let before = self.store.snapshot(at);
        self.undo.push((at, before));
    }

    fn user(&self) -> String {
        let table = self.store.find_table("User").unwrap_or_default();
        self.store.id(Place { table, index: 0 })
    }

    /// Creates a row from the members of a JSON object; `preset` comes from the address.
    ///
    /// # Errors
    /// All that is wrong with the row.
    pub(super) fn create(
        &mut self,
        table: usize,
        fields: &Json,
        preset: Option<(usize, Cell)>,
    ) -> Result<Place, Refusals> {
        let object = std::sync::Arc::clone(self.store.object(table));
        if !object.createable {
            return Err(vec![Refusal::new(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                format!("entity type cannot be inserted: {}", object.label),
            )]);
        }
        let mut cells = self.cells(table, fields, Mode::Create, None)?;
        cells.extend(preset);
        cells.retain(|(_, cell)| !cell.is_null());
        let given = |cells: &[(usize, Cell)], field: usize| cells.iter().any(|(number, _)| *number == field);
        let missing: Vec<&str> = object
            .fields
            .iter()
            .enumerate()
            .filter(|(number, field)| field.required_on_create() && !given(&cells, *number))
            .map(|(_, field)| field.name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(vec![Refusal::of_fields(
                "REQUIRED_FIELD_MISSING",
                format!("Required fields are missing: [{}]", missing.join(", ")),
                &missing,
            )]);
        }
        let defaults: Vec<(usize, Cell)> = object
            .fields
            .iter()
            .enumerate()
            .filter(|(number, _)| !given(&cells, *number))
            .filter_map(|(number, field)| Some((number, self.default(field, &cells, &object)?)))
            .collect();
        cells.extend(defaults);
        self.check_unique(table, None, &cells)?;
        self.check_dependent(table, None, &cells)?;
        self.check_duplicates(table, None, &cells)?;
        let next = Place { table, index: self.store.table(table).next };
        self.remember(next);
        let at = self.store.append(table);
        for (number, field) in object.fields.iter().enumerate() {
            if matches!(field.recipe, Recipe::AutoNumber { .. }) {
                self.store.set(at, number, seed::auto_number(field.recipe, at.index));
            } else if field.recipe == Recipe::SelfReference && !given(&cells, number) {
                let own = self.store.id(at);
                self.store.set(at, number, Cell::text(own));
            }
        }
        for (number, cell) in cells {
            self.store.set(at, number, cell);
        }
        Ok(at)
    }

    fn default(
        &self,
        field: &super::describe::Field,
        cells: &[(usize, Cell)],
        object: &super::describe::Object,
    ) -> Option<Cell> {
        let stamp = || Cell::Instant(self.now.as_second() * 1000);
        Some(match (field.kind, field.name.as_str()) {
            (Kind::DateTime, "CreatedDate" | "LastModifiedDate" | "SystemModstamp") => stamp(),
            (Kind::Reference, "CreatedById" | "LastModifiedById") => Cell::text(self.user()),
            (Kind::Reference, _)
                if field.defaulted && field.targets.iter().any(|target| target == "User") =>
            {
                Cell::text(self.user())
            }
            (Kind::Boolean, _) => Cell::Boolean(field.default.as_bool().unwrap_or(false)),
            (Kind::Double, "Probability") if field.recipe == Recipe::Probability => {
                let stage = object.field("StageName")?;
                let stage = cells.iter().find(|(number, _)| *number == stage)?.1.as_text()?;
                Cell::Number(Decimal::from(seed::probability(stage)))
            }
            (Kind::Picklist, _) => {
                Cell::text(field.picks.iter().find(|pick| pick.default && pick.active)?.value.clone())
            }
            _ => return None,
        })
    }

    /// Changes the fields that a JSON object names; null clears.
    ///
    /// # Errors
    /// All that is wrong with the row.
    pub(super) fn update(&mut self, at: Place, fields: &Json, key: Option<usize>) -> Result<(), Refusals> {
        let object = std::sync::Arc::clone(self.store.object(at.table));
        if !object.updateable {
            return Err(vec![Refusal::new(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                format!("entity type cannot be updated: {}", object.label),
            )]);
        }
        let mut cells = self.cells(at.table, fields, Mode::Update, key)?;
        let emptied: Vec<&str> = cells
            .iter()
            .filter(|(_, cell)| cell.is_null())
            .filter_map(|(number, _)| object.fields.get(*number))
            .filter(|field| !field.nillable && field.kind != Kind::Boolean)
            .map(|field| field.name.as_str())
            .collect();
        if !emptied.is_empty() {
            return Err(vec![Refusal::of_fields(
                "REQUIRED_FIELD_MISSING",
                format!("Required fields are missing: [{}]", emptied.join(", ")),
                &emptied,
            )]);
        }
        self.check_unique(at.table, Some(at), &cells)?;
        self.check_dependent(at.table, Some(at), &cells)?;
        self.check_circle(at, &cells)?;
        self.check_duplicates(at.table, Some(at), &cells)?;
        self.follow_ups(at, &mut cells);
        self.remember(at);
        for (number, cell) in cells {
            self.store.set(at, number, cell);
        }
        self.touch(at);
        Ok(())
    }

    /// Values that the service sets itself when others change.
    fn follow_ups(&self, at: Place, cells: &mut Vec<(usize, Cell)>) {
        let object = self.store.object(at.table);
        let new = |cells: &[(usize, Cell)], name: &str| {
            let number = object.field(name)?;
            cells.iter().find(|(field, _)| *field == number).map(|(_, cell)| cell.clone())
        };
        if object.name == "Opportunity"
            && let (Some(stage), None, Some(number)) =
                (new(cells, "StageName"), new(cells, "Probability"), object.field("Probability"))
        {
            let percent = seed::probability(stage.as_text().unwrap_or_default());
            cells.push((number, Cell::Number(Decimal::from(percent))));
        }
        let closed = match object.name.as_str() {
            "Case" => Some(("ClosedDate", "Closed")),
            "Task" => Some(("CompletedDateTime", "Completed")),
            _ => None,
        };
        if let Some((stamp, value)) = closed
            && let (Some(status), Some(number)) = (new(cells, "Status"), object.field(stamp))
        {
            let done = status.as_text() == Some(value);
            cells.push((number, if done { Cell::Instant(self.now.as_second() * 1000) } else { Cell::Null }));
        }
    }

    /// Moves the one stamp that also tells what the service itself changed.
    pub(super) fn stamp(&mut self, at: Place) {
        if let Some(number) = self.store.object(at.table).field("SystemModstamp") {
            self.store.set(at, number, Cell::Instant(self.now.as_second() * 1000));
        }
    }

    pub(super) fn touch(&mut self, at: Place) {
        let object = std::sync::Arc::clone(self.store.object(at.table));
        let stamp = Cell::Instant(self.now.as_second() * 1000);
        for name in ["LastModifiedDate", "SystemModstamp"] {
            if let Some(number) = object.field(name) {
                self.store.set(at, number, stamp.clone());
            }
        }
        if let Some(number) = object.field("LastModifiedById") {
            let user = self.user();
            self.store.set(at, number, Cell::text(user));
        }
    }

    /// Creates or updates by the value of an identifying field.
    ///
    /// # Errors
    /// All that is wrong with the row, or NOT_FOUND when only updating and there is none.
    pub(super) fn upsert(
        &mut self,
        table: usize,
        key: usize,
        value: &Json,
        fields: &Json,
        update_only: bool,
    ) -> Result<Upserted, Refusals> {
        let object = std::sync::Arc::clone(self.store.object(table));
        let Some(about) = object.fields.get(key) else { return Err(vec![Refusal::not_found()]) };
        let by_id = about.kind == Kind::Id;
        let text = match value {
            Json::Text(text) | Json::Number(text) => text.clone(),
            _ => String::new(),
        };
        if by_id && text.is_empty() && !update_only {
            return Ok(Upserted::Created(self.create(table, &without(fields, &about.name), None)?));
        }
        if text.is_empty() {
            return Err(vec![Refusal::of_fields(
                "MISSING_ARGUMENT",
                format!("{} not specified", about.name),
                &[],
            )]);
        }
        if by_id {
            let at = self.existing(table, &text)?;
            self.update(at, fields, Some(key))?;
            return Ok(Upserted::Updated(at));
        }
        let found = self.store.find_by(table, key, &text);
        match found.as_slice() {
            [] if update_only => Err(vec![Refusal::not_found()]),
            [] if !about.createable => Err(vec![not_writable(&[&about.name])]),
            [] => {
                let cell =
                    validate::convert(self.store, table, key, value).map_err(|refusal| vec![refusal])?;
                Ok(Upserted::Created(self.create(table, &without(fields, &about.name), Some((key, cell)))?))
            }
            [at] => {
                self.update(*at, fields, Some(key))?;
                Ok(Upserted::Updated(*at))
            }
            several => Ok(Upserted::Ambiguous(several.to_vec())),
        }
    }

    /// The live row with an id that a write names.
    ///
    /// # Errors
    /// MALFORMED_ID, INVALID_CROSS_REFERENCE_KEY or ENTITY_IS_DELETED.
    pub(super) fn existing(&self, table: usize, text: &str) -> Result<Place, Refusals> {
        if id::short(text).is_none() {
            return Err(vec![Refusal::of_fields("MALFORMED_ID", format!("malformed id {text}"), &["Id"])]);
        }
        match self.store.locate(text).filter(|at| at.table == table) {
            Some(at) if self.store.is_live(at) => Ok(at),
            Some(_) => Err(vec![Refusal::deleted()]),
            None => Err(vec![Refusal::of_fields(
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
                &[],
            )]),
        }
    }

    /// Reads the members of a row: which field each sets, and to what. The key of an upsert may not be among
    /// them; a row's own Id is passed over.
    fn cells(
        &self,
        table: usize,
        fields: &Json,
        mode: Mode,
        key: Option<usize>,
    ) -> Result<Vec<(usize, Cell)>, Refusals> {
        let object = self.store.object(table);
        let Json::Object(members) = fields else {
            return Err(vec![validate::wrong_type(&object.name, fields)]);
        };
        let mut named: Vec<(usize, &Json)> = Vec::new();
        let mut closed: Vec<&str> = Vec::new();
        let mut cells: Vec<(usize, Cell)> = Vec::new();
        for (name, value) in members {
            if name == "attributes" {
                continue;
            }
            if let Some(number) = object.field(name) {
                named.push((number, value));
            } else if let Some(hidden) = object.any_field(name).and_then(|field| object.fields.get(field)) {
                closed.push(&hidden.name);
            } else if let Some(number) = object.relationship(name) {
                cells.push((number, self.parent(table, number, value).map_err(|refusal| vec![refusal])?));
            } else {
                return Err(vec![Refusal::new(
                    "INVALID_FIELD",
                    format!("No such column '{name}' on sobject of type {}", object.name),
                )]);
            }
        }
        for (number, _) in &named {
            let Some(field) = object.fields.get(*number) else { continue };
            if field.kind == Kind::Id || Some(*number) == key {
                if mode == Mode::Create && field.kind == Kind::Id {
                    return Err(vec![Refusal::of_fields(
                        "INVALID_FIELD_FOR_INSERT_UPDATE",
                        "cannot specify Id in an insert call",
                        &["Id"],
                    )]);
                }
                continue;
            }
            let open = match mode {
                Mode::Create => field.createable,
                Mode::Update => field.updateable,
            };
            if !open {
                closed.push(&field.name);
            }
        }
        if !closed.is_empty() {
            return Err(vec![not_writable(&closed)]);
        }
        let mut refusals = Vec::new();
        for (number, value) in named {
            if Some(number) == key || object.fields.get(number).is_some_and(|field| field.kind == Kind::Id) {
                continue;
            }
            match validate::convert(self.store, table, number, value) {
                Ok(cell) => {
                    cells.retain(|(known, _)| *known != number);
                    cells.push((number, cell));
                }
                // A body that cannot be read is refused before anything is checked.
                Err(refusal) if refusal.code == "JSON_PARSER_ERROR" => return Err(vec![refusal]),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() { Ok(cells) } else { Err(refusals) }
    }

    /// A parent named by one of its own identifying fields: `"Account__r":{"Ext__c":"x"}`.
    fn parent(&self, table: usize, number: usize, value: &Json) -> Result<Cell, Refusal> {
        let object = self.store.object(table);
        let Some(field) = object.fields.get(number) else { return Ok(Cell::Null) };
        let Json::Object(members) = value else {
            if *value == Json::Null {
                return Ok(Cell::Null);
            }
            return Err(validate::wrong_type("object", value));
        };
        let kind =
            value.get("attributes").and_then(|attributes| attributes.get("type")).and_then(Json::as_text);
        let targets = self.store.targets(table, number);
        let target = match (kind, targets) {
            (Some(kind), targets) => {
                self.store.find_table(kind).filter(|found| targets.contains(found)).ok_or_else(|| {
                    Refusal::new(
                        "INVALID_FIELD",
                        format!("{kind} is not a type that {} can refer to", field.name),
                    )
                })?
            }
            (None, [only]) => *only,
            (None, _) => return Err(polymorphic_without_type()),
        };
        let parents = self.store.object(target);
        let named: Vec<&(String, Json)> = members.iter().filter(|(name, _)| name != "attributes").collect();
        let [(name, wanted)] = named.as_slice() else {
            return Err(Refusal::new(
                "INVALID_FIELD",
                format!("{} must name exactly one external id field", field.name),
            ));
        };
        let key = parents.field(name).ok_or_else(|| {
            Refusal::new(
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", parents.name),
            )
        })?;
        if !parents.fields.get(key).is_some_and(|about| about.identifies()) {
            return Err(Refusal::new(
                "INVALID_FIELD",
                format!("{name} is not an external ID or indexed field for {}", parents.name),
            ));
        }
        let text = wanted.shown();
        match self.store.find_by(target, key, &text).as_slice() {
            [at] => Ok(Cell::text(self.store.id(*at))),
            [] => Err(Refusal::of_fields(
                "INVALID_FIELD",
                format!(
                    "Foreign key external ID: {text} not found for field {name} in entity {}",
                    parents.name
                ),
                &[],
            )),
            _ => Err(Refusal::of_fields(
                "INVALID_FIELD",
                format!(
                    "More than one record found for foreign key external ID: {text} for field {name} in entity {}",
                    parents.name
                ),
                &[],
            )),
        }
    }
}

pub(super) fn polymorphic_without_type() -> Refusal {
    Refusal::unparseable(
        "Nested object for polymorphic foreign key must have an attributes field before any other fields.",
    )
}

fn not_writable(names: &[&str]) -> Refusal {
    Refusal::of_fields(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is \
             read/write for your profile or permission set.",
            names.join(", ")
        ),
        names,
    )
}

/// A row without one of its members.
fn without(fields: &Json, name: &str) -> Json {
    match fields {
        Json::Object(members) => {
            Json::Object(members.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(name)).cloned().collect())
        }
        other => other.clone(),
    }
}
