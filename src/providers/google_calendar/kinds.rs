//! The record types: where the service has them, what can be done with them, and how they are described.

use std::sync::Arc;

use super::account::{Account, Calendar, LIST_PAGE};
use super::event_fields::{self, EventKind};
use super::fields::{CALENDAR, ICAL_UID};
use super::{api, other_fields, write_options};
use crate::error::Result;
use crate::provider::{Context, TypeSummary};
use crate::record::capability::{
    Capability, ChangesCapability, GetCapability, MarkerForm, SearchCapability, UpsertCapability,
    VersionSupport, WriteCapability,
};
use crate::record::record_type::AlternateKey;
use crate::record::{Field, KeyFields, RecordType, TypeName};

/// Largest page of events, and the one when none is asked for.
pub(super) const EVENTS_MAX: u32 = 2_500;
const EVENTS_PAGE: u32 = 1_000;
/// Days for which a sync token is known to stay good.
const SYNC_DAYS: u32 = 30;

/// What records are, and where the service has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Calendars as all who see them share them.
    Calendars,
    /// The user's list of calendars.
    List,
    /// Events as they are written: a series is one record.
    Events,
    /// Events as they take place: each occurrence of a series is a record.
    Occurrences,
    /// Events that are made from a line of text. What is made is one of [`Self::Events`].
    Texts,
    /// Who may see a calendar.
    Rules,
    Settings,
    Colours,
    /// When people are busy.
    Busy,
}

/// All of them with name, label, plural.
pub(super) const HOMES: [(Home, &str, &str, &str); 9] = [
    (Home::Calendars, "calendar", "Calendar", "Calendars"),
    (Home::List, "calendar_list_entry", "Calendar list entry", "Calendar list entries"),
    (Home::Events, "event", "Event", "Events"),
    (Home::Occurrences, "event_instance", "Occurrence", "Occurrences"),
    (Home::Texts, "quick_event", "Event from text", "Events from text"),
    (Home::Rules, "acl_rule", "Rule of access", "Rules of access"),
    (Home::Settings, "setting", "Setting", "Settings"),
    (Home::Colours, "color", "Colour", "Colours"),
    (Home::Busy, "free_busy", "Busy time", "Busy times"),
];

impl Home {
    pub(super) fn of(base: &str) -> Option<Self> {
        HOMES.iter().find(|(_, name, ..)| *name == base).map(|(home, ..)| *home)
    }

    pub(super) fn names(self) -> (&'static str, &'static str, &'static str) {
        let own = HOMES.iter().find(|(home, ..)| *home == self);
        own.map_or(("", "", ""), |(_, name, label, plural)| (*name, *label, *plural))
    }

    /// Whether the calendar is a part of the key.
    pub(super) fn has_calendar(self) -> bool {
        matches!(self, Self::Events | Self::Occurrences | Self::Texts | Self::Rules)
    }

    pub(super) fn is_of_events(self) -> bool {
        matches!(self, Self::Events | Self::Occurrences)
    }

    /// Whether types of it may name a calendar, and whether they must.
    pub(super) fn scope(self) -> (bool, bool) {
        (self.has_calendar(), matches!(self, Self::Texts | Self::Rules))
    }

    pub(super) fn key(self) -> KeyFields {
        match self {
            Self::Events | Self::Occurrences | Self::Texts | Self::Rules => KeyFields::of([CALENDAR, "id"]),
            Self::Busy => KeyFields::of([CALENDAR, "start"]),
            Self::Colours => KeyFields::of(["group", "id"]),
            Self::Calendars | Self::List | Self::Settings => KeyFields::single("id"),
        }
    }

    /// The list of its records, of one calendar where they belong to one.
    pub(super) fn list(self, calendar: &str) -> String {
        match self {
            Self::Calendars => "calendars".to_owned(),
            Self::List => "users/me/calendarList".to_owned(),
            Self::Events | Self::Occurrences | Self::Texts => api::events(calendar),
            Self::Rules => format!("calendars/{}/acl", api::encode(calendar)),
            Self::Settings => "users/me/settings".to_owned(),
            Self::Colours => "colors".to_owned(),
            Self::Busy => "freeBusy".to_owned(),
        }
    }

    /// One record.
    pub(super) fn one(self, calendar: &str, id: &str) -> String {
        format!("{}/{}", self.list(calendar), api::encode(id))
    }

    /// Largest page.
    pub(super) fn page_max(self) -> u32 {
        if self.is_of_events() { EVENTS_MAX } else { LIST_PAGE }
    }

    fn capability(self, calendar: Option<&Calendar>) -> Capability {
        let events = self.is_of_events();
        if self == Self::Texts {
            let create = WriteCapability {
                options: write_options::create(self),
                ..WriteCapability::batches_of(api::BATCH)
            };
            return Capability { create: Some(create), ..Capability::default() };
        }
        let mut can = Capability {
            search: Some(SearchCapability {
                page_max: self.page_max(),
                page_min: 1,
                page_default: if events { EVENTS_PAGE } else { LIST_PAGE },
                order: events && calendar.is_some(),
                count: false,
                include_deleted: events,
                native: events.then(|| "free text search (q)".to_owned()),
            }),
            ..Capability::default()
        };
        if self != Self::Busy {
            let by = std::iter::once(self.key()).chain(self.alternate(calendar.is_some()));
            can.get = Some(GetCapability { batch_max: api::BATCH, by: by.collect() });
        }
        let writable = match self {
            Self::Events | Self::Occurrences => calendar.is_none_or(Calendar::is_writable),
            Self::Rules => calendar.is_none_or(Calendar::is_owned),
            Self::Calendars | Self::List => true,
            Self::Texts | Self::Settings | Self::Colours | Self::Busy => false,
        };
        if writable {
            self.add_writes(&mut can, calendar.is_some());
        }
        can.changes = match self {
            Self::Events => Some(ChangesCapability { deletions: true, window_days: Some(SYNC_DAYS) }),
            Self::Calendars | Self::List | Self::Rules | Self::Settings => {
                Some(ChangesCapability { deletions: true, window_days: None })
            }
            Self::Occurrences | Self::Texts | Self::Colours | Self::Busy => None,
        };
        can
    }

