//! Who may do what, for how long: the OAuth state behind every emulated service.
//!
//! This module knows clients, users, authorisation codes, access and refresh tokens; it knows neither paths
//! nor error texts. A service's own OAuth endpoints turn its verdicts into that service's wording.
//!
//! Tokens belong to a *family*: everything that came from one authorisation. Rotation replaces a family's
//! refresh token at each use; showing a replaced one again revokes the whole family, as RFC 9700 section
//! 4.14.2 recommends.

mod client;
pub mod consent;
pub mod key;
pub mod parameters;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::client::{Client, ClientPatch, User, UserPatch};
use crate::emulator::clock::Clock;

/// Live access tokens, beyond which expired ones are forgotten.
const PRUNE_AT: usize = 50_000;

/// What a minted text is for; services give each its own look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// An authorisation code.
    Code,
    /// The one-time number of a consent page.
    Consent,
}

/// Writes a new token text from random numbers.
pub type Mint = Arc<dyn Fn(&mut StdRng, Token) -> String + Send + Sync>;

/// What an accepted bearer token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The client that the token was issued to.
    pub client_id: String,
    /// The user on whose behalf it acts.
    pub username: String,
    /// Scopes of the token.
    pub scopes: Vec<String>,
}

impl Granted {
    /// Whether the token carries this scope.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

/// Why a bearer token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerFault {
    /// There is no Authorization header.
    Missing,
    /// The header is not of the form `Bearer token`.
    Malformed,
    /// Nobody issued this token.
    Unknown,
    /// The token is too old, or was expired by a fault rule.
    Expired,
    /// The token, its family or its user's consent was revoked.
    Revoked,
    /// The user has been deactivated.
    Inactive,
}

/// Why a code or refresh token buys nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantFault {
    /// Nobody issued this code or token.
    Unknown,
    /// It was issued to another client.
    WrongClient,
    /// It is too old.
    Expired,
    /// It was used before; everything that came from it is revoked now.
    Reused,
    /// It was revoked.
    Revoked,
    /// The redirect address is not the one the code was asked for with.
    RedirectMismatch,
    /// The code was asked for with a challenge and no verifier came.
    VerifierMissing,
    /// The verifier does not fit the challenge.
    VerifierWrong,
    /// The user has been deactivated.
    Inactive,
}

/// One authorisation asked of the user: what the consent page shows and the code later remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The client that asks.
    pub client_id: String,
    /// Where the answer goes, exactly as asked.
    pub redirect_uri: String,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// The client's `state`, returned untouched.
    pub state: Option<String>,
    /// PKCE: base64url of the SHA-256 of the verifier (RFC 7636, method S256).
    pub challenge: Option<String>,
}

/// Tokens handed out.
#[derive(Clone)]
pub struct Issued {
    /// The access token.
    pub access_token: String,
    /// A refresh token, when the grant gives one or rotation replaced it.
    pub refresh_token: Option<String>,
    /// What the access token stands for.
    pub granted: Granted,
    /// When it was issued, by the emulated clock.
    pub issued_at: Timestamp,
    /// Lifetime of the access token.
    pub expires_in: SignedDuration,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("granted", &self.granted)
            .field("issued_at", &self.issued_at)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// What is known about a token, for an introspection endpoint.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    /// What the token stands for.
    pub granted: Granted,
    /// Access or refresh token.
    pub kind: Token,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends, when it does.
    pub expires_at: Option<Timestamp>,
    /// Whether it would be accepted now.
    pub active: bool,
}

/// The registry of one service. All methods take the emulated time from their caller or the shared clock, so
/// that advancing the clock ages tokens.
pub struct Grants {
    mint: Mint,
    clock: Clock,
    seed: u64,
    /// Lifetime of an authorisation code.
    code_lifetime: SignedDuration,
    /// How long a replaced refresh token is still honoured without alarm.
    reuse_leeway: SignedDuration,
    state: Mutex<State>,
    initial: Mutex<Option<Initial>>,
}

#[derive(Clone)]
struct State {
    rng: StdRng,
    /// How often the registry was reset; mixed into the random numbers so that tokens never come back.
    generation: u64,
    clients: Vec<Client>,
    users: Vec<User>,
    pending: HashMap<String, (Authorization, Timestamp)>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    families: Vec<Family>,
}

/// The state to go back to, and when it was taken: lifetimes begin anew at a reset.
struct Initial {
    state: State,
    taken: Timestamp,
}

#[derive(Clone)]
struct Code {
    asked: Authorization,
    username: String,
    issued: Timestamp,
    /// Set once it was shown at the token endpoint: the family that came from it, if one did.
    used: Option<Option<usize>>,
}

#[derive(Clone)]
struct Access {
    family: usize,
    issued: Timestamp,
    expires: Timestamp,
    expired_by_force: bool,
}

