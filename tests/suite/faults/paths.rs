//! Paths that lead elsewhere.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use recordport::error::ErrorKind;
use recordport::provider::{Edit, NewRow, Outcome, Records, WriteOptions};
use recordport::record::{Key, KeyFields};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::subject::{Subject, Trial};

/// Names and what stands between them.
const PARTS: [&str; 22] = [
    "..", ".", "", "a", "ü", "b ", " c", "\\", "x\\y", "\0", "d\0", "\u{7f}", "\n", "%2e%2e", "..%2f",
    "id:x", "ns:1", "rev:1", "C:", "~", "...", ".a",
];
const TABLE: [&str; 16] = [
    "../up.txt",
    "a/../../up.txt",
    "/Reports/2022/../2021/up.txt",
    "/Reports/2022x/beside.txt",
    "/reports/2022",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "/",
    "./a",
    "a/.",
    "nul\0",
    "ns:1/x/../y",
    "/id:AAAA/x",
    "desktop.ini",
];

/// Paths of the table and others at random, the same each time.
fn paths() -> Vec<String> {
    let mut dice = StdRng::seed_from_u64(60);
    let mut out: Vec<String> = TABLE.iter().map(ToString::to_string).collect();
    out.push("x".repeat(256));
    out.push(format!("deep/{}", "ü".repeat(256)));
    for _ in 0..120 {
        let parts: Vec<&str> =
            (0..dice.random_range(1..5)).map(|_| PARTS[dice.random_range(0..PARTS.len())]).collect();
        let start = ["", "/", "/Reports/2022/", "/REPORTS/2022/"][dice.random_range(0..4)];
        out.push(format!("{start}{}", parts.join("/")));
    }
    out
}

fn places(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["path_lower"].as_str().expect("a path").to_owned()).collect()
}

pub(super) async fn fault_60_no_path_leads_out_of_the_folder_of_its_type(service: Subject) {
    let trial = Trial::small(service).await;
    let records = trial.open(service.kind()).await.unwrap();
    let before = places(&trial.service_rows("entry"));
    let (mut made, mut refused) = (BTreeSet::new(), 0);
    for path in paths() {
        let sent = trial.received("/2/files/").await.len();
        let path_json = RawValue::from_string(json!(path).to_string()).unwrap();
        let row = NewRow { fields: vec![("path".to_owned(), Edit::Set(path_json))], marker: None };
        let outcomes = records.create(&trial.cx, &[row], &WriteOptions::new()).await.unwrap();
        match &outcomes[0] {
            Outcome::Created(key) => {
                made.insert(key.to_string());
            }
            Outcome::Failed(error) if error.kind() == ErrorKind::Invalid => {
                assert_eq!(trial.received("/2/files/").await.len(), sent, "{path:?} was sent");
                refused += 1;
                unreadable(&trial, &*records, &path).await;
            }
            // Two of them may differ in nothing, or one may lie under another.
            Outcome::Failed(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{path:?}: {error}"),
            other => panic!("{path:?}: {other:?}"),
        }
    }
    assert!(made.len() > 10 && refused > 50, "{} made, {refused} refused", made.len());
    let after = trial.service_rows("entry");
    let inside = "/reports/2022/";
    for place in places(&after).difference(&before) {
        assert!(place.starts_with(inside), "{place}");
        for name in place.split('/').skip(1) {
            assert!(!["", ".", ".."].contains(&name) && !name.contains(['\\', '\0', '\u{7f}']), "{place:?}");
        }
    }
    for row in after.iter().filter(|row| made.contains(trial.id(row))) {
        assert!(row["path_lower"].as_str().unwrap().starts_with(inside), "{row}");
    }
}

/// What cannot be written can be read neither, by whatever way a path is given.
async fn unreadable(trial: &Trial, records: &dyn Records, path: &str) {
    let by = KeyFields::single("path");
    let found = records.get(&trial.cx, &by, &[Key::text(path)], &[]).await.unwrap().remove(0);
    assert!(!matches!(found, Ok(Some(_))), "{path:?} was read");
    let content = records.read_content(&trial.cx, &Key::text(path), "content").await;
    assert!(content.is_err(), "{path:?} was read");
}
