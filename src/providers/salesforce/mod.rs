//! Salesforce's REST API: objects are record types, described at run time; queries are SOQL; writes go through
//! sObject Collections.

mod api;
mod changed_rows;
mod changes;
mod choices;
mod config;
mod content;
mod describe;
mod dialect;
mod discover;
mod org;
mod pages;
mod parents;
mod paths;
mod query;
mod records;
mod rows;
mod settle;
mod soql;
mod versioned;
mod writes;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value as Json;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::{ErrorKind, Result};
use crate::http::dialect::Dialect;
use crate::provider::{
    Context, OpenSetting, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
};
use crate::record::TypeName;
use crate::record::schema::config_schema_for;

pub use config::SalesforceConfig;
pub use dialect::SalesforceDialect;

use describe::GlobalDescribe;
use org::{Described, Org};

static INFO: ProviderInfo = ProviderInfo {
    name: "salesforce",
    aliases: &["sfdc", "sf"],
    label: "Salesforce",
    summary: "Standard and custom objects of a Salesforce org, with SOQL filters and batches of 200 rows",
    docs: include_str!("docs.md"),
};

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

    fn quota_reserve(&self, config: &Json) -> Result<Option<u64>> {
        Ok(SalesforceConfig::parse(config)?.quota_reserve)
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

    async fn open_setting(&self, _: &Context) -> Result<Option<OpenSetting>> {
        Ok(None)
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        #[derive(Deserialize)]
        struct UserInfo {
            preferred_username: Option<String>,
            name: Option<String>,
            organization_id: Option<String>,
        }
        let reply = self.org.at_version(cx, api::resources).await?;
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
            Err(error) if error.code() == Some("quota_reserve") => {
                probe.notes.push("whose token it is was not asked, to spare the org's last calls".to_owned());
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

impl GlobalDescribe {
    /// Type by the first three characters of its ids.
    fn prefixes(&self) -> HashMap<String, String> {
        self.sobjects
            .iter()
            .filter_map(|object| Some((object.key_prefix.clone()?, object.name.clone())))
            .collect()
    }
}
