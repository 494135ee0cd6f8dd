//! The OAuth client: requests to a provider's token endpoint, sent through our own [`Http`](crate::http::Http) plane so that host
//! rules, limits and redaction hold for them too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret,
    CsrfToken, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenResponse, TokenType,
    TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use url::Url;

use super::connection::TokenSet;
use super::sign_in::{ClientAuthentication, SignIn};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::{Call, SharedHttp, Target};

/// Answers that are read here: a token endpoint tells what is wrong in the body.
const READ_HERE: &[u16] = &[
    301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 415, 422, 429, 500, 501,
    502, 503, 504,
];

/// A token answer is a few kilobytes.
const ANSWER_BYTES: u64 = 1024 * 1024;

/// How often a request that is safe to repeat is sent.
const ATTEMPTS: u32 = 3;

/// The longest pause between attempts; who is asked to wait longer is told instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The operation of a renewal.
const REFRESH: &str = "refresh token";

/// The grant type of a JWT assertion (RFC 7523 section 2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The kind of assertion that stands for a client (RFC 7523 section 2.2).
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a grant gave.
#[derive(Debug)]
pub struct Grant {
    /// The tokens; their generation is for the store to decide.
    pub tokens: TokenSet,
    /// Why an address that came with them may not be used. The access token is worthless then, but a rotated
    /// refresh token must be kept all the same.
    pub refused_base: Option<Error>,
}

impl Grant {
    /// The tokens, when everything that came with them is fine.
    ///
    /// # Errors
    /// `ForeignHost`, when an address led outside the connection's hosts.
    pub fn into_tokens(self) -> Result<TokenSet> {
        match self.refused_base {
            None => Ok(self.tokens),
            Some(error) => Err(error),
        }
    }
}

/// One OAuth client at one provider.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    sign_in: Arc<SignIn>,
    http: SharedHttp,
    clock: Arc<dyn Clock>,
    client_id: String,
    client_secret: Option<SecretString>,
}

