//! Calendars, the list of them, who may see them, settings and colours.

use http::Method;
use serde_json::{Value, json};

use super::{account, body, ids};

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
