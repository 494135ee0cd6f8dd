//! The account of a connection: the headers that say for whom and from which root a call is, and what of the account
//! is known for a while.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::config::{DropboxConfig, Root};
use super::templates::{self, Template};
use super::{api, arg, dialect};
use crate::error::{Error, Result};
use crate::http::{Call, Reply};
use crate::provider::Context;
use crate::provider::descriptions::{Description, Kept};
use crate::record::Key;

const PATH_ROOT: HeaderName = HeaderName::from_static("dropbox-api-path-root");
const SELECT_USER: HeaderName = HeaderName::from_static("dropbox-api-select-user");
const SELECT_ADMIN: HeaderName = HeaderName::from_static("dropbox-api-select-admin");
/// Listings whose keys are remembered at once.
const CHAINS: usize = 4;

/// Dropbox on one connection, as far as it is the same for all types.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) config: DropboxConfig,
    /// The number of the team's space, when paths begin there.
    root: Kept<String>,
    templates: Kept<Vec<Template>>,
    chains: Mutex<VecDeque<Chain>>,
    hasher: RandomState,
}

/// What a listing has given so far, in case that it has to begin anew.
#[derive(Debug)]
struct Chain {
    name: String,
    /// Hashes of keys, each with its place in the listing.
    given: HashMap<u64, u64>,
}

/// Whose account it is.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) email: Option<String>,
    pub(super) root_info: Option<RootInfo>,
}

/// Where the account's spaces begin.
#[derive(Debug, Deserialize)]
pub(super) struct RootInfo {
    pub(super) root_namespace_id: String,
    pub(super) home_namespace_id: String,
}

impl Account {
    pub(super) fn new(config: DropboxConfig) -> Self {
        Self {
            config,
            root: Kept::default(),
            templates: Kept::default(),
            chains: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Sends a call for the member and from the root that the connection names. A root that has moved meanwhile is
    /// looked up once more.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn send(&self, cx: &Context, call: Call) -> Result<Reply> {
        if !call.authorize {
            return cx.send(call).await;
        }
        let call = self.selected(call)?;
        let asked = cx.send(self.rooted(cx, call.clone(), false).await?).await;
        match asked {
            Err(error)
                if error.code() == Some(dialect::ROOT) && matches!(self.config.root()?, Root::Team) =>
            {
                cx.send(self.rooted(cx, call, true).await?).await
            }
            asked => asked,
        }
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// What the service refuses, an answer of another shape.
    pub(super) async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        cx: &Context,
        what: &str,
        call: Call,
    ) -> Result<T> {
        dialect::read(what, &self.send(cx, call).await?.body)
    }

    fn selected(&self, mut call: Call) -> Result<Call> {
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|source| Error::invalid("a member's id fits into no header").with_source(source))
        };
        if let Some(member) = self.config.select_user() {
            call = call.with_header(SELECT_USER, value(member)?);
        }
        if let Some(member) = self.config.select_admin() {
            call = call.with_header(SELECT_ADMIN, value(member)?);
        }
        Ok(call)
    }

    async fn rooted(&self, cx: &Context, call: Call, anew: bool) -> Result<Call> {
        let root = match self.config.root()? {
            Root::Home => return Ok(call),
            Root::Namespace(number) => json!({ ".tag": "namespace_id", "namespace_id": number }),
            Root::Team => {
                let number = self
                    .root
                    .get(cx, anew, |_| async move {
                        let owner = self.owner(cx, "connect").await?;
                        let number = owner.root_info.map(|info| info.root_namespace_id);
                        let number = number.ok_or_else(|| {
                            Error::protocol("Dropbox does not tell where the team's space begins")
                                .with_provider("dropbox")
                        })?;
                        Ok(Description::new(cx, number))
                    })
                    .await?;
                json!({ ".tag": "root", "root": number.as_str() })
            }
        };
        Ok(call.with_header(PATH_ROOT, arg::header(&root)?))
    }

    /// Whose account it is.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn owner(&self, cx: &Context, operation: &'static str) -> Result<Owner> {
        let reply = cx.send(self.selected(api::account(operation))?).await?;
        dialect::read("whose account it is", &reply.body)
    }

    /// The templates of custom properties; none for a token that may not see them.
    ///
    /// # Errors
    /// What the service refuses otherwise.
    pub(super) async fn templates(&self, cx: &Context) -> Result<std::sync::Arc<Vec<Template>>> {
        self.templates
            .get(cx, false, |_| async move {
                let found = match templates::read(self, cx).await {
                    Err(error) if matches!(error.code(), Some("missing_scope" | "app_not_permitted")) => {
                        Vec::new()
                    }
                    found => found?,
                };
                Ok(Description::new(cx, found))
            })
            .await
    }

    /// Remembers the keys of a page of a listing, which follow so many others.
    pub(super) fn remember<'a>(&self, chain: &str, before: u64, keys: impl Iterator<Item = &'a Key>) {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        if before == 0 && !chains.iter().any(|known| known.name == chain) {
            if chains.len() == CHAINS {
                chains.pop_front();
            }
            chains.push_back(Chain { name: chain.to_owned(), given: HashMap::new() });
        }
        // What came before is not known of one that was begun elsewhere.
        let Some(known) = chains.iter_mut().find(|known| known.name == chain) else { return };
        for (place, key) in (before..).zip(keys) {
            known.given.entry(self.hasher.hash_one(key)).or_insert(place);
        }
    }

    /// Whether each of these keys is among the first that a listing gave; `None` when that is not known.
    pub(super) fn was_given(&self, chain: &str, first: u64, keys: &[Option<&Key>]) -> Option<Vec<bool>> {
        let chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let known = chains.iter().find(|known| known.name == chain)?;
        let was = |key: &Option<&Key>| {
            key.and_then(|key| known.given.get(&self.hasher.hash_one(key)))
                .is_some_and(|place| *place < first)
        };
        Some(keys.iter().map(was).collect())
    }

    /// What a job of many rows came to, in the order of the rows.
    ///
    /// # Errors
    /// What the service refuses, a job that fails or does not end.
    pub(super) async fn finished(
        &self,
        cx: &Context,
        operation: &'static str,
        check: &str,
        started: Json,
    ) -> Result<Vec<Json>> {
        super::jobs::finished(self, cx, operation, check, started).await
    }
}
