//! Calendars with their events, and the journal that sync tokens read.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::event::Event;
use super::seed::Seed;

/// One calendar.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) id: String,
    /// What all who see it share: summary, description, zone.
    pub(super) shared: Map<String, Value>,
    /// This user's view of it; `None` when it is not in the user's list.
    pub(super) entry: Option<Map<String, Value>>,
    pub(super) primary: bool,
    pub(super) role: &'static str,
    pub(super) rules: BTreeMap<String, Map<String, Value>>,
    /// Ids of rules in the order in which they changed.
    pub(super) rule_journal: Vec<String>,
    /// Counts changes of the calendar itself, for its entity tags.
    pub(super) edition: u64,
    /// Events that are not as the seed has them, by their place.
    changed: BTreeMap<u64, Event>,
    places: HashMap<String, u64>,
    seeded: Option<usize>,
    next: u64,
    /// Places of events in the order in which they changed.
    journal: Vec<u64>,
}

impl Calendar {
    pub(super) fn new(id: String, summary: &str, zone: &str, seeded: Option<usize>, first_free: u64) -> Self {
        let mut shared = Map::new();
        shared.insert("summary".to_owned(), summary.into());
        shared.insert("timeZone".to_owned(), zone.into());
        Self {
            id,
            shared,
            entry: Some(Map::new()),
            primary: false,
            role: "owner",
            rules: BTreeMap::new(),
            rule_journal: Vec::new(),
            edition: 1,
            changed: BTreeMap::new(),
            places: HashMap::new(),
            seeded,
            next: first_free,
            journal: Vec::new(),
        }
    }

    pub(super) fn zone(&self) -> TimeZone {
        let name = self.shared.get("timeZone").and_then(Value::as_str).unwrap_or("UTC");
        TimeZone::get(name).unwrap_or(TimeZone::UTC)
    }

    /// All events from a place on, cancelled ones included.
    pub(super) fn events<'a>(&'a self, seed: &'a Seed, from: u64) -> impl Iterator<Item = Event> + 'a {
        let end = self.seeded.map_or(0, |_| seed.per_calendar());
        let untouched = (from..end)
            .filter(|place| !self.changed.contains_key(place))
            .filter_map(move |place| seed.event(self.seeded?, place));
        let mut untouched = untouched.peekable();
        let mut changed = self.changed.range(from..).map(|(_, event)| event.clone()).peekable();
        std::iter::from_fn(move || match (untouched.peek(), changed.peek()) {
            (Some(one), Some(other)) if other.order < one.order => changed.next(),
            (Some(_), _) => untouched.next(),
            (None, _) => changed.next(),
        })
    }

    fn at(&self, seed: &Seed, place: u64) -> Option<Event> {
        match self.changed.get(&place) {
            Some(event) => Some(event.clone()),
            None => seed.event(self.seeded?, place),
        }
    }

    /// The event, series or exception with an id.
    pub(super) fn event(&self, seed: &Seed, id: &str) -> Option<Event> {
        match self.places.get(id) {
            Some(place) => self.at(seed, *place),
            None => {
                self.seeded.and_then(|number| seed.place(number, id)).and_then(|place| self.at(seed, place))
            }
        }
    }

    /// The exceptions of a series.
    pub(super) fn exceptions<'a>(&'a self, seed: &'a Seed, series: &'a str) -> Vec<Event> {
        self.events(seed, 0).filter(|event| event.of.as_ref().is_some_and(|(own, _)| own == series)).collect()
    }

    pub(super) fn free_place(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Stores an event and notes that it changed.
    pub(super) fn put(&mut self, event: Event) {
        self.places.insert(event.id.clone(), event.order);
        self.journal.push(event.order);
        self.changed.insert(event.order, event);
    }

    /// Takes an event away without a trace, as a move to another calendar does.
    pub(super) fn clear(&mut self, seed: &Seed, now: Timestamp) {
        let all: Vec<Event> = self.events(seed, 0).filter(|event| !event.is_cancelled()).collect();
        for mut event in all {
            event.members.insert("status".to_owned(), "cancelled".into());
            event.updated = now;
            self.put(event);
        }
    }

    pub(super) fn journal_length(&self) -> usize {
        self.journal.len()
    }

    /// Events that changed between two points of the journal, each once, in the order of their last change there.
    pub(super) fn changed_between<'a>(&'a self, seed: &'a Seed, since: usize, until: usize) -> Vec<Event> {
        let until = until.min(self.journal.len());
        let behind = self.journal.get(since..until).unwrap_or_default();
        let mut last: HashMap<u64, usize> = HashMap::new();
        for (turn, place) in behind.iter().enumerate() {
            last.insert(*place, turn);
        }
        let latest = behind.iter().enumerate().filter(|(turn, place)| last.get(place) == Some(turn));
        latest.filter_map(|(_, place)| self.at(seed, *place)).collect()
    }
}

/// Everything that requests change.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) seed: Seed,
    pub(super) calendars: Vec<Calendar>,
    pub(super) settings: Vec<(&'static str, String)>,
    /// Ids of calendars in the order in which entries of the list changed.
    pub(super) list_journal: Vec<String>,
    /// Sync tokens of an older epoch are no longer good.
    pub(super) epoch: u64,
    /// So are page tokens of an older one of theirs.
    pub(super) page_epoch: u64,
    pub(super) requests: u64,
    /// Pages of events may be shorter than asked for.
    pub(super) page_rows: Option<usize>,
    last: Timestamp,
}

impl Store {
    pub(super) fn new(seed: Seed, calendars: Vec<Calendar>, settings: Vec<(&'static str, String)>) -> Self {
        Self {
            seed,
            calendars,
            settings,
            list_journal: Vec::new(),
            epoch: 0,
            page_epoch: 0,
            requests: 0,
            page_rows: None,
            last: Timestamp::UNIX_EPOCH,
        }
    }

    /// The calendar with an id; `primary` is the user's own.
    pub(super) fn place_of(&self, id: &str) -> Option<usize> {
        self.calendars.iter().position(|own| own.id == id || (own.primary && id == "primary"))
    }

    /// An instant later than any before, so that every change has an entity tag of its own.
    pub(super) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        let next = self.last.saturating_add(jiff::SignedDuration::from_micros(1)).unwrap_or(now);
        self.last = now.max(next);
        self.last
    }
}
