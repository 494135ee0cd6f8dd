//! The options of writes.

use serde_json::{Value as Json, json};

use super::kinds::Home;
use crate::record::capability::no_options;

/// Who is told of a change by e-mail.
pub(super) const SEND_UPDATES: &str = "sendUpdates";
/// The calendar that events are moved to.
pub(super) const DESTINATION: &str = "destination";
/// Whether an occurrence stands for itself and all that follow.
pub(super) const FOLLOWING: &str = "thisAndFollowing";
/// Whether occurrences that were changed by themselves are let go where they have no place any more.
pub(super) const DROP_EXCEPTIONS: &str = "dropExceptions";
/// Whether people are told that they have been given access.
pub(super) const SEND_NOTIFICATIONS: &str = "sendNotifications";

fn send_updates() -> Json {
    json!({
        "type": ["string", "null"],
        "title": "Send updates",
        "description": "Who gets an e-mail: all guests, only those who do not use Google Calendar, or nobody",
        "oneOf": [
            { "const": null, "title": "(none)" },
            { "const": "none", "title": "Nobody" },
            { "const": "externalOnly", "title": "Guests outside Google Calendar" },
            { "const": "all", "title": "All guests" },
        ],
    })
}

fn flag(title: &str, description: &str) -> Json {
    json!({ "type": "boolean", "title": title, "description": description, "default": false })
}

fn notifications() -> Json {
    flag("Send notifications", "Whether people are told by e-mail that they have access")
}

/// Options of creating.
pub(super) fn create(home: Home) -> Json {
    let mut schema = no_options();
    match home {
        Home::Events | Home::Texts => schema["properties"][SEND_UPDATES] = send_updates(),
        Home::Rules => schema["properties"][SEND_NOTIFICATIONS] = notifications(),
        _ => {}
    }
    schema
}

/// Options of changing.
pub(super) fn update(home: Home) -> Json {
    let mut schema = create(home);
    if home.is_of_events() {
        schema["properties"][SEND_UPDATES] = send_updates();
        schema["properties"][FOLLOWING] = flag(
            "This and following",
            "Whether the change of an occurrence is one of all that follow, too: the series ends before it, and a new one \
             begins with it",
        );
        schema["properties"][DROP_EXCEPTIONS] = flag(
            "Drop exceptions",
            "With this and following: whether occurrences that were changed or taken away by themselves become as the new \
             series has them, where it has other times and they cannot be kept",
        );
    }
    if home == Home::Events {
        schema["properties"][DESTINATION] = json!({
            "type": "string",
            "title": "Destination",
            "description": "Id of the calendar that the events are moved to before they are changed",
        });
    }
    schema
}

/// Options of upserts: an import tells nobody.
pub(super) fn upsert() -> Json {
    let mut schema = no_options();
    schema["properties"][SEND_UPDATES] = send_updates();
    schema
}

/// Options of deleting.
pub(super) fn delete(home: Home) -> Json {
    let mut schema = no_options();
    if home.is_of_events() {
        schema["properties"][SEND_UPDATES] = send_updates();
        schema["properties"][FOLLOWING] = flag(
            "This and following",
            "Whether the occurrences that follow are deleted as well: the series ends before this one",
        );
    }
    schema
}
