//! Connections on their way to another home: a JSON document with their descriptions and, under a passphrase,
//! their secrets and tokens.
//!
//! The passphrase becomes a key by PBKDF2-HMAC-SHA256 (RFC 8018 section 5.2); each sealed part is
//! authenticated together with the connection that it belongs to, as in the store. Without a passphrase no
//! secret leaves the store, and what is imported has to be authorised first.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, Secrets, Standing, TokenSet};
use super::seal::{KEY_BYTES, KeyBytes, Label, SealingKey};
use super::secret_text::{secrets_from, secrets_text, tokens_from, tokens_text};
use crate::error::{Error, Result};

/// What the document calls itself.
const FORMAT: &str = "connections/1";
/// Key derivation of exports that this version writes.
const DERIVATION: &str = "pbkdf2-hmac-sha256";
/// Rounds of an export (OWASP Password Storage Cheat Sheet).
const ROUNDS: u32 = 600_000;
/// Most rounds that an import does: a document must not be able to keep the machine busy.
const ROUNDS_MAX: u32 = 10_000_000;
/// Bytes of salt.
const SALT_BYTES: usize = 16;
/// Shortest passphrase, in characters.
const PASSPHRASE_CHARS: usize = 12;

const SECRETS: &str = "exported-secrets";
const TOKENS: &str = "exported-tokens";

/// A connection with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Its description.
    pub connection: Connection,
    /// What the user gave, unless the document holds no secrets.
    pub secrets: Option<Secrets>,
    /// Its tokens, when it has any and the document holds secrets.
    pub tokens: Option<TokenSet>,
}

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    recordport: String,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protection: Option<Protection>,
    connections: Vec<Entry>,
}

/// How the key is made from the passphrase.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protection {
    derivation: String,
    rounds: u32,
    salt: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    connection: Connection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secrets: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<String>,
}

impl Export {
    /// Packs connections. Secrets go along only under a passphrase.
    ///
    /// # Errors
    /// Invalid, when the passphrase is too short.
    pub fn pack(parcels: &[Parcel], passphrase: Option<&SecretString>, now: Timestamp) -> Result<Self> {
        let (protection, key) = match passphrase {
            None => (None, None),
            Some(passphrase) if passphrase.expose_secret().chars().count() < PASSPHRASE_CHARS => {
                return Err(Error::invalid(format!(
                    "a passphrase needs {PASSPHRASE_CHARS} characters at least: whoever has the file can try as \
                     often as they like"
                )));
            }
            Some(passphrase) => {
                let mut salt = [0_u8; SALT_BYTES];
                aws_lc_rs::rand::fill(&mut salt)
                    .map_err(|_| Error::local("the system gave no random numbers"))?;
                let protection = Protection {
                    derivation: DERIVATION.to_owned(),
                    rounds: ROUNDS,
                    salt: STANDARD.encode(salt),
                };
                let key = protection.key(passphrase)?;
                (Some(protection), Some(key))
            }
        };
        let entry = |parcel: &Parcel| {
            let connection = &parcel.connection;
            let seal = |purpose, plain| -> Result<Option<String>> {
                let Some(key) = &key else { return Ok(None) };
                let binding = connection.binding();
                let sealed = key.seal(label(connection, purpose, &binding), plain)?;
                Ok(Some(STANDARD.encode(sealed)))
            };
            let secrets = parcel.secrets.as_ref().map(secrets_text).transpose()?;
            let tokens = parcel.tokens.as_ref().map(tokens_text).transpose()?;
            Ok(Entry {
                connection: connection.clone(),
                secrets: secrets.map_or(Ok(None), |plain| seal(SECRETS, plain))?,
                tokens: tokens.map_or(Ok(None), |plain| seal(TOKENS, plain))?,
            })
        };
        Ok(Self {
            recordport: FORMAT.to_owned(),
            created: now,
            protection,
            connections: parcels.iter().map(entry).collect::<Result<_>>()?,
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Invalid, when it is none of ours.
    pub fn read(text: &[u8]) -> Result<Self> {
        let document: Self = serde_json::from_slice(text)
            .map_err(|error| Error::invalid(format!("this is no export of connections: {error}")))?;
        if document.recordport == FORMAT {
            return Ok(document);
        }
        Err(Error::invalid(format!("this is {:?}, not {FORMAT:?}", document.recordport))
            .with_advice("Import it with the version of recordport that wrote it, or a newer one"))
    }

    /// Whether a passphrase is needed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.protection.is_some()
    }

    /// Unpacks everything, or nothing. A connection that comes without secrets has to be authorised before use.
    ///
    /// # Errors
    /// Invalid, when the passphrase is missing or wrong or the document was changed.
    pub fn unpack(&self, passphrase: Option<&SecretString>, now: Timestamp) -> Result<Vec<Parcel>> {
        let key = match (&self.protection, passphrase) {
            (None, _) => None,
            (Some(protection), Some(passphrase)) => Some(protection.key(passphrase)?),
            (Some(_), None) => return Err(Error::invalid("this export is sealed under a passphrase")),
        };
        let parcel = |entry: &Entry| {
            let connection = &entry.connection;
            let binding = connection.binding();
            let open = |purpose, sealed: &Option<String>| {
                let (Some(key), Some(sealed)) = (&key, sealed) else { return Ok(None) };
                let sealed = STANDARD.decode(sealed).ok();
                let plain = sealed.and_then(|sealed| key.open(label(connection, purpose, &binding), &sealed));
                plain.map(Some).ok_or_else(|| {
                    Error::invalid(format!(
                        "the secrets of {} do not open: the passphrase is wrong, or the file was changed",
                        connection.name
                    ))
                })
            };
            let damaged = || Error::invalid(format!("the secrets of {} cannot be read", connection.name));
            let secrets = match open(SECRETS, &entry.secrets)? {
                Some(plain) => Some(secrets_from(&plain).ok_or_else(damaged)?),
                None => None,
            };
            let tokens = match open(TOKENS, &entry.tokens)? {
                Some(plain) => Some(tokens_from(0, &plain).ok_or_else(damaged)?),
                None => None,
            };
            let mut connection = connection.clone();
            if secrets.is_none() {
                let reason = "it was imported without its secrets".to_owned();
                connection.standing = Standing::NeedsReconnect { reason, since: now };
            }
            Ok(Parcel { connection, secrets, tokens })
        };
        self.connections.iter().map(parcel).collect()
    }
}

impl Protection {
    fn key(&self, passphrase: &SecretString) -> Result<SealingKey> {
        let salt = STANDARD.decode(&self.salt).ok().filter(|salt| salt.len() >= SALT_BYTES);
        let rounds = NonZeroU32::new(self.rounds).filter(|rounds| rounds.get() <= ROUNDS_MAX);
        let (Some(salt), Some(rounds), DERIVATION) = (salt, rounds, self.derivation.as_str()) else {
            return Err(Error::invalid("this export is sealed in a way that this version does not know"));
        };
        let mut key = KeyBytes::new([0; KEY_BYTES]);
        let text = passphrase.expose_secret().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, text, key.as_mut_slice());
        SealingKey::new(&key)
    }
}

fn label<'a>(connection: &'a Connection, purpose: &'a str, binding: &'a str) -> Label<'a> {
    Label { owner: &connection.id, provider: &connection.provider, purpose, binding }
}
