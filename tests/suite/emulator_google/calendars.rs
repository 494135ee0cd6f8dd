//! Calendars, the list of them, who may see them, settings and colours.

use http::Method;
use serde_json::{Value, json};

use super::{Account, account, body, ids};

#[test]
fn the_list_shows_every_calendar_with_the_users_own_first() {
    let account = account();
    let page = account.get("users/me/calendarList");
    assert_eq!(ids(&page).len(), 6);
    assert_eq!(page["items"][0]["primary"], true);
    assert!(page["nextSyncToken"].is_string());
    assert_eq!(account.get("calendars/primary")["id"], page["items"][0]["id"]);
    let holidays = ids(&page)[5].replace('#', "%23");
    assert_eq!(account.get(&format!("users/me/calendarList/{holidays}"))["accessRole"], "reader");
    let (rows, _) = account.all("users/me/calendarList?maxResults=2");
    assert_eq!(rows.len(), 6);
    let owned = account.get("users/me/calendarList?minAccessRole=owner");
    assert_eq!(ids(&owned).len(), 5);
}

#[test]
fn a_calendar_is_made_changed_and_deleted() {
    let account = account();
    let token = account.get("users/me/calendarList")["nextSyncToken"].as_str().expect("a token").to_owned();
    let made =
        account.write(Method::POST, "calendars", &json!({ "summary": "Guild", "timeZone": "Asia/Tokyo" }));
    let id = made["id"].as_str().expect("an id").to_owned();
    assert!(id.ends_with("@group.calendar.google.com"));
    let changed =
        account.write(Method::PATCH, &format!("calendars/{id}"), &json!({ "description": "All of us" }));
    assert_eq!((&changed["summary"], &changed["description"]), (&json!("Guild"), &json!("All of us")));
    let entry = account.write(
        Method::PATCH,
        &format!("users/me/calendarList/{id}"),
        &json!({ "summaryOverride": "Ours" }),
    );
    assert_eq!(entry["summaryOverride"], "Ours");
    let gone = account.api(Method::DELETE, &format!("calendars/{id}"), &Value::Null);
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(account.refused(Method::GET, &format!("calendars/{id}"), &Value::Null).1, "notFound");
    let changes = account.get(&format!("users/me/calendarList?syncToken={token}"));
    assert_eq!(changes["items"][0]["deleted"], true);
    assert_eq!(changes["items"][0]["id"], id.as_str());
    assert_eq!(account.refused(Method::DELETE, "calendars/primary", &Value::Null).0, 403);
    assert_eq!(account.refused(Method::POST, "calendars", &json!({})).1, "required");
}

/// What a list tells that changed since a token, as ids; and the token behind it.
fn changed(account: &Account, list: &str, token: &str) -> (Vec<Value>, String) {
    let (rows, last) = account.all(&format!("{list}?maxResults=1&syncToken={token}"));
    (rows, last["nextSyncToken"].as_str().expect("a token").to_owned())
}

fn token(account: &Account, list: &str) -> String {
    account.get(list)["nextSyncToken"].as_str().expect("a token").to_owned()
}

#[test]
fn a_sync_token_of_the_list_tells_entries_and_not_what_they_only_show() {
    let account = account();
    let list = "users/me/calendarList";
    let since = token(&account, list);
    let ids_of = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    let (listed, _) = account.all(list);
    let own = |at: usize| listed[at]["id"].as_str().expect("an id");
    account.write(Method::PATCH, &format!("calendars/{}", own(0)), &json!({ "description": "Mine" }));
    let (rows, since) = changed(&account, list, &since);
    assert!(rows.is_empty(), "{rows:?}");
    for at in [2, 1, 2] {
        let entry = format!("{list}/{}", own(at));
        account.write(Method::PATCH, &entry, &json!({ "hidden": true, "colorId": at.to_string() }));
    }
    let (rows, since) = changed(&account, list, &since);
    assert_eq!(ids_of(&rows), [own(1), own(2)], "each once, also when it is hidden");
    assert_eq!(account.api(Method::DELETE, &format!("{list}/{}", own(1)), &Value::Null).status.as_u16(), 204);
    let (rows, since) = changed(&account, list, &since);
    assert_eq!((ids_of(&rows), &rows[0]["deleted"]), (vec![json!(own(1))], &json!(true)));
    let (all, _) = account.all(&format!("{list}?showDeleted=true&showHidden=true"));
    assert_eq!(all.len(), listed.len());
    for more in
        ["minAccessRole=owner", "showOwnOrganizationOnly=true", "showHidden=false", "showDeleted=false"]
    {
        let refused = account.refused(Method::GET, &format!("{list}?syncToken={since}&{more}"), &Value::Null);
        assert_eq!(refused.0, 400, "{more}");
    }
    assert!(account.get(&format!("{list}?minAccessRole=owner")).get("nextSyncToken").is_none());
    account.send(Method::POST, "/_emulator/google-calendar/expire-sync-tokens", &[], "");
    let refused = account.refused(Method::GET, &format!("{list}?syncToken={since}"), &Value::Null);
    assert_eq!((refused.0, refused.1.as_str()), (410, "fullSyncRequired"));
}

