//! Jira Cloud, by its REST API: issues of every project and type are record types, described at run time;
//! queries are JQL; rich text is Markdown, with the Atlassian document beside it.

mod api;
mod attach;
mod changes;
mod choices;
mod config;
mod dialect;
mod discover;
mod draft;
mod issues;
mod jql;
mod judge;
mod marker;
mod metadata;
mod pages;
mod parts;
mod query;
mod records;
mod rows;
mod site;
mod transitions;
mod types;
mod wires;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Dialect;
use crate::provider::{
    Context, OpenSetting, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
};
use crate::record::schema::config_schema_for;
use crate::record::{RecordType, TypeName};

pub use config::JiraConfig;
pub use dialect::JiraDialect;

use site::Site;
use wires::Wires;

static INFO: ProviderInfo = ProviderInfo {
    name: "jira",
    aliases: &["jira-cloud"],
    label: "Jira",
    summary: "Issues of a Jira Cloud site, by project and type, with JQL filters and Markdown",
    docs: include_str!("docs.md"),
};

/// Projects on one page.
const PROJECTS_PAGE: u64 = 50;

/// Makes providers of Jira sites.
#[derive(Debug, Clone, Copy)]
pub struct Jira;

impl ProviderFactory for Jira {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    fn config_schema(&self) -> Json {
        config_schema_for::<JiraConfig>()
    }

    fn sign_in(&self, config: &Json, endpoint: Option<&Url>) -> Result<SignIn> {
        JiraConfig::parse(config)?.sign_in(endpoint)
    }

    fn quota_reserve(&self, _: &Json) -> Result<Option<u64>> {
        // Limits are of seconds and refusals name their pause: nothing has to be kept back.
        Ok(Some(0))
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(JiraDialect)
    }

    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(JiraProvider { site: Arc::new(Site::new(JiraConfig::parse(config)?)) }))
    }
}

/// Jira on one connection.
#[derive(Debug)]
struct JiraProvider {
    site: Arc<Site>,
}

/// One type of issues as a record type, and how Jira calls its parts.
#[derive(Debug)]
struct Described {
    record_type: Arc<RecordType>,
    wires: Wires,
}

#[async_trait]
impl Provider for JiraProvider {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
        types::page(&self.site, cx, query).await
    }

    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>> {
        match name.base() {
            issues::ISSUE => {
                let described = issues::described(&self.site, cx, name.scope()).await?;
                Ok(Arc::new(records::IssueRecords::new(Arc::clone(&self.site), described)))
            }
            _ => parts::open(&self.site, name).ok_or_else(|| unknown_type(name.as_str())),
        }
    }

    async fn open_setting(&self, cx: &Context) -> Result<Option<OpenSetting>> {
        self.site.open_setting(cx).await
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        let me = self.site.myself(cx).await?;
        let mut probe = Probe {
            account: me.display_name.clone().or_else(|| Some(me.account_id.clone())),
            ..Probe::default()
        };
        if let Some(zone) = &me.time_zone {
            probe.notes.push(format!("time zone of the profile: {zone}"));
        }
        Ok(probe)
    }
}

/// The error for a type that does not exist.
fn unknown_type(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Jira has no record type {name:?} for this user"))
        .with_provider("jira")
        .with_operation("describe")
        .with_record_type(name)
        .with_code("unknown_type")
        .with_advice("`recordport types CONNECTION --search TEXT` lists the types there are")
}
