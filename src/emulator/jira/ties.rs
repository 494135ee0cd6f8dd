//! What hangs on issues besides fields: links to others, properties, watchers and votes.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::model::LINK_TYPES;
use super::store::{Link, Store};
use super::{read, render, write};
use crate::emulator::service::Reply;

/// The longest value of a property.
const LONGEST: usize = 32_768;

pub(super) fn add_link(store: &mut Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    call.only(&[Method::POST])?;
    let body = call.json()?;
    let named = |value: &Value| value["key"].as_str().or(value["id"].as_str()).unwrap_or_default().to_owned();
    let kind = &body["type"];
    let same = |own: &&(&str, &str, &str, &str)| {
        kind["id"].as_str() == Some(own.0)
            || kind["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(own.1))
    };
    let kind = LINK_TYPES.iter().find(same).ok_or_else(|| {
        let name = kind["name"].as_str().unwrap_or_default();
        Refusal::not_found(format!("No issue link type with name '{name}' found."))
    })?;
    let inward = read::find(store, call, &named(&body["inwardIssue"]))?.id;
    let outward = read::find(store, call, &named(&body["outwardIssue"]))?.id;
    if inward == outward {
        return Err(Refusal::bad("You cannot link an issue to itself."));
    }
    let known =
        store.links.values().any(|own| own.kind == kind.0 && own.inward == inward && own.outward == outward);
    if !known {
        let id = store.claim_part();
        store.links.insert(id, Link { kind: kind.0, inward, outward });
    }
    Ok(Reply::new(StatusCode::CREATED, "application/json;charset=UTF-8", "").committed())
}

pub(super) fn link(store: &mut Store, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::DELETE])?;
    let number = id.parse::<u64>().ok().filter(|_| call.account.is_some());
    let found = number.and_then(|number| store.links.get(&number).cloned().map(|own| (number, own)));
    let (number, own) =
        found.ok_or_else(|| Refusal::not_found(format!("No issue link with id '{id}' exists.")))?;
    if *call.method() == Method::DELETE {
        store.links.remove(&number);
        return Ok(write::no_content());
    }
    let issue = |id: u64| store.get(id).map_or(Value::Null, |own| render::brief(store, call, &own));
    let kind = LINK_TYPES.iter().find(|kind| kind.0 == own.kind);
    let body = json!({
        "id": id,
        "self": call.link(&format!("issueLink/{id}")),
        "type": kind.map_or(Value::Null, |kind| render::link_type(call, kind)),
        "inwardIssue": issue(own.inward),
        "outwardIssue": issue(own.outward),
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

/// The names of an issue's properties.
pub(super) fn properties(store: &Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::GET])?;
    let issue = read::find(store, call, key)?;
    let keys = issue.properties.keys().map(|own| {
        let address = call.link(&format!("issue/{}/properties/{own}", issue.id));
        json!({ "self": address, "key": own })
    });
    Ok(Reply::json(StatusCode::OK, &json!({ "keys": keys.collect::<Vec<_>>() })))
}

pub(super) fn property(store: &mut Store, call: &Call<'_>, key: &str, name: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::PUT, Method::DELETE])?;
    let issue = read::find(store, call, key)?;
    let missing = || Refusal::not_found(format!("The property with key '{name}' does not exist."));
    if *call.method() == Method::GET {
        let value = issue.properties.get(name).ok_or_else(missing)?;
        return Ok(Reply::json(StatusCode::OK, &json!({ "key": name, "value": value })));
    }
    let mut issue = (*issue).clone();
    if *call.method() == Method::DELETE {
        issue.properties.shift_remove(name).ok_or_else(missing)?;
        store.keep(issue);
        return Ok(write::no_content());
    }
    if name.len() > 255 || call.request.body.len() > LONGEST {
        return Err(Refusal::bad(format!("The property value must have at most {LONGEST} characters.")));
    }
    let value = call.json()?;
    let status = match issue.properties.insert(name.to_owned(), value) {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    store.keep(issue);
    Ok(Reply::new(status, "application/json;charset=UTF-8", "").committed())
}

/// Watchers, or votes when `votes`.
pub(super) fn watchers(store: &mut Store, call: &Call<'_>, key: &str, votes: bool) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::POST, Method::DELETE])?;
    let issue = read::find(store, call, key)?;
    let me = call.account.clone().unwrap_or_default();
    if *call.method() == Method::GET {
        let list = if votes { &issue.voters } else { &issue.watchers };
        let people: Vec<Value> = list
            .iter()
            .filter_map(|own| store.model.person(own))
            .map(|own| render::person(call, own))
            .collect();
        let what = if votes { "votes" } else { "watchers" };
        let mut body = json!({ "self": call.link(&format!("issue/{}/{what}", issue.id)) });
        let (flag, count, rows) =
            if votes { ("hasVoted", "votes", "voters") } else { ("isWatching", "watchCount", "watchers") };
        body[flag] = json!(list.contains(&me));
        body[count] = json!(list.len());
        body[rows] = Value::Array(people);
        return Ok(Reply::json(StatusCode::OK, &body));
    }
    let adding = *call.method() == Method::POST;
    let account = match call.option("accountId") {
        Some(account) => account.to_owned(),
        None if adding && !votes && !call.request.body.is_empty() => {
            call.json()?.as_str().unwrap_or_default().to_owned()
        }
        None => me,
    };
    if store.model.person(&account).is_none() {
        return Err(Refusal::not_found(
            "Specified user does not exist or you do not have required permissions",
        ));
    }
    let mut issue = (*issue).clone();
    let list = if votes { &mut issue.voters } else { &mut issue.watchers };
    list.retain(|own| *own != account);
    if adding {
        list.push(account);
    }
    store.keep(issue);
    Ok(write::no_content())
}
