//! Writing Jira issues: what forms, workflows, documents and lost answers come to, with every request judged by the
//! service's OpenAPI document.

use std::sync::Arc;

use recordport::connect::sign_in::AccessMode;
use recordport::emulator::jira::Jira;
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::ErrorKind;
use recordport::layer::check::Checked;
use recordport::provider::{
    Change, Edit, Edits, NewRow, Outcome, Records, Settled, VersionedKey, WriteOptions,
};
use recordport::record::record_type::{FieldType, PicklistValue};
use recordport::record::schema::{SchemaOptions, SchemaPurpose, record_schema};
use recordport::record::{FieldPath, Key, KeyFields};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::jira_openapi::{Conforming, Judged};
use crate::support::evidence::Watched;
use crate::support::wired_org::Connected;

const IN_PROGRESS: &str = "10001";
const DONE: &str = "10003";
const LOCATION: &str = "customfield_10022";
const SEVERITY: &str = "customfield_10020";

struct Site {
    org: Connected,
    judge: Conforming,
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.judge.report().assert_conforms();
        }
    }
}

async fn site() -> Site {
    let mut judge = None;
    let emulator = Emulator::start_with(EmulatorConfig::default(), |config| {
        let service = Conforming::new(Jira::start(config)?, Judged::Both);
        judge = Some(service.clone());
        Ok(vec![Arc::new(service)])
    })
    .await
    .unwrap();
    Site { org: Connected::on("jira", Watched::from(emulator), Value::Null), judge: judge.unwrap() }
}

fn edits(row: &Value) -> Edits {
    let members = row.as_object().unwrap().iter();
    members
        .map(|(name, value)| {
            let edit = match value {
                Value::Null => Edit::Clear,
                value => Edit::Set(RawValue::from_string(value.to_string()).unwrap()),
            };
            (name.clone(), edit)
        })
        .collect()
}