type Configured = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl OAuthClient {
    /// A client that signs in as `sign_in` says. `http` is a plane without authorisation and without retry:
    /// which token request may be repeated is decided here.
    #[must_use]
    pub fn new(
        sign_in: Arc<SignIn>,
        http: SharedHttp,
        clock: Arc<dyn Clock>,
        client_id: impl Into<String>,
        client_secret: Option<SecretString>,
    ) -> Self {
        Self { sign_in, http, clock, client_id: client_id.into(), client_secret }
    }

    /// How users sign in at this provider.
    #[must_use]
    pub fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// The clock that lifetimes are counted by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The client's public id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    fn configured(&self) -> Result<Configured> {
        let token_url = self.sign_in.token_url.clone().ok_or_else(|| no_endpoint("token endpoint"))?;
        self.sign_in.hosts.check(&token_url, "the token endpoint")?;
        let kind = match self.sign_in.client_authentication {
            ClientAuthentication::Body => AuthType::RequestBody,
            ClientAuthentication::Basic => AuthType::BasicAuth,
        };
        let client = Client::new(ClientId::new(self.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(token_url))
            .set_auth_type(kind);
        Ok(match &self.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
            None => client,
        })
    }

    /// The address of the authorisation page.
    pub(crate) fn authorize_url(
        &self,
        redirect_uri: &str,
        scopes: &[String],
        state: &SecretString,
        challenge: PkceCodeChallenge,
    ) -> Result<Url> {
        let page = self.sign_in.authorize_url.clone().ok_or_else(|| no_endpoint("authorisation page"))?;
        self.sign_in.hosts.check(&page, "the authorisation page")?;
        let redirect = redirect_of(redirect_uri)?;
        let client = self.configured()?.set_auth_uri(AuthUrl::from_url(page));
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Borrowed(&redirect))
            .set_pkce_challenge(challenge)
            .add_scopes(scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.sign_in.authorize_extra {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        Ok(request.url().0)
    }

    /// Exchanges an authorisation code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). Sent once: a code is
    /// used up by the first attempt.
    ///
    /// # Errors
    /// Unauthorized with advice, when the provider refuses the code.
    pub(crate) async fn exchange_code(
        &self,
        code: SecretString,
        verifier: PkceCodeVerifier,
        redirect_uri: &str,
    ) -> Result<Grant> {
        let client = self.configured()?;
        let redirect = redirect_of(redirect_uri)?;
        let wire = self.wire("exchange code", false).hiding(code.expose_secret()).hiding(verifier.secret());
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(verifier)
            .set_redirect_uri(Cow::Borrowed(&redirect))
            .request_async(&wire)
            .await;
        self.grant(&wire, answer)
    }

    /// Renews tokens (RFC 6749 section 6). Where refresh tokens rotate, a request that may have been executed
    /// is not sent again: the old token would look stolen. No scope is sent: some providers refuse it.
    ///
    /// # Errors
    /// Unauthorized with code `invalid_grant`, when the refresh token is not accepted any more.
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<Grant> {
        let client = self.configured()?;
        let wire =
            self.wire(REFRESH, !self.sign_in.rotates_refresh_tokens).hiding(refresh_token.expose_secret());
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let answer = client.exchange_refresh_token(&token).request_async(&wire).await;
        self.grant(&wire, answer)
    }

    /// Gets a token for the client itself (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// Unauthorized with advice, when the provider does not accept the client.
    pub async fn client_credentials(&self, scopes: &[String]) -> Result<Grant> {
        let client = self.configured()?;
        let wire = self.wire("client credentials", true);
        let answer = client
            .exchange_client_credentials()
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .request_async(&wire)
            .await;
        self.grant(&wire, answer)
    }

    /// Gets a token for a signed assertion (RFC 7523). The `oauth2` crate knows no such grant, so the form is
    /// made here; the answer is read as all others are.
    ///
    /// # Errors
    /// Unauthorized with advice, when the provider does not accept the assertion.
    pub async fn assertion(&self, assertion: &SecretString) -> Result<Grant> {
        let token_url = self.sign_in.token_url.clone().ok_or_else(|| no_endpoint("token endpoint"))?;
        self.sign_in.hosts.check(&token_url, "the token endpoint")?;
        let wire = self.wire("jwt bearer", true).hiding(assertion.expose_secret());
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.expose_secret())];
        self.send_form(&wire, &token_url, &form).await
    }

    /// Gets a token for the client itself, which signs an assertion instead of showing a secret (RFC 7523
    /// section 2.2).
    ///
    /// # Errors
    /// Unauthorized with advice, when the provider does not accept the assertion.
    pub async fn client_assertion(&self, assertion: &SecretString, scopes: &[String]) -> Result<Grant> {
        let token_url = self.sign_in.token_url.clone().ok_or_else(|| no_endpoint("token endpoint"))?;
        self.sign_in.hosts.check(&token_url, "the token endpoint")?;
        let wire = self.wire("client assertion", true).hiding(assertion.expose_secret());
        let scopes = scopes.join(" ");
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_assertion_type", CLIENT_ASSERTION),
            ("client_assertion", assertion.expose_secret()),
            ("scope", &scopes),
        ];
        self.send_form(&wire, &token_url, &form).await
    }

    async fn send_form(&self, wire: &TokenWire<'_>, address: &Url, form: &[(&str, &str)]) -> Result<Grant> {
        let reply = wire.send(form_request(address, form)?).await?;
        let answer = if reply.status() == StatusCode::OK {
            serde_json::from_slice::<TokenAnswer>(reply.body()).map_err(|_| incomplete(wire.operation))?
        } else {
            let refusal: BasicErrorResponse =
                serde_json::from_slice(reply.body()).map_err(|_| incomplete(wire.operation))?;
            return Err(wire.refused(&refusal));
        };
        self.read(&answer)
    }

    /// Revokes a token with everything that came from the same authorisation (RFC 7009). False when the
    /// provider has no way to. An unknown token counts as revoked.
    ///
    /// # Errors
    /// What the provider answers.
    pub async fn revoke(&self, token: &SecretString, hint: &'static str) -> Result<bool> {
        let Some(address) = self.sign_in.revoke_url.clone() else { return Ok(false) };
        self.sign_in.hosts.check(&address, "the revocation endpoint")?;
        let wire = self.wire("revoke token", true).hiding(token.expose_secret());
        let mut form = vec![("token", token.expose_secret()), ("token_type_hint", hint)];
        let mut request;
        match (self.sign_in.client_authentication, &self.client_secret) {
            (ClientAuthentication::Basic, Some(secret)) => {
                request = form_request(&address, &form)?;
                let header = basic_header(&self.client_id, secret.expose_secret())?;
                request.headers_mut().insert(AUTHORIZATION, header);
            }
            (_, secret) => {
                form.push(("client_id", &self.client_id));
                form.extend(secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())));
                request = form_request(&address, &form)?;
            }
        }
        let reply = wire.exchange(request).await?;
        if reply.status().is_success() {
            return Ok(true);
        }
        match serde_json::from_slice::<BasicErrorResponse>(reply.body()) {
            Ok(refusal) if refusal.error().as_ref() == "invalid_token" => Ok(true),
            Ok(refusal) => Err(wire.refused(&refusal)),
            Err(_) => Err(wire.not_json(&reply)),
        }
    }

    /// Ends an access token by showing it, and with it the refresh token that it came from. False when the provider
    /// does not know it any more, or has no way to.
    ///
    /// # Errors
    /// What the provider answers.
    pub async fn revoke_shown(&self, access_token: &SecretString) -> Result<bool> {
        let Some(address) = self.sign_in.revoke_url.clone() else { return Ok(false) };
        self.sign_in.hosts.check(&address, "where tokens are revoked")?;
        let wire = self.wire("revoke token", true).hiding(access_token.expose_secret());
        let mut shown = HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret()))
            .map_err(|_| Error::protocol("the access token cannot be sent"))?;
        shown.set_sensitive(true);
        let request = http::Request::post(address.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, shown)
            .body(b"null".to_vec())
            .map_err(|error| Error::bug(format!("a request cannot be made: {error}")))?;
        let reply = wire.exchange(request).await?;
        match reply.status() {
            status if status.is_success() => Ok(true),
            StatusCode::UNAUTHORIZED => Ok(false),
            _ => Err(wire.not_json(&reply)),
        }
    }

    fn wire(&self, operation: &'static str, repeatable: bool) -> TokenWire<'_> {
        let mut wire = TokenWire { client: self, operation, repeatable, secrets: Vec::new() };
        if let Some(secret) = &self.client_secret {
            wire = wire.hiding(secret.expose_secret());
        }
        wire
    }

    fn grant(
        &self,
        wire: &TokenWire<'_>,
        answer: Result<TokenAnswer, RequestTokenError<Error, BasicErrorResponse>>,
    ) -> Result<Grant> {
        match answer {
            Ok(answer) => self.read(&answer),
            Err(RequestTokenError::ServerResponse(refusal)) => Err(wire.refused(&refusal)),
            Err(RequestTokenError::Request(error)) => Err(error),
            Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
                Err(incomplete(wire.operation))
            }
        }
    }

    /// Turns an answer into tokens.
    fn read(&self, answer: &TokenAnswer) -> Result<Grant> {
        if !answer.token_type.0.eq_ignore_ascii_case("bearer") {
            return Err(Error::protocol("the provider gave a token that is no bearer token")
                .with_code("token_type")
                .with_advice("recordport knows bearer tokens only"));
        }
        let now = self.clock.now();
        let access_token = token_text(answer.access_token.secret())
            .ok_or_else(|| Error::protocol("the provider's access token is empty or cannot be sent"))?;
        let mut bases = BTreeMap::new();
        let mut refused_base = None;
        for (role, member) in &self.sign_in.base_from_token {
            match self.base(answer, member) {
                Ok(base) => drop(bases.insert(role.clone(), base)),
                Err(error) => drop(refused_base.get_or_insert(error)),
            }
        }
        let lifetime = answer.expires_in.and_then(|lifetime| jiff::SignedDuration::try_from(lifetime).ok());
        let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime).ok());
        Ok(Grant {
            tokens: TokenSet {
                generation: 0,
                access_token,
                refresh_token: answer.refresh_token.as_ref().and_then(|token| token_text(token.secret())),
                obtained: now,
                expires,
                bases,
                scopes: answer
                    .scopes
                    .as_ref()
                    .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            },
            refused_base,
        })
    }

    /// The address of a host that a token answer names, if it is one of the connection's.
    fn base(&self, answer: &TokenAnswer, member: &str) -> Result<Url> {
        let text = answer.extra.get(member).and_then(Json::as_str).ok_or_else(|| {
            Error::protocol(format!("the provider's token answer has no {member}")).with_code("token_answer")
        })?;
        let address = Url::parse(text)
            .map_err(|_| Error::protocol(format!("the {member} of the token answer is no address")))?;
        self.sign_in.hosts.check(&address, &format!("the {member} of the token answer"))?;
        Ok(address)
    }
}

