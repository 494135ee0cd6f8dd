//! The judge of filters over Google Calendar: generated conditions find through the provider what SQLite finds in the same
//! rows. The text of a condition is the same for both, as instants are written in one form.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::TryStreamExt as _;
use http::Method;
use recordport::provider::search::Search;
use recordport::provider::{At, Records};
use recordport::record::FieldPath;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::diary::{Diary, OWN};

const FILTERS: usize = 160;
/// Paths as SQL has them, of each kind.
const COLUMNS: [&str; 16] = [
    "calendar_id",
    "id",
    "summary",
    "location",
    "description",
    "eventType",
    "iCalUID",
    "updated",
    "created",
    "start.dateTime",
    "start.\"date\"",
    "\"end\".dateTime",
    "\"end\".\"date\"",
    "visibility",
    "recurringEventId",
    "colorId",
];
const INSTANTS: [&str; 4] = ["updated", "created", "start.dateTime", "\"end\".dateTime"];

/// A small generator of our own (an LCG), so that the same filters are made everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column's name in SQLite.
fn flat(path: &str) -> String {
    format!("\"{}\"", path.replace('"', ""))
}

/// A value of a record as text; instants in UTC with milliseconds, so that they sort.
fn value(record: &Value, path: &str) -> Option<String> {
    let bare = path.replace('"', "");
    let found = bare.split('.').try_fold(record, |here, name| here.get(name))?;
    let text = found.as_str()?;
    if INSTANTS.contains(&path) {
        let at: jiff::Timestamp = text.parse().unwrap();
        return Some(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    }
    Some(text.to_owned())
}

struct Table {
    sqlite: Connection,
    values: Vec<Vec<String>>,
    keys: usize,
}

impl Table {
    fn load(records: &[(String, Value)]) -> Self {
        let sqlite = Connection::open_in_memory().unwrap();
        let names: Vec<String> = COLUMNS.iter().map(|path| flat(path)).collect();
        sqlite.execute_batch("PRAGMA case_sensitive_like = ON").unwrap();
        sqlite
            .execute_batch(&format!("CREATE TABLE t (key TEXT, recurrence TEXT, {})", names.join(", ")))
            .unwrap();
        let mut values = vec![Vec::new(); COLUMNS.len()];
        for (key, record) in records {
            // A list without lines is none.
            let recurs = record["recurrence"].as_array().is_some_and(|lines| !lines.is_empty());
            let mut row = vec![quoted(key), if recurs { quoted("RRULE") } else { "NULL".to_owned() }];
            for (path, seen) in COLUMNS.iter().zip(&mut values) {
                let value = value(record, path);
                row.push(value.as_deref().map_or_else(|| "NULL".to_owned(), quoted));
                seen.extend(value);
            }
            sqlite.execute_batch(&format!("INSERT INTO t VALUES ({})", row.join(", "))).unwrap();
        }
        Self { sqlite, values, keys: records.len() }
    }

    fn ask(&self, condition: &str) -> BTreeSet<String> {
        // The longest names first, since one may be the beginning of another.
        let mut text = condition.to_owned();
        for path in COLUMNS.iter().filter(|path| path.contains('.')) {
            text = text.replace(path, &flat(path));
        }
        let sql = format!("SELECT key FROM t WHERE {text}");
        let mut statement = self.sqlite.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn leaf(&self, dice: &mut Dice) -> String {
        let column = dice.below(COLUMNS.len());
        let (path, seen) = (COLUMNS[column], &self.values[column]);
        let mut some = || {
            let at = dice.below(seen.len());
            seen.get(at).map_or_else(
                || {
                    quoted("2026-01-01T00:00:00.000Z").replace(
                        "T00:00:00.000Z",
                        if path.contains("date\"") { "" } else { "T00:00:00.000Z" },
                    )
                },
                |text| quoted(text),
            )
        };
        let (one, other) = (some(), some());
        let text = !INSTANTS.contains(&path) && !path.contains("\"date\"");
        match dice.below(if text { 9 } else { 8 }) {
            0 | 1 => format!("{path} = {one}"),
            2 => format!("{path} != {one}"),
            3 => format!("{path} < {one}"),
            4 => format!("{path} >= {one}"),
            5 => format!("{path} {}IN ({one}, {other})", if dice.below(2) == 0 { "" } else { "NOT " }),
            6 => format!("{path} BETWEEN {} AND {}", one.clone().min(other.clone()), one.max(other)),
            7 => format!("{path} IS {}NULL", if dice.below(2) == 0 { "" } else { "NOT " }),
            _ => {
                let inner: String =
                    one.trim_matches('\'').chars().filter(|c| c.is_alphanumeric()).take(3).collect();
                format!("{path} LIKE '%{inner}%'")
            }
        }
    }

    /// A condition for each parameter that the service has.
    fn sendable(&self) -> Vec<String> {
        let seen = |path: &str| {
            let column = COLUMNS.iter().position(|own| *own == path).unwrap();
            self.values[column].iter().max().map_or_else(|| quoted("none"), |text| quoted(text))
        };
        vec![
            format!("updated >= {}", seen("updated")),
            format!("iCalUID = {}", seen("iCalUID")),
            format!("recurringEventId = {}", seen("recurringEventId")),
            "eventType IN ('focusTime', 'outOfOffice')".to_owned(),
            format!("recurringEventId IS NOT NULL AND start.dateTime >= {}", seen("start.dateTime")),
            format!("recurringEventId IS NOT NULL AND start.dateTime <= {}", seen("start.dateTime")),
        ]
    }

    /// A condition; some say besides that they mean no series, where there are any.
    fn condition(&self, dice: &mut Dice, series: bool) -> String {
        let condition = self.any_condition(dice);
        match series && dice.below(3) == 0 {
            true => format!("recurrence IS NULL AND {condition}"),
            false => condition,
        }
    }

    fn any_condition(&self, dice: &mut Dice) -> String {
        let leaves: Vec<String> = (0..=dice.below(3)).map(|_| self.leaf(dice)).collect();
        let word = if dice.below(4) == 0 { " OR " } else { " AND " };
        let joined = format!("({})", leaves.join(word));
        if dice.below(6) == 0 { format!("NOT {joined}") } else { joined }
    }
}

async fn rows(
    diary: &Diary,
    records: &Arc<dyn Records>,
    query: &Value,
) -> (Vec<(String, Value)>, String, bool) {
    let prepared = diary.prepare(records, query).await;
    let native = prepared.plan.native.join(" ");
    let sent = prepared.plan.conditions.iter().any(|condition| condition.at != At::Here);
    let search = Search::start(Arc::clone(records), diary.org.cx.clone(), &prepared);
    let found: Vec<_> = search.into_records().try_collect().await.expect("searches");
    let each = found.iter().map(|record| (record.key.to_string(), record.to_value().expect("JSON")));
    (each.collect(), native, sent)
}

#[expect(clippy::print_stdout, reason = "what was sent is part of what the test tells")]
async fn judge(name: &str, everything: &str, sendable: &[&str]) {
    let diary = Diary::new().await;
    // Some events have changed lately, so that their changes can be asked for.
    for event in
        diary.stored_in(OWN).await.iter().filter(|row| row["recurringEventId"].is_null()).skip(3).take(4)
    {
        let resource = format!("calendars/primary/events/{}", event["id"].as_str().unwrap());
        diary.send(Method::PATCH, &resource, json!({ "location": "Lately" })).await;
    }
    let narrowed = |condition: &str| match everything {
        "" => condition.to_owned(),
        bounds => format!("{bounds} AND {condition}"),
    };
    let all = match everything {
        "" => json!({}),
        bounds => json!({ "where": bounds }),
    };
    let records = diary.open(name).await;
    let table = Table::load(&rows(&diary, &records, &all).await.0);
    let mut dice = Dice(20_261_122);
    let (mut sent, mut telling) = (0, 0);
    let mut natives = String::new();
    let mut wrong = Vec::new();
    let mut conditions: Vec<String> =
        (0..FILTERS).map(|_| table.condition(&mut dice, everything.is_empty())).collect();
    conditions.extend(table.sendable());
    for (number, condition) in conditions.iter().enumerate() {
        let expected = table.ask(&narrowed(condition));
        let query = json!({ "where": narrowed(condition), "select": [FieldPath::of(["id"]).to_string()] });
        let (found, native, pushed) = rows(&diary, &records, &query).await;
        let keys: BTreeSet<String> = found.iter().map(|(key, _)| key.clone()).collect();
        sent += usize::from(pushed);
        telling += usize::from(!expected.is_empty() && expected.len() < table.keys);
        let _ = writeln!(natives, "{native}");
        if keys != expected || keys.len() != found.len() {
            wrong.push(format!(
                "#{number} {condition}\n  {native}\n  {} instead of {}",
                keys.len(),
                expected.len()
            ));
        }
    }
    println!(
        "{name}: {} rows, {FILTERS} filters, {sent} of them narrow the list, {telling} tell rows apart",
        table.keys
    );
    assert!(wrong.is_empty(), "{} filters differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(telling >= FILTERS / 3 && sent >= FILTERS / 8, "{telling} tell rows apart, {sent} are sent");
    for parameter in sendable {
        assert!(natives.contains(parameter), "{parameter} was never sent");
    }
}

#[tokio::test]
async fn filters_of_events_find_what_sqlite_finds() {
    let parameters = ["timeMin=", "timeMax=", "updatedMin=", "iCalUID=", "eventTypes=", "fields="];
    judge("event:primary", "", &parameters).await;
}

#[tokio::test]
async fn filters_of_occurrences_find_what_sqlite_finds() {
    let bounds =
        "start.dateTime > '2026-01-05T00:00:00.000Z' AND \"end\".dateTime < '2026-03-15T00:00:00.000Z'";
    judge("event_instance:primary", bounds, &["timeMin=", "timeMax=", "/instances", "eventTypes="]).await;
}
