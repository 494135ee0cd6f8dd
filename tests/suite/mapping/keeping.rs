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
use crate::support::command::Home as Commands;
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

#[tokio::test]
async fn fault_44_a_newer_foreign_or_broken_store_of_mappings_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::prepare(&dir.path().join("home")).expect("a home");
    let mapping = named("kept", json!([{"to": "a", "from": "b"}]));
    let store = MappingStore::open(&home).await.expect("opens");
    store.save(&mapping, jiff::Timestamp::UNIX_EPOCH).await.expect("saved");
    drop(store);
    let file = home.file("mappings.db");
    let whole = std::fs::read(&file).expect("a file");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    for (what, bytes, code) in [
        ("newer", with(&|bytes| bytes[60..64].copy_from_slice(&2_i32.to_be_bytes())), "store_newer"),
        ("another program's", with(&|bytes| bytes[68..72].copy_from_slice(&[1; 4])), "store_damaged"),
        ("no database", b"dear diary".repeat(1000), "store_damaged"),
        ("cut off", with(&|bytes| bytes.truncate(bytes.len() / 2)), "store_damaged"),
        ("a page of noise", with(&|bytes| bytes[4096..8192].fill(0xa5)), "store_damaged"),
    ] {
        std::fs::write(&file, &bytes).expect("is written");
        let error = MappingStore::open(&home).await.err().unwrap_or_else(|| panic!("{what} was opened"));
        assert_eq!((error.kind().exit_code(), error.code()), (7, Some(code)), "{what}: {error}");
        assert!(error.message().contains("mappings"), "{what}: {error}");
        assert!(error.advice().expect("advice").contains("Nothing was changed"), "{what}");
        assert_eq!(std::fs::read(&file).expect("a file"), bytes, "{what}: the file was touched");
    }
    // What cannot be opened as a file is no store, whoever looks.
    std::fs::write(&file, &whole).expect("is written");
    let aside = home.file("aside");
    std::fs::rename(&file, &aside).expect("moved");
    std::fs::create_dir(&file).expect("made");
    let error = MappingStore::open(&home).await.expect_err("a directory");
    assert_eq!(error.kind().exit_code(), 7, "{error}");
    std::fs::remove_dir(&file).expect("removed");
    std::fs::rename(&aside, &file).expect("moved back");
    let store = MappingStore::open(&home).await.expect("opens");
    assert_eq!(store.load("kept", None).await.expect("is there").mapping().expect("reads"), mapping);
}

#[cfg(unix)]
#[test]
fn fault_42_a_full_disk_keeps_the_mapping_as_it_was() {
    let home = Commands::new();
    let saved = |mapping: &Value| home.write("m.json", mapping.to_string());
    let mut small = document("create", json!([{"to": "a", "const": "x"}]));
    let file = saved(&small);
    home.run(&["map", "save", &file]).expect(0);
    small["fields"][0]["const"] = json!("y".repeat(400_000));
    let file = saved(&small);
    // Files cannot grow beyond this, and the signal that says so is ignored as by most services.
    let program = env!("CARGO_BIN_EXE_recordport");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f 120; exec {program} map save {file}")]);
    command.current_dir(home.file("")).env("RECORDPORT_HOME", home.path()).env("RECORDPORT_KEYRING", "off");
    let full = crate::support::command::finish(command, None).expect(7);
    full.says("mappings.db");
    full.says("Check the disk");
    let listed = home.run(&["map", "list"]).expect(0).lines();
    assert_eq!((listed.len(), &listed[0]["version"]), (1, &json!(1)));
    home.run(&["map", "save", &file]).expect(0);
    assert_eq!(home.run(&["map", "list"]).expect(0).lines()[0]["version"], 2);
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