/// The redirect address, its text kept as it is: providers compare it as a whole.
fn redirect_of(text: &str) -> Result<RedirectUrl> {
    RedirectUrl::new(text.to_owned())
        .map_err(|error| Error::invalid(format!("{text:?} is no redirect address: {error}")))
}

fn no_endpoint(what: &str) -> Error {
    Error::unsupported(format!("this provider has no {what}"))
        .with_advice("Choose another --grant; `recordport providers NAME` lists them")
}

/// A token as it can be sent in a header; control characters would end it early.
fn token_text(text: &str) -> Option<SecretString> {
    let fits = !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    fits.then(|| SecretString::from(text))
}

fn incomplete(operation: &'static str) -> Error {
    Error::protocol("the provider's token answer cannot be understood")
        .with_code("token_answer")
        .with_operation(operation)
}

fn form_request(address: &Url, form: &[(&str, &str)]) -> Result<HttpRequest> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into_bytes();
    http::Request::post(address.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
        .map_err(|error| Error::bug(format!("a token request cannot be made: {error}")))
}

/// HTTP Basic with both parts form-encoded first, as RFC 6749 section 2.3.1 asks.
fn basic_header(id: &str, secret: &str) -> Result<HeaderValue> {
    use base64::Engine as _;
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|error| Error::bug(format!("base64 was refused in a header: {error}")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends the `oauth2` crate's requests through our plane.
struct TokenWire<'a> {
    client: &'a OAuthClient,
    operation: &'static str,
    /// Whether sending it twice harms nobody.
    repeatable: bool,
    /// What no error may repeat.
    secrets: Vec<SecretString>,
}

impl<'c> AsyncHttpClient<'c> for TokenWire<'_> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl TokenWire<'_> {
    fn hiding(mut self, secret: &str) -> Self {
        self.secrets.push(SecretString::from(secret));
        self
    }

    /// Sends, and lets only what is JSON through.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let mut reply = self.exchange(request).await?;
        let object = serde_json::from_slice::<serde_json::Map<String, Json>>(reply.body());
        match object {
            Ok(object) if reply.status().is_success() || object.get("error").is_some_and(Json::is_string) => {
                // Dropbox sends JSON under the name of a script; what it is was just seen.
                reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok(reply)
            }
            _ => Err(self.not_json(&reply)),
        }
    }

    /// Sends until there is an answer, or no further attempt is safe.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse> {
        let (parts, body) = request.into_parts();
        let address = Url::parse(&parts.uri.to_string())
            .map_err(|error| Error::bug(format!("the token endpoint is no address: {error}")))?;
        let body = bytes::Bytes::from(body);
        let mut pause = Duration::from_millis(250);
        for attempt in 1.. {
            let mut call = Call::new(self.operation, Method::POST, Target::Address(address.clone()))
                .accepting(READ_HERE);
            call.headers = parts.headers.clone();
            call.body = body.clone();
            call.idempotent = self.repeatable;
            call.sensitive = true;
            call.authorize = false;
            call.response_limit = Some(ANSWER_BYTES);
            let (again, asked) = match self.client.http.send(call).await {
                Ok(reply) => {
                    let asked = reply
                        .header("retry-after")
                        .and_then(|text| text.trim().parse().ok())
                        .map(Duration::from_secs);
                    let status = reply.status.as_u16();
                    // A rate limit stands before the work; after other failures the work may have been done.
                    let again = status == 429 || (self.repeatable && matches!(status, 500 | 502..=504));
                    if !again || attempt >= ATTEMPTS || asked.is_some_and(|asked| asked > LONGEST_PAUSE) {
                        let mut response = http::Response::new(reply.body.to_vec());
                        *response.status_mut() = reply.status;
                        *response.headers_mut() = reply.headers;
                        return Ok(response);
                    }
                    (true, asked)
                }
                Err(error) => {
                    let again = match error.retry() {
                        Retry::Always => true,
                        Retry::IfIdempotent => self.repeatable,
                        Retry::Never => false,
                    };
                    if !again || attempt >= ATTEMPTS {
                        return Err(self.clean(error.with_operation(self.operation)));
                    }
                    (again, error.retry_after().filter(|asked| *asked <= LONGEST_PAUSE))
                }
            };
            debug_assert!(again);
            let jitter = 0.5 + rand::random::<f64>() / 2.0;
            self.client.clock.sleep(asked.unwrap_or_else(|| pause.mul_f64(jitter))).await;
            pause *= 2;
        }
        Err(Error::bug("a loop without end has ended"))
    }

    /// An answer that is not the token endpoint speaking.
    fn not_json(&self, reply: &HttpResponse) -> Error {
        let status = reply.status();
        let error = match status.as_u16() {
            429 => Error::new(ErrorKind::RateLimited, "the provider's sign-in is limiting our requests")
                .with_code("token_rate_limited")
                .with_advice("Wait a few minutes and try again"),
            500..=599 => Error::new(ErrorKind::Unavailable, "the provider's sign-in failed")
                .with_code("token_endpoint_failed")
                .with_retry(if self.repeatable { Retry::IfIdempotent } else { Retry::Never })
                .with_advice("Try again in a while; nothing is lost"),
            _ => Error::protocol("the token endpoint answered with something that is no token answer")
                .with_code("token_answer")
                .with_advice(
                    "A login page, proxy or captive portal may stand in between, or the host in the \
                     configuration may be wrong",
                ),
        };
        error.with_operation(self.operation).with_status(status.as_u16())
    }

    /// What a refusal means for the user.
    fn refused(&self, refusal: &BasicErrorResponse) -> Error {
        let code = refusal.error().as_ref();
        let words = refusal.error_description().map(String::as_str).unwrap_or_default();
        let (kind, message, advice) = verdict(code);
        let mut error = Error::new(kind, message).with_code(code).with_operation(self.operation);
        // Then whoever renews says what to do, and for which connection.
        if !(code == "invalid_grant" && self.operation == REFRESH) {
            error = error.with_advice(advice);
        }
        if !words.is_empty() {
            error = error.with_provider_message(words.chars().take(500).collect::<String>());
        }
        self.clean(error)
    }

    fn clean(&self, error: Error) -> Error {
        self.secrets.iter().fold(error, |error, secret| error.redacting(secret.expose_secret()))
    }
}

