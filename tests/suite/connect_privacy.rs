//! docs/privacy.md says what the code does.

use std::collections::BTreeSet;

use recordport::connect::disclosure::host_names;
use recordport::connect::sign_in::{AccessMode, GrantKind};
use recordport::connect::store::Store as _;
use serde_json::json;

use crate::support::connected::{connection, made_up, open};

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/privacy.md")).expect("the document")
}

/// The rows of the table with this head inside a section, cells without marks.
fn table(section: &str, head: &str) -> Vec<Vec<String>> {
    let text = document();
    let (_, rest) =
        text.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let rest = rest.split("\n## ").next().expect("a section");
    let (_, rows) =
        rest.split_once(&format!("| {head} |")).unwrap_or_else(|| panic!("no table {head} in {section}"));
    rows.lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
        })
        .collect()
}

fn first(rows: Vec<Vec<String>>) -> BTreeSet<String> {
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}

#[test]
fn every_provider_lists_its_hosts_and_scopes() {
    for factory in recordport::providers::all() {
        let section = factory.info().label;
        let mut hosts = BTreeSet::new();
        let mut scopes = BTreeSet::new();
        let configurations = match factory.info().name {
            "salesforce" => vec![json!({}), json!({ "sandbox": true }), json!({ "my_domain": "acme" })],
            "dynamics" => ["acme.crm4.dynamics.com", "acme.crm.microsoftdynamics.us", "acme.crm.dynamics.cn"]
                .map(|environment| json!({ "environment": environment }))
                .to_vec(),
            "jira" => {
                let with_token = json!({ "site": "https://acme.atlassian.net", "email": "ada@acme.example" });
                vec![json!({}), with_token]
            }
            _ => vec![json!({})],
        };
        for config in configurations {
            let sign_in = factory.sign_in(&config, None).expect("a sign-in");
            let told = |text: &str| match config["environment"].as_str() {
                Some(environment) => text.replace(environment, "ENVIRONMENT"),
                None => text.replace("acme.atlassian.net", "SITE"),
            };
            hosts.extend(host_names(&sign_in.hosts).iter().map(|host| told(host)));
            for address in
                [&sign_in.authorize_url, &sign_in.token_url, &sign_in.revoke_url].into_iter().flatten()
            {
                assert!(sign_in.hosts.allow(address), "{section}: {address} is none of its hosts");
            }
            scopes.extend(sign_in.scopes.iter().chain(&sign_in.client_scopes).map(|scope| {
                let mode = match scope.needed_for {
                    AccessMode::ReadOnly => "read-only",
                    AccessMode::ReadWrite => "read-write",
                };
                vec![told(&scope.name), mode.to_owned(), scope.why.clone()]
            }));
        }
        assert_eq!(first(table(section, "Host | When")), hosts, "{section}");
        let told: BTreeSet<Vec<String>> = table(section, "Scope | Needed for | Why").into_iter().collect();
        assert_eq!(told, scopes, "{section}");
    }
}

#[test]
fn every_field_kept_of_a_connection_is_listed() {
    let kept = serde_json::to_value(connection("demo", GrantKind::Code)).expect("JSON");
    let fields: BTreeSet<String> = kept.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(first(table("Kept on this machine", "Field | What it is")), fields);
}

#[tokio::test]
async fn every_file_of_the_home_is_listed() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let store = open(&home).await;
    let demo = connection("demo", GrantKind::Code);
    store.put(&demo, &Default::default(), Some(&made_up("token", None))).await.expect("is stored");
    drop(store.lock_renewal(&demo.id).await.expect("the lock"));
    let listed = first(table("Kept on this machine", "File | Holds"));
    for entry in std::fs::read_dir(&home).expect("a directory").flatten() {
        let file = entry.file_name().to_string_lossy().replace(&demo.id, "ID");
        let base = file.trim_end_matches("-wal").trim_end_matches("-shm");
        assert!(listed.contains(base), "{file} is not in {listed:?}");
    }
}
