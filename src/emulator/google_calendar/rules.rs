//! Who may see a calendar: rules of access.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::calendars::{ROLES, owned, picked, tagged};
use super::call::Call;
use super::errors::Refusal;
use super::event::merge;
use super::short_lists::ShortList;
use super::store::{Calendar, Store};
use crate::emulator::chance::hash_text;
use crate::emulator::service::Reply;

fn rule(id: &str, members: &Map<String, Value>) -> Value {
    let mut out = json!({ "kind": "calendar#aclRule", "etag": format!("\"{:020}\"", hash_text(&format!("{id}{members:?}")) >> 12), "id": id });
    if let Value::Object(own) = &mut out {
        own.extend(members.clone());
    }
    out
}

/// The id that follows from a rule's scope.
fn rule_id(scope: &Value) -> Result<String, Refusal> {
    let kind = scope.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, scope.get("value").and_then(Value::as_str)) {
        ("default", _) => Ok("default".to_owned()),
        ("user" | "group" | "domain", Some(value)) => Ok(format!("{kind}:{value}")),
        _ => Err(Refusal::invalid("Invalid scope.")),
    }
}

fn role(body: &Map<String, Value>) -> Result<(), Refusal> {
    match body.get("role").and_then(Value::as_str) {
        None => Err(Refusal::required("Missing role.")),
        Some(role) if ROLES.contains(&role) => Ok(()),
        Some(_) => Err(Refusal::invalid("Invalid role.")),
    }
}

pub(super) fn rules(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let epoch = store.epoch;
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    owned(calendar)?;
    if call.method() == http::Method::POST {
        let body = call.body()?;
        role(&body)?;
        let scope = body.get("scope").ok_or_else(|| Refusal::required("Missing scope."))?;
        let id = rule_id(scope)?;
        let members = picked(&body, &["role", "scope"]);
        let out = rule(&id, &members);
        calendar.rule_journal.push(id.clone());
        calendar.rules.insert(id, members);
        return Ok(tagged(StatusCode::OK, &out, false));
    }
    let deleted = call.flag("showDeleted")?;
    let all = || {
        let mut all = rules_of(calendar);
        if deleted {
            let gone = calendar.rule_journal.iter().filter(|id| !calendar.rules.contains_key(*id));
            all.extend(gone.collect::<BTreeSet<_>>().into_iter().map(|id| withdrawn(id)));
        }
        all
    };
    let one = |id: &str| calendar.rules.get(id).map_or_else(|| withdrawn(id), |members| rule(id, members));
    let kind = "calendar#acl";
    ShortList { kind, epoch, journal: &calendar.rule_journal, unsynced: &[] }.page(call, all, one)
}

/// A rule that is gone, as lists show it.
fn withdrawn(id: &str) -> Value {
    let mut members = Map::new();
    members.insert("role".to_owned(), json!("none"));
    members.insert(
        "scope".to_owned(),
        match id.split_once(':') {
            Some((kind, value)) => json!({ "type": kind, "value": value }),
            None => json!({ "type": id }),
        },
    );
    rule(id, &members)
}

/// The rules of access to a calendar, in the order of their ids.
pub(super) fn rules_of(calendar: &Calendar) -> Vec<Value> {
    calendar.rules.iter().map(|(id, members)| rule(id, members)).collect()
}

pub(super) fn one_rule(store: &mut Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    owned(calendar)?;
    let present = calendar.rules.get(id).cloned().ok_or_else(Refusal::not_found)?;
    if call.method() != http::Method::GET {
        call.check_tag(rule(id, &present)["etag"].as_str().unwrap_or_default())?;
    }
    match call.method().as_str() {
        "GET" => Ok(tagged(StatusCode::OK, &rule(id, &present), true)),
        "DELETE" => {
            calendar.rules.remove(id);
            calendar.rule_journal.push(id.to_owned());
            Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
        }
        _ => {
            let body = call.body()?;
            let mut wanted = present;
            merge(&mut wanted, &picked(&body, &["role"]));
            role(&wanted)?;
            let out = rule(id, &wanted);
            calendar.rules.insert(id.to_owned(), wanted);
            calendar.rule_journal.push(id.to_owned());
            Ok(tagged(StatusCode::OK, &out, false))
        }
    }
}
