//! The schemas of the emulated services' record types, byte for byte as they stand in `schemas/`, and in one
//! summary for reviewers. `make accept-schemas` takes what has changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use recordport::clock::{Clock, SystemClock};
use recordport::connect::access::{Access, AccessSource};
use recordport::connect::hosts::{HostRule, HostRules};
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::Result;
use recordport::http::client::{Wire, WireSettings};
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use recordport::provider::filter_support::PlannedSupport;
use recordport::provider::{Context, Records, Resolved, TypeQuery};
use recordport::providers;
use recordport::record::TypeName;
use recordport::record::schema::{
    SchemaOptions, SchemaPurpose, filter_schema, lint, pretty, record_schema, schema_hash,
};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use url::Url;

use crate::schema_ajv::assert_ajv_accepts;

/// The token that the emulator hands out.
#[derive(Debug)]
struct GivenToken {
    token: String,
    base: Url,
}

#[async_trait]
impl AccessSource for GivenToken {
    async fn access(&self, _: Option<u64>) -> Result<Access> {
        Ok(Access {
            generation: 1,
            authorization: SecretString::from(format!("Bearer {}", self.token)),
            bases: BTreeMap::from([("api".to_owned(), self.base.clone())]),
        })
    }
}

/// A provider's plane to a fresh emulator.
fn context(emulator: &Emulator, provider: &str) -> Context {
    let base = Url::parse(&emulator.http_url()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let token = emulator.credentials()[provider]["access_token"].as_str().unwrap().to_owned();
    let http = http_plane(StackParts {
        wire: Arc::new(Wire::new(WireSettings::default()).unwrap()),
        hosts: HostRules(vec![HostRule::Origin(base.origin().ascii_serialization())]),
        access: Arc::new(GivenToken { token, base }),
        dialect: providers::find(provider).unwrap().dialect(),
        limits: Arc::new(ConnectionLimits::new(&LimitSettings::default(), Arc::clone(&clock))),
        retry: RetrySettings::default(),
        clock: Arc::clone(&clock),
        dry_run: None,
    });
    Context { http, clock, connection: "emulated".into(), refresh: false, memory: None }
}

/// One schema of one type.
struct Made {
    record_type: String,
    file: String,
    purpose: SchemaPurpose,
    schema: Json,
}

/// The five schemas of a type, the filter schema with what the planner says.
fn schemas_of(records: &dyn Records) -> Vec<Made> {
    let record_type = records.record_type();
    let options = SchemaOptions::default();
    let resolved = Resolved { record_type: Arc::clone(record_type), fields: BTreeMap::new() };
    SchemaPurpose::ALL
        .into_iter()
        .map(|purpose| Made {
            record_type: record_type.name.to_string(),
            file: format!("{}.{}.json", record_type.name.file_name(), purpose.name()),
            purpose,
            schema: match purpose {
                SchemaPurpose::Filter => {
                    let support = PlannedSupport::new(records, &resolved);
                    filter_schema(record_type, &[], &**record_type, &support, &options)
                }
                purpose => record_schema(record_type, purpose, &options),
            },
        })
        .collect()
}

/// Every type that a provider lists on a fresh emulator, by name.
async fn all_types(provider: &str) -> Vec<Arc<dyn Records>> {
    types_that(provider, |_| true).await
}

/// Those of them that are wanted.
pub(crate) async fn types_that(provider: &str, wanted: fn(&TypeName) -> bool) -> Vec<Arc<dyn Records>> {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let cx = context(&emulator, provider);
    let service = providers::find(provider).unwrap().provider(&json!({})).unwrap();
    let mut names: Vec<TypeName> = Vec::new();
    let mut query = TypeQuery::default();
    loop {
        let page = service.types(&cx, &query).await.unwrap();
        names.extend(page.types.into_iter().map(|listed| listed.name).filter(wanted));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    names.sort();
    let mut opened = Vec::new();
    for name in &names {
        opened.push(service.open(&cx, name).await.unwrap());
    }
    emulator.shutdown().await;
    opened
}

fn folder(provider: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(provider)
}

fn accepting() -> bool {
    std::env::var_os("RECORDPORT_ACCEPT_SCHEMAS").is_some_and(|value| value == "1")
}

/// Compares the files of a provider with what it makes now, and rewrites them when that is asked for.
fn compare(provider: &str, made: &[Made]) {
    let folder = folder(provider);
    let present: Vec<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    if accepting() {
        fs::create_dir_all(&folder).unwrap();
        for name in &present {
            fs::remove_file(folder.join(name)).unwrap();
        }
        for one in made {
            fs::write(folder.join(&one.file), pretty(&one.schema)).unwrap();
        }
        return;
    }
    let mut wrong = Vec::new();
    for name in present.iter().filter(|name| made.iter().all(|one| one.file != **name)) {
        wrong.push(format!("{name}: no such type any more"));
    }
    for one in made {
        match fs::read(folder.join(&one.file)) {
            Err(error) => wrong.push(format!("{}: {error}", one.file)),
            Ok(bytes) if bytes != pretty(&one.schema).as_bytes() => {
                wrong.push(format!("{}: {}", one.file, first_difference(&bytes, &one.schema)));
            }
            Ok(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nLook at them, then take them with `make accept-schemas`",
        wrong.join("\n")
    );
}

fn first_difference(before: &[u8], now: &Json) -> String {
    let (before, now) = (String::from_utf8_lossy(before), pretty(now));
    let lines = before.lines().zip(now.lines()).enumerate().find(|(_, (old, new))| old != new);
    match lines {
        Some((at, (old, new))) => format!("line {}: {:?} is now {:?}", at + 1, old.trim(), new.trim()),
        None => "its end differs".to_owned(),
    }
}

/// What a reviewer reads: a line for each type, operation and property.
fn summary(made: &[Made]) -> String {
    let mut out = String::new();
    for one in made {
        let meta = &one.schema["definitions"]["record-meta"]["const"];
        let _ = writeln!(
            out,
            "{} {} {}",
            one.record_type,
            one.purpose.name(),
            meta["schemaHash"].as_str().unwrap_or_default()
        );
        let required: Vec<&str> =
            one.schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (name, property) in one.schema["properties"].as_object().into_iter().flatten() {
            let field = &meta["fields"][name];
            let kind = match &property["type"] {
                Json::Array(kinds) => format!("{}?", kinds[0].as_str().unwrap_or_default()),
                kind => kind.as_str().unwrap_or_default().to_owned(),
            };
            let _ = write!(out, "  {name}: {} {kind}", field["kind"].as_str().unwrap_or_default());
            if required.contains(&name.as_str()) {
                out.push_str(" required");
            }
            for keyword in ["format", "maxLength", "maximum"] {
                if let Some(value) = property.get(keyword) {
                    let _ = write!(out, " {keyword}={value}");
                }
            }
            let spelled = property.get("oneOf").or_else(|| property["items"].get("oneOf"));
            if let Some(choices) = spelled.and_then(Json::as_array) {
                let values = choices.iter().filter(|choice| !choice["const"].is_null()).count();
                let _ = write!(out, " values={values}");
            } else if let Some(options) = field["options"].as_array() {
                let _ = write!(out, " options={}", options.len());
            }
            for target in field["reference"]["targets"].as_array().into_iter().flatten() {
                let _ = write!(out, " ->{}", target.as_str().unwrap_or_default());
            }
            if let Some(pushed) = field["pushed"].as_str() {
                let _ = write!(out, " {pushed}");
                for (operator, other) in field["pushedFor"].as_object().into_iter().flatten() {
                    let _ = write!(out, " {operator}:{}", other.as_str().unwrap_or_default());
                }
            }
            out.push('\n');
        }
    }
    out
}

/// Every schema is in the profile, carries its own hash, and passes strict ajv.
async fn assert_sound(made: &[Made]) {
    let mut entries = Vec::new();
    for one in made {
        assert_eq!(lint(&one.schema), [], "{}", one.file);
        assert_eq!(
            one.schema["definitions"]["record-meta"]["const"]["schemaHash"],
            schema_hash(&one.schema),
            "{}",
            one.file
        );
        entries.push(json!({"name": one.file, "schema": one.schema}));
    }
    tokio::task::spawn_blocking(move || assert_ajv_accepts(&entries)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforces_schemas_are_those_in_the_files() {
    let made: Vec<Made> =
        all_types("salesforce").await.iter().flat_map(|records| schemas_of(&**records)).collect();
    assert!(made.len() >= 8 * SchemaPurpose::ALL.len(), "{} schemas", made.len());
    compare("salesforce", &made);
    assert_sound(&made).await;
    insta::with_settings!({snapshot_path => folder("salesforce"), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("summary", summary(&made));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_of_dynamics_are_those_in_the_files() {
    let made: Vec<Made> =
        all_types("dynamics").await.iter().flat_map(|records| schemas_of(&**records)).collect();
    assert!(made.len() >= 8 * SchemaPurpose::ALL.len(), "{} schemas", made.len());
    compare("dynamics", &made);
    assert_sound(&made).await;
    insta::with_settings!({snapshot_path => folder("dynamics"), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("summary", summary(&made));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn jiras_schemas_are_those_in_the_files() {
    let made: Vec<Made> =
        types_that("jira", is_shown).await.iter().flat_map(|records| schemas_of(&**records)).collect();
    assert!(made.len() >= 10 * 3, "{} schemas", made.len());
    compare("jira", &made);
    assert_sound(&made).await;
    insta::with_settings!({snapshot_path => folder("jira"), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("summary", summary(&made));
    });
}

/// Revisions, which no list of types names, since each file has its own.
async fn of_a_file() -> Arc<dyn Records> {
    let emulator =
        Emulator::start(EmulatorConfig { empty: true, ..EmulatorConfig::default() }).await.unwrap();
    let service = providers::find("dropbox").unwrap().provider(&json!({})).unwrap();
    let name = TypeName::new("revision:/plan.txt");
    let opened = service.open(&context(&emulator, "dropbox"), &name).await.unwrap();
    emulator.shutdown().await;
    opened
}

#[tokio::test(flavor = "multi_thread")]
async fn dropboxs_schemas_are_those_in_the_files() {
    let mut types = all_types("dropbox").await;
    types.push(of_a_file().await);
    let made: Vec<Made> = types.iter().flat_map(|records| schemas_of(&**records)).collect();
    assert!(made.len() >= 5 * 3, "{} schemas", made.len());
    compare("dropbox", &made);
    assert_sound(&made).await;
    insta::with_settings!({snapshot_path => folder("dropbox"), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("summary", summary(&made));
    });
}

/// The types of the whole site, and one of a project's own.
fn is_shown(name: &TypeName) -> bool {
    name.scope().is_none() || name.as_str() == "issue:OPS/Bug"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_of_google_calendar_are_those_in_the_files() {
    let made: Vec<Made> = types_that("google-calendar", is_common)
        .await
        .iter()
        .flat_map(|records| schemas_of(&**records))
        .collect();
    assert!(made.len() >= 8 * SchemaPurpose::ALL.len(), "{} schemas", made.len());
    compare("google-calendar", &made);
    assert_sound(&made).await;
    insta::with_settings!({snapshot_path => folder("google-calendar"), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("summary", summary(&made));
    });
}

/// The types of the whole account, and what only a calendar's own type has.
fn is_common(name: &TypeName) -> bool {
    let own =
        ["event:ada@emulated.example", "quick_event:ada@emulated.example", "acl_rule:ada@emulated.example"]
            .contains(&name.as_str());
    name.scope().is_none() || own
}

#[tokio::test(flavor = "multi_thread")]
async fn the_options_of_every_write_are_described_in_the_profile() {
    let mut entries = Vec::new();
    for records in all_types("salesforce")
        .await
        .into_iter()
        .chain(all_types("dynamics").await)
        .chain(types_that("jira", is_shown).await)
        .chain(all_types("dropbox").await)
        .chain(types_that("google-calendar", is_common).await)
    {
        let record_type = records.record_type();
        let can = &record_type.capability;
        let upsert = can.upsert.as_ref().map(|upsert| &upsert.write);
        let writes = [("create", can.create.as_ref()), ("update", can.update.as_ref()), ("upsert", upsert)];
        for (operation, write) in writes.into_iter().chain([("delete", can.delete.as_ref())]) {
            let Some(write) = write else { continue };
            let name = format!("{} {operation}", record_type.name);
            assert_eq!(lint(&write.options), [], "{name}");
            entries.push(json!({"name": name, "schema": write.options}));
        }
    }
    assert!(entries.len() > 20, "{} option schemas", entries.len());
    tokio::task::spawn_blocking(move || assert_ajv_accepts(&entries)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_described_account_is_seen_with_all_its_fields() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/salesforce/describe_Account.json");
    let described: Json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let config = EmulatorConfig { imports: vec![("salesforce".into(), file)], ..EmulatorConfig::default() };
    let emulator = Emulator::start(config).await.unwrap();
    let cx = context(&emulator, "salesforce");
    let service = providers::find("salesforce").unwrap().provider(&json!({})).unwrap();
    let records = service.open(&cx, &TypeName::new("Account")).await.unwrap();
    let made = schemas_of(&*records);

    let fields = described["fields"].as_array().unwrap();
    let those = |keep: &dyn Fn(&Json) -> bool| {
        fields
            .iter()
            .filter(|field| keep(field))
            .map(|field| field["name"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let properties = |purpose: SchemaPurpose| {
        let one = made.iter().find(|one| one.purpose == purpose).unwrap();
        one.schema["properties"].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>()
    };
    let required =
        |purpose: SchemaPurpose| &made.iter().find(|one| one.purpose == purpose).unwrap().schema["required"];
    assert_eq!(fields.len(), 68);
    assert_eq!(properties(SchemaPurpose::Read), those(&|_| true));
    assert_eq!(required(SchemaPurpose::Read), &json!(["Id"]));
    assert_eq!(properties(SchemaPurpose::Create), those(&|field| field["createable"] == true));
    assert_eq!(required(SchemaPurpose::Create), &json!(["Name"]));
    assert_eq!(properties(SchemaPurpose::Update), those(&|field| field["updateable"] == true));
    assert_eq!(required(SchemaPurpose::Update), &Json::Null);
    assert_eq!(properties(SchemaPurpose::Key), ["Id"]);
    assert_sound(&made).await;
    emulator.shutdown().await;
}
