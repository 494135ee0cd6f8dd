//! The fields of events.
//!
//! Source: `schemas.Event` and the parts that it refers to, discovery document of the Google Calendar API.

use serde_json::json;

use super::fields::{
    CALENDAR, choice, choices, etag, field, flag, id, kept, kind, list, object, reference, settable, text,
    text_as, usually,
};
use crate::record::record_type::{Picklist, TextForm};
use crate::record::{Field, FieldType};

/// The object that extended properties lie in.
pub(super) const EXTENDED: &str = "extendedProperties";
/// The lists of extended properties, each with its group on the wire.
pub(super) const PAIRS: [(&str, &str); 2] =
    [("privateExtendedProperties", "private"), ("sharedExtendedProperties", "shared")];
/// Longest key and value of an extended property; the service drops or cuts what is longer without a word.
pub(super) const KEY_MAX: u64 = 44;
pub(super) const VALUE_MAX: u64 = 1_024;
/// Most reminders and attachments of an event.
pub(super) const REMINDERS_MAX: usize = 5;
pub(super) const ATTACHMENTS_MAX: usize = 25;
/// Types of events, each with what it is.
pub(super) const EVENT_TYPES: [(&str, &str); 6] = [
    ("default", "Regular event"),
    ("birthday", "Birthday"),
    ("focusTime", "Focus time"),
    ("outOfOffice", "Out of office"),
    ("workingLocation", "Working location"),
    ("fromGmail", "Event from Gmail"),
];
/// The fields that are objects of their own for one type of event.
const DECLINE: [(&str, &str); 3] = [
    ("declineNone", "Decline nothing"),
    ("declineAllConflictingInvitations", "Decline all invitations that overlap"),
    ("declineOnlyNewConflictingInvitations", "Decline new invitations that overlap"),
];
const RESPONSES: [(&str, &str); 4] = [
    ("needsAction", "No answer yet"),
    ("declined", "Declined"),
    ("tentative", "Accepted tentatively"),
    ("accepted", "Accepted"),
];

/// What the fields of events depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventKind<'a> {
    /// Whether records are single occurrences of series.
    pub(super) occurrences: bool,
    /// Whether the type is that of one calendar.
    pub(super) scoped: bool,
    pub(super) colours: &'a Picklist,
}

/// The fields of events.
pub(super) fn fields(about: EventKind<'_>) -> Vec<Field> {
    let mut out = vec![calendar(about.scoped), own_id(about.occurrences)];
    out.extend(what_and_when(about));
    out.extend(people());
    out.extend(rest(about));
    out.extend(kept_by_service(about.occurrences));
    out
}

fn calendar(scoped: bool) -> Field {
    let help = "The calendar that the event is in; a new event goes into the primary one when none is named";
    let field = Field {
        nullable: false,
        filterable: true,
        ..reference(CALENDAR, "Calendar", if scoped { "" } else { help }, "calendar", "id")
    };
    if scoped { kept(field) } else { Field { createable: true, defaulted_on_create: true, ..field } }
}

fn own_id(occurrences: bool) -> Field {
    let help = "May be chosen for a new event: 5 to 1024 of the characters a to v and 0 to 9; recordport chooses one \
                otherwise";
    if occurrences {
        return id("Names the series and the original start");
    }
    Field { createable: true, defaulted_on_create: true, ..id(help) }
}

/// A start or an end.
fn moment(name: &str, label: &str, help: &str) -> Field {
    object(
        name,
        label,
        help,
        vec![
            field("date", "Date", "The day, for an event of whole days", FieldType::Date),
            field(
                "dateTime",
                "Date and time",
                "The instant with its offset, for an event at a time of day",
                FieldType::Instant,
            ),
            Field {
                examples: vec![json!("Europe/Berlin")],
                ..text(
                    "timeZone",
                    "Time zone",
                    "Name from the IANA database; a series needs it, to keep its wall time when clocks change",
                )
            },
        ],
    )
}

