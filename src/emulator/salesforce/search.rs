//! Full-text search: `…/search?q=FIND {…}` and `…/parameterizedSearch`.

use http::StatusCode;

use super::columns::path_columns;
use super::describe::{Field, Kind, Object};
use super::errors::Refusal;
use super::evaluate::like;
use super::locators::Locators;
use super::query::{self, Ask};
use super::render::write_row;
use super::rows::{Place, Store};
use crate::emulator::json::Json;

use super::sosl::{self, Scope, Search, Target, Words};
use super::statement::Piece;
use super::{Call, text_reply};
use crate::emulator::service::Reply;

/// The most rows that a search gives.
const MOST_ROWS: usize = 2_000;

/// `GET …/search?q=`.
pub(super) fn search(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let text = call.parameter("q").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| {
        Refusal::new("MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces.")
    })?;
    run(store, call, &sosl::parse(&text)?)
}

/// `GET …/parameterizedSearch?q=` with further parameters, or POST with the same in a JSON body.
pub(super) fn parameterized(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let search = if call.is_post() { from_body(&call.json()?)? } else { from_parameters(call)? };
    run(store, call, &search)
}

fn no_words() -> Refusal {
    Refusal::new("MALFORMED_SEARCH", "The parameter q has to name what to search for")
}

fn scope_of(name: Option<&str>) -> Result<Scope, Refusal> {
    match name {
        None => Ok(Scope::All),
        Some(name) => Scope::named(name).ok_or_else(|| {
            Refusal::new(
                "MALFORMED_SEARCH",
                format!("{name} is not a scope: use ALL, NAME, EMAIL, PHONE or SIDEBAR"),
            )
        }),
    }
}

fn listed(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn from_parameters(call: &Call<'_>) -> Result<Search, Refusal> {
    let number = |name: &str| call.parameter(name).and_then(|text| text.trim().parse::<usize>().ok());
    let words = call.parameter("q").filter(|text| !text.trim().is_empty()).ok_or_else(no_words)?;
    let common = call.parameter("fields").map(|text| listed(&text)).unwrap_or_default();
    let objects = call.parameter("sobject").or_else(|| call.parameter("sobjects")).unwrap_or_default();
    let targets = listed(&objects).into_iter().map(|object| Target {
        fields: call
            .parameter(&format!("{object}.fields"))
            .map_or_else(|| common.clone(), |text| listed(&text)),
        condition: condition(call.parameter(&format!("{object}.where")).as_deref()),
        limit: number(&format!("{object}.limit")).or_else(|| number("defaultLimit")),
        offset: 0,
        object,
    });
    Ok(Search {
        words: sosl::parse_words(&words)?,
        scope: scope_of(call.parameter("in").as_deref())?,
        targets: targets.collect(),
        limit: number("overallLimit"),
    })
}

fn from_body(body: &Json) -> Result<Search, Refusal> {
    let number =
        |from: &Json, name: &str| from.get(name).and_then(|value| value.shown().parse::<usize>().ok());
    let names = |from: &Json| {
        from.get("fields")
            .and_then(Json::as_list)
            .map(|list| list.iter().map(Json::shown).collect::<Vec<_>>())
    };
    let text = |from: &Json, name: &str| from.get(name).and_then(Json::as_text).map(str::to_owned);
    let words = text(body, "q").filter(|text| !text.trim().is_empty()).ok_or_else(no_words)?;
    let common = names(body).unwrap_or_default();
    let targets =
        body.get("sobjects").and_then(Json::as_list).unwrap_or_default().iter().map(|target| Target {
            object: text(target, "name").unwrap_or_else(|| target.shown()),
            fields: names(target).unwrap_or_else(|| common.clone()),
            condition: condition(text(target, "where").as_deref()),
            limit: number(target, "limit").or_else(|| number(body, "defaultLimit")),
            offset: 0,
        });
    Ok(Search {
        words: sosl::parse_words(&words)?,
        scope: scope_of(text(body, "in").as_deref())?,
        targets: targets.collect(),
        limit: number(body, "overallLimit"),
    })
}

fn condition(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!("WHERE {text}"))
}