/// Kind, message and advice for an error code of the token endpoint (RFC 6749 section 5.2) or authorisation
/// page (section 4.1.2.1), or one of the providers' own.
pub(crate) fn verdict(code: &str) -> (ErrorKind, &'static str, &'static str) {
    match code {
        "invalid_grant" => (
            ErrorKind::Unauthorized,
            "the provider does not accept this authorisation: it was revoked, has expired or was used elsewhere",
            "Sign in again; for a grant without a browser, check at the provider that the user has approved the \
             client",
        ),
        "invalid_client" | "invalid_client_id" | "unauthorized_client" => (
            ErrorKind::Unauthorized,
            "the provider does not accept the OAuth client",
            "Check the client id and the client secret, and whether the client may use this grant; then connect \
             again",
        ),
        "inactive_user" | "inactive_org" => (
            ErrorKind::Unauthorized,
            "the account that the connection acts for has been deactivated",
            "Ask an administrator to activate it, or sign in with another account",
        ),
        "app_not_found" | "OAUTH_EC_APP_NOT_FOUND" | "OAUTH_APP_BLOCKED" => (
            ErrorKind::Forbidden,
            "the OAuth client is not installed in, or not approved by, the user's organisation",
            "Ask an administrator to install and approve the app, then sign in again",
        ),
        "invalid_scope" => (
            ErrorKind::Forbidden,
            "the OAuth client may not ask for one of these scopes",
            "Allow the scope in the client's registration, or connect with --scopes",
        ),
        "access_denied" => (
            ErrorKind::Unauthorized,
            "access was denied on the provider's page",
            "Sign in again and allow it, or ask an administrator whether the app is allowed",
        ),
        "redirect_uri_mismatch" => (
            ErrorKind::Unauthorized,
            "the redirect address is not registered with the OAuth client",
            "Register it exactly as `connect` printed it, or give the registered one with --redirect-uri",
        ),
        "temporarily_unavailable" | "server_error" => {
            (ErrorKind::Unavailable, "the provider's sign-in is not available", "Try again in a while")
        }
        "unsupported_grant_type" => (
            ErrorKind::Unsupported,
            "the provider does not offer this grant",
            "Choose another --grant; `recordport providers NAME` lists them",
        ),
        _ => (
            ErrorKind::Refused,
            "the provider refused to sign us in",
            "Read the provider's words, and check the client's registration",
        ),
    }
}