fn what_and_when(about: EventKind<'_>) -> Vec<Field> {
    let start = moment("start", "Start", "Either `date` or `dateTime`, as in the end");
    let end =
        moment("end", "End", "The first moment behind the event; for whole days the day after the last");
    let required = |field: Field| Field { nullable: false, required_on_create: true, ..settable(field) };
    let status = settable(usually(
        choice(
            "status",
            "Status",
            "Events are cancelled by deleting them",
            &[("confirmed", "Confirmed"), ("tentative", "Tentative"), ("cancelled", "Cancelled")],
        ),
        json!("confirmed"),
    ));
    let mut out = vec![
        settable(text("summary", "Title", "")),
        required(start),
        required(end),
        settable(text("location", "Location", "")),
        settable(text_as("description", "Description", "May hold HTML", TextForm::Multiline)),
        without(status, "cancelled"),
        Field { filterable: true, ..event_type() },
    ];
    if !about.occurrences {
        let help = "Lines of RFC 5545: RRULE, EXRULE, RDATE, EXDATE, without DTSTART and DTEND";
        let line = Field { examples: vec![json!("RRULE:FREQ=WEEKLY;BYDAY=TH")], ..text("line", "Line", "") };
        out.push(settable(list("recurrence", "Recurrence", help, line)));
    }
    out
}

/// A choice of which one value is read and never set.
fn without(mut field: Field, value: &str) -> Field {
    if let FieldType::Picklist(picklist) = &mut field.field_type {
        for own in picklist.values.iter_mut().filter(|own| own.value == value) {
            own.active = false;
        }
    }
    field
}

fn event_type() -> Field {
    let field = usually(
        choice("eventType", "Event type", "Cannot be changed once the event is there", &EVENT_TYPES),
        json!("default"),
    );
    without(Field { createable: true, ..field }, "fromGmail")
}

fn people() -> Vec<Field> {
    let attendee = object(
        "attendee",
        "Attendee",
        "",
        vec![
            Field { required_on_create: true, ..text_as("email", "E-mail", "", TextForm::Email) },
            text("displayName", "Name", ""),
            choice("responseStatus", "Answer", "", &RESPONSES),
            text("comment", "Comment", ""),
            field("optional", "Optional", "", FieldType::Boolean),
            field("resource", "Is a room or thing", "Can be set when it is added", FieldType::Boolean),
            field(
                "additionalGuests",
                "Further guests",
                "",
                FieldType::Integer { minimum: Some(0), maximum: Some(i64::from(i32::MAX)) },
            ),
            text("id", "Profile id", ""),
            kept(field("organizer", "Is the organizer", "", FieldType::Boolean)),
            kept(field("self", "Is this calendar", "", FieldType::Boolean)),
            kept(text("asyncOperation", "Under way", "")),
        ],
    );
    let person = |name: &str, label: &str, help: &str| {
        kept(object(
            name,
            label,
            help,
            vec![
                text_as("email", "E-mail", "", TextForm::Email),
                text("displayName", "Name", ""),
                text("id", "Profile id", ""),
                field("self", "Is this calendar", "", FieldType::Boolean),
            ],
        ))
    };
    vec![
        settable(list(
            "attendees",
            "Attendees",
            "Inviting sends nothing unless the option sendUpdates says so",
            attendee,
        )),
        settable(flag("attendeesOmitted", "Attendees left out", "", false)),
        settable(flag("guestsCanInviteOthers", "Guests can invite others", "", true)),
        settable(flag("guestsCanModify", "Guests can modify", "", false)),
        settable(flag("guestsCanSeeOtherGuests", "Guests see one another", "", true)),
        settable(flag("anyoneCanAddSelf", "Anyone can join", "Deprecated by Google", false)),
        person("organizer", "Organizer", "Changes when the event is moved to another calendar"),
        person("creator", "Creator", ""),
    ]
}

fn reminders() -> Field {
    let reminder = object(
        "reminder",
        "Reminder",
        "",
        vec![
            Field {
                required_on_create: true,
                ..choice("method", "Method", "", &[("email", "E-mail"), ("popup", "Pop-up")])
            },
            Field {
                required_on_create: true,
                ..field(
                    "minutes",
                    "Minutes before",
                    "",
                    FieldType::Integer { minimum: Some(0), maximum: Some(40_320) },
                )
            },
        ],
    );
    let parts = vec![
        field("useDefault", "As usual in the calendar", "", FieldType::Boolean),
        list("overrides", "Own reminders", "At most five, and not beside the usual ones", reminder),
    ];
    let field = settable(object("reminders", "Reminders", "Those of the connected user", parts));
    Field { defaulted_on_create: true, ..field }
}

