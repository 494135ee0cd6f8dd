//! What is Jira's own, by the provider against the emulated site.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use recordport::emulator::EmulatorConfig;
use recordport::error::ErrorKind;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{OptionQuery, Records, TypeQuery};
use recordport::record::schema::{SchemaOptions, SchemaPurpose, record_schema};
use recordport::record::{FieldPath, FieldType, Key, KeyFields, QueryDraft, TypeName};
use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};
use crate::support::emulated::client;
use crate::support::wired_org::Connected;

async fn site() -> Connected {
    Connected::to("jira", EmulatorConfig::default()).await
}

/// Asks the emulated site itself, as the user of the provider's token.
async fn asked(site: &Connected, path: &str) -> Value {
    let credentials = &site.emulator.credentials()["jira"];
    let text = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let url = format!("{}/rest/api/3/{path}", site.emulator.http_url());
    let answer = client().get(url).basic_auth(text("email"), Some(text("api_token"))).send().await;
    serde_json::from_str(&answer.expect("is answered").text().await.expect("a body")).expect("JSON")
}

async fn change_screen(site: &Connected, change: &Value) {
    let url = format!("{}/_emulator/jira/screens", site.emulator.http_url());
    let answer = client().post(url).body(change.to_string()).send().await.expect("is answered");
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn required_on_create(records: &dyn Records) -> BTreeSet<String> {
    let schema = record_schema(records.record_type(), SchemaPurpose::Create, &SchemaOptions::default());
    names(&schema["required"])
}

async fn search(site: &Connected, records: &str, draft: &QueryDraft) -> Vec<Value> {
    let records = site.open(records).await;
    let prepared = records.prepare(&site.cx, draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    let found: Vec<_> = Search::start(records, site.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    found.iter().map(|record| record.to_value().expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_create_schema_requires_what_create_metadata_requires_and_follows_the_screen() {
    let site = site().await;
    let path = "issue/createmeta/OPS/issuetypes/10003";
    let required = |metadata: &Value| -> BTreeSet<String> {
        let fields = metadata["fields"].as_array().expect("fields").iter();
        let required = fields.filter(|field| field["required"] == true);
        required.map(|field| field["fieldId"].as_str().expect("an id").to_owned()).collect()
    };
    let bug = site.open("issue:OPS/Bug").await;
    let before = required(&asked(&site, path).await);
    assert!(before.contains("customfield_10020") && before.len() == 4, "{before:?}");
    assert_eq!(required_on_create(&*bug), before);

    change_screen(
        &site,
        &json!({"project": "OPS", "issue_type": "Bug", "field": "duedate", "required": true}),
    )
    .await;
    change_screen(
        &site,
        &json!({"project": "OPS", "issue_type": "Bug", "field": "customfield_10010", "shown": true}),
    )
    .await;
    let kept = site.open("issue:OPS/Bug").await;
    assert_eq!(required_on_create(&*kept), before, "a description is good for a while");
    let mut fresh = site.cx.clone();
    fresh.refresh = true;
    let bug = site.provider.open(&fresh, &TypeName::new("issue:OPS/Bug")).await.expect("opens");
    let after = required(&asked(&site, path).await);
    assert!(after.contains("duedate"), "{after:?}");
    assert_eq!(required_on_create(&*bug), after);
    assert!(bug.record_type().field("customfield_10010").is_some_and(|field| field.createable));
    let other = site.provider.open(&fresh, &TypeName::new("issue:OPS/Task")).await.expect("opens");
    assert!(!required_on_create(&*other).contains("duedate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_site_is_a_property_of_issue() {
    let site = site().await;
    let fields = asked(&site, "field").await;
    let records = site.open("issue").await;
    let record_type = records.record_type();
    for field in fields.as_array().expect("a list") {
        let id = field["id"].as_str().expect("an id");
        let name = if id == "issuekey" { "key" } else { id };
        let known = record_type.field(name).unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!(known.label, field["name"].as_str().unwrap(), "{id}");
    }
    let kind = |name: &str| &record_type.field(name).expect("known").field_type;
    assert!(matches!(kind("customfield_10042"), FieldType::Json));
    assert!(
        record_type.field("customfield_10042").unwrap().note.as_deref().unwrap().contains("design.field")
    );
    assert!(matches!(kind("description_adf"), FieldType::Text { .. }));
    let FieldType::Picklist(second) = kind("customfield_10022_child") else { panic!("a picklist") };
    let berlin = second.values.iter().find(|value| value.label == "Berlin").expect("is offered");
    let FieldType::Picklist(first) = kind("customfield_10022") else { panic!("a picklist") };
    let europe = first.values.iter().find(|value| value.label == "Europe").expect("is offered");
    assert_eq!(berlin.valid_for.as_deref(), Some(&[europe.value.clone()][..]));
    assert_eq!(
        record_type.field("customfield_10022_child").unwrap().controlled_by.as_deref(),
        Some("customfield_10022")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_are_read_in_the_form_of_the_schema() {
    let site = site().await;
    let draft = QueryDraft { limit: Some(120), page_size: Some(50), ..QueryDraft::default() };
    let found = search(&site, "issue:OPS/Bug", &draft).await;
    assert!(found.len() > 20, "{} issues", found.len());
    let records = site.open("issue:OPS/Bug").await;
    let schema = record_schema(records.record_type(), SchemaPurpose::Read, &SchemaOptions::default());
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for record in &found {
        let wrong: Vec<String> = validator
            .iter_errors(record)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?} in {record}");
        let stored = asked(&site, &format!("issue/{}", record["id"].as_str().unwrap())).await;
        let fields = &stored["fields"];
        assert_eq!(record["key"], stored["key"]);
        assert_eq!(record["summary"], fields["summary"]);
        assert_eq!(record["status"], fields["status"]["id"]);
        assert_eq!(record["assignee"], fields["assignee"]["accountId"]);
        assert_eq!(record["customfield_10022"], fields["customfield_10022"]["id"]);
        assert_eq!(record["customfield_10022_child"], fields["customfield_10022"]["child"]["id"]);
        assert_eq!(record["customfield_10029"], fields["customfield_10029"]);
        let ids = |list: &Value| -> Vec<Value> {
            list.as_array().into_iter().flatten().map(|own| own["id"].clone()).collect()
        };
        assert_eq!(record["customfield_10021"], json!(ids(&fields["customfield_10021"])));
        assert_eq!(record["components"], json!(ids(&fields["components"])));
        let document: Value = match record["description_adf"].as_str() {
            Some(text) => serde_json::from_str(text).expect("a document"),
            None => Value::Null,
        };
        assert_eq!(document, fields["description"]);
        assert_eq!(record["description"].is_null(), fields["description"].is_null());
        assert!(!record["description"].as_str().unwrap_or_default().starts_with('{'), "{record}");
    }
    assert!(found.iter().any(|record| record["customfield_10022_child"].is_string()));
    assert!(found.iter().any(|record| record["timetracking"]["originalEstimate"] == "4h"));
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_are_found_by_id_and_by_key_in_any_case_within_their_type() {
    let site = site().await;
    let draft = QueryDraft { limit: Some(1), ..QueryDraft::default() };
    let bug = search(&site, "issue:OPS/Bug", &draft).await.remove(0);
    let task = search(&site, "issue:OPS/Task", &draft).await.remove(0);
    let text = |record: &Value, name: &str| record[name].as_str().expect("text").to_owned();
    let records = site.open("issue:OPS/Bug").await;
    let select = [FieldPath::parse("key"), FieldPath::parse("timetracking.originalEstimate")];
    let keys = [
        Key::text(text(&bug, "key").to_lowercase()),
        Key::text(text(&task, "key")),
        Key::text("OPS-99999"),
        Key::text(text(&bug, "id")),
    ];
    let found = records.get(&site.cx, &KeyFields::single("key"), &keys, &select).await.expect("is sent");
    let found: Vec<Option<Value>> =
        found.into_iter().map(|one| one.expect("is read").map(|own| own.to_value().unwrap())).collect();
    assert_eq!(found[0].as_ref().expect("is there")["key"], bug["key"]);
    assert!(found[0].as_ref().unwrap()["timetracking"].as_object().unwrap().len() <= 1);
    assert_eq!(&found[1..], &[None, None, None]);
    let keys = [Key::text(text(&bug, "id")), Key::text(text(&bug, "key")), Key::text("1")];
    let found = records.get(&site.cx, &KeyFields::single("id"), &keys, &[]).await.expect("is sent");
    let found: Vec<bool> = found.into_iter().map(|one| one.expect("is read").is_some()).collect();
    assert_eq!(found, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_listed_by_project_and_searched() {
    let site = site().await;
    let listed = async |query: TypeQuery| {
        let page = site.provider.types(&site.cx, &query).await.expect("lists");
        page.types.into_iter().map(|own| own.name.to_string()).collect::<Vec<_>>()
    };
    let all = listed(TypeQuery::default()).await;
    assert!(all.contains(&"issue".to_owned()) && all.contains(&"issue:WEB/Story".to_owned()), "{all:?}");
    let ops = listed(TypeQuery { scope: Some("OPS".to_owned()), ..TypeQuery::default() }).await;
    assert_eq!(ops, ["issue:OPS/Bug", "issue:OPS/Task", "issue:OPS/Sub-task"]);
    let bugs = listed(TypeQuery { search: Some("bug".to_owned()), ..TypeQuery::default() }).await;
    assert_eq!(bugs, ["issue:OPS/Bug", "issue:WEB/Bug"]);
    for (wrong, advice) in [
        ("issue:OPS/Bgu", "Did you mean Bug?"),
        ("issue:NOPE/Bug", "no such project"),
        ("issue:OPS", "issue:OPS/Bug"),
        ("ticket", "types CONNECTION"),
    ] {
        let error = site.provider.open(&site.cx, &TypeName::new(wrong)).await.expect_err("does not exist");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{wrong}");
        assert!(error.advice().unwrap_or_default().contains(advice), "{wrong}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_to_choose_from_are_looked_up() {
    let site = site().await;
    let bug = site.open("issue:OPS/Bug").await;
    let offered = async |field: &str, ask: OptionQuery| {
        let page = bug.options(&site.cx, &FieldPath::parse(field), &ask).await.expect("offers");
        page.options.into_iter().map(|item| (item.value, item.label)).collect::<Vec<_>>()
    };
    let severities = offered("customfield_10020", OptionQuery::default()).await;
    assert_eq!(severities[0], (json!("100201"), "Critical".to_owned()));
    let search = |text: &str| OptionQuery { search: Some(text.to_owned()), ..OptionQuery::default() };
    let groups = offered("customfield_10034", search("jira")).await;
    assert_eq!(groups.len(), 2, "{groups:?}");
    let everybody = offered("customfield_10025", OptionQuery::default()).await;
    let assignable = offered("assignee", OptionQuery::default()).await;
    assert!(assignable.len() < everybody.len() && assignable.iter().all(|own| everybody.contains(own)));
    assert_eq!(offered("labels", search("100%")).await, [(json!("100%"), "100%".to_owned())]);
    assert_eq!(offered("customfield_10038", search("web")).await.len(), 1);
    let on = json!({"customfield_10022": "100225"}).as_object().unwrap().clone();
    let cities = offered("customfield_10022_child", OptionQuery { on, ..OptionQuery::default() }).await;
    assert!(cities.iter().all(|(_, label)| ["Chicago", "Toronto"].contains(&label.as_str())), "{cities:?}");
    assert!(bug.options(&site.cx, &FieldPath::parse("summary"), &OptionQuery::default()).await.is_err());
}

#[test]
fn jira_connects_by_oauth_and_by_api_tokens_of_both_kinds() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    let url = emulator.url();
    home.run(&["connect", "jira", "work", "--emulator", &url, "--no-browser"]).expect(0);
    let tested = home.run(&["connections", "test", "work"]).expect(0).lines();
    assert!(tested.iter().all(|finding| finding["state"] == "ok"), "{tested:?}");
    home.run(&["connect", "jira", "plain", "--emulator", &url, "--grant", "basic"]).expect(0);
    let credentials = &emulator.ready()["credentials"]["jira"];
    let text = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let email = format!("email={}", text("email"));
    let basic = ["--endpoint", &url, "--grant", "basic", "--set", &email, "--token-stdin"];
    let connect = |name: &str, token: &str| {
        let words = [&["connect", "jira", name][..], &basic[..]].concat();
        home.feed(&words, format!("{token}\n"))
    };
    connect("scoped", &text("scoped_api_token")).expect(0);
    for name in ["work", "plain", "scoped"] {
        let found = home.run(&["search", name, "issue:OPS/Bug", "--select", "key", "--limit", "2"]).expect(0);
        assert_eq!(found.lines().len(), 2, "{name}");
    }
    connect("wrong", "not the token").expect(3).says("API token");
    home.run(&["search", "wrong", "issue", "--limit", "1"]).expect(3);
    home.run(&["connect", "jira", "nameless", "--endpoint", &url, "--grant", "basic"])
        .expect(2)
        .says("--set email=");
    home.run(&["connect", "jira", "own", "--set", "site=https://jira.acme.example", "--client-id", "x"])
        .expect(2)
        .says("Data Center is not supported");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_sites_the_user_chooses_one() {
    let emulator = EmulatorProcess::start(&[]);
    let url = emulator.url();
    let token = token_for_all_sites(&emulator).await;
    let home = Home::new();
    let connect = |name: &str, more: &[&str]| {
        let words =
            [&["connect", "jira", name, "--endpoint", &url, "--grant", "token", "--token-stdin"][..], more]
                .concat();
        home.feed(&words, format!("{token}\n"))
    };
    let refused = connect("work", &[]).expect(2);
    for told in ["several sites", "emulated-sandbox", "--set site="] {
        refused.says(told);
    }
    let named = connect("work", &["--set", "site=emulated-sandbox"]).expect(0);
    assert_eq!(named.lines()[0]["name"], "work");
    assert_eq!(home.run(&["search", "work", "issue", "--select", "key"]).expect(0).lines().len(), 0);
    connect("first", &["--set", "site=https://emulated.atlassian.net"]).expect(0);
    let found = home.run(&["search", "first", "issue", "--select", "key", "--limit", "2"]).expect(0);
    assert_eq!(found.lines().len(), 2);
    connect("none", &["--set", "site=elsewhere"]).expect(2).says("emulated-sandbox");
}

/// An access token for which the user chose every site.
async fn token_for_all_sites(emulator: &EmulatorProcess) -> String {
    let credentials = &emulator.ready()["credentials"]["jira"];
    let text = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let (client, redirect) = (client(), text("redirect_uri"));
    let scope = "read:jira-work write:jira-work read:jira-user offline_access";
    let query = [
        ("audience", "api.atlassian.com".to_owned()),
        ("client_id", text("client_id")),
        ("scope", scope.to_owned()),
        ("redirect_uri", redirect.clone()),
        ("response_type", "code".to_owned()),
        ("site", "all".to_owned()),
    ];
    let address =
        url::Url::parse_with_params(&format!("{}/authorize", emulator.url()), &query).expect("an address");
    let page = client.get(address).send().await.expect("is answered").text().await.expect("a page");
    let number = page.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("request={}&decision=allow", number.expect("a form"));
    let decided = client
        .post(format!("{}/authorize", emulator.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .expect("is answered");
    let landed = decided.headers()["location"].to_str().expect("text").to_owned();
    let landed = url::Url::parse(&landed).expect("an address");
    let code = landed.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let body = json!({
        "grant_type": "authorization_code", "client_id": text("client_id"),
        "client_secret": text("client_secret"), "code": code, "redirect_uri": redirect,
    });
    let answer = client
        .post(format!("{}/oauth/token", emulator.url()))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .expect("is answered");
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
