//! Faults in what requests and pages hold: hostile values and names, huge fields, and records that no client
//! expects.

use std::collections::BTreeSet;
use std::time::Duration;

use recordport::error::ErrorKind;
use recordport::http::client::WireSettings;
use serde_json::{Value, json};

use super::subject::{Redefinition, Subject, Trial};
use crate::support::org::Found;

pub(super) async fn fault_57_a_field_of_an_unknown_kind_passes_its_value_through(service: Subject) {
    let trial = Trial::new(service).await;
    service.redefine(&trial.org, Redefinition::OfUnknownKind).await;
    let spare = service.spare();
    let found = trial.find().await.complete();
    assert!(found.bad.is_empty());
    let stored = trial.service_rows(service.kind());
    for record in &found.records {
        let row = stored.iter().find(|row| row[service.key()] == record[service.key()]).unwrap();
        // A value of no known kind is its JSON text.
        let value = record[spare].as_str().map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(value.unwrap_or(Value::Null), *service.value(row, spare));
    }
    assert!(found.records.iter().any(|record| record[spare].is_string()));
}

pub(super) async fn fault_59_a_value_never_becomes_part_of_the_query(service: Subject) {
    let trial = Trial::small(service).await;
    let (kind, text) = (service.kind(), service.asked_by());
    let stored = trial.service_rows(kind);
    let own = stored.iter().find_map(|row| service.value(row, text).as_str()).unwrap().to_owned();
    let mut values = vec![own.clone()];
    for hostile in [
        "' OR Name != '",
        "' or lastname ne '",
        "\\' OR Name != \\'",
        "\\",
        "\\\\' OR Id != null OR Name = '",
        "x' LIMIT 1",
        "x\nOR Name != 'y",
        "\"",
        "\" OR summary ~ \"",
        "%",
        "_",
        "[a-z]",
        "') OR (Name != '",
        "{!user}",
        "\u{2019} OR 1=1",
        ":name",
        "@p1",
        "x\u{0}y",
        "+&q=SELECT+Id+FROM+User",
        "x&$top=1",
    ] {
        values.push(hostile.to_owned());
        values.push(format!("{own}{hostile}"));
    }
    for value in values {
        for operator in ["=", "beginsWith", "contains"] {
            let rule = json!({ "field": text, "operator": operator, "value": value });
            let filter = json!({ "combinator": "and", "rules": [rule] });
            let found = trial.search(kind, json!({ "select": [service.key()], "filter": filter })).await;
            if let Some(error) = &found.error {
                assert!(
                    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
                    "{value:?}: {error}"
                );
                continue;
            }
            let fits = |row: &&Value| {
                let name = service.value(row, text).as_str().unwrap_or_default();
                match operator {
                    "=" => name == value,
                    "beginsWith" => name.starts_with(value.as_str()),
                    _ => name.contains(value.as_str()),
                }
            };
            let expected: BTreeSet<String> =
                stored.iter().filter(fits).map(|row| trial.id(row).to_owned()).collect();
            assert_eq!(found.ids(), expected, "{operator} {value:?}");
        }
    }
}