/// A bug with all that its form asks for, and more.
fn bug(more: Value) -> Value {
    let mut row =
        json!({ "summary": "Printer on fire", "project": "10000", "issuetype": "10003", SEVERITY: "100202" });
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

impl Site {
    async fn open(&self, name: &str) -> Arc<dyn Records> {
        Arc::new(Checked::new(self.org.open(name).await, AccessMode::ReadWrite))
    }

    async fn create(&self, records: &Arc<dyn Records>, row: &Value) -> Key {
        let row = NewRow { fields: edits(row), marker: None };
        let outcome = records.create(&self.org.cx, &[row], &WriteOptions::new()).await.unwrap().remove(0);
        outcome.key().unwrap_or_else(|| panic!("{outcome:?}")).clone()
    }

    async fn update(&self, records: &Arc<dyn Records>, key: &Key, edits: Edits) -> Outcome {
        let change = Change { key: key.clone(), edits, if_version: None };
        records.update(&self.org.cx, &[change], &WriteOptions::new()).await.unwrap().remove(0)
    }

    async fn set(&self, records: &Arc<dyn Records>, key: &Key, row: Value) -> Outcome {
        self.update(records, key, edits(&row)).await
    }

    async fn read(&self, records: &Arc<dyn Records>, key: &Key, select: &[&str]) -> Value {
        let select: Vec<FieldPath> = select.iter().map(|path| FieldPath::parse(path)).collect();
        let by = records.record_type().key.clone();
        let found =
            records.get(&self.org.cx, &by, std::slice::from_ref(key), &select).await.unwrap().remove(0);
        found.unwrap().expect("exists").to_value().unwrap()
    }

    fn fault(&self, rule: Value) {
        let rule = recordport::emulator::faults::Rule::parse(rule.to_string().as_bytes(), &["jira"]).unwrap();
        self.org.emulator.faults().add(rule).unwrap();
    }

    async fn control(&self, what: &str, body: &Value) {
        let address = format!("{}/_emulator/{what}", self.org.emulator.http_url());
        let answer =
            crate::support::emulated::client().post(address).body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Requests with this method to addresses with this end.
    fn sent(&self, method: &str, end: &str) -> Vec<Value> {
        let log = self.org.emulator.requests();
        let all = log["requests"].as_array().unwrap().iter();
        let path = |request: &Value| request["path"].as_str().unwrap_or_default().ends_with(end);
        all.filter(|request| request["method"] == method && path(request)).cloned().collect()
    }

    async fn stored(&self, summary: &str) -> usize {
        let rows: Value = serde_json::from_str(&self.org.state("issue").await).unwrap();
        rows.as_array().unwrap().iter().filter(|row| row["fields"]["summary"] == summary).count()
    }
}

/// The picklist values of a field.
fn choices(records: &Arc<dyn Records>, field: &str) -> Vec<PicklistValue> {
    match &records.record_type().field(field).unwrap().field_type {
        FieldType::Picklist(picklist) => picklist.values.clone(),
        other => panic!("{field} is {other:?}"),
    }
}

/// The first value that a property offers, wherever its schema keeps the list.
fn first_choice(schema: &Value, property: &Value) -> Option<Value> {
    if let Some(reference) = property["$ref"].as_str() {
        return first_choice(schema, schema.pointer(reference.strip_prefix('#')?)?);
    }
    let lists = ["oneOf", "enum", "anyOf", "allOf"].iter().filter_map(|list| property[*list].as_array());
    lists.flatten().find_map(|choice| match choice {
        Value::Object(members) => match members.get("const") {
            Some(value) => Some(value.clone()).filter(|value| !value.is_null()),
            None => first_choice(schema, choice),
        },
        value => Some(value.clone()).filter(|value| !value.is_null()),
    })
}

#[tokio::test]
async fn a_form_filled_from_the_create_schema_alone_creates_an_issue() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let schema = record_schema(bugs.record_type(), SchemaPurpose::Create, &SchemaOptions::default());
    let mut required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    required.sort_unstable();
    assert_eq!(required, [SEVERITY, "issuetype", "project", "summary"], "as create metadata requires");
    let mut form = json!({});
    for name in required {
        let property = &schema["properties"][name];
        form[name] = first_choice(&schema, property).unwrap_or_else(|| json!("filled in"));
    }
    let validator = jsonschema::draft7::new(&schema).unwrap();
    assert!(validator.is_valid(&form), "{form}");
    let key = site.create(&bugs, &form).await;
    assert_eq!(site.read(&bugs, &key, &["summary"]).await["summary"], "filled in");
}

#[tokio::test]
async fn a_status_is_changed_by_the_step_that_leads_there_with_what_it_asks_for() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let key = site.create(&bugs, &bug(json!({}))).await;
    let nowhere = site.set(&bugs, &key, json!({ "status": DONE })).await;
    let error = nowhere.error().unwrap();
    assert_eq!(error.code(), Some("no_transition"), "{error}");
    assert!(error.message().contains("Start → In Progress"), "{error}");

    let moved = site.set(&bugs, &key, json!({ "status": IN_PROGRESS, "summary": "Both at once" })).await;
    assert!(matches!(moved, Outcome::Updated(_)), "{moved:?}");
    let read = site.read(&bugs, &key, &["status", "summary"]).await;
    assert_eq!(read, json!({ "status": IN_PROGRESS, "summary": "Both at once" }));
    let again = site.set(&bugs, &key, json!({ "status": IN_PROGRESS })).await;
    assert!(matches!(again, Outcome::Unchanged(_)), "{again:?}");

    let missing = site.set(&bugs, &key, json!({ "status": DONE, "summary": "Not written" })).await;
    let error = missing.error().unwrap();
    assert_eq!((error.code(), error.fields()[0].field.as_str()), (Some("transition_fields"), "resolution"));
    assert!(!error.fields()[0].accepted.is_empty(), "{error}");
    assert_eq!(site.read(&bugs, &key, &["summary"]).await["summary"], "Both at once", "nothing was sent");
    let alone = site.set(&bugs, &key, json!({ "resolution": "10001" })).await;
    assert!(alone.error().unwrap().message().contains("give the status too"), "{alone:?}");

    let done = site.set(&bugs, &key, json!({ "status": DONE, "resolution": "10001" })).await;
    assert!(matches!(done, Outcome::Updated(_)), "{done:?}");
    let read = site.read(&bugs, &key, &["status", "resolution"]).await;
    assert_eq!(read, json!({ "status": DONE, "resolution": "10001" }));
}

