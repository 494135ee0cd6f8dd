//! Mappings kept by name, their versions and differences, and what is remembered of suggestions.

use recordport::connect::home::Home;
use recordport::error::ErrorKind;
use recordport::mapping::Mapping;
use recordport::mapping::diff::diff;
use recordport::mapping::document::Operation;
use recordport::mapping::store::{MappingStore, TypePair};
use recordport::mapping::suggest::{Judged, Known, Samples, paths, suggest, suggest_knowing};
use recordport::record::record_type::TextForm;
use recordport::record::{FieldType, RecordType};
use serde_json::{Value, json};

use super::{able, document, parsed};
use crate::support::record_types::{open, with_fields};

async fn store() -> (tempfile::TempDir, MappingStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::prepare(&dir.path().join("home")).expect("a home");
    (dir, MappingStore::open(&home).await.expect("opens"))
}

fn named(name: &str, fields: Value) -> Mapping {
    let mut document = document("create", fields);
    document["name"] = json!(name);
    parsed(&document)
}

#[tokio::test]
async fn a_mapping_is_kept_with_every_version_of_it() {
    let (_dir, store) = store().await;
    let now = jiff::Timestamp::UNIX_EPOCH;
    let first = named("Contacts", json!([{"to": "a", "const": 12345678901234567890.10}]));
    let second = named("contacts", json!([{"to": "a", "from": "b"}]));
    assert_eq!(store.save(&first, now).await.expect("saved").version, 1);
    assert_eq!(store.save(&first, now).await.expect("saved").version, 1, "nothing has changed");
    assert_eq!(store.save(&second, now).await.expect("saved").version, 2);
    store.save(&named("events", json!([])), now).await.expect("saved");

    let last = store.load("CONTACTS", None).await.expect("is there");
    assert_eq!((last.version, last.mapping().expect("reads")), (2, second));
    let old = store.load("contacts", Some(1)).await.expect("is there");
    assert_eq!(old.mapping().expect("reads"), first);
    let listed: Vec<(String, u64)> =
        store.list().await.expect("listed").into_iter().map(|kept| (kept.name, kept.version)).collect();
    assert_eq!(listed, [("contacts".to_owned(), 2), ("events".to_owned(), 1)]);
    assert_eq!(store.versions("contacts").await.expect("listed").len(), 2);

    let gone = store.load("contact", None).await.expect_err("unknown");
    assert_eq!((gone.kind(), gone.advice()), (ErrorKind::NotFound, Some("Did you mean contacts?")));
    assert!(store.load("contacts", Some(9)).await.expect_err("unknown").message().contains("no version 9"));
    assert!(store.remove("contacts").await.expect("removed"));
    assert!(!store.remove("contacts").await.expect("looked at"));
    assert!(store.save(&named(" ", json!([])), now).await.is_err());
}

#[test]
fn versions_differ_rule_by_rule() {
    let before = named(
        "m",
        json!([{"to": "a", "from": "A"}, {"to": "b", "const": 2.5, "steps": [{"op": "trim"}]}, {"to": "c", "from": "C"}]),
    );
    let told = |after: &Mapping| -> Vec<String> {
        diff(&before, after)
            .iter()
            .map(|one| {
                let text = |literal: &Option<recordport::mapping::document::Literal>| {
                    literal.as_ref().map_or("-".to_owned(), |literal| literal.text().to_owned())
                };
                format!("{:?} {} {} {}", one.change, one.pointer, text(&one.before), text(&one.after))
            })
            .collect()
    };
    assert!(told(&before).is_empty());
    let mut after = named(
        "m",
        json!([{"to": "b", "const": 1.1, "steps": []}, {"to": "a", "from": "A"}, {"to": "d/e", "from": "D"}]),
    );
    after.target.operation = Operation::Update;
    assert_eq!(
        told(&after),
        [
            r#"Changed /target/operation "create" "update""#,
            r#"Changed /fields/b/const 2.5 1.1"#,
            r#"Changed /fields/b/steps [{"op":"trim"}] []"#,
            r#"Added /fields/d~1e - {"to":"d/e","from":"D"}"#,
            r#"Removed /fields/c {"to":"c","from":"C"} -"#,
        ]
    );
    let mut moved = before.clone();
    moved.fields.rotate_left(1);
    assert_eq!(told(&moved), ["Moved /fields - -"]);
}

#[tokio::test]
async fn accepted_pairs_come_first_and_rejected_ones_do_not_come_again() {
    let (_dir, store) = store().await;
    let types = TypePair { source: "a Thing".into(), target: "b Thing".into() };
    let pair = |to: &str, from: &str, accepted| Judged { to: to.into(), from: from.into(), accepted };
    let judged =
        [pair("Notes", "Unlimited", true), pair("Email", "Email", false), pair("Phone", "Name", true)];
    store.judge(&types, &judged).await.expect("remembered");
    store.judge(&types, &[pair("Phone", "Website", true)]).await.expect("remembered");
    let memory = store.memory(&types).await.expect("read");
    let other = TypePair { source: "a Thing".into(), target: "c Thing".into() };
    assert!(store.memory(&other).await.expect("read").judged.is_empty());

    let able = able();
    let known = Known { memory, samples: None };
    let found = suggest_knowing(&able, &able, Operation::Create, true, &known).suggestions;
    let from = |to: &str| found.iter().find(|one| one.to == to).map(|one| (one.from.as_str(), one.score));
    assert_eq!(from("Notes"), Some(("Unlimited", 100)));
    assert_eq!(from("Email"), None);
    assert_eq!(from("Phone"), Some(("Website", 100)), "the later choice counts");
    assert_eq!(found, suggest_knowing(&able, &able, Operation::Create, true, &known).suggestions);
}

#[test]
fn sample_values_speak_for_and_against_a_pair() {
    let text = |name: &str| open(name, FieldType::Text { max_length: None, form: TextForm::Plain });
    let source = with_fields(vec![text("Region_Code"), text("Contact")]);
    let target = with_fields(vec![text("SalesRegion"), text("Contact")]);
    let without: RecordType = target.clone();
    let bare = suggest(&source, &without, Operation::Create, false).suggestions;
    assert!(bare.iter().any(|one| one.to == "Contact"), "{bare:#?}");
    assert!(!bare.iter().any(|one| one.to == "SalesRegion"), "{bare:#?}");

    let records = |rows: &[Value]| rows.iter().map(Value::to_string).collect::<Vec<_>>();
    let from =
        records(&["n1", "n2", "n3", "n4"].map(|code| json!({"Region_Code": code, "Contact": "a@x.cz"})));
    let to =
        records(&["N1", "N2", "N3"].map(|code| json!({"SalesRegion": code, "Contact": "+420 777 123 456"})));
    let samples = |record_type: &RecordType, rows: &[String]| {
        Samples::of(&paths(record_type), &rows.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let known = Known { samples: Some((samples(&source, &from), samples(&target, &to))), ..Known::default() };
    let found = suggest_knowing(&source, &target, Operation::Create, false, &known).suggestions;
    let region = found.iter().find(|one| one.to == "SalesRegion").unwrap_or_else(|| panic!("{found:#?}"));
    assert!(region.reasons.iter().any(|why| why == "3 of 3 sample values are equal"), "{region:#?}");
    assert!(!found.iter().any(|one| one.to == "Contact"), "addresses are no telephone numbers: {found:#?}");
}
