//! The fields of calendars, entries of the user's list, rules of access, settings, colours and busy times.
//!
//! Source: `schemas` of the discovery document of the Google Calendar API.

use serde_json::json;

use super::event_fields::conference_properties;
use super::fields::{
    CALENDAR, choice, etag, field, flag, id, kept, kind, list, object, reference, settable, text, text_as,
};
use crate::record::record_type::{Picklist, TextForm};
use crate::record::{Field, FieldType};

/// Longest line of text for an event: it travels in an address.
const QUICK_MAX: u64 = 1_000;
/// Roles, from the least to the most.
const ROLES: [(&str, &str); 6] = [
    ("none", "No access"),
    ("freeBusyReader", "Sees when somebody is busy"),
    ("reader", "Reads, private events without details"),
    ("writerWithoutPrivateAccess", "Writes, private events without details"),
    ("writer", "Writes"),
    ("owner", "Owns"),
];

fn zone() -> Field {
    Field {
        examples: vec![json!("Europe/Berlin")],
        defaulted_on_create: true,
        ..text("timeZone", "Time zone", "Name from the IANA database")
    }
}

/// Fields of a calendar as all who see it share it.
pub(super) fn calendar() -> Vec<Field> {
    let label = object(
        "label",
        "Label",
        "",
        vec![text("id", "Id", ""), text("name", "Name", ""), text("backgroundColor", "Colour", "")],
    );
    let days = [
        ("monday", "Monday"),
        ("tuesday", "Tuesday"),
        ("wednesday", "Wednesday"),
        ("thursday", "Thursday"),
        ("friday", "Friday"),
        ("saturday", "Saturday"),
        ("sunday", "Sunday"),
    ];
    let minute = |name: &str, label: &str| {
        field(
            name,
            label,
            "Minutes since midnight",
            FieldType::Integer { minimum: Some(0), maximum: Some(1_440) },
        )
    };
    let hours = object(
        "availableTime",
        "Working hours of a day",
        "",
        vec![choice("dayOfWeek", "Day", "", &days), minute("periodStart", "From"), minute("periodEnd", "To")],
    );
    vec![
        id("An e-mail address"),
        Field { nullable: false, required_on_create: true, ..settable(text("summary", "Title", "")) },
        settable(text_as("description", "Description", "", TextForm::Multiline)),
        settable(text("location", "Location", "")),
        Field { nullable: false, ..settable(zone()) },
        settable(Field { defaulted_on_create: true, ..conference_properties() }),
        Field {
            updatable: true,
            ..settable(object(
                "labelProperties",
                "Labels of events",
                "The list is replaced as a whole",
                vec![list("eventLabels", "Labels", "At most 200", label)],
            ))
        },
        // A null or an empty object changes nothing, and a new calendar is no primary one.
        Field {
            createable: false,
            nullable: false,
            ..settable(object(
                "workingHours",
                "Working hours",
                "Of a primary calendar in Google Workspace; given whole, or not in use to clear them",
                vec![
                    field("workingHoursEnabled", "In use", "", FieldType::Boolean),
                    list("availableTimes", "Hours", "", hours),
                ],
            ))
        },
        settable(field(
            "autoAcceptInvitations",
            "Accepts invitations by itself",
            "Of rooms and things",
            FieldType::Boolean,
        )),
        kept(text_as("dataOwner", "Owner", "", TextForm::Email)),
        etag(),
        kind("calendar#calendar"),
    ]
}