#[tokio::test]
async fn a_step_that_is_refused_leaves_the_issue_as_it_was_and_one_that_was_taken_is_told() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let key = site.create(&bugs, &bug(json!({}))).await;
    let refusal = |method: &str, path: String| {
        let body = json!({ "errorMessages": ["A condition of the workflow is not met."], "errors": {} });
        json!({ "kind": "status", "status": 400, "method": method, "path": path, "body": body })
    };
    let both = json!({ "status": IN_PROGRESS, "summary": "Both" });
    site.fault(refusal("POST", "*/transitions".to_owned()));
    let refused = site.set(&bugs, &key, both.clone()).await;
    assert!(refused.error().unwrap().message().contains("condition of the workflow"), "{refused:?}");
    assert!(site.sent("PUT", &key.to_string()).is_empty(), "nothing was written");
    let read = site.read(&bugs, &key, &["summary", "status"]).await;
    assert_eq!(read, json!({ "summary": "Printer on fire", "status": "10000" }));

    site.fault(refusal("PUT", format!("*/issue/{key}*")));
    let half = site.set(&bugs, &key, both).await;
    let advice = half.error().unwrap().advice().unwrap_or_default();
    assert!(advice.contains("status of this row was changed"), "{half:?}");
    let read = site.read(&bugs, &key, &["summary", "status"]).await;
    assert_eq!(read, json!({ "summary": "Printer on fire", "status": IN_PROGRESS }));
}

#[tokio::test]
async fn whether_an_issue_is_absent_is_not_told_where_its_creator_may_not_see_it() {
    let site = site().await;
    let mark = json!({ "run": "r8", "@since": jiff::Timestamp::now().to_string() });
    let settled = async |cx: &recordport::provider::Context| {
        let bugs =
            site.org.provider.open(cx, &recordport::record::TypeName::new("issue:OPS/Bug")).await.unwrap();
        bugs.settle(cx, std::slice::from_ref(&mark)).await.unwrap().remove(0)
    };
    assert_eq!(settled(&site.org.cx).await, Settled::Absent);
    let screen = json!({ "project": "OPS", "issue_type": "Bug", "field": "security", "shown": true });
    site.control("jira/screens", &screen).await;
    let anew = recordport::provider::Context { refresh: true, ..site.org.cx.clone() };
    assert_eq!(settled(&anew).await, Settled::CannotTell);
}

#[tokio::test]
async fn a_lost_answer_to_a_step_is_told_by_the_status_that_the_issue_has() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let key = site.create(&bugs, &bug(json!({}))).await;
    site.fault(json!({ "kind": "503_after_commit", "method": "POST", "path": "*/transitions" }));
    let moved = site.set(&bugs, &key, json!({ "status": IN_PROGRESS })).await;
    assert!(matches!(moved, Outcome::Updated(_)), "{moved:?}");
    site.fault(json!({ "kind": "503", "method": "POST", "path": "*/transitions", "times": 9 }));
    let lost = site.set(&bugs, &key, json!({ "status": "10002" })).await;
    assert!(matches!(lost, Outcome::Unknown { .. }), "{lost:?}");
    assert_eq!(site.sent("POST", "/transitions").len(), 2, "a step is not taken twice");
}

