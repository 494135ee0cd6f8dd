//! The ways to get tokens.

pub mod client_credentials;
pub mod code;
pub mod jwt;
pub mod pasted;

use super::connection::{Connection, Secrets};
use super::oauth::{Grant, OAuthClient};
use super::sign_in::GrantKind;
use crate::error::{Error, Result};

/// Gets tokens by a grant that needs no user: for the first time, or again when they have ended.
///
/// # Errors
/// Unsupported for a grant that needs the user; what the provider refuses.
pub async fn obtain(client: &OAuthClient, connection: &Connection, secrets: &Secrets) -> Result<Grant> {
    match connection.grant {
        GrantKind::ClientCredentials => {
            client_credentials::obtain(client, secrets, &connection.scopes_requested).await
        }
        GrantKind::Jwt => jwt::obtain(client, connection, secrets).await,
        GrantKind::Code | GrantKind::Token | GrantKind::Basic => {
            Err(Error::unsupported("tokens of this grant cannot be got without the user"))
        }
    }
}
