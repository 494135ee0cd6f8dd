//! Secrets and tokens as text: what stands inside a sealed record, in the store and in an export.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::connection::{Secrets, TokenSet};
use crate::error::{Error, Result};

/// Secrets as they stand inside a sealed record.
#[derive(Serialize, Deserialize)]
struct SecretsText {
    client_secret: Option<Zeroizing<String>>,
    private_key: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
}

/// Tokens as they stand inside a sealed record.
#[derive(Serialize, Deserialize)]
struct TokensText {
    access_token: Zeroizing<String>,
    refresh_token: Option<Zeroizing<String>>,
    obtained: Timestamp,
    expires: Option<Timestamp>,
    bases: BTreeMap<String, Url>,
    scopes: Option<Vec<String>>,
}

fn exposed(secret: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(secret.expose_secret().to_owned())
}

fn hidden(mut text: Zeroizing<String>) -> SecretString {
    SecretString::from(std::mem::take(&mut *text))
}

fn plain(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|_| Error::bug("secrets have no JSON"))
}

pub(super) fn secrets_text(secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>> {
    plain(&SecretsText {
        client_secret: secrets.client_secret.as_ref().map(exposed),
        private_key: secrets.private_key.as_ref().map(exposed),
        password: secrets.password.as_ref().map(exposed),
    })
}

pub(super) fn secrets_from(plain: &[u8]) -> Option<Secrets> {
    let text: SecretsText = serde_json::from_slice(plain).ok()?;
    Some(Secrets {
        client_secret: text.client_secret.map(hidden),
        private_key: text.private_key.map(hidden),
        password: text.password.map(hidden),
    })
}

pub(super) fn tokens_text(tokens: &TokenSet) -> Result<Zeroizing<Vec<u8>>> {
    plain(&TokensText {
        access_token: exposed(&tokens.access_token),
        refresh_token: tokens.refresh_token.as_ref().map(exposed),
        obtained: tokens.obtained,
        expires: tokens.expires,
        bases: tokens.bases.clone(),
        scopes: tokens.scopes.clone(),
    })
}

pub(super) fn tokens_from(generation: u64, plain: &[u8]) -> Option<TokenSet> {
    let text: TokensText = serde_json::from_slice(plain).ok()?;
    Some(TokenSet {
        generation,
        access_token: hidden(text.access_token),
        refresh_token: text.refresh_token.map(hidden),
        obtained: text.obtained,
        expires: text.expires,
        bases: text.bases,
        scopes: text.scopes,
    })
}