/// A token answer (RFC 6749 section 5.1), read leniently where providers differ from it.
#[derive(Clone, Serialize, Deserialize)]
struct TokenAnswer {
    access_token: AccessToken,
    #[serde(default)]
    token_type: TokenKind,
    #[serde(default, deserialize_with = "lifetime", skip_serializing)]
    expires_in: Option<Duration>,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    scopes: Option<Vec<Scope>>,
    /// Members of the provider's own, such as `instance_url`.
    #[serde(flatten)]
    extra: serde_json::Map<String, Json>,
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Members of the provider's own may be secrets too (`id_token`, `signature`).
        f.debug_struct("TokenAnswer").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct TokenKind(String);

impl Default for TokenKind {
    fn default() -> Self {
        Self("Bearer".to_owned())
    }
}

impl TokenType for TokenKind {}

impl TokenResponse for TokenAnswer {
    type TokenType = TokenKind;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &TokenKind {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

/// A lifetime counts only as a positive number of seconds; from anything else nothing is concluded, and the
/// token is used until it is refused.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = Json::deserialize(deserializer)?;
    Ok(value.as_u64().filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

/// Scopes as one text with blanks, or as a list.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let names: Vec<String> = match Json::deserialize(deserializer)? {
        Json::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Json::Array(items) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => return Ok(None),
    };
    Ok(Some(names.into_iter().map(Scope::new).collect()))
}

/// The end of an access token's life as far as it can be told now.
#[must_use]
pub(crate) fn is_over(tokens: &TokenSet, now: Timestamp) -> bool {
    // A little early, so that a request does not arrive after the end.
    let early = jiff::SignedDuration::from_secs(30);
    tokens.expires.is_some_and(|expires| now.saturating_add(early).is_ok_and(|soon| soon >= expires))
}
