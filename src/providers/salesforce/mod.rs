//! Salesforce's REST API: objects are record types, described at run time; queries are SOQL; writes go through
//! sObject Collections.

mod api;
mod choices;
mod config;
mod content;
mod describe;
mod dialect;
mod discover;
mod paths;
mod query;
mod records;
mod rows;
mod soql;
mod writes;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::Mutex;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Dialect;
use crate::provider::{
    Context, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
};
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::schema::config_schema_for;
use crate::record::{RecordType, TypeName};

pub use config::SalesforceConfig;
pub use dialect::SalesforceDialect;

use describe::{Describe, GlobalDescribe};

static INFO: ProviderInfo = ProviderInfo {
    name: "salesforce",
    aliases: &["sfdc", "sf"],
    label: "Salesforce",
    summary: "Standard and custom objects of a Salesforce org, with SOQL filters and batches of 200 rows",
    docs: include_str!("docs.md"),
};

/// How long a description is good before it is asked for again.
const DESCRIPTION_AGE: SignedDuration = SignedDuration::from_mins(10);
/// Most descriptions kept.
const DESCRIPTIONS_MAX: usize = 500;

/// Makes Salesforce providers.
#[derive(Debug, Clone, Copy)]
pub struct Salesforce;

impl ProviderFactory for Salesforce {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    fn config_schema(&self) -> Json {
        config_schema_for::<SalesforceConfig>()
    }

    fn sign_in(&self, config: &Json, endpoint: Option<&Url>) -> Result<SignIn> {
        SalesforceConfig::parse(config)?.sign_in(endpoint)
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(SalesforceDialect)
    }

    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>> {
        let config = SalesforceConfig::parse(config)?;
        Ok(Arc::new(SalesforceProvider { org: Arc::new(Org::new(config.version()?)) }))
    }
}

/// Salesforce on one connection.
#[derive(Debug)]
struct SalesforceProvider {
    org: Arc<Org>,
}

#[async_trait]
impl Provider for SalesforceProvider {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
        let global = self.org.global(cx, query.refresh).await?;
        Ok(TypePage { types: discover::summaries(&global, query.search.as_deref()), next: None })
    }

    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>> {
        let described = self.org.described(cx, name.as_str()).await?;
        let prefixes = if described.has_polymorphic_references() {
            self.org.global(cx, false).await?.prefixes()
        } else {
            HashMap::new()
        };
        Ok(Arc::new(records::SalesforceRecords::new(Arc::clone(&self.org), described, prefixes)))
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        #[derive(Deserialize)]
        struct UserInfo {
            preferred_username: Option<String>,
            name: Option<String>,
            organization_id: Option<String>,
        }
        let reply = cx.send(api::resources(&self.org.version)).await?;
        let quota = SalesforceDialect.quota(&reply);
        let mut probe = Probe { quota: quota.used.zip(quota.allowed), ..Probe::default() };
        // The identity needs a scope of its own; without it the API works all the same.
        match cx.send(api::user_info()).await {
            Ok(reply) => {
                let info: UserInfo = dialect::read("userinfo", &reply.body)?;
                probe.account = info.preferred_username.or(info.name);
                if let Some(org) = info.organization_id {
                    probe.notes.push(format!("organization {org}"));
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Refused
                ) =>
            {
                probe.notes.push("the token may not tell whose it is (scope id)".to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(probe)
    }
}

/// One type as described, and as a record type.
#[derive(Debug)]
struct Described {
    record_type: Arc<RecordType>,
    describe: Describe,
}

impl Described {
    fn has_polymorphic_references(&self) -> bool {
        self.describe.fields.iter().any(|field| field.polymorphic_foreign_key || field.reference_to.len() > 1)
    }
}

impl GlobalDescribe {
    /// Type by the first three characters of its ids.
    fn prefixes(&self) -> HashMap<String, String> {
        self.sobjects
            .iter()
            .filter_map(|object| Some((object.key_prefix.clone()?, object.name.clone())))
            .collect()
    }
}

/// What is known of the org: its types, kept for a while.
#[derive(Debug)]
struct Org {
    version: String,
    global: Mutex<Option<(Timestamp, Arc<GlobalDescribe>)>>,
    types: Mutex<HashMap<String, (Timestamp, Arc<Described>)>>,
}

impl Org {
    fn new(version: String) -> Self {
        Self { version, global: Mutex::default(), types: Mutex::default() }
    }

    fn is_fresh(cx: &Context, at: Timestamp) -> bool {
        let age = cx.clock.now().duration_since(at);
        !cx.refresh && age <= DESCRIPTION_AGE && age >= SignedDuration::ZERO
    }

    async fn global(&self, cx: &Context, refresh: bool) -> Result<Arc<GlobalDescribe>> {
        // Held over the request, so that many callers ask once.
        let mut kept = self.global.lock().await;
        if let Some((at, global)) = &*kept
            && !refresh
            && Self::is_fresh(cx, *at)
        {
            return Ok(Arc::clone(global));
        }
        let reply = cx.send(api::global_describe(&self.version)).await?;
        let global: Arc<GlobalDescribe> = Arc::new(dialect::read("the global describe", &reply.body)?);
        *kept = Some((cx.clock.now(), Arc::clone(&global)));
        Ok(global)
    }

    async fn described(&self, cx: &Context, name: &str) -> Result<Arc<Described>> {
        if let Some((at, described)) = self.types.lock().await.get(name)
            && Self::is_fresh(cx, *at)
        {
            return Ok(Arc::clone(described));
        }
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || !is_word {
            return Err(self.unknown_type(cx, name).await);
        }
        let reply = match cx.send(api::describe(&self.version, name)).await {
            Ok(reply) => reply,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(self.unknown_type(cx, name).await);
            }
            Err(error) => return Err(error.with_record_type(name)),
        };
        let describe = describe::read(&reply.body)?;
        let described =
            Arc::new(Described { record_type: Arc::new(discover::record_type(&describe)), describe });
        let mut types = self.types.lock().await;
        if types.len() >= DESCRIPTIONS_MAX {
            types.clear();
        }
        types.insert(name.to_owned(), (cx.clock.now(), Arc::clone(&described)));
        Ok(described)
    }

    /// The error for a type that does not exist, with the names that come nearest.
    async fn unknown_type(&self, cx: &Context, name: &str) -> Error {
        let error =
            Error::new(ErrorKind::NotFound, format!("Salesforce has no record type {name:?} for this user"))
                .with_provider("salesforce")
                .with_operation("describe")
                .with_record_type(name)
                .with_code("unknown_type");
        let Ok(global) = self.global(cx, false).await else { return error };
        let known = global.sobjects.iter().flat_map(|object| {
            let label = object.label.as_deref().unwrap_or_default();
            [(object.name.as_str(), object.name.as_str()), (label, object.name.as_str())]
        });
        error.with_advice(did_you_mean(&nearest_few(name, known)).unwrap_or_else(|| {
            "`recordport types CONNECTION --search TEXT` lists the types there are".to_owned()
        }))
    }
}