#[tokio::test]
async fn a_cascading_select_is_two_lists_that_go_together() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let child = format!("{LOCATION}_child");
    let (firsts, seconds) = (choices(&bugs, LOCATION), choices(&bugs, &child));
    let (europe, asia) = (&firsts[0].value, &firsts[2].value);
    let of_europe: Vec<&Value> = seconds
        .iter()
        .filter(|own| own.valid_for.as_deref() == Some(std::slice::from_ref(europe)))
        .map(|own| &own.value)
        .collect();
    assert_eq!(of_europe.len(), 3);
    let key = site.create(&bugs, &bug(json!({ LOCATION: europe, &child: of_europe[1] }))).await;
    let now = async || site.read(&bugs, &key, &[LOCATION, &child]).await;
    assert_eq!(now().await, json!({ LOCATION: europe, &child: of_europe[1] }));

    site.set(&bugs, &key, json!({ &child: of_europe[0] })).await;
    assert_eq!(now().await, json!({ LOCATION: europe, &child: of_europe[0] }), "the first list stays");
    site.set(&bugs, &key, json!({ LOCATION: europe })).await;
    assert_eq!(now().await[&child], *of_europe[0], "so does the second, of the same first");
    site.set(&bugs, &key, json!({ LOCATION: asia })).await;
    assert_eq!(now().await, json!({ LOCATION: asia, &child: null }), "it goes with its first");
    site.set(&bugs, &key, json!({ LOCATION: null })).await;
    assert_eq!(now().await, json!({ LOCATION: null, &child: null }));
    let orphan = site.set(&bugs, &key, json!({ &child: of_europe[0] })).await;
    assert!(orphan.error().unwrap().message().contains("needs an option of the first"), "{orphan:?}");
}

#[tokio::test]
async fn a_description_with_a_table_and_a_mention_survives_and_is_not_rewritten_untouched() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let me = site.org.emulator.credentials()["jira"]["account_id"]
        .as_str()
        .unwrap_or("5b10a2844c20165700ede21g")
        .to_owned();
    let markdown = format!(
        "Ask [@Someone](accountid:{me}) first.\n\n| Part | State |\n| --- | --- |\n| Fan | **broken** |\n| Tray | fine |\n"
    );
    let key = site.create(&bugs, &bug(json!({ "description": markdown }))).await;
    let first = site.read(&bugs, &key, &["description", "description_adf"]).await;
    assert_eq!(first["description"].as_str().unwrap().trim_end(), markdown.trim_end());
    let document: Value = serde_json::from_str(first["description_adf"].as_str().unwrap()).unwrap();
    let kinds: Vec<&str> =
        document["content"].as_array().unwrap().iter().map(|node| node["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["paragraph", "table"]);
    assert_eq!(document["content"][0]["content"][1]["attrs"]["id"], me.as_str());

    let untouched = site.set(&bugs, &key, json!({ "description": first["description"] })).await;
    assert!(matches!(untouched, Outcome::Unchanged(_)), "{untouched:?}");
    assert!(site.sent("PUT", &key.to_string()).is_empty(), "nothing was sent");

    // A panel is something that only the document itself can say; a change beside it leaves it alone.
    let panel = json!({ "type": "doc", "version": 1, "content": [
        { "type": "panel", "attrs": { "panelType": "warning" }, "content": [
            { "type": "paragraph", "content": [{ "type": "text", "text": "hot" }] }] },
        { "type": "paragraph", "content": [{ "type": "text", "text": "old" }] } ] });
    let both = json!({ "description": "x", "description_adf": panel.to_string() });
    let refused = site.set(&bugs, &key, both).await;
    assert!(refused.error().unwrap().message().contains("give one of them"), "{refused:?}");
    site.set(&bugs, &key, json!({ "description_adf": panel.to_string() })).await;
    let read = site.read(&bugs, &key, &["description"]).await["description"].as_str().unwrap().to_owned();
    site.set(&bugs, &key, json!({ "description": read.replace("old", "new") })).await;
    let read = site.read(&bugs, &key, &["description_adf"]).await;
    let document: Value = serde_json::from_str(read["description_adf"].as_str().unwrap()).unwrap();
    assert_eq!(document["content"][0], panel["content"][0]);
    assert_eq!(document["content"][1]["content"][0]["text"], "new");
    site.set(&bugs, &key, json!({ "description": null })).await;
    assert_eq!(site.read(&bugs, &key, &["description"]).await["description"], Value::Null);
}

#[tokio::test]
async fn lists_are_added_to_and_removed_from_without_being_read() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let key = site
        .create(&bugs, &bug(json!({ "labels": ["a", "b"], "customfield_10021": ["100211", "100212"] })))
        .await;
    let list = |add: Value, remove: Value| Edit::List {
        add: add.as_array().unwrap().clone(),
        remove: remove.as_array().unwrap().clone(),
    };
    let edits = vec![
        ("labels".to_owned(), list(json!(["c"]), json!(["a"]))),
        ("customfield_10021".to_owned(), list(json!(["100213"]), json!(["100211"]))),
    ];
    let outcome = site.update(&bugs, &key, edits).await;
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    let read = site.read(&bugs, &key, &["labels", "customfield_10021"]).await;
    assert_eq!(read, json!({ "labels": ["b", "c"], "customfield_10021": ["100212", "100213"] }));
    let put = &site.sent("PUT", &key.to_string())[0];
    let body: Value = serde_json::from_str(put["body"].as_str().unwrap()).unwrap();
    assert!(body.get("fields").is_none(), "verbs alone: {body}");
    let spaces = site.set(&bugs, &key, json!({ "labels": ["two words"] })).await;
    assert_eq!(spaces.error().unwrap().fields()[0].field, "labels");
}

