//! Where rows live: seeded rows are made on demand, only what was changed is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Derived, Kind, Object};
use super::id::IdSpace;
use super::seed;

/// One row: which table, which index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) table: usize,
    pub(super) index: u64,
}

/// Which rows a read sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Live,
    /// Deleted rows too, if they were deleted at this moment or later: older ones have left the recycle bin.
    WithBin(Timestamp),
}

/// What is known of a row beyond its seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Written values by field number, ascending.
    cells: Vec<(u16, Cell)>,
    pub(super) deleted: Option<Timestamp>,
    /// When it was last deleted, undeleted since or not: what the log of deletions tells.
    logged: Option<Timestamp>,
}

impl Row {
    fn get(&self, field: usize) -> Option<&Cell> {
        let key = u16::try_from(field).ok()?;
        self.cells
            .binary_search_by_key(&key, |(number, _)| *number)
            .ok()
            .and_then(|at| self.cells.get(at))
            .map(|(_, cell)| cell)
    }

    pub(super) fn set(&mut self, field: usize, cell: Cell) {
        let Ok(key) = u16::try_from(field) else { return };
        match self.cells.binary_search_by_key(&key, |(number, _)| *number) {
            Ok(at) => self.cells[at].1 = cell,
            Err(at) => self.cells.insert(at, (key, cell)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) object: Arc<Object>,
    pub(super) salt: u64,
    /// Rows below this index are seeded.
    pub(super) seeded: u64,
    /// The index that the next new row gets.
    pub(super) next: u64,
    changed: BTreeMap<u64, Row>,
    deleted: u64,
    /// Rows in `changed` by the folded text of the fields that identify rows.
    lookup: HashMap<(usize, String), Vec<u64>>,
}

/// What all tables had beyond their seed at one moment.
#[derive(Debug)]
pub(super) struct Checkpoint(Vec<Changes>);

#[derive(Debug)]
struct Changes {
    next: u64,
    changed: BTreeMap<u64, Row>,
    deleted: u64,
    lookup: HashMap<(usize, String), Vec<u64>>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) seed: u64,
    /// How long before they can be seen rows were written: they carry stamps of then.
    pub(super) commit_delay: SignedDuration,
    /// When the recycle bin was emptied last.
    pub(super) bin_emptied: Option<Timestamp>,
    pub(super) ids: IdSpace,
    tables: Vec<Table>,
    by_name: HashMap<String, usize>,
    by_prefix: HashMap<String, usize>,
    targets: Vec<Vec<Vec<usize>>>,
    pub(super) duplicate_rules: Vec<DuplicateRule>,
}

/// Rows of one type that agree in all these fields are duplicates.
#[derive(Debug, Clone)]
pub(super) struct DuplicateRule {
    pub(super) table: usize,
    pub(super) fields: Vec<usize>,
    pub(super) name: String,
    /// Whether a writer may insist.
    pub(super) allow_save: bool,
}

impl Store {
    /// An org with these types and so many seeded rows in each.
    pub(super) fn new(seed: u64, objects: Vec<(Arc<Object>, u64)>) -> Self {
        let by_name: HashMap<String, usize> =
            objects.iter().enumerate().map(|(at, (object, _))| (object.name.to_lowercase(), at)).collect();
        let by_prefix =
            objects.iter().enumerate().map(|(at, (object, _))| (object.prefix.clone(), at)).collect();
        let targets = objects.iter().map(|(object, _)| targets_of(object, &by_name)).collect();
        let tables = objects
            .into_iter()
            .map(|(object, seeded)| Table {
                salt: object.name.bytes().fold(7, |hash, byte| seed::mix(hash ^ u64::from(byte))),
                object,
                seeded,
                next: seeded,
                changed: BTreeMap::new(),
                deleted: 0,
                lookup: HashMap::new(),
            })
            .collect();
        Self {
            seed,
            commit_delay: SignedDuration::ZERO,
            bin_emptied: None,
            ids: IdSpace::new(seed),
            tables,
            by_name,
            by_prefix,
            targets,
            duplicate_rules: Vec::new(),
        }
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(super) fn table(&self, at: usize) -> &Table {
        &self.tables[at]
    }

    pub(super) fn object(&self, at: usize) -> &Arc<Object> {
        &self.tables[at].object
    }

    /// The table of a type that clients may see.
    pub(super) fn find_table(&self, name: &str) -> Option<usize> {
        self.any_table(name).filter(|table| !self.object(*table).hidden)
    }

    /// The same, hidden or not.
    pub(super) fn any_table(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// Changes a type; fields keep their numbers, new ones come last.
    pub(super) fn change_object(&mut self, table: usize, change: impl FnOnce(&mut Object)) {
        if let Some(rows) = self.tables.get_mut(table) {
            let object = Arc::make_mut(&mut rows.object);
            change(object);
            self.targets[table] = targets_of(object, &self.by_name);
        }
    }

    /// The tables that a reference field may point into.
    pub(super) fn targets(&self, table: usize, field: usize) -> &[usize] {
        self.targets.get(table).and_then(|fields| fields.get(field)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn id(&self, at: Place) -> String {
        self.ids.make(&self.table(at.table).object.prefix, at.index)
    }

    /// The row behind an id, deleted or not.
    pub(super) fn locate(&self, id: &str) -> Option<Place> {
        let table = *self.by_prefix.get(super::id::short(id)?.get(..3)?)?;
        let index = self.ids.index(id)?;
        (index < self.table(table).next).then_some(Place { table, index })
    }

    pub(super) fn deleted_at(&self, at: Place) -> Option<Timestamp> {
        self.table(at.table).changed.get(&at.index).and_then(|row| row.deleted)
    }

    pub(super) fn is_live(&self, at: Place) -> bool {
        at.index < self.table(at.table).next && self.deleted_at(at).is_none()
    }

    /// The value of any field, derived ones included; compounds are null here, see [`Store::compound`].
    pub(super) fn cell(&self, at: Place, field: usize) -> Cell {
        let table = self.table(at.table);
        let Some(about) = table.object.fields.get(field) else { return Cell::Null };
        if about.kind == Kind::Id {
            return Cell::text(self.id(at));
        }
        if let Some(derived) = &about.derived {
            return self.derived(at, derived);
        }
        let changed = table.changed.get(&at.index);
        if about.name == "IsDeleted" {
            return Cell::Boolean(changed.is_some_and(|row| row.deleted.is_some()));
        }
        match changed.and_then(|row| row.get(field)) {
            Some(cell) => cell.clone(),
            None if at.index < table.seeded => seed::cell(self, at, field),
            None if about.kind == Kind::Boolean => Cell::Boolean(false),
            None => Cell::Null,
        }
    }

    fn derived(&self, at: Place, derived: &Derived) -> Cell {
        match derived {
            Derived::Compound(_) => Cell::Null,
            Derived::PersonName { first, last } => {
                let first = self.cell(at, *first);
                let last = self.cell(at, *last);
                match (first.as_text(), last.as_text()) {
                    (Some(first), Some(last)) => Cell::text(format!("{first} {last}")),
                    (Some(one), None) | (None, Some(one)) => Cell::text(one.to_owned()),
                    (None, None) => Cell::Null,
                }
            }
            Derived::Flag { of, values } => {
                Cell::Boolean(self.cell(at, *of).as_text().is_some_and(|text| values.contains(&text)))
            }
            Derived::Expected { amount, probability } => {
                let amount = self.cell(at, *amount).number();
                let probability = self.cell(at, *probability).number();
                amount
                    .zip(probability)
                    .and_then(|(amount, percent)| {
                        amount.checked_mul(percent)?.checked_div(Decimal::ONE_HUNDRED)
                    })
                    .map_or(Cell::Null, |number| Cell::Number(two_places(number)))
            }
            Derived::Discounted { amount, discount } => {
                let amount = self.cell(at, *amount).number();
                let discount = self.cell(at, *discount).number();
                amount
                    .zip(discount)
                    .and_then(|(amount, percent)| {
                        amount.checked_mul(
                            Decimal::ONE.checked_sub(percent.checked_div(Decimal::ONE_HUNDRED)?)?,
                        )
                    })
                    .map_or(Cell::Null, |number| Cell::Number(two_places(number)))
            }
            Derived::Calendar { of, quarter } => match self.cell(at, *of) {
                Cell::Date(date) => {
                    let number =
                        if *quarter { i32::from((date.month() - 1) / 3 + 1) } else { i32::from(date.year()) };
                    Cell::Number(Decimal::from(number))
                }
                _ => Cell::Null,
            },
            Derived::Size { of } => {
                let padded = self.cell(at, *of);
                let text = padded.as_text().unwrap_or_default();
                let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
                Cell::Number(Decimal::from((text.len() / 4 * 3).saturating_sub(padding)))
            }
            Derived::Forecast { stage } => {
                Cell::text(seed::forecast(self.cell(at, *stage).as_text().unwrap_or_default()))
            }
        }
    }

    /// The parts of a compound value by name, `None` when all are null.
    pub(super) fn compound(
        &self,
        at: Place,
        parts: &[(&'static str, usize)],
    ) -> Option<Vec<(&'static str, Cell)>> {
        let mut out: Vec<(&'static str, Cell)> =
            parts.iter().map(|(name, field)| (*name, self.cell(at, *field))).collect();
        out.sort_by_key(|(name, _)| *name);
        (!out.iter().all(|(_, cell)| cell.is_null())).then_some(out)
    }

    /// How many live rows a table has.
    pub(super) fn live_count(&self, table: usize) -> u64 {
        let table = self.table(table);
        table.next - table.deleted
    }

    /// Whether a read sees a row.
    pub(super) fn sees(&self, at: Place, sight: Sight) -> bool {
        at.index < self.table(at.table).next
            && self.deleted_at(at).is_none_or(|when| self.is_in_sight(when, sight))
    }

    /// Whether what was deleted at a moment is seen.
    fn is_in_sight(&self, when: Timestamp, sight: Sight) -> bool {
        let in_bin = self.bin_emptied.is_none_or(|emptied| when > emptied);
        in_bin && matches!(sight, Sight::WithBin(oldest) if when >= oldest)
    }

    /// Rows of a table within a range of indexes that are not seen, ascending.
    pub(super) fn unseen_between(&self, table: usize, from: u64, to: u64, sight: Sight) -> Vec<u64> {
        if from >= to {
            return Vec::new();
        }
        let rows = self.table(table).changed.range(from..to);
        rows.filter(|(_, row)| row.deleted.is_some_and(|when| !self.is_in_sight(when, sight)))
            .map(|(index, _)| *index)
            .collect()
    }

    /// Brings a row back from the recycle bin; false when it is not there.
    pub(super) fn undelete(&mut self, at: Place, sight: Sight) -> bool {
        if self.deleted_at(at).is_none_or(|when| !self.is_in_sight(when, sight)) {
            return false;
        }
        let table = &mut self.tables[at.table];
        if let Some(row) = table.changed.get_mut(&at.index) {
            row.deleted = None;
            table.deleted -= 1;
        }
        true
    }

    /// All deletions of a table with their moments, as the log has them.
    pub(super) fn deletions(&self, table: usize) -> impl Iterator<Item = (u64, Timestamp)> + '_ {
        self.table(table).changed.iter().filter_map(|(index, row)| row.logged.map(|when| (*index, when)))
    }

    /// Live rows whose identifying field has this value.
    pub(super) fn find_by(&self, table: usize, field: usize, wanted: &str) -> Vec<Place> {
        let about = &self.object(table).fields[field];
        if about.kind == Kind::Id {
            return self
                .locate(wanted)
                .filter(|at| at.table == table && self.is_live(*at))
                .into_iter()
                .collect();
        }
        let rows = self.table(table);
        let fold = about.folds_case();
        let mut found: Vec<u64> =
            rows.lookup.get(&(field, folded(wanted, fold))).cloned().unwrap_or_default();
        let matches = |index: &u64| {
            let cell = self.cell(Place { table, index: *index }, field);
            folded(&cell.plain(), fold) == folded(wanted, fold)
        };
        match seed::holder(about, wanted) {
            Some(index) => found.extend(index.filter(|index| *index < rows.seeded).filter(matches)),
            None => found.extend((0..rows.seeded).filter(matches)),
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|index| Place { table, index }).filter(|at| self.is_live(*at)).collect()
    }

    /// A new, empty row after all others.
    pub(super) fn append(&mut self, table: usize) -> Place {
        let rows = &mut self.tables[table];
        let index = rows.next;
        rows.next += 1;
        rows.changed.insert(index, Row::default());
        Place { table, index }
    }

    pub(super) fn set(&mut self, at: Place, field: usize, cell: Cell) {
        let about = &self.object(at.table).fields[field];
        let (identifies, fold) = (about.identifies() || about.unique, about.folds_case());
        let rows = &mut self.tables[at.table];
        let row = rows.changed.entry(at.index).or_default();
        if identifies {
            if let Some(old) = row.get(field).map(Cell::plain)
                && let Some(places) = rows.lookup.get_mut(&(field, folded(&old, fold)))
            {
                places.retain(|index| *index != at.index);
            }
            if !cell.is_null() {
                rows.lookup.entry((field, folded(&cell.plain(), fold))).or_default().push(at.index);
            }
        }
        row.set(field, cell);
    }

    pub(super) fn delete(&mut self, at: Place, now: Timestamp) {
        let rows = &mut self.tables[at.table];
        let row = rows.changed.entry(at.index).or_default();
        if row.deleted.is_none() {
            row.deleted = Some(now);
            row.logged = Some(now);
            rows.deleted += 1;
        }
    }

    /// What several requests can be undone to.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let changes = |table: &Table| Changes {
            next: table.next,
            changed: table.changed.clone(),
            deleted: table.deleted,
            lookup: table.lookup.clone(),
        };
        Checkpoint(self.tables.iter().map(changes).collect())
    }

    pub(super) fn go_back(&mut self, to: Checkpoint) {
        for (table, before) in self.tables.iter_mut().zip(to.0) {
            table.next = before.next;
            table.changed = before.changed;
            table.deleted = before.deleted;
            table.lookup = before.lookup;
        }
    }

    /// What a row looked like, to put it back if a transaction fails.
    pub(super) fn snapshot(&self, at: Place) -> Option<Row> {
        self.table(at.table).changed.get(&at.index).cloned()
    }

    /// Puts a row back as it was; a row appended since then is gone again if it was the last one.
    pub(super) fn restore(&mut self, at: Place, before: Option<Row>) {
        let fields = self.object(at.table).fields.len();
        let current = self.tables[at.table].changed.get(&at.index).cloned().unwrap_or_default();
        for field in 0..fields {
            if current.get(field).is_some() {
                let about = &self.object(at.table).fields[field];
                if about.identifies() || about.unique {
                    self.set(at, field, Cell::Null);
                }
            }
        }
        let rows = &mut self.tables[at.table];
        let was_deleted = before.as_ref().is_some_and(|row| row.deleted.is_some());
        if current.deleted.is_some() && !was_deleted {
            rows.deleted -= 1;
        }
        match before {
            None => {
                rows.changed.remove(&at.index);
                if at.index >= rows.seeded && at.index + 1 == rows.next {
                    rows.next -= 1;
                }
            }
            Some(before) => {
                let cells = before.cells.clone();
                rows.changed.insert(at.index, before);
                for (field, cell) in cells {
                    self.set(at, usize::from(field), cell);
                }
            }
        }
    }
}

/// For each field the tables that it may point into.
fn targets_of(object: &Object, by_name: &HashMap<String, usize>) -> Vec<Vec<usize>> {
    let known = |names: &[String]| {
        names.iter().filter_map(|name| by_name.get(&name.to_lowercase()).copied()).collect()
    };
    object.fields.iter().map(|field| known(&field.targets)).collect()
}

fn two_places(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

/// Text as identifying values compare it.
pub(super) fn folded(text: &str, fold: bool) -> String {
    if fold { text.chars().flat_map(char::to_lowercase).collect() } else { text.to_owned() }
}