fn conference() -> Field {
    let solution_key = || {
        let help = "`hangoutsMeet` for Google Meet";
        object("key", "Key", "", vec![text("type", "Kind", help)])
    };
    let request = object(
        "createRequest",
        "Request",
        "Asks for a new conference; set requestId to a text of your own and the kind to hangoutsMeet",
        vec![
            text("requestId", "Id of the request", ""),
            Field { name: "conferenceSolutionKey".to_owned(), ..solution_key() },
            kept(object(
                "status",
                "Status",
                "",
                vec![choice(
                    "statusCode",
                    "Status",
                    "",
                    &[("pending", "Under way"), ("success", "Done"), ("failure", "Failed")],
                )],
            )),
        ],
    );
    let entry = object(
        "entryPoint",
        "Way in",
        "",
        vec![
            choice(
                "entryPointType",
                "Kind",
                "",
                &[("video", "Video"), ("phone", "Telephone"), ("sip", "SIP"), ("more", "Further ways")],
            ),
            text_as("uri", "Address", "", TextForm::Url),
            text("label", "Label", ""),
            text("pin", "PIN", ""),
            text("accessCode", "Access code", ""),
            text("meetingCode", "Meeting code", ""),
            text("passcode", "Passcode", ""),
            text("password", "Password", ""),
            text("regionCode", "Region", ""),
            list("entryPointFeatures", "Features", "", text("feature", "Feature", "")),
        ],
    );
    let solution = object(
        "conferenceSolution",
        "Solution",
        "",
        vec![solution_key(), text("name", "Name", ""), text_as("iconUri", "Icon", "", TextForm::Url)],
    );
    settable(object(
        "conferenceData",
        "Conference",
        "",
        vec![
            text("conferenceId", "Id", ""),
            solution,
            request,
            list("entryPoints", "Ways in", "", entry),
            text_as("notes", "Notes", "", TextForm::Multiline),
            field("parameters", "Parameters", "", FieldType::Json),
            text("signature", "Signature", ""),
        ],
    ))
}

fn pairs(name: &str, label: &str, help: &str) -> Field {
    let limited = |name: &str, label: &str, longest: u64| Field {
        required_on_create: true,
        ..field(name, label, "", FieldType::text(longest))
    };
    let pair = object(
        "property",
        "Property",
        "",
        vec![limited("key", "Key", KEY_MAX), limited("value", "Value", VALUE_MAX)],
    );
    settable(list(name, label, help, pair))
}

fn rest(about: EventKind<'_>) -> Vec<Field> {
    let attachment = object(
        "attachment",
        "Attachment",
        "",
        vec![
            Field { required_on_create: true, ..text_as("fileUrl", "Address", "", TextForm::Url) },
            text("title", "Title", ""),
            text("mimeType", "Media type", ""),
            text_as("iconLink", "Icon", "", TextForm::Url),
            kept(text("fileId", "Id of the file", "")),
        ],
    );
    let source = object(
        "source",
        "Source",
        "Where the event comes from; its creator alone sees it",
        vec![text_as("url", "Address", "", TextForm::Url), text("title", "Title", "")],
    );
    let visibility = [
        ("default", "As usual in the calendar"),
        ("public", "Public"),
        ("private", "Private"),
        ("confidential", "Private (confidential)"),
    ];
    let transparency = [("opaque", "Busy"), ("transparent", "Available")];
    let mut out = vec![
        reminders(),
        conference(),
        settable(list("attachments", "Attachments", "At most 25", attachment)),
        pairs(
            PAIRS[0].0,
            "Private properties",
            "Seen on this calendar's copy of the event alone; --where extendedProperties.private.KEY finds by one",
        ),
        pairs(
            PAIRS[1].0,
            "Shared properties",
            "Seen by all who take part; --where extendedProperties.shared.KEY finds by one",
        ),
        settable(usually(choice("visibility", "Visibility", "", &visibility), json!("default"))),
        settable(usually(choice("transparency", "Blocks time", "", &transparency), json!("opaque"))),
        settable(field("colorId", "Colour", "", FieldType::Picklist(about.colours.clone()))),
        settable(text(
            "eventLabelId",
            "Label",
            "Id of a label of the calendar; it takes the place of the colour",
        )),
        settable(source),
    ];
    out.extend(of_event_types());
    let copy =
        flag("privateCopy", "Private copy", "Changes reach nobody else; cannot be changed later", false);
    out.push(Field { createable: !about.occurrences, ..copy });
    out
}

