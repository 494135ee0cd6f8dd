//! The ways to get tokens.

pub mod client_credentials;
pub mod code;
pub mod jwt;
pub mod pasted;

use super::connection::{Connection, Secrets};
use super::oauth::{Grant, OAuthClient};
use super::sign_in::{AssertionUse, GrantKind};
use crate::error::{Error, Result};

/// Gets tokens by a grant that needs no user: for the first time, or again when they have ended.
///
/// # Errors
/// Unsupported for a grant that needs the user; what the provider refuses.
pub async fn obtain(client: &OAuthClient, connection: &Connection, secrets: &Secrets) -> Result<Grant> {
    match connection.grant {
        GrantKind::ClientCredentials => {
            client_credentials::obtain(client, secrets, &scopes(client, connection)).await
        }
        GrantKind::Jwt => match client.sign_in().assertion_use {
            AssertionUse::Grant => jwt::obtain(client, connection, secrets).await,
            AssertionUse::ScopedGrant => {
                jwt::obtain_with_scopes(client, secrets, &scopes(client, connection)).await
            }
            AssertionUse::ClientAuthentication => {
                jwt::obtain_for_client(client, secrets, &scopes(client, connection)).await
            }
        },
        GrantKind::Code | GrantKind::Token | GrantKind::Basic => {
            Err(Error::unsupported("tokens of this grant cannot be got without the user"))
        }
    }
}

/// The scopes that were chosen for a connection, else the provider's usual ones.
fn scopes(client: &OAuthClient, connection: &Connection) -> Vec<String> {
    if !connection.scopes_requested.is_empty() {
        return connection.scopes_requested.clone();
    }
    let usual = client.sign_in().scopes_of(connection.grant, connection.access);
    usual.into_iter().map(|scope| scope.name.clone()).collect()
}