#[tokio::test]
async fn a_parent_is_taken_away_and_other_projects_issues_are_left_alone() {
    let site = site().await;
    let (bugs, tasks) = (site.open("issue:OPS/Bug").await, site.open("issue:WEB/Story").await);
    let parent = site.create(&bugs, &bug(json!({}))).await;
    let key = site.create(&bugs, &bug(json!({ "parent": parent.to_string() }))).await;
    assert_eq!(site.read(&bugs, &key, &["parent"]).await["parent"], parent.to_string());
    let outcome = site.set(&bugs, &key, json!({ "parent": null })).await;
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    assert_eq!(site.read(&bugs, &key, &["parent"]).await["parent"], Value::Null);

    let foreign = site.set(&tasks, &key, json!({ "summary": "stolen" })).await;
    assert_eq!(foreign.error().unwrap().kind(), ErrorKind::NotFound, "{foreign:?}");
    let row = VersionedKey { key: key.clone(), if_version: None };
    let kept = tasks.delete(&site.org.cx, &[row], &WriteOptions::new()).await.unwrap().remove(0);
    assert_eq!(kept.error().unwrap().kind(), ErrorKind::NotFound, "{kept:?}");
    assert_eq!(site.read(&bugs, &key, &["summary"]).await["summary"], "Printer on fire");
}

#[tokio::test]
async fn an_upsert_by_key_only_updates() {
    let site = site().await;
    let issues = site.open("issue").await;
    let by = KeyFields::single("key");
    let row = |key: &str| Change {
        key: Key::text(key),
        edits: edits(&json!({ "summary": "By key" })),
        if_version: None,
    };
    let rows = [row("ops-3"), row("OPS-99999")];
    let outcomes = issues.upsert(&site.org.cx, &by, &rows, &WriteOptions::new()).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Updated(_)), "{outcomes:?}");
    assert_eq!(outcomes[1].error().unwrap().kind(), ErrorKind::NotFound, "{outcomes:?}");
    assert_eq!(site.stored("By key").await, 1);
}

#[tokio::test]
async fn sub_tasks_hold_a_deletion_back_until_the_option_says_so() {
    let site = site().await;
    let (bugs, parts) = (site.open("issue:OPS/Bug").await, site.open("issue:OPS/Sub-task").await);
    let key = site.create(&bugs, &bug(json!({}))).await;
    let part =
        json!({ "summary": "part", "project": "10000", "issuetype": "10005", "parent": key.to_string() });
    let part = site.create(&parts, &part).await;
    let part_key = site.read(&parts, &part, &["key"]).await["key"].as_str().unwrap().to_owned();
    let row = VersionedKey { key: key.clone(), if_version: None };
    let delete = async |options: Value| {
        let options = options.as_object().unwrap().clone();
        bugs.delete(&site.org.cx, std::slice::from_ref(&row), &options).await.unwrap().remove(0)
    };
    let held = delete(json!({})).await;
    let error = held.error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.advice().unwrap().contains(&part_key), "{error:?}");
    assert!(matches!(delete(json!({ "deleteSubtasks": true })).await, Outcome::Deleted(_)));
    assert!(matches!(delete(json!({})).await, Outcome::Deleted(_)), "gone is deleted");
}