#[derive(Clone)]
struct Refresh {
    family: usize,
    issued: Timestamp,
    expires: Option<Timestamp>,
    replaced: Option<Timestamp>,
}

#[derive(Clone)]
struct Family {
    client_id: String,
    username: String,
    scopes: Vec<String>,
    revoked: bool,
}

impl Family {
    fn granted(&self) -> Granted {
        Granted {
            client_id: self.client_id.clone(),
            username: self.username.clone(),
            scopes: self.scopes.clone(),
        }
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Grants")
            .field("clients", &state.clients.len())
            .field("families", &state.families.len())
            .finish_non_exhaustive()
    }
}

impl Grants {
    /// An empty registry whose tokens are written by `mint`, deterministically from the seed.
    #[must_use]
    pub fn new(seed: u64, clock: Clock, mint: Mint) -> Self {
        Self {
            mint,
            clock,
            seed,
            code_lifetime: SignedDuration::from_mins(10),
            reuse_leeway: SignedDuration::ZERO,
            state: Mutex::new(State {
                rng: StdRng::seed_from_u64(seed),
                generation: 0,
                clients: Vec::new(),
                users: Vec::new(),
                pending: HashMap::new(),
                codes: HashMap::new(),
                access: HashMap::new(),
                refresh: HashMap::new(),
                families: Vec::new(),
            }),
            initial: Mutex::new(None),
        }
    }

    /// The same registry with another lifetime of authorisation codes (10 minutes otherwise).
    #[must_use]
    pub fn with_code_lifetime(mut self, lifetime: SignedDuration) -> Self {
        self.code_lifetime = lifetime;
        self
    }

    /// The same registry that honours a replaced refresh token for this long (not at all otherwise).
    #[must_use]
    pub fn with_reuse_leeway(mut self, leeway: SignedDuration) -> Self {
        self.reuse_leeway = leeway;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the present state as the one that [`reset`](Self::reset) goes back to.
    pub fn seal(&self) {
        let initial = Initial { state: self.state().clone(), taken: self.clock.now() };
        *self.initial.lock().unwrap_or_else(PoisonError::into_inner) = Some(initial);
    }

    /// Back to the sealed state: clients, users and tokens issued before it work again, with lifetimes that
    /// begin now; everything since is forgotten.
    pub fn reset(&self) {
        let now = self.clock.now();
        let initial = self.initial.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(initial) = initial.as_ref() else { return };
        let age = now.duration_since(initial.taken);
        let later = |time: Timestamp| time.saturating_add(age).unwrap_or(Timestamp::MAX);
        let mut state = self.state();
        let generation = state.generation.wrapping_add(1);
        *state = initial.state.clone();
        state.generation = generation;
        state.rng = StdRng::seed_from_u64(self.seed ^ generation.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for access in state.access.values_mut() {
            access.issued = later(access.issued);
            access.expires = later(access.expires);
        }
        for refresh in state.refresh.values_mut() {
            refresh.issued = later(refresh.issued);
            refresh.expires = refresh.expires.map(later);
        }
    }

    /// Adds a client, or replaces the one with its id.
    pub fn register(&self, client: Client) {
        let mut state = self.state();
        state.clients.retain(|known| known.client_id != client.client_id);
        state.clients.push(client);
    }

    /// The client with this id.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<Client> {
        self.state().clients.iter().find(|client| client.client_id == client_id).cloned()
    }

    /// All clients, in the order they were registered.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.state().clients.clone()
    }

    /// Adds a user, or replaces the one with that name.
    pub fn add_user(&self, user: User) {
        let mut state = self.state();
        state.users.retain(|known| known.username != user.username);
        state.users.push(user);
    }

    /// The user with this name.
    #[must_use]
    pub fn user(&self, username: &str) -> Option<User> {
        self.state().users.iter().find(|user| user.username.eq_ignore_ascii_case(username)).cloned()
    }

