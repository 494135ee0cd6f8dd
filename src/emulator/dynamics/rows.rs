//! Where rows live: seeded rows are made on demand, only what was changed is kept.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Column, Kind, Model, Table as About};
use super::files::Files;
use super::guid::{self, Guids};
use super::seed::{self, Recipe};
use crate::emulator::chance::{hash_text, mix};

/// The version of the first change.
const FIRST_CHANGE: i64 = 100_000_000_000;

/// Places for seeded links of one row.
const LINKS: u64 = 4;

/// One row: which table, which index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) table: usize,
    pub(super) index: u64,
}

/// What is known of a row beyond its seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The id of a row that is not seeded.
    id: Option<u128>,
    /// Written values by column number, ascending.
    cells: Vec<(u16, Cell)>,
    version: i64,
    /// Version and second of its deletion.
    deleted: Option<(i64, i64)>,
}

impl Row {
    fn get(&self, column: usize) -> Option<&Cell> {
        let key = u16::try_from(column).ok()?;
        let at = self.cells.binary_search_by_key(&key, |(number, _)| *number).ok()?;
        self.cells.get(at).map(|(_, cell)| cell)
    }

    fn set(&mut self, column: usize, cell: Cell) {
        let Ok(key) = u16::try_from(column) else { return };
        match self.cells.binary_search_by_key(&key, |(number, _)| *number) {
            Ok(at) => self.cells[at].1 = cell,
            Err(at) => self.cells.insert(at, (key, cell)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    about: About,
    pub(super) salt: u64,
    guids: Guids,
    /// Rows below this index are seeded.
    pub(super) seeded: u64,
    /// The index that the next new row gets.
    pub(super) next: u64,
    changed: BTreeMap<u64, Row>,
    deleted: u64,
    by_id: HashMap<u128, u64>,
    /// Columns of alternate keys.
    indexed: Vec<bool>,
    /// The relationship whose links are the rows.
    relation: Option<usize>,
    /// Changed rows by the folded text of such a column.
    lookup: HashMap<(usize, String), Vec<u64>>,
}

impl Table {
    pub(super) fn about(&self) -> &About {
        &self.about
    }
}

/// A row before a change.
#[derive(Debug)]
struct Undo {
    at: Place,
    row: Option<Row>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) seed: u64,
    pub(super) model: Model,
    pub(super) files: Files,
    tables: Vec<Table>,
    version: i64,
    made: u64,
    journal: Option<Vec<Undo>>,
}

impl Store {
    /// An environment with so many seeded rows in each table.
    pub(super) fn new(seed: u64, model: Model, counts: &[u64]) -> Self {
        let make = |(about, seeded): (&About, &u64)| {
            let salt = mix(hash_text(&about.name));
            let in_keys = |column: usize| about.keys.iter().any(|key| key.columns.contains(&column));
            Table {
                salt,
                guids: Guids::new(seed, salt),
                seeded: *seeded,
                next: *seeded,
                changed: BTreeMap::new(),
                deleted: 0,
                by_id: HashMap::new(),
                indexed: (0..about.columns.len()).map(in_keys).collect(),
                lookup: HashMap::new(),
                relation: None,
                about: about.clone(),
            }
        };
        let mut tables: Vec<Table> = model.tables.iter().zip(counts).map(make).collect();
        for (relation, many) in model.many.iter().enumerate() {
            let seeded = tables[many.sides[0].0].seeded.saturating_mul(LINKS);
            let rows = &mut tables[many.rows];
            rows.relation = Some(relation);
            (rows.seeded, rows.next) = (seeded, seeded);
            for column in many.columns {
                rows.indexed[column] = true;
            }
        }
        Self { seed, model, files: Files::default(), tables, version: FIRST_CHANGE, made: 0, journal: None }
    }

    pub(super) fn table(&self, at: usize) -> &Table {
        &self.tables[at]
    }

    pub(super) fn about(&self, at: usize) -> &About {
        &self.tables[at].about
    }

    /// Whether the rows of a table are the links of a relationship.
    pub(super) fn is_of_links(&self, at: usize) -> bool {
        self.tables[at].relation.is_some()
    }

    /// Changes what is known of a table.
    pub(super) fn change_table(&mut self, at: usize, change: impl Fn(&mut About)) {
        change(&mut self.tables[at].about);
        change(&mut self.model.tables[at]);
    }

    /// The version of the last change.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    pub(super) fn is_name(&self, table: usize, column: usize) -> bool {
        self.about(table).primary_name == Some(column)
    }

    pub(super) fn id(&self, at: Place) -> u128 {
        let table = self.table(at.table);
        table.changed.get(&at.index).and_then(|row| row.id).unwrap_or_else(|| table.guids.make(at.index))
    }

    /// The live row with this id.
    pub(super) fn locate(&self, table: usize, id: u128) -> Option<Place> {
        self.locate_any(table, id).filter(|at| self.is_live(*at))
    }

    /// The row with this id, deleted or not.
    pub(super) fn locate_any(&self, table: usize, id: u128) -> Option<Place> {
        let rows = self.table(table);
        let index = rows
            .by_id
            .get(&id)
            .copied()
            .or_else(|| rows.guids.index(id).filter(|index| *index < rows.seeded))?;
        Some(Place { table, index })
    }

    pub(super) fn is_live(&self, at: Place) -> bool {
        self.is_kept(at) && (self.table(at.table).relation.is_none() || self.joins_live_rows(at))
    }

    /// Whether a row was not deleted; a link may be gone with one of its ends.
    fn is_kept(&self, at: Place) -> bool {
        let table = self.table(at.table);
        at.index < table.next && table.changed.get(&at.index).is_none_or(|row| row.deleted.is_none())
    }

    pub(super) fn row_version(&self, at: Place) -> i64 {
        let row = self.table(at.table).changed.get(&at.index);
        row.map_or_else(|| seed::version(at.index), |row| row.version)
    }

    /// A reference to a seeded row, or null when the table has none.
    pub(super) fn seeded_ref(&self, name: &str, hash: u64) -> Cell {
        self.seeded_ref_below(name, hash, u64::MAX)
    }

    /// The same among the rows below an index.
    pub(super) fn seeded_ref_below(&self, name: &str, hash: u64, below: u64) -> Cell {
        let Some(table) = self.model.table(name) else { return Cell::Null };
        let rows = &self.tables[table];
        let count = rows.seeded.min(below);
        if count == 0 {
            return Cell::Null;
        }
        // Few rows have many referrers, so that collections have more than one row.
        let index = hash % count.min(400);
        let cell = Cell::Ref { table, id: rows.guids.make(index) };
        if self.is_live(Place { table, index }) { cell } else { Cell::Null }
    }

    /// The value of any column.
    pub(super) fn cell(&self, at: Place, number: usize) -> Cell {
        let table = self.table(at.table);
        let Some(column) = table.about.columns.get(number) else { return Cell::Null };
        if column.kind == Kind::Id {
            return Cell::Guid(self.id(at));
        }
        match column.recipe {
            Recipe::Version => return Cell::Integer(self.row_version(at)),
            Recipe::FullName => return self.full_name(at),
            Recipe::Base => {
                let of = column.name.trim_end_matches("_base");
                return table.about.column(of).map_or(Cell::Null, |of| self.cell(at, of));
            }
            Recipe::OwningUser => return self.owned_by(at, "systemuser"),
            Recipe::OwningTeam => return self.owned_by(at, "team"),
            _ => {}
        }
        if let Some(relation) = table.relation
            && let Some(side) = self.model.many[relation].columns.iter().position(|own| *own == number)
        {
            return self.ends(at).map_or(Cell::Null, |ends| Cell::Guid(ends[side]));
        }
        match table.changed.get(&at.index).and_then(|row| row.get(number)) {
            Some(cell) => cell.clone(),
            None if at.index < table.seeded => seed::cell(self, at, number),
            None => Cell::Null,
        }
    }

    fn full_name(&self, at: Place) -> Cell {
        let part = |name: &str| {
            self.about(at.table).column(name).map_or(Cell::Null, |column| self.cell(at, column)).plain()
        };
        Cell::text(format!("{} {}", part("firstname"), part("lastname")).trim().to_owned())
    }

    fn owned_by(&self, at: Place, kind: &str) -> Cell {
        let owner = self.about(at.table).column("ownerid").map_or(Cell::Null, |column| self.cell(at, column));
        match owner {
            Cell::Ref { table, .. } if self.about(table).name == kind => owner,
            _ => Cell::Null,
        }
    }

    /// The name to show for a row.
    pub(super) fn name_of(&self, at: Place) -> String {
        self.about(at.table).primary_name.map_or_else(String::new, |column| self.cell(at, column).plain())
    }

    pub(super) fn live_count(&self, table: usize) -> u64 {
        let rows = self.table(table);
        if rows.relation.is_some() {
            return self.live(table, 0).count() as u64;
        }
        rows.next - rows.deleted
    }

    /// Live rows of a table from an index on, in the order of their creation.
    pub(super) fn live(&self, table: usize, from: u64) -> impl Iterator<Item = Place> + '_ {
        (from..self.table(table).next).map(move |index| Place { table, index }).filter(|at| self.is_live(*at))
    }

