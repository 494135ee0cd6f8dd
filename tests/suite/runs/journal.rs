//! A journal that an earlier release wrote is brought to the present layout when it is opened, and nothing in it is
//! lost: runs are listed, go on where they stood, and what mappings remember stays.

use recordport::connect::home::Home;
use recordport::mapping::Mapping;
use recordport::run::{Journal, RunState};
use rusqlite::params;
use serde_json::json;

use super::sums::{Quiet, route};
use crate::support::org::{Org, OrgSettings};

/// The tables of layout 1, as the release wrote them that had it.
const LAYOUT_1: &str = "
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    mapping_name TEXT NOT NULL,
    mapping TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL,
    started TEXT NOT NULL,
    changed TEXT NOT NULL,
    place TEXT NOT NULL,
    next_number INTEGER NOT NULL,
    counts TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX run_mapping ON run (mapping_name);
CREATE TABLE intent (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    source_key TEXT,
    mark INTEGER NOT NULL,
    record TEXT NOT NULL,
    content TEXT NOT NULL,
    since TEXT NOT NULL,
    sent INTEGER NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE handled (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    mark INTEGER NOT NULL,
    PRIMARY KEY (run, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE failure (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE link (
    mapping TEXT NOT NULL,
    source_key TEXT NOT NULL,
    target_key TEXT NOT NULL,
    PRIMARY KEY (mapping, source_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed (
    mapping TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT;
PRAGMA application_id = 0x5250524A;
PRAGMA user_version = 1;
";

/// What layout 2 had more.
const LAYOUT_2: &str = "
ALTER TABLE intent ADD COLUMN parcel TEXT;
CREATE TABLE made (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    since TEXT NOT NULL,
    key TEXT,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// What layout 3 had more.
const LAYOUT_3: &str = "
CREATE TABLE skip (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 3;
";

const ID: &str = "20260301-081500-3f9a1c";

/// A run that was stopped with its first record written, its second failed, the next two under way and the last not
/// read yet, and what a mapping that follows changes remembers.
fn written_before(home: &Home, layout: u32, mapping: &Mapping, contacts: &[String]) {
    drop(home.open_or_create("runs.db").expect("a file"));
    let db = rusqlite::Connection::open(home.file("runs.db")).expect("opens");
    db.pragma_update(None, "journal_mode", "WAL").expect("is set");
    db.execute_batch(LAYOUT_1).expect("layout 1");
    if layout > 1 {
        db.execute_batch(LAYOUT_2).expect("layout 2");
    }
    if layout > 2 {
        db.execute_batch(LAYOUT_3).expect("layout 3");
    }
    let plan = json!({
        "mapping_hash": "m", "source_hash": "s", "target_hash": "t", "mode": "full", "limit": null, "params": [],
        "timezone": "UTC", "now": "2026-03-01T08:15:00Z", "max_failures": "50%",
    });
    let counts = json!({
        "read": 2, "created": 0, "updated": 1, "deleted": 0, "unchanged": 0, "failed": 1, "unknown": 0, "skipped": 0,
    });
    let run =
        "INSERT INTO run VALUES (?1, ?2, ?3, ?4, 'stopped', '2026-03-01T08:15:00Z', '2026-03-01T08:16:00Z',
               '\"start\"', 4, ?5, NULL)";
    db.execute(run, params![ID, mapping.name, mapping.to_text(), plan.to_string(), counts.to_string()])
        .expect("a run");
    for contact in &contacts[..2] {
        db.execute("INSERT INTO handled VALUES (?1, ?2, 7)", params![ID, contact]).expect("a record");
    }
    let failure =
        json!({"@number": 1, "@key": contacts[1], "@status": "failed", "@error": {"message": "no"}, "Id": 1});
    db.execute("INSERT INTO failure VALUES (?1, 1, ?2)", params![ID, failure.to_string()])
        .expect("a failure");
    for (number, contact) in (0..).zip(contacts).skip(2).take(2) {
        let row = json!({"@key": contact, "Description": mapping.name}).to_string();
        let intent =
            "INSERT INTO intent (run, number, kind, identity, source_key, mark, record, content, since, sent)
                      VALUES (?1, ?2, 'write', ?3, ?3, 7, '{}', ?4, '2026-03-01T08:15:30Z', ?5)";
        db.execute(intent, params![ID, number, contact, row, number == 2]).expect("an intent");
    }
    db.execute("INSERT INTO link VALUES ('followed', '001a', '00Qa')", []).expect("a link");
    db.execute("INSERT INTO feed VALUES ('followed', 'crm Account', 'a place')", []).expect("a place");
}

#[tokio::test]
async fn a_journal_of_an_earlier_layout_is_taken_over_and_its_runs_go_on() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    let mut contacts: Vec<String> = org.stored("Contact").into_iter().collect();
    contacts.sort_unstable();
    contacts.truncate(5);
    for layout in [1, 2, 3] {
        let name = format!("of layout {layout}");
        let mapping = json!({
            "recordport": "mapping/1",
            "name": name,
            "source": {"connection": "crm", "type": "Contact", "query": {"order_by": [{"field": "Id"}], "limit": 5}},
            "target": {"connection": "crm", "type": "Contact", "operation": "update"},
            "fields": [{"to": "@key", "from": "Id"}, {"to": "Description", "const": name}],
        });
        let mapping = Mapping::parse(&mapping.to_string()).expect("a mapping");
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::prepare(&folder.path().join("home")).expect("a home");
        written_before(&home, layout, &mapping, &contacts);

        let journal = Journal::open(&home).await.expect("is taken over");
        let listed = journal.list().await.expect("is read");
        let [run] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((run.run.as_str(), run.state, run.counts.read), (ID, RunState::Stopped, 2));
        let failures = || async { journal.failures(ID, 0, 10).await.expect("a report").0 };
        let before = failures().await;
        assert!(before.len() == 1 && before[0].contains(&contacts[1]), "{before:?}");

        let found = journal.run(ID).await.expect("is known");
        let run = recordport::run::Run::resume(journal.clone(), found, route(&org, &mapping).await).await;
        let ended = run.expect("goes on").conduct(None, &mut Quiet).await.expect("is written down");
        assert!(ended.stopped.is_none(), "{:?}", ended.stopped);
        let counts = ended.summary.counts;
        assert_eq!((counts.read, counts.updated, counts.failed), (5, 4, 1), "layout {layout}");
        let mut seen: Vec<String> = org
            .service_fields("Contact", &["Id", "Description"])
            .iter()
            .filter(|row| row["Description"] == name.as_str())
            .map(|row| row["Id"].as_str().expect("an id").to_owned())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, contacts[2..], "what was under way or not read yet, and nothing else");
        assert_eq!(failures().await, before);

        drop(journal);
        let db = rusqlite::Connection::open(home.file("runs.db")).expect("opens");
        let kept: (String, String) = db
            .query_row("SELECT target_key, checkpoint FROM link JOIN feed USING (mapping)", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("both stay");
        assert_eq!(kept, ("00Qa".to_owned(), "a place".to_owned()));
        let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        assert_eq!(version, 4);
    }
}
