//! A token that the user got elsewhere and pasted. It cannot be renewed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::connect::connection::TokenSet;
use crate::connect::sign_in::SignIn;
use crate::error::{Error, Result};

/// Tokens for a pasted access token. Where the provider's token answer would name the instance's host, the
/// user's endpoint stands in for it.
///
/// # Errors
/// Invalid, when the text is no token or the endpoint is needed and missing.
pub fn tokens(
    text: &SecretString,
    sign_in: &SignIn,
    endpoint: Option<&Url>,
    now: Timestamp,
) -> Result<TokenSet> {
    let token = text.expose_secret().trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    if token.is_empty() || token.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
        return Err(Error::invalid("what was given is no access token")
            .with_advice("Pass the token alone, on one line, with --token-stdin"));
    }
    let mut bases = BTreeMap::new();
    for role in sign_in.base_from_token.keys().filter(|role| !sign_in.bases.contains_key(*role)) {
        let endpoint = endpoint.ok_or_else(|| {
            Error::invalid("a pasted token does not tell which host it is for")
                .with_advice("Name your instance with --endpoint, such as https://example.my.salesforce.com")
        })?;
        sign_in.hosts.check(endpoint, "--endpoint")?;
        bases.insert(role.clone(), endpoint.clone());
    }
    Ok(TokenSet {
        generation: 0,
        access_token: SecretString::from(token),
        refresh_token: None,
        obtained: now,
        expires: None,
        bases,
        scopes: None,
    })
}