    /// Rows changed after a version and not after another, by version ascending; `None` beside deleted ones
    /// stands for the place.
    pub(super) fn changes(&self, table: usize, after: i64, until: i64) -> (Vec<Place>, Vec<Place>) {
        let (mut written, mut deleted) = (Vec::new(), Vec::new());
        for (index, row) in &self.table(table).changed {
            let at = Place { table, index: *index };
            match row.deleted {
                Some((version, _)) if version > after && version <= until => deleted.push((version, at)),
                None if row.version > after && row.version <= until => written.push((row.version, at)),
                _ => {}
            }
        }
        written.sort_unstable();
        deleted.sort_unstable();
        let places = |list: Vec<(i64, Place)>| list.into_iter().map(|(_, at)| at).collect();
        (places(written), places(deleted))
    }

    /// Live rows whose columns have these values, found through the first column that tells.
    pub(super) fn find_by(&self, table: usize, wanted: &[(usize, Cell)]) -> Vec<Place> {
        let rows = self.table(table);
        let fits = |at: &Place| wanted.iter().all(|(column, cell)| same(&self.cell(*at, *column), cell));
        let indexed = |column: usize| rows.indexed.get(column) == Some(&true);
        let tells = |column: usize| seed::tells(&rows.about.columns[column]);
        let best = wanted.iter().filter(|(column, cell)| indexed(*column) && !cell.is_null());
        let Some((column, cell)) = best.max_by_key(|(column, _)| tells(*column)) else {
            return self.live(table, 0).filter(fits).collect();
        };
        let text = folded(&cell.plain());
        let mut found: Vec<u64> = rows.lookup.get(&(*column, text.clone())).cloned().unwrap_or_default();
        if tells(*column) {
            let holder = seed::holder(&rows.about.columns[*column], &text);
            found.extend(holder.filter(|index| *index < rows.seeded));
        } else {
            found.extend(0..rows.seeded);
        }
        found.sort_unstable();
        found.dedup();
        let places = found.into_iter().map(|index| Place { table, index });
        places.filter(|at| self.is_live(*at)).filter(fits).collect()
    }