/// What only one type of event has.
fn of_event_types() -> Vec<Field> {
    let decline = || choice("autoDeclineMode", "Decline automatically", "", &DECLINE);
    let message = || text("declineMessage", "Message", "");
    let chat = [("available", "Available"), ("doNotDisturb", "Do not disturb")];
    let birthday = [
        ("birthday", "Birthday"),
        ("anniversary", "Anniversary"),
        ("self", "One's own birthday"),
        ("other", "Other"),
        ("custom", "Custom"),
    ];
    let location =
        [("homeOffice", "At home"), ("officeLocation", "In an office"), ("customLocation", "Elsewhere")];
    let office = ["buildingId", "deskId", "floorId", "floorSectionId", "label"];
    vec![
        settable(object(
            "focusTimeProperties",
            "Focus time",
            "",
            vec![decline(), message(), choice("chatStatus", "Status in chat", "", &chat)],
        )),
        settable(object("outOfOfficeProperties", "Out of office", "", vec![decline(), message()])),
        settable(object(
            "workingLocationProperties",
            "Working location",
            "",
            vec![
                choice("type", "Where", "", &location),
                field("homeOffice", "At home", "", FieldType::Json),
                object(
                    "officeLocation",
                    "Office",
                    "",
                    office.iter().map(|name| text(name, name, "")).collect(),
                ),
                object("customLocation", "Elsewhere", "", vec![text("label", "Label", "")]),
            ],
        )),
        Field {
            updatable: false,
            ..settable(object(
                "birthdayProperties",
                "Birthday",
                "",
                vec![
                    choice("type", "Kind", "", &birthday),
                    kept(text("contact", "Contact", "")),
                    kept(text("customTypeName", "Name of the kind", "")),
                ],
            ))
        },
    ]
}

fn kept_by_service(occurrences: bool) -> Vec<Field> {
    let ical =
        text("iCalUID", "iCalendar id", "The same for all occurrences of a series, and in every system");
    let sequence = field(
        "sequence",
        "Sequence",
        "Sequence number of iCalendar",
        FieldType::Integer { minimum: Some(0), maximum: Some(i64::from(i32::MAX)) },
    );
    vec![
        Field { createable: !occurrences, filterable: true, auto_number: true, ..kept(ical) },
        Field { defaulted_on_create: true, ..settable(kept(sequence)) },
        Field {
            filterable: occurrences,
            ..kept(text_as(
                "recurringEventId",
                "Series",
                "The event that this is an occurrence of",
                TextForm::Id,
            ))
        },
        kept(moment("originalStartTime", "Original start", "Where the series has this occurrence")),
        kept(flag("endTimeUnspecified", "Has no end", "", false)),
        kept(flag("locked", "Locked", "", false)),
        kept(field("gadget", "Gadget", "Deprecated by Google", FieldType::Json)),
        kept(text_as("hangoutLink", "Address of the conference", "", TextForm::Url)),
        kept(text_as("htmlLink", "Address", "The event in Google Calendar", TextForm::Url)),
        kept(field("created", "Created", "", FieldType::Instant)),
        Field {
            nullable: false,
            filterable: true,
            sortable: true,
            ..kept(field("updated", "Updated", "A change of reminders does not count", FieldType::Instant))
        },
        etag(),
        kind("calendar#event"),
    ]
}

/// Kinds of conferences that a calendar allows.
pub(super) fn conference_properties() -> Field {
    let kinds = [
        ("hangoutsMeet", "Google Meet"),
        ("eventHangout", "Hangout (deprecated)"),
        ("eventNamedHangout", "Named Hangout (deprecated)"),
    ];
    object(
        "conferenceProperties",
        "Conferences",
        "",
        vec![choices("allowedConferenceSolutionTypes", "Allowed kinds", "", &kinds)],
    )
}