#[tokio::test]
async fn an_interrupted_create_is_found_by_its_marker_or_sent_again_when_it_is_surely_absent() {
    let site = site().await;
    let bugs = site.open("issue:OPS/Bug").await;
    let marked = |mark: u32| NewRow {
        fields: edits(&bug(json!({ "summary": format!("Row {mark}") }))),
        marker: Some(json!({ "run": "r7", "row": mark })),
    };
    for kind in ["drop_after_commit", "503_after_commit"] {
        site.fault(json!({ "kind": kind, "method": "POST", "path": "*/issue/bulk" }));
        let rows = if kind == "drop_after_commit" { [marked(0), marked(1)] } else { [marked(2), marked(3)] };
        let outcomes = bugs.create(&site.org.cx, &rows, &WriteOptions::new()).await.unwrap();
        assert!(outcomes.iter().all(|own| matches!(own, Outcome::Created(_))), "{kind}: {outcomes:?}");
    }
    assert_eq!(site.sent("POST", "/issue/bulk").len(), 2, "nothing was sent again");
    for mark in 0..4 {
        assert_eq!(site.stored(&format!("Row {mark}")).await, 1);
    }
    site.fault(json!({ "kind": "503", "method": "POST", "path": "*/issue/bulk" }));
    let outcomes = bugs.create(&site.org.cx, &[marked(4)], &WriteOptions::new()).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Created(_)), "{outcomes:?}");
    assert_eq!(site.stored("Row 4").await, 1);
    // Without a time, or over all projects, nobody can be sure that an issue is not there.
    let nowhere = json!("never sent");
    let settled = bugs.settle(&site.org.cx, std::slice::from_ref(&nowhere)).await.unwrap();
    assert_eq!(settled, [Settled::CannotTell]);
}

#[tokio::test]
async fn rows_in_doubt_are_found_among_hundreds_that_no_search_knows_yet_or_told_unknown() {
    let site = site().await;
    // No search finds what is created here.
    site.control("jira/index", &json!({ "lag_seconds": 3_600 })).await;
    let bugs = site.open("issue:OPS/Bug").await;
    let since = site.org.cx.clock.now().to_string();
    let rows: Vec<NewRow> = (0..201)
        .map(|row| NewRow {
            fields: edits(&bug(json!({}))),
            marker: Some(json!({ "run": "r9", "row": row })),
        })
        .collect();
    let outcomes = bugs.create(&site.org.cx, &rows, &WriteOptions::new()).await.unwrap();
    let mut keys: Vec<Key> = outcomes.iter().map(|outcome| outcome.key().expect("created").clone()).collect();
    // Batches go several at once: the keys follow each other, the rows need not.
    let settled = async |rows: &[usize]| {
        let marks: Vec<Value> =
            rows.iter().map(|row| json!({ "run": "r9", "row": row, "@since": since })).collect();
        bugs.settle(&site.org.cx, &marks).await.unwrap()
    };
    let arrived = |row: usize| Settled::Arrived(keys[row].clone());
    assert_eq!(settled(&[0, 100, 200, 999]).await, [arrived(0), arrived(100), arrived(200), Settled::Absent]);
    // The hundredth is deleted: where the first look ends it is as if there were no more.
    let place = |key: &Key| key.to_string().parse::<u64>().expect("a number");
    keys.sort_by_key(place);
    let gone = VersionedKey { key: keys[99].clone(), if_version: None };
    let gone_row = outcomes.iter().position(|outcome| outcome.key() == Some(&gone.key)).expect("a row");
    let last_row = outcomes.iter().position(|outcome| outcome.key() == keys.last()).expect("a row");
    assert!(matches!(
        bugs.delete(&site.org.cx, &[gone], &WriteOptions::new()).await.unwrap()[0],
        Outcome::Deleted(_)
    ));
    let told = settled(&[last_row, gone_row, 999]).await;
    let found = Settled::Arrived(keys.last().expect("a key").clone());
    assert_eq!(told, [found, Settled::CannotTell, Settled::CannotTell], "nobody sends these again");
}