    /// All users, the first of whom is signed in on consent pages.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.state().users.clone()
    }

    /// Changes a client, or registers a new one, as the control surface asks.
    ///
    /// # Errors
    /// A sentence when the change makes no sense.
    pub fn patch_client(&self, patch: ClientPatch) -> Result<Client, String> {
        let client = patch.apply(self.client(&patch.client_id))?;
        let mut state = self.state();
        match state.clients.iter_mut().find(|known| known.client_id == client.client_id) {
            Some(known) => *known = client.clone(),
            None => state.clients.push(client.clone()),
        }
        Ok(client)
    }

    /// Changes a user as the control surface asks: deactivate, change the password, revoke all access.
    ///
    /// # Errors
    /// A sentence when there is no such user.
    pub fn patch_user(&self, patch: UserPatch) -> Result<User, String> {
        let user = self.user(&patch.username);
        let user = user.ok_or_else(|| format!("there is no user {:?}", patch.username))?;
        if patch.revoke {
            let mut state = self.state();
            for family in state.families.iter_mut().filter(|family| family.username == user.username) {
                family.revoked = true;
            }
        }
        let user = patch.apply(user);
        let mut state = self.state();
        if let Some(known) = state.users.iter_mut().find(|known| known.username == user.username) {
            *known = user.clone();
        }
        Ok(user)
    }

    /// Files an authorisation until the user decides, and gives the number of its consent page.
    pub fn ask(&self, authorization: Authorization, now: Timestamp) -> String {
        let mut state = self.state();
        let lifetime = self.code_lifetime;
        state.pending.retain(|_, (_, asked)| now.duration_since(*asked) < lifetime);
        let number = (self.mint)(&mut state.rng, Token::Consent);
        state.pending.insert(number.clone(), (authorization, now));
        number
    }

    /// Takes an authorisation that waits for the user's decision; each can be decided once.
    pub fn decide(&self, number: &str, now: Timestamp) -> Option<Authorization> {
        let (authorization, asked) = self.state().pending.remove(number)?;
        (now.duration_since(asked) < self.code_lifetime).then_some(authorization)
    }

    /// A code for an authorisation that the user allowed.
    pub fn code(&self, asked: Authorization, username: &str, now: Timestamp) -> String {
        let mut state = self.state();
        let code = (self.mint)(&mut state.rng, Token::Code);
        let entry = Code { asked, username: username.to_owned(), issued: now, used: None };
        state.codes.insert(code.clone(), entry);
        code
    }

    /// Exchanges a code. Any attempt uses it up; a second one revokes what the first gave (RFC 6749 section
    /// 4.1.2).
    ///
    /// # Errors
    /// Why the code buys nothing.
    pub fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        with_refresh: impl FnOnce(&[String]) -> bool,
        now: Timestamp,
    ) -> Result<Issued, GrantFault> {
        let mut state = self.state();
        let entry = state.codes.get_mut(code).ok_or(GrantFault::Unknown)?;
        if entry.asked.client_id != client_id {
            return Err(GrantFault::WrongClient);
        }
        if let Some(family) = entry.used {
            if let Some(family) = family.and_then(|family| state.families.get_mut(family)) {
                family.revoked = true;
            }
            return Err(GrantFault::Reused);
        }
        entry.used = Some(None);
        let entry = entry.clone();
        if now.duration_since(entry.issued) >= self.code_lifetime {
            return Err(GrantFault::Expired);
        }
        if redirect_uri != Some(entry.asked.redirect_uri.as_str()) {
            return Err(GrantFault::RedirectMismatch);
        }
        match (&entry.asked.challenge, verifier) {
            (None, _) => {}
            (Some(_), None) => return Err(GrantFault::VerifierMissing),
            (Some(challenge), Some(verifier)) => {
                if *challenge != s256(verifier) {
                    return Err(GrantFault::VerifierWrong);
                }
            }
        }
        if !state.is_active(&entry.username) {
            return Err(GrantFault::Inactive);
        }
        let refresh = with_refresh(&entry.asked.scopes);
        let family = state.family(client_id, &entry.username, entry.asked.scopes);
        if let Some(used) = state.codes.get_mut(code) {
            used.used = Some(Some(family));
        }
        Ok(self.hand_out(&mut state, family, refresh, now))
    }

    /// Tokens for a grant that needs no code: client credentials, JWT bearer, password.
    pub fn issue(
        &self,
        client_id: &str,
        username: &str,
        scopes: Vec<String>,
        with_refresh: bool,
        now: Timestamp,
    ) -> Issued {
        let mut state = self.state();
        let family = state.family(client_id, username, scopes);
        self.hand_out(&mut state, family, with_refresh, now)
    }

    /// Exchanges a refresh token. With rotation the answer carries a new one; a replaced one that comes back
    /// revokes its family.
    ///
    /// # Errors
    /// Why the token buys nothing.
    pub fn refresh(&self, token: &str, client_id: &str, now: Timestamp) -> Result<Issued, GrantFault> {
        let mut state = self.state();
        let refresh = state.refresh.get(token).ok_or(GrantFault::Unknown)?.clone();
        let family = state.families.get(refresh.family).ok_or(GrantFault::Unknown)?;
        if family.client_id != client_id {
            return Err(GrantFault::WrongClient);
        }
        if family.revoked {
            return Err(GrantFault::Revoked);
        }
        let username = family.username.clone();
        if let Some(replaced) = refresh.replaced
            && now.duration_since(replaced) >= self.reuse_leeway
        {
            if let Some(family) = state.families.get_mut(refresh.family) {
                family.revoked = true;
            }
            return Err(GrantFault::Reused);
        }
        if refresh.expires.is_some_and(|expires| expires <= now) {
            return Err(GrantFault::Expired);
        }
        if !state.is_active(&username) {
            return Err(GrantFault::Inactive);
        }
        let rotates = state.clients.iter().any(|client| client.client_id == client_id && client.rotation);
        if rotates && let Some(old) = state.refresh.get_mut(token) {
            old.replaced.get_or_insert(now);
        }
        Ok(self.hand_out(&mut state, refresh.family, rotates, now))
    }

    /// Revokes the family of an access or refresh token; false when nobody issued it.
    pub fn revoke(&self, token: &str) -> bool {
        let mut state = self.state();
        let family = state
            .access
            .get(token)
            .map(|access| access.family)
            .or_else(|| state.refresh.get(token).map(|refresh| refresh.family));
        match family.and_then(|family| state.families.get_mut(family)) {
            Some(family) => {
                family.revoked = true;
                true
            }
            None => false,
        }
    }

    /// What is known about a token.
    #[must_use]
    pub fn introspect(&self, token: &str, now: Timestamp) -> Option<TokenInfo> {
        let state = self.state();
        if let Some(access) = state.access.get(token) {
            let family = state.families.get(access.family)?;
            return Some(TokenInfo {
                granted: family.granted(),
                kind: Token::Access,
                issued_at: access.issued,
                expires_at: Some(access.expires),
                active: !family.revoked && !access.expired_by_force && access.expires > now,
            });
        }
        let refresh = state.refresh.get(token)?;
        let family = state.families.get(refresh.family)?;
        Some(TokenInfo {
            granted: family.granted(),
            kind: Token::Refresh,
            issued_at: refresh.issued,
            expires_at: refresh.expires,
            active: !family.revoked
                && refresh.replaced.is_none()
                && refresh.expires.is_none_or(|expires| expires > now),
        })
    }

    /// Makes every access token issued so far expire; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        for access in self.state().access.values_mut() {
            access.expired_by_force = true;
        }
    }

    /// Accepts or refuses the bearer token in the Authorization header.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<Granted, BearerFault> {
        let header = headers.get(AUTHORIZATION).ok_or(BearerFault::Missing)?;
        let text = header.to_str().map_err(|_| BearerFault::Malformed)?;
        let (scheme, token) = text.trim().split_once(' ').ok_or(BearerFault::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("oauth") {
            return Err(BearerFault::Malformed);
        }
        let state = self.state();
        let access = state.access.get(token.trim()).ok_or(BearerFault::Unknown)?;
        let family = state.families.get(access.family).ok_or(BearerFault::Unknown)?;
        if family.revoked {
            return Err(BearerFault::Revoked);
        }
        if access.expired_by_force || access.expires <= now {
            return Err(BearerFault::Expired);
        }
        if !state.is_active(&family.username) {
            return Err(BearerFault::Inactive);
        }
        Ok(family.granted())
    }

    fn hand_out(&self, state: &mut State, family: usize, with_refresh: bool, now: Timestamp) -> Issued {
        let granted = state.families.get(family).map_or_else(
            || Granted { client_id: String::new(), username: String::new(), scopes: Vec::new() },
            Family::granted,
        );
        let client = state.clients.iter().find(|client| client.client_id == granted.client_id);
        let access_seconds = client.map_or(Client::ACCESS_SECONDS, |client| client.access_seconds);
        let refresh_seconds = client.and_then(|client| client.refresh_seconds);
        let expires_in = SignedDuration::from_secs(access_seconds);
        let expires = now.saturating_add(expires_in).unwrap_or(Timestamp::MAX);
        if state.access.len() >= PRUNE_AT {
            state.access.retain(|_, access| !access.expired_by_force && access.expires > now);
        }
        let access_token = (self.mint)(&mut state.rng, Token::Access);
        let access = Access { family, issued: now, expires, expired_by_force: false };
        state.access.insert(access_token.clone(), access);
        let refresh_token = with_refresh.then(|| {
            let text = (self.mint)(&mut state.rng, Token::Refresh);
            let expires = refresh_seconds.map(|seconds| {
                now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
            });
            state.refresh.insert(text.clone(), Refresh { family, issued: now, expires, replaced: None });
            text
        });
        Issued { access_token, refresh_token, granted, issued_at: now, expires_in }
    }
}

impl State {
    fn is_active(&self, username: &str) -> bool {
        self.users.iter().any(|user| user.username == username && user.active)
    }

    fn family(&mut self, client_id: &str, username: &str, scopes: Vec<String>) -> usize {
        self.families.push(Family {
            client_id: client_id.to_owned(),
            username: username.to_owned(),
            scopes,
            revoked: false,
        });
        self.families.len() - 1
    }
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
#[must_use]
pub fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}