#[test]
fn what_changes_between_two_pages_comes_with_the_next_token() {
    let account = account();
    let list = "users/me/calendarList";
    let first = account.get(&format!("{list}?maxResults=4"));
    let id = first["items"][1]["id"].clone();
    let entry = format!("{list}/{}", id.as_str().expect("an id"));
    account.write(Method::PATCH, &entry, &json!({ "selected": true }));
    let page = first["nextPageToken"].as_str().expect("a second page");
    let last = account.get(&format!("{list}?maxResults=4&pageToken={page}"));
    let (rows, _) = changed(&account, list, last["nextSyncToken"].as_str().expect("a token"));
    assert_eq!(rows[0]["id"], id);
    // A token of one list is none of another.
    let refused =
        account.refused(Method::GET, &format!("calendars/primary/acl?pageToken={page}"), &Value::Null);
    assert_eq!(refused.2, "Invalid page token value.");
}

#[test]
fn sync_tokens_tell_rules_and_settings_that_changed() {
    let account = account();
    let acl = "calendars/primary/acl";
    let since = token(&account, acl);
    for name in ["grace", "joan"] {
        let scope = json!({ "type": "user", "value": format!("{name}@emulated.example") });
        account.write(Method::POST, acl, &json!({ "role": "reader", "scope": scope }));
    }
    let address = format!("{acl}/user%3Agrace%40emulated.example");
    account.write(Method::PATCH, &address, &json!({ "role": "writer" }));
    let roles = |rows: &[Value]| rows.iter().map(|row| row["role"].clone()).collect::<Vec<_>>();
    let (rows, since) = changed(&account, acl, &since);
    assert_eq!(roles(&rows), ["reader", "writer"]);
    assert_eq!(account.api(Method::DELETE, &address, &Value::Null).status.as_u16(), 204);
    let (rows, since) = changed(&account, acl, &since);
    assert_eq!((roles(&rows), &rows[0]["id"]), (vec![json!("none")], &json!("user:grace@emulated.example")));
    assert_eq!(rows[0]["scope"], json!({ "type": "user", "value": "grace@emulated.example" }));
    let (all, _) = account.all(&format!("{acl}?showDeleted=true"));
    assert_eq!(all.len(), account.all(acl).0.len() + 1);
    assert!(changed(&account, acl, &since).0.is_empty());
    let settings = "users/me/settings";
    assert!(changed(&account, settings, &token(&account, settings)).0.is_empty());
    let refused = account.refused(Method::GET, &format!("{settings}?syncToken={since}"), &Value::Null);
    assert_eq!((refused.0, refused.1.as_str()), (410, "fullSyncRequired"));
}

#[test]
fn a_calendar_of_others_is_not_written_to() {
    let account = account();
    let holidays = "de.german%23holiday@group.v.calendar.google.com";
    let event = json!({ "start": { "date": "2026-04-01" }, "end": { "date": "2026-04-02" } });
    assert_eq!(account.refused(Method::POST, &format!("calendars/{holidays}/events"), &event).0, 403);
}

