//! JWT bearer (RFC 7523): the client signs who it acts for. There is no refresh token; a new assertion is
//! signed instead.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::connect::connection::{Connection, Secrets};
use crate::connect::oauth::{Grant, OAuthClient};
use crate::error::{Error, Result};

/// Claims of an assertion (RFC 7523 section 3). Salesforce takes them so; a number as `exp`, no `iat`.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

/// Signs an assertion and gets tokens for it.
///
/// # Errors
/// Invalid, when key, user name or audience are missing or the key is no RSA key; what the provider refuses.
pub async fn obtain(client: &OAuthClient, connection: &Connection, secrets: &Secrets) -> Result<Grant> {
    client.assertion(&assertion(client, connection, secrets)?).await
}

fn assertion(client: &OAuthClient, connection: &Connection, secrets: &Secrets) -> Result<SecretString> {
    let missing =
        |what: &str, how: &str| Error::invalid(format!("a JWT grant needs {what}")).with_advice(how);
    let key = secrets
        .private_key
        .as_ref()
        .ok_or_else(|| missing("the private key", "Give its PEM file with --key-file"))?;
    let sign_in = client.sign_in();
    let user = sign_in
        .jwt_subject
        .as_deref()
        .or(connection.username.as_deref())
        .ok_or_else(|| missing("the name of the user to act for", "Give it with --set username=NAME"))?;
    let audience = sign_in
        .jwt_audience
        .as_deref()
        .ok_or_else(|| Error::unsupported("this provider has no JWT grant"))?;
    let key = signing_key(key)?;
    let lifetime = i64::try_from(sign_in.jwt_seconds).unwrap_or(i64::MAX);
    let claims = Claims {
        iss: client.client_id(),
        sub: user,
        aud: audience,
        exp: client.clock().now().as_second().saturating_add(lifetime),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
        .map(SecretString::from)
        .map_err(|_| bad_key())
}

/// Reads a private key; `connect` does so before anything else, so that a wrong file is told at once.
///
/// # Errors
/// Invalid, when it is no RSA key in PEM.
pub fn check_key(pem: &SecretString) -> Result<()> {
    signing_key(pem).map(drop)
}

fn signing_key(pem: &SecretString) -> Result<EncodingKey> {
    EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes()).map_err(|_| bad_key())
}

fn bad_key() -> Error {
    Error::invalid("the key file holds no RSA private key in PEM")
        .with_advice("It begins with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----")
}
