//! Client credentials (RFC 6749 section 4.4): the client acts for itself, or as the user that the provider
//! has set for it. There is no refresh token; a new token is asked for instead.

use crate::connect::connection::Secrets;
use crate::connect::oauth::{Grant, OAuthClient};
use crate::error::{Error, Result};

/// Gets tokens. No scopes are sent when none are given: some providers take them from the registration.
///
/// # Errors
/// Invalid, when there is no client secret; what the provider refuses.
pub async fn obtain(client: &OAuthClient, secrets: &Secrets, scopes: &[String]) -> Result<Grant> {
    if secrets.client_secret.is_none() {
        return Err(Error::invalid("client credentials need the client's secret")
            .with_advice("Give it with --client-secret-stdin or RECORDPORT_CLIENT_SECRET"));
    }
    client.client_credentials(scopes).await
}