    /// The other key: within one calendar an event is known by its id of iCalendar as well.
    fn alternate(self, scoped: bool) -> Option<KeyFields> {
        (self == Self::Events && scoped).then(|| KeyFields::single(ICAL_UID))
    }

    fn add_writes(self, can: &mut Capability, scoped: bool) {
        let plain = WriteCapability::batches_of(api::BATCH);
        let create = WriteCapability { options: write_options::create(self), ..plain.clone() };
        if self != Self::Occurrences {
            can.create = Some(if self == Self::Events {
                let marks = if scoped { vec!["id".to_owned(), ICAL_UID.to_owned()] } else { Vec::new() };
                WriteCapability { marker: true, made_up_marker: Some(MarkerForm::Uuid), marks, ..create }
            } else {
                create
            });
        }
        if let Some(by) = self.alternate(scoped) {
            let how = "looking for the event by its iCalUID, then an update or an import";
            let write = WriteCapability {
                simulated: Some(how.to_owned()),
                options: write_options::upsert(),
                ..plain.clone()
            };
            can.upsert = Some(UpsertCapability { write, by: vec![by], match_only: Vec::new() });
        }
        // Rules carry an entity tag as well.
        let versioned = WriteCapability { version: VersionSupport::Exact, ..plain };
        can.update = Some(WriteCapability { options: write_options::update(self), ..versioned.clone() });
        can.delete = Some(WriteCapability { options: write_options::delete(self), ..versioned });
    }
}

/// The record type of a home, of one calendar or of all.
///
/// # Errors
/// What the service refuses.
pub(super) async fn describe(
    account: &Account,
    cx: &Context,
    home: Home,
    calendar: Option<&Calendar>,
) -> Result<Arc<RecordType>> {
    let colours = async || account.colours(cx, "describe").await;
    let fields = match home {
        Home::Events | Home::Occurrences => event_fields::fields(EventKind {
            occurrences: home == Home::Occurrences,
            scoped: calendar.is_some(),
            colours: &colours().await?.of_events(),
        }),
        Home::List => other_fields::list_entry(&colours().await?.of_calendars()),
        Home::Calendars => other_fields::calendar(),
        Home::Texts => other_fields::quick_event(),
        Home::Rules => other_fields::acl_rule(),
        Home::Settings => other_fields::setting(),
        Home::Colours => other_fields::colour(),
        Home::Busy => other_fields::busy(),
    };
    Ok(Arc::new(record_type(home, calendar, fields)))
}

fn record_type(home: Home, calendar: Option<&Calendar>, fields: Vec<Field>) -> RecordType {
    let (label, label_plural) = labels(home, calendar);
    RecordType {
        name: name(home, calendar),
        provider: "google-calendar".to_owned(),
        label,
        label_plural,
        description: description(home).map(str::to_owned),
        custom: false,
        fields,
        key: home.key(),
        alternate_keys: home
            .alternate(calendar.is_some())
            .map(|fields| AlternateKey { fields, insertable: calendar.is_some_and(Calendar::is_writable) })
            .into_iter()
            .collect(),
        relationships: Vec::new(),
        capability: home.capability(calendar),
    }
}

fn description(home: Home) -> Option<&'static str> {
    match home {
        Home::Calendars => Some("A calendar as all who see it share it"),
        Home::List => Some("A calendar as the connected user has it in the list"),
        Home::Events => Some("An event; a series is one event, its exceptions are events of their own"),
        Home::Occurrences => {
            Some("An event as it takes place: a series gives a record for each of its occurrences")
        }
        Home::Texts => Some(
            "A line of text, such as \"Lunch with Ann tomorrow 12:30\", of which Google makes an event; its key is that of \
             the event",
        ),
        Home::Busy => Some("A stretch of time in which a calendar is busy; a search needs a time range"),
        Home::Rules | Home::Settings | Home::Colours => None,
    }
}

fn name(home: Home, calendar: Option<&Calendar>) -> TypeName {
    let (base, ..) = home.names();
    match calendar {
        Some(calendar) => TypeName::new(format!("{base}:{}", calendar.id)),
        None => TypeName::new(base),
    }
}

fn labels(home: Home, calendar: Option<&Calendar>) -> (String, String) {
    let (_, label, plural) = home.names();
    let within = calendar.map_or_else(String::new, |calendar| format!(" in {}", calendar.label()));
    (format!("{label}{within}"), format!("{plural}{within}"))
}

/// A type as the list of types shows it.
pub(super) fn summary(home: Home, calendar: Option<&Calendar>) -> TypeSummary {
    let (label, label_plural) = labels(home, calendar);
    let can = home.capability(calendar);
    TypeSummary {
        name: name(home, calendar),
        label,
        label_plural,
        custom: false,
        searchable: can.search.is_some(),
        creatable: can.create.is_some(),
        updatable: can.update.is_some(),
        deletable: can.delete.is_some(),
        keys: home.key().0,
    }
}
