//! Dropbox, by its API v2: files, folders, revisions and shared links as records; what is in files as streams.

mod account;
mod api;
mod arg;
mod changes;
mod columns;
mod config;
mod deletes;
mod describe;
mod dialect;
mod download;
mod export;
mod hash;
mod jobs;
mod links;
mod moves;
mod owned;
mod pages;
mod paths;
mod query;
mod records;
mod remembered;
mod restore;
mod settle;
mod sightings;
mod templates;
mod upload;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::Result;
use crate::http::dialect::Dialect;
use crate::provider::{
    Context, OpenSetting, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
};
use crate::record::TypeName;
use crate::record::schema::config_schema_for;

pub use config::DropboxConfig;
pub use dialect::DropboxDialect;

use account::Account;

static INFO: ProviderInfo = ProviderInfo {
    name: "dropbox",
    aliases: &[],
    label: "Dropbox",
    summary: "Files and folders of a Dropbox account, with revisions, shared links and contents as streams",
    docs: include_str!("docs.md"),
};

/// How long access tokens live ("OAuth guide", Dropbox for HTTP Developers).
const TOKEN_LIFE: Duration = Duration::from_secs(4 * 3_600);

/// Makes providers of Dropbox accounts.
#[derive(Debug, Clone, Copy)]
pub struct Dropbox;

impl ProviderFactory for Dropbox {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    fn config_schema(&self) -> Json {
        config_schema_for::<DropboxConfig>()
    }

    fn sign_in(&self, config: &Json, endpoint: Option<&Url>) -> Result<SignIn> {
        DropboxConfig::parse(config)?.sign_in(endpoint)
    }

    fn quota_reserve(&self, _: &Json) -> Result<Option<u64>> {
        // Dropbox tells no numbers; its refusals name their pause.
        Ok(Some(0))
    }

    fn pasted_token_life(&self) -> Option<Duration> {
        Some(TOKEN_LIFE)
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(DropboxDialect)
    }

    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(DropboxProvider { account: Arc::new(Account::new(DropboxConfig::parse(config)?)) }))
    }
}

/// Dropbox on one connection.
#[derive(Debug)]
struct DropboxProvider {
    account: Arc<Account>,
}

#[async_trait]
impl Provider for DropboxProvider {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
        describe::types(&self.account, cx, query).await
    }

    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>> {
        Ok(Arc::new(describe::open(&self.account, cx, name).await?))
    }

    async fn open_setting(&self, _: &Context) -> Result<Option<OpenSetting>> {
        // The member's own space is where paths begin unless the user says otherwise.
        Ok(None)
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        let owner = self.account.owner(cx, "probe").await?;
        let mut probe = Probe { account: owner.email, ..Probe::default() };
        let of_team = owner.root_info.filter(|info| info.root_namespace_id != info.home_namespace_id);
        if let Some(info) = of_team
            && self.account.config.root()? == config::Root::Home
        {
            probe.notes.push(format!(
                "paths begin in the member's own folder; a connection with --set root=team (namespace {}) sees the \
                 team's space too",
                info.root_namespace_id
            ));
        }
        Ok(probe)
    }
}
