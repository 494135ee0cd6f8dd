//! Runs of mappings: from end to end, killed and resumed, stopped, and told about.

mod along;
mod carried;
mod dry;
mod end_to_end;
mod journal;
mod killed;
mod mappings;
mod mirrored;
mod pace;
mod skipped;
mod stopped;
mod sums;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran};

/// Providers with the names of their connections, besides `sf`.
const OTHERS: [(&str, &str); 4] =
    [("dynamics", "dv"), ("jira", "jira"), ("google-calendar", "cal"), ("dropbox", "box")];

/// An emulator and a home with connections to it.
struct World {
    emulator: EmulatorProcess,
    home: Home,
}

impl World {
    fn new(arguments: &[&str]) -> Self {
        Self::of(arguments, &["dv", "jira", "cal"])
    }

    /// One with `sf` and only those of the other connections.
    fn of(arguments: &[&str], connections: &[&str]) -> Self {
        let emulator = EmulatorProcess::start(arguments);
        let home = Home::connected(&emulator);
        let url = emulator.url();
        for (provider, name) in OTHERS.into_iter().filter(|(_, name)| connections.contains(name)) {
            home.run(&["connect", provider, name, "--emulator", &url, "--no-browser"]).expect(0);
        }
        let world = Self { emulator, home };
        // A key of other systems, which Salesforce takes once only.
        let field = json!({
            "name": "Source_Key__c", "type": "string", "length": 80, "externalId": true, "unique": true,
            "idLookup": true,
        });
        world.emulator.control("POST", "salesforce/fields", &json!({"type": "Account", "field": field}));
        world
    }

    /// Rows as a service stores them.
    fn state(&self, service: &str, record_type: &str) -> Vec<Value> {
        let state = self.emulator.control("GET", &format!("state/{service}/{record_type}"), &Value::Null);
        state.as_array().or_else(|| state["rows"].as_array()).expect("rows").clone()
    }

    /// Some fields of rows as a service stores them, which is much quicker.
    fn part(&self, service: &str, record_type: &str, fields: &str) -> Vec<Value> {
        self.state(service, &format!("{record_type}?fields={fields}"))
    }

    fn mapping(&self, mapping: &Value) -> String {
        let name = mapping["name"].as_str().expect("a name");
        self.home.write(&format!("{name}.json"), mapping.to_string())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.home.run(&[&["run"], arguments].concat())
    }

    /// The latest run.
    fn latest(&self) -> Value {
        self.runs().into_iter().next().expect("a run")
    }

    /// The latest run's id; none when nothing ran yet.
    fn latest_id(&self) -> Option<String> {
        Some(self.runs().first()?["run"].as_str().expect("an id").to_owned())
    }

    fn runs(&self) -> Vec<Value> {
        self.home.run(&["runs", "list"]).expect(0).lines()
    }

    /// Whether a fault rule has struck.
    fn struck(&self) -> bool {
        let rules = self.emulator.control("GET", "faults", &Value::Null);
        let rules = rules["rules"].as_array().expect("rules");
        rules.iter().any(|rule| rule["struck"].as_u64().is_some_and(|struck| struck > 0))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.file(name)
    }
}

/// The run that a command printed.
#[track_caller]
fn summary(ran: &Ran) -> Value {
    let lines = ran.lines();
    assert_eq!(lines.len(), 1, "{ran:#?}");
    lines.into_iter().next().expect("a line")
}

/// The counts of a run, which must add up.
#[track_caller]
fn counts(run: &Value) -> Value {
    let of = |name: &str| run["counts"][name].as_u64().unwrap_or_else(|| panic!("{name}: {run}"));
    let written = of("created") + of("updated") + of("deleted");
    assert_eq!(of("read"), written + of("unchanged") + of("failed") + of("skipped"), "{run}");
    assert!(of("unknown") <= of("failed"));
    run["counts"].clone()
}

/// Accounts of Dynamics become accounts of Salesforce, found by the key that they have there.
fn dynamics_to_salesforce() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-salesforce",
        "source": {"connection": "dv", "type": "account"},
        "target": {"connection": "sf", "type": "Account", "operation": "upsert", "by": ["Source_Key__c"]},
        "fields": [
            {"to": "Source_Key__c", "from": "accountid"},
            {"to": "Name", "from": "name"},
            {"to": "Phone", "from": "telephone1"},
        ],
    })
}

/// Accounts of Salesforce become accounts of Dynamics, found by an alternate key.
fn salesforce_to_dynamics() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-dynamics",
        "source": {"connection": "sf", "type": "Account"},
        "target": {"connection": "dv", "type": "account", "operation": "upsert", "by": ["accountnumber"]},
        "fields": [
            {"to": "accountnumber", "from": "Id"},
            {"to": "name", "from": "Name", "steps": [{"op": "truncate"}]},
        ],
    })
}

/// Accounts of Salesforce become new contacts of Dynamics, which have no key of the source.
fn salesforce_to_new_contacts() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-contacts",
        "source": {"connection": "sf", "type": "Account"},
        "target": {"connection": "dv", "type": "contact", "operation": "create"},
        "fields": [
            {"to": "lastname", "const": "from Salesforce"},
            {"to": "description", "from": "Id"},
        ],
    })
}

/// Accounts of Salesforce become new bugs of Jira.
fn salesforce_to_jira(limit: u64) -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-bugs",
        "source": {"connection": "sf", "type": "Account", "query": {"limit": limit, "order_by": [{"field": "Id"}]}},
        "target": {"connection": "jira", "type": "issue:OPS/Bug", "operation": "create"},
        "fields": [
            {"to": "summary", "template": "run of {Id}"},
            {"to": "project", "const": "10000"},
            {"to": "issuetype", "const": "10003"},
            {"to": "customfield_10020", "const": "100202"},
        ],
    })
}

/// Accounts of Salesforce become new files of Dropbox.
fn salesforce_to_files(limit: u64) -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-files",
        "source": {"connection": "sf", "type": "Account", "query": {"limit": limit, "order_by": [{"field": "Id"}]}},
        "target": {"connection": "box", "type": "file", "operation": "create"},
        "fields": [
            {"to": "path", "template": "/accounts/{Id}.txt"},
            {"to": "content", "const": "cmVjb3JkcG9ydA=="},
        ],
    })
}

/// Accounts of Salesforce become new events of a calendar.
fn salesforce_to_events(limit: u64, calendar: &str) -> Value {
    let rule = |to: &str, value: &str| json!({"to": to, "const": value});
    json!({
        "recordport": "mapping/1",
        "name": "accounts-to-events",
        "source": {"connection": "sf", "type": "Account", "query": {"limit": limit, "order_by": [{"field": "Id"}]}},
        "target": {"connection": "cal", "type": format!("event:{calendar}"), "operation": "create"},
        "fields": [
            {"to": "summary", "from": "Id"},
            rule("start.dateTime", "2031-03-28T09:30:00+01:00"),
            rule("start.timeZone", "Europe/Berlin"),
            rule("end.dateTime", "2031-03-28T10:30:00+01:00"),
            rule("end.timeZone", "Europe/Berlin"),
        ],
    })
}