    /// A new row with this id, or with one of its own.
    pub(super) fn append(&mut self, table: usize, id: Option<u128>) -> Place {
        self.made += 1;
        let id = id.unwrap_or_else(|| guid::fresh(self.seed ^ 0xADD, self.made));
        let index = self.tables[table].next;
        let at = Place { table, index };
        self.remember(at);
        let rows = &mut self.tables[table];
        rows.next += 1;
        rows.by_id.insert(id, index);
        rows.changed.insert(index, Row { id: Some(id), ..Row::default() });
        self.touch(at);
        at
    }

    /// Gives a row the next version.
    pub(super) fn touch(&mut self, at: Place) {
        self.version += 1;
        let version = self.version;
        self.row(at).version = version;
    }

    fn row(&mut self, at: Place) -> &mut Row {
        self.remember(at);
        let seeded = seed::version(at.index);
        let fresh = || Row { version: seeded, ..Row::default() };
        self.tables[at.table].changed.entry(at.index).or_insert_with(fresh)
    }

    pub(super) fn set(&mut self, at: Place, column: usize, cell: Cell) {
        let old = if self.tables[at.table].indexed[column] {
            Some(folded(&self.cell(at, column).plain()))
        } else {
            None
        };
        self.row(at).set(column, cell.clone());
        if let Some(old) = old {
            self.index(at, column, &old, &folded(&cell.plain()));
        }
    }