#[test]
fn rules_of_access_are_kept_by_their_scope() {
    let account = account();
    let rule = json!({ "role": "reader", "scope": { "type": "user", "value": "grace@emulated.example" } });
    let made = account.write(Method::POST, "calendars/primary/acl", &rule);
    assert_eq!(made["id"], "user:grace@emulated.example");
    let address = "calendars/primary/acl/user%3Agrace%40emulated.example";
    assert_eq!(account.write(Method::PATCH, address, &json!({ "role": "writer" }))["role"], "writer");
    assert_eq!(ids(&account.get("calendars/primary/acl")).len(), 2);
    assert_eq!(account.api(Method::DELETE, address, &Value::Null).status.as_u16(), 204);
    assert_eq!(account.refused(Method::GET, address, &Value::Null).1, "notFound");
}

#[test]
fn settings_and_colours_are_read() {
    let account = account();
    assert_eq!(account.get("users/me/settings/timezone")["value"], "Europe/Berlin");
    assert!(ids(&account.get("users/me/settings")).contains(&"weekStart".to_owned()));
    let colours = account.get("colors");
    assert_eq!(colours["calendar"].as_object().expect("colours").len(), 24);
    assert_eq!(colours["event"].as_object().expect("colours").len(), 11);
}

#[test]
fn unknown_addresses_are_not_found() {
    let account = account();
    let reply = account.api(Method::GET, "nonsense", &Value::Null);
    assert_eq!(
        (reply.status.as_u16(), &body(&reply)["error"]["errors"][0]["reason"]),
        (404, &json!("notFound"))
    );
}

#[test]
fn a_calendar_is_given_to_somebody_of_the_same_organisation() {
    let account = account();
    let made = account.write(Method::POST, "calendars", &json!({ "summary": "Guild" }));
    let place = format!("calendars/{}", made["id"].as_str().expect("an id"));
    let user = account.get("calendars/primary")["id"].as_str().expect("an address").to_owned();
    assert_eq!(made["dataOwner"], user.as_str());
    let (_, domain) = user.split_once('@').expect("an address");
    let ask = |place: &str, query: &str| {
        let reply = account.api(Method::POST, &format!("{place}/transferOwnership?{query}"), &Value::Null);
        reply.status.as_u16()
    };
    assert_eq!(ask(&place, &format!("newDataOwner=next@{domain}")), 400);
    assert_eq!(ask(&place, "useAdminAccess=true"), 400);
    assert_eq!(ask(&place, "useAdminAccess=true&newDataOwner=a@elsewhere.example"), 400);
    assert_eq!(ask("calendars/primary", &format!("useAdminAccess=true&newDataOwner=next@{domain}")), 400);
    assert_eq!(ask(&place, &format!("useAdminAccess=true&newDataOwner=next@{domain}")), 204);
    assert_eq!(account.get(&place)["dataOwner"], format!("next@{domain}"));
    let rules = account.get(&format!("{place}/acl"));
    assert!(ids(&rules).contains(&format!("user:next@{domain}")));
}

#[test]
fn working_hours_are_set_whole_and_only_on_the_users_own_calendar() {
    let account = account();
    let hours = json!({
        "workingHoursEnabled": true,
        "availableTimes": [{ "dayOfWeek": "monday", "periodStart": 540, "periodEnd": 1020 }],
    });
    let set = |hours: &Value| {
        account.write(Method::PATCH, "calendars/primary", &json!({ "workingHours": hours }))["workingHours"]
            .clone()
    };
    assert_eq!(set(&hours), hours);
    assert_eq!(set(&json!({})), hours, "an empty object changes nothing");
    assert_eq!(set(&Value::Null), hours);
    assert_eq!(set(&json!({ "workingHoursEnabled": false })), json!({ "workingHoursEnabled": false }));
    let wrong = json!({ "workingHours": { "workingHoursEnabled": true } });
    assert_eq!(account.refused(Method::PATCH, "calendars/primary", &wrong).0, 400);
    let made = account.write(Method::POST, "calendars", &json!({ "summary": "Guild" }));
    let place = format!("calendars/{}", made["id"].as_str().expect("an id"));
    assert_eq!(account.refused(Method::PATCH, &place, &json!({ "workingHours": hours })).0, 400);
}