/// Fields of an entry in the user's list of calendars.
pub(super) fn list_entry(colours: &Picklist) -> Vec<Field> {
    let reminder = object(
        "reminder",
        "Reminder",
        "",
        vec![
            choice("method", "Method", "", &[("email", "E-mail"), ("popup", "Pop-up")]),
            field(
                "minutes",
                "Minutes before",
                "",
                FieldType::Integer { minimum: Some(0), maximum: Some(40_320) },
            ),
        ],
    );
    let occasions = [
        ("eventCreation", "An event is new"),
        ("eventChange", "An event has changed"),
        ("eventCancellation", "An event is cancelled"),
        ("eventResponse", "Somebody answered"),
        ("agenda", "The day's events, each morning"),
    ];
    let notification = object(
        "notification",
        "Notification",
        "",
        vec![choice("type", "When", "", &occasions), choice("method", "Method", "", &[("email", "E-mail")])],
    );
    vec![
        Field {
            createable: true,
            required_on_create: true,
            ..id("The calendar; to add it to the list, its id must be known")
        },
        kept(text("summary", "Title", "")),
        settable(text("summaryOverride", "Own title", "")),
        kept(text("description", "Description", "")),
        kept(text("location", "Location", "")),
        kept(zone()),
        kept(choice("accessRole", "Role", "", &ROLES)),
        kept(flag("primary", "Primary calendar", "", false)),
        settable(flag("selected", "Shown", "", false)),
        settable(flag("hidden", "Hidden from the list", "", false)),
        settable(Field {
            defaulted_on_create: true,
            ..field("colorId", "Colour", "", FieldType::Picklist(colours.clone()))
        }),
        settable(Field {
            defaulted_on_create: true,
            ..text("backgroundColor", "Background", "As #0088aa, together with the foreground")
        }),
        settable(Field {
            defaulted_on_create: true,
            ..text("foregroundColor", "Foreground", "As #ffffff, together with the background")
        }),
        settable(list("defaultReminders", "Usual reminders", "", reminder)),
        settable(object(
            "notificationSettings",
            "Notifications",
            "",
            vec![list("notifications", "Notifications", "", notification)],
        )),
        kept(conference_properties()),
        kept(field("autoAcceptInvitations", "Accepts invitations by itself", "", FieldType::Boolean)),
        kept(text_as("dataOwner", "Owner", "", TextForm::Email)),
        kept(flag("deleted", "Taken off the list", "", false)),
        etag(),
        kind("calendar#calendarListEntry"),
    ]
}

fn of_calendar() -> Field {
    Field { nullable: false, ..kept(reference(CALENDAR, "Calendar", "", "calendar", "id")) }
}

/// Fields of a rule of access.
pub(super) fn acl_rule() -> Vec<Field> {
    let kinds =
        [("default", "Everybody"), ("user", "One user"), ("group", "A group"), ("domain", "A domain")];
    let scope = object(
        "scope",
        "For whom",
        "",
        vec![
            Field { required_on_create: true, ..choice("type", "Kind", "", &kinds) },
            text("value", "Who", "E-mail address or domain; nothing for everybody"),
        ],
    );
    vec![
        of_calendar(),
        id("Follows from the scope"),
        Field { nullable: false, required_on_create: true, ..settable(choice("role", "Role", "", &ROLES)) },
        Field { nullable: false, required_on_create: true, updatable: false, ..settable(scope) },
        etag(),
        kind("calendar#aclRule"),
    ]
}

/// Fields of an event that is made from a line of text.
pub(super) fn quick_event() -> Vec<Field> {
    let line = field("text", "Text", "Title with day and time, in words", FieldType::text(QUICK_MAX));
    let examples = vec![json!("Lunch with Ann tomorrow 12:30")];
    vec![
        of_calendar(),
        id("That of the event"),
        Field { nullable: false, required_on_create: true, createable: true, examples, ..line },
    ]
}

/// Fields of a setting of the user.
pub(super) fn setting() -> Vec<Field> {
    vec![id("Name of the setting"), kept(text("value", "Value", "")), etag(), kind("calendar#setting")]
}

/// Fields of a colour.
pub(super) fn colour() -> Vec<Field> {
    let groups = [("calendar", "Of calendars"), ("event", "Of events")];
    vec![
        Field { nullable: false, ..kept(choice("group", "For", "", &groups)) },
        id("What `colorId` holds"),
        kept(text("background", "Background", "")),
        kept(text("foreground", "Foreground", "")),
    ]
}

/// Fields of a stretch in which somebody is busy.
pub(super) fn busy() -> Vec<Field> {
    let moment = |name: &str, label: &str| Field {
        nullable: false,
        filterable: true,
        ..kept(field(name, label, "", FieldType::Instant))
    };
    let calendar = Field {
        filterable: true,
        help: Some("A calendar, or the address of a person or room whose busy times may be seen".to_owned()),
        ..of_calendar()
    };
    vec![calendar, moment("start", "From"), moment("end", "To")]
}