pub(super) async fn fault_61_nothing_can_smuggle_a_line_into_a_request(service: Subject) {
    let trial = Trial::small(service).await;
    let kind = service.kind();
    for name in ["\r\nX-Evil: 1", "/../User", "?x=1", "\u{e4}ct", "'"] {
        let error = trial.open(&format!("{kind}{name}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}");
    }
    let records = trial.open(kind).await.unwrap();
    let by = records.record_type().key.clone();
    let key = service.key_of("003\r\nX-Evil: 1");
    // Refused, or not found: but never another request than the one meant.
    let _ = records.get(&trial.cx, &by, &[key], &[]).await;
    for entry in trial.emulated.requests().await {
        assert!(entry["headers"].get("x-evil").is_none(), "{entry}");
        assert!(!entry["path"].as_str().unwrap().contains(['\r', '\n']), "{entry}");
    }
}

pub(super) async fn fault_62_a_huge_field_passes_under_the_limit_and_is_refused_above_it(service: Subject) {
    let huge = "x".repeat(50 * 1024 * 1024);
    let idle = Duration::from_secs(20);
    for (limit, passes) in [(64 * 1024 * 1024, true), (16 * 1024 * 1024, false)] {
        let wire = WireSettings { response_limit: limit, idle_timeout: idle, ..WireSettings::default() };
        let trial = Trial::with(service, |settings| (settings.scale, settings.wire) = (1, wire)).await;
        trial.open(service.kind()).await.unwrap();
        let mut rows = trial.service_rows(service.kind());
        rows.truncate(2);
        service.set(&mut rows[1], service.text(), json!(huge));
        let page = service.last_page(&rows);
        trial.fault_on_pages(json!({ "kind": "status", "status": 200, "body": page })).await;
        let found = trial.find().await;
        if passes {
            let found = found.complete();
            assert_eq!(found.records[1][service.text()].as_str().map(str::len), Some(huge.len()));
        } else {
            assert_eq!(found.code(), "response_too_large");
            assert_eq!(trial.page_requests().await.len(), 1);
        }
    }
}

/// A search whose second page was spoilt: the other records come, each once.
async fn spoilt(service: Subject, kind: &str, field: &str, bad: usize) -> Found {
    let trial = Trial::new(service).await;
    trial.fault_on_pages(json!({ "kind": kind, "page": 2, "field": field })).await;
    let found = trial.find().await.complete();
    let stored = trial.all();
    assert_eq!(found.bad.len(), bad, "{kind}: {:?}", found.bad);
    assert_eq!(found.ids().len(), stored.len() - bad, "{kind}");
    assert!(found.ids().is_subset(&stored), "{kind}");
    for row in &found.bad {
        assert_eq!(row.error.kind(), ErrorKind::Protocol, "{kind}: {}", row.error);
    }
    found
}

pub(super) async fn fault_63_a_value_nested_too_deep_is_one_bad_record(service: Subject) {
    spoilt(service, "deep", service.spare(), 1).await;
}

pub(super) async fn fault_64_of_a_property_named_twice_the_last_counts(service: Subject) {
    let trial = Trial::new(service).await;
    let text = service.text();
    trial.fault_on_pages(json!({ "kind": "dupkeys", "page": 2, "field": text })).await;
    let found = trial.find().await.complete();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    assert_eq!(found.ids(), trial.all());
    let stored = trial.service_rows(service.kind());
    for (record, json) in found.records.iter().zip(&found.texts) {
        let row = stored.iter().find(|row| row[service.key()] == record[service.key()]).unwrap();
        assert_eq!(record[text], *service.value(row, text));
        assert_eq!(json.matches(&format!("\"{text}\":")).count(), 1, "{json}");
    }
}

pub(super) async fn fault_65_bad_utf8_and_lone_surrogates_are_bad_records_and_never_replaced(
    service: Subject,
) {
    let found = spoilt(service, "badutf8", service.text(), 2).await;
    assert!(found.texts.iter().all(|text| !text.contains('\u{fffd}')));
}

pub(super) async fn fault_66_numbers_keep_their_digits(service: Subject) {
    let trial = Trial::small(service).await;
    let (kind, field) = service.numbers();
    trial.fault_on_pages(json!({ "kind": "hugenum", "field": field })).await;
    let found = trial.search(kind, json!({ "select": [field], "page_size": 200 })).await.complete();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    assert_eq!(found.texts.len(), trial.stored(kind).len());
    for number in ["1e400", "9223372036854775809", "-0", "0.30000000000000004"] {
        let kept =
            found.texts.iter().filter(|text| text.contains(&format!("\"{field}\":{number}}}"))).count();
        assert_eq!(kept, 1, "{number}");
    }
}