    fn index(&mut self, at: Place, column: usize, old: &str, new: &str) {
        let rows = &mut self.tables[at.table];
        if let Some(places) = rows.lookup.get_mut(&(column, old.to_owned())) {
            places.retain(|index| *index != at.index);
        }
        if !new.is_empty() {
            rows.lookup.entry((column, new.to_owned())).or_default().push(at.index);
        }
    }

    pub(super) fn delete(&mut self, at: Place, now: Timestamp) {
        self.version += 1;
        let version = self.version;
        let row = self.row(at);
        if row.deleted.is_none() {
            row.deleted = Some((version, now.as_second()));
            self.tables[at.table].deleted += 1;
        }
    }

    fn remember(&mut self, at: Place) {
        if let Some(journal) = &mut self.journal {
            journal.push(Undo { at, row: self.tables[at.table].changed.get(&at.index).cloned() });
        }
    }

    /// Whether changes can still be undone together.
    pub(super) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// From here on, everything can be undone together.
    pub(super) fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    pub(super) fn commit(&mut self) {
        self.journal = None;
    }

    /// Undoes everything since [`begin`](Self::begin).
    pub(super) fn roll_back(&mut self) {
        let journal = self.journal.take().unwrap_or_default();
        for Undo { at, row } in journal.into_iter().rev() {
            self.put_back(at, row);
        }
    }

    fn put_back(&mut self, at: Place, before: Option<Row>) {
        let indexed: Vec<usize> = (0..self.about(at.table).columns.len())
            .filter(|column| self.tables[at.table].indexed[*column])
            .collect();
        let old: Vec<String> = indexed.iter().map(|column| folded(&self.cell(at, *column).plain())).collect();
        let was_deleted = !self.is_kept(at);
        let rows = &mut self.tables[at.table];
        let current = rows.changed.remove(&at.index);
        let is_deleted = before.as_ref().is_some_and(|row| row.deleted.is_some());
        match before {
            Some(before) => {
                rows.changed.insert(at.index, before);
            }
            None if at.index >= rows.seeded => {
                if let Some(id) = current.and_then(|row| row.id) {
                    rows.by_id.remove(&id);
                }
                rows.next = rows.next.min(at.index);
            }
            None => {}
        }
        if was_deleted && !is_deleted {
            rows.deleted = rows.deleted.saturating_sub(1);
        }
        let gone = at.index >= self.tables[at.table].next;
        for (column, old) in indexed.into_iter().zip(old) {
            let new = if gone { String::new() } else { folded(&self.cell(at, column).plain()) };
            self.index(at, column, &old, &new);
        }
    }

    /// The ids that a link joins; none for the places of seeded links that there are not.
    fn ends(&self, at: Place) -> Option<[u128; 2]> {
        let rows = self.table(at.table);
        let many = &self.model.many[rows.relation?];
        if at.index < rows.seeded {
            let one = self.tables[many.sides[0].0].guids.make(at.index / LINKS);
            let two = self.seeded_links(rows.relation?, one).get((at.index % LINKS) as usize).copied()?;
            return Some([one, two]);
        }
        let row = rows.changed.get(&at.index)?;
        let end = |column: usize| match row.get(column) {
            Some(Cell::Guid(id)) => Some(*id),
            _ => None,
        };
        Some([end(many.columns[0])?, end(many.columns[1])?])
    }

