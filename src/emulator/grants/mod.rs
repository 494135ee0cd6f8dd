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
pub mod letters;
pub mod parameters;
mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::client::{Client, ClientPatch, User, UserPatch};
use crate::emulator::clock::Clock;

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