fn run(store: &Store, call: &Call<'_>, search: &Search) -> Result<Reply, Refusal> {
    let everything: Vec<Target> = if search.targets.is_empty() {
        let searchable = store.tables().iter().filter(|table| is_searchable(&table.object));
        searchable.map(|table| Target { object: table.object.name.clone(), ..Target::default() }).collect()
    } else {
        search.targets.clone()
    };
    let mut left = search.limit.unwrap_or(MOST_ROWS).min(MOST_ROWS);
    let mut out = String::from("{\"searchRecords\":[");
    for target in &everything {
        let found = rows(store, call, search, target)?;
        let names: Vec<&str> = if target.fields.is_empty() {
            vec!["Id"]
        } else {
            target.fields.iter().map(String::as_str).collect()
        };
        let table = found.first().map(|at| at.table);
        // The fields are checked whether rows were found or not.
        let table = table.or_else(|| store.find_table(&target.object)).unwrap_or_default();
        let columns = path_columns(store, table, &names)?;
        let wanted = target.limit.unwrap_or(usize::MAX).min(left);
        for at in found.into_iter().skip(target.offset).take(wanted) {
            if !out.ends_with('[') {
                out.push(',');
            }
            write_row(store, at, &columns, call.version, &mut out);
            left -= 1;
        }
    }
    out.push_str("]}");
    Ok(text_reply(StatusCode::OK, out))
}

fn is_searchable(object: &Object) -> bool {
    object.describe["searchable"] == true
}

/// The rows of one type that hold the words and fulfil the condition.
fn rows(store: &Store, call: &Call<'_>, search: &Search, target: &Target) -> Result<Vec<Place>, Refusal> {
    let table = store.find_table(&target.object).filter(|table| is_searchable(store.object(*table)));
    let table = table.ok_or_else(|| {
        Refusal::new("INVALID_TYPE", format!("sObject type '{}' is not supported.", target.object))
    })?;
    let object = store.object(table);
    let fields: Vec<usize> = object
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| !field.hidden && is_searched(field, search.scope))
        .map(|(number, _)| number)
        .collect();
    let statement = format!("SELECT Id FROM {} {}", object.name, target.condition);
    let ask = Ask { version: call.version, now: call.request.now, page: 2_000, with_deleted: false };
    let locators = Locators::default();
    let mut page = query::first_page(store, &locators, &statement, ask)?;
    let mut out = Vec::new();
    loop {
        let read = Json::read(page.as_bytes())?;
        let ids = read.get("records").and_then(Json::as_list).unwrap_or_default().iter();
        out.extend(
            ids.filter_map(|row| store.locate(row.get("Id")?.as_text()?))
                .filter(|at| holds(store, *at, &fields, &search.words)),
        );
        let next = read.get("nextRecordsUrl").and_then(Json::as_text);
        let Some(token) = next.and_then(|url| url.rsplit('/').next()) else { return Ok(out) };
        page = query::next_page(store, &locators, token, ask)?;
    }
}

fn is_searched(field: &Field, scope: Scope) -> bool {
    match scope {
        Scope::All => matches!(field.kind, Kind::Text | Kind::Picklist),
        Scope::Name => field.name_field || matches!(field.name.as_str(), "FirstName" | "LastName"),
        Scope::Email => field.wire == "email",
        Scope::Phone => field.wire == "phone",
    }
}

fn holds(store: &Store, at: Place, fields: &[usize], words: &Words) -> bool {
    let texts: Vec<Vec<String>> = fields
        .iter()
        .filter_map(|field| store.cell(at, *field).as_text().map(|text| sosl::tokens(text, false)))
        .collect();
    found(&texts, words)
}

fn found(texts: &[Vec<String>], words: &Words) -> bool {
    match words {
        Words::Any(list) => list.iter().any(|words| found(texts, words)),
        Words::All(list) => list.iter().all(|words| found(texts, words)),
        Words::Not(inner) => !found(texts, inner),
        Words::Phrase(phrase) => {
            let patterns: Vec<Vec<Piece>> = phrase.iter().map(|word| pattern(word)).collect();
            texts.iter().any(|text| {
                text.windows(patterns.len().max(1))
                    .any(|part| part.iter().zip(&patterns).all(|(word, pattern)| like(word, pattern, true)))
            })
        }
    }
}

fn pattern(word: &str) -> Vec<Piece> {
    word.chars()
        .map(|letter| match letter {
            '*' => Piece::Any,
            '?' => Piece::One,
            letter => Piece::Letter(letter),
        })
        .collect()
}