    fn joins_live_rows(&self, at: Place) -> bool {
        let Some(relation) = self.table(at.table).relation else { return false };
        let sides = &self.model.many[relation].sides;
        let lives = |side: usize, id: u128| self.locate(sides[side].0, id).is_some();
        self.ends(at).is_some_and(|ends| lives(0, ends[0]) && lives(1, ends[1]))
    }

    /// Live links of a row on one side of a relationship.
    fn links(&self, relation: usize, side: usize, id: u128) -> Vec<Place> {
        let many = &self.model.many[relation];
        let rows = self.table(many.rows);
        let of_one = self.tables[many.sides[0].0].guids.index(id).map(|index| index.saturating_mul(LINKS));
        let seeded = match of_one.filter(|first| side == 0 && *first < rows.seeded) {
            Some(first) => first..first + LINKS,
            None if side == 0 => 0..0,
            None => 0..rows.seeded,
        };
        let made = rows.lookup.get(&(many.columns[side], folded(&guid::text(id)))).cloned();
        let places = seeded.chain(made.unwrap_or_default()).map(|index| Place { table: many.rows, index });
        places.filter(|at| self.is_live(*at) && self.ends(*at).is_some_and(|ends| ends[side] == id)).collect()
    }

    /// Up to three seeded rows of the second side for a seeded row of the first.
    fn seeded_links(&self, relation: usize, id: u128) -> Vec<u128> {
        let [(one, _), (two, _)] = &self.model.many[relation].sides;
        let (rows, others) = (&self.tables[*one], &self.tables[*two]);
        let index = rows.guids.index(id).filter(|index| *index < rows.seeded);
        let Some(index) = index.filter(|_| others.seeded > 0) else { return Vec::new() };
        let hash = mix(self.seed ^ index.wrapping_mul(31));
        let mut out: Vec<u128> =
            (0..hash % 4).map(|turn| others.guids.make(mix(hash ^ turn) % others.seeded)).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The live rows linked to a row on one side of a relationship.
    pub(super) fn partners(&self, relation: usize, side: usize, at: Place) -> Vec<Place> {
        let other = self.model.many[relation].sides[1 - side].0;
        let links = self.links(relation, side, self.id(at)).into_iter();
        let mut places: Vec<Place> =
            links.filter_map(|link| self.locate(other, self.ends(link)?[1 - side])).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Makes or removes a link; false when it was so already.
    pub(super) fn link(&mut self, relation: usize, ids: (u128, u128), on: bool, now: Timestamp) -> bool {
        let many = &self.model.many[relation];
        let (rows, columns) = (many.rows, many.columns);
        let present = self.links(relation, 0, ids.0).into_iter();
        let present: Vec<Place> =
            present.filter(|at| self.ends(*at).is_some_and(|ends| ends[1] == ids.1)).collect();
        if present.is_empty() != on {
            return false;
        }
        for at in present {
            self.delete(at, now);
        }
        if on {
            let at = self.append(rows, None);
            self.set(at, columns[0], Cell::Guid(ids.0));
            self.set(at, columns[1], Cell::Guid(ids.1));
        }
        true
    }
}

/// Text as the service compares it: without regard to case and trailing blanks.
pub(super) fn folded(text: &str) -> String {
    text.trim_end_matches(' ').chars().flat_map(char::to_lowercase).collect()
}

/// Whether two values are equal to the service.
pub(super) fn same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Text(one), Cell::Text(other)) => folded(one) == folded(other),
        (Cell::Guid(one) | Cell::Ref { id: one, .. }, Cell::Guid(other) | Cell::Ref { id: other, .. }) => {
            one == other
        }
        (Cell::Decimal(one), Cell::Integer(other)) | (Cell::Integer(other), Cell::Decimal(one)) => {
            *one == Decimal::from(*other)
        }
        (Cell::Null, Cell::Null) => true,
        (one, other) => one == other,
    }
}

/// Whether a column's value is only told, never stored.
pub(super) fn is_derived(column: &Column) -> bool {
    matches!(
        column.recipe,
        Recipe::Version | Recipe::FullName | Recipe::Base | Recipe::OwningUser | Recipe::OwningTeam
    )
}
