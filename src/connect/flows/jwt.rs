//! Signed assertions (RFC 7523): the client signs who it acts for, or signs instead of showing a secret. There
//! is no refresh token; a new assertion is signed instead.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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

/// Claims of an assertion that names its scopes, as service accounts of Google sign it.
#[derive(Serialize)]
struct ScopedClaims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    scope: String,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// Signs an assertion with scopes, for a user only where the configuration names one, and gets tokens for it.
///
/// # Errors
/// As for [`obtain`].
pub async fn obtain_with_scopes(client: &OAuthClient, secrets: &Secrets, scopes: &[String]) -> Result<Grant> {
    let sign_in = client.sign_in();
    let pem = secrets.private_key.as_ref().ok_or_else(no_key)?;
    let now = client.clock().now().as_second();
    let claims = ScopedClaims {
        iss: client.client_id(),
        sub: sign_in.jwt_subject.as_deref(),
        scope: scopes.join(" "),
        aud: audience(client)?,
        iat: now,
        exp: now.saturating_add(i64::try_from(sign_in.jwt_seconds).unwrap_or(i64::MAX)),
    };
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &signing_key(pem)?)
        .map(SecretString::from)
        .map_err(|_| bad_key())?;
    client.assertion(&assertion).await
}

fn no_key() -> Error {
    Error::invalid("a JWT grant needs the private key").with_advice("Give its file with --key-file")
}

fn audience(client: &OAuthClient) -> Result<&str> {
    let audience = client.sign_in().jwt_audience.as_deref();
    audience.ok_or_else(|| Error::unsupported("this provider has no JWT grant"))
}

/// A private key as its file holds it.
#[derive(Debug)]
pub struct KeyFile {
    /// The key in PEM.
    pub pem: SecretString,
    /// Who signs with it, where the file says so.
    pub client_id: Option<String>,
}

impl KeyFile {
    /// Reads the text of a key file: PEM, or the JSON file of a service account that holds it.
    ///
    /// # Errors
    /// Invalid for JSON without a key.
    pub fn read(text: SecretString) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct ServiceAccount {
            private_key: String,
            client_email: Option<String>,
        }
        if !text.expose_secret().trim_start().starts_with('{') {
            return Ok(Self { pem: text, client_id: None });
        }
        let account: ServiceAccount = serde_json::from_str(text.expose_secret()).map_err(|_| bad_key())?;
        Ok(Self { pem: SecretString::from(account.private_key), client_id: account.client_email })
    }
}

/// Claims of an assertion that stands for the client (RFC 7523 section 3; OpenID Connect Core section 9).
#[derive(Serialize)]
struct ClientClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    nbf: i64,
    exp: i64,
}

/// Signs an assertion in place of the client's secret and gets tokens for the client itself. When the PEM file
/// also holds the key's certificate, its thumbprint names the key to the provider.
///
/// # Errors
/// Invalid, when the key is missing or no RSA key; what the provider refuses.
pub async fn obtain_for_client(client: &OAuthClient, secrets: &Secrets, scopes: &[String]) -> Result<Grant> {
    let pem = secrets.private_key.as_ref().ok_or_else(|| {
        Error::invalid("a signed assertion needs the private key")
            .with_advice("Give its PEM file with --key-file; it may hold the certificate too")
    })?;
    let sign_in = client.sign_in();
    let audience = sign_in
        .jwt_audience
        .as_deref()
        .ok_or_else(|| Error::unsupported("this provider takes no signed assertions"))?;
    let now = client.clock().now().as_second();
    let claims = ClientClaims {
        iss: client.client_id(),
        sub: client.client_id(),
        aud: audience,
        jti: uuid::Uuid::new_v4().to_string(),
        nbf: now,
        exp: now.saturating_add(i64::try_from(sign_in.jwt_seconds).unwrap_or(i64::MAX)),
    };
    let mut header = Header::new(Algorithm::RS256);
    header.x5t_s256 = thumbprint(pem.expose_secret())?;
    let assertion = jsonwebtoken::encode(&header, &claims, &signing_key(pem)?)
        .map(SecretString::from)
        .map_err(|_| bad_key())?;
    client.client_assertion(&assertion, scopes).await
}

/// The SHA-256 thumbprint of the first certificate in a PEM file, as RFC 7515 section 4.1.8 writes it.
fn thumbprint(pem: &str) -> Result<Option<String>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let Some((_, rest)) = pem.split_once(BEGIN) else { return Ok(None) };
    let text: String = rest
        .split_once("-----END CERTIFICATE-----")
        .map(|(text, _)| text.split_whitespace().collect())
        .unwrap_or_default();
    let certificate = STANDARD.decode(text).map_err(|_| {
        Error::invalid("the certificate in the key file cannot be read")
            .with_advice(format!("It is base64 between {BEGIN} and its end"))
    })?;
    Ok(Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate))))
}

fn assertion(client: &OAuthClient, connection: &Connection, secrets: &Secrets) -> Result<SecretString> {
    let missing =
        |what: &str, how: &str| Error::invalid(format!("a JWT grant needs {what}")).with_advice(how);
    let key = secrets.private_key.as_ref().ok_or_else(no_key)?;
    let sign_in = client.sign_in();
    let user = sign_in
        .jwt_subject
        .as_deref()
        .or(connection.username.as_deref())
        .ok_or_else(|| missing("the name of the user to act for", "Give it with --set username=NAME"))?;
    let audience = audience(client)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_beside_the_key_is_named_by_its_thumbprint() {
        let pem = |body: &str| format!("x\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        // SHA-256 of "abc" (FIPS 180-4, example values).
        let expected = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(thumbprint(&pem("YW\nJj")).unwrap().as_deref(), Some(expected));
        assert_eq!(thumbprint("-----BEGIN PRIVATE KEY-----").unwrap(), None);
        assert!(thumbprint(&pem("%%")).is_err());
    }
}
