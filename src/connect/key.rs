//! The master key: 32 bytes that wrap the store's data keys. It comes from the first of these that has one:
//!
//! 1. the environment, `RECORDPORT_MASTER_KEY` (base64),
//! 2. the key file `master.key` in the home (mode 0600),
//! 3. the operating system's keyring.
//!
//! When a store holds nothing sealed yet and none of them has a key, one is made: in the keyring where there is
//! one that answers at once, else in the key file. A store that holds something sealed never gets a new key
//! by itself. `RECORDPORT_KEYRING=off` leaves the keyring alone.

use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

use super::home::Home;
use super::seal::{KEY_BYTES, KeyBytes, SealingKey, random_key};
use crate::error::{Error, Result};

/// Name of the key file.
pub const KEY_FILE: &str = "master.key";

/// The key file of a change of keys that has not ended yet.
const NEXT_KEY_FILE: &str = "master.key.next";

/// How long the keyring may take. A locked one waits for its user; a command must not.
const KEYRING_PATIENCE: Duration = Duration::from_secs(3);

/// Name under which keyrings list our entries.
const KEYRING_SERVICE: &str = "recordport";

/// Where a master key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// `RECORDPORT_MASTER_KEY`.
    Environment,
    /// The key file in the home.
    File,
    /// The operating system's keyring.
    Keyring,
}

/// What the choice of a key depends on besides the home.
#[derive(Debug, Clone, Default)]
pub struct KeySettings {
    /// The key given by the environment.
    pub environment: Option<SecretString>,
    /// The key that [`rekey`](super::store::Store::rekey) changes to when the present one is the
    /// environment's (`RECORDPORT_NEW_MASTER_KEY`).
    pub next_environment: Option<SecretString>,
    /// Whether the keyring may be asked.
    pub keyring: bool,
}

impl KeySettings {
    /// As the process's environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        let secret =
            |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from);
        let off =
            std::env::var("RECORDPORT_KEYRING").is_ok_and(|value| matches!(&*value, "off" | "0" | "no"));
        Self {
            environment: secret("RECORDPORT_MASTER_KEY"),
            next_environment: secret("RECORDPORT_NEW_MASTER_KEY"),
            keyring: !off,
        }
    }
}

/// A master key and where it is.
#[derive(Debug)]
pub struct MasterKey {
    place: KeyPlace,
    /// Drafted by a change of keys that has not ended.
    next: bool,
    key: SealingKey,
}

impl MasterKey {
    fn new(place: KeyPlace, next: bool, bytes: &KeyBytes) -> Result<Self> {
        Ok(Self { place, next, key: SealingKey::new(bytes)? })
    }

    /// The keys that may open the store's data keys, the one to seal with first. There is more than one only
    /// while a change of keys was interrupted. None when there is no key anywhere.
    ///
    /// # Errors
    /// Local, when a key is there and unreadable: it is not passed over.
    pub fn load(home: &Home, settings: &KeySettings) -> Result<Vec<Self>> {
        if let Some(text) = &settings.environment {
            let bytes = decode(text.expose_secret()).ok_or_else(|| {
                Error::local("RECORDPORT_MASTER_KEY is not a key")
                    .with_code("master_key")
                    .with_advice("It must be 32 bytes in base64, as `openssl rand -base64 32` prints them")
            })?;
            let mut keys = vec![Self::new(KeyPlace::Environment, false, &bytes)?];
            let next = settings.next_environment.as_ref().and_then(|text| decode(text.expose_secret()));
            if let Some(bytes) = next {
                keys.push(Self::new(KeyPlace::Environment, true, &bytes)?);
            }
            return Ok(keys);
        }
        let mut keys = Vec::new();
        for name in [KEY_FILE, NEXT_KEY_FILE] {
            if let Some(text) = home.read(name)? {
                let bytes = decode(&text).ok_or_else(|| {
                    Error::local(format!("{} is not a key file", home.file(name).display()))
                        .with_code("master_key")
                        .with_advice("Restore it from a backup; without it the stored tokens cannot be read")
                })?;
                keys.push(Self::new(KeyPlace::File, name == NEXT_KEY_FILE, &bytes)?);
            }
        }
        if keys.is_empty() && settings.keyring {
            for (entry, next) in [(keyring_user(home), false), (next_keyring_user(home), true)] {
                if let Some(bytes) = keyring(KeyringCall::Read, &entry)? {
                    keys.push(Self::new(KeyPlace::Keyring, next, &bytes)?);
                }
            }
        }
        Ok(keys)
    }

    /// Makes the first key.
    ///
    /// # Errors
    /// Local, when it cannot be stored.
    pub(crate) fn create(home: &Home, settings: &KeySettings) -> Result<Self> {
        let bytes = random_key()?;
        if settings.keyring
            && keyring(KeyringCall::Write(&bytes), &keyring_user(home)).is_ok_and(|done| done.is_some())
        {
            return Self::new(KeyPlace::Keyring, false, &bytes);
        }
        home.write(KEY_FILE, encode(&bytes).as_bytes())?;
        Self::new(KeyPlace::File, false, &bytes)
    }

    /// Makes the key that a store is to change to and keeps it beside the present one.
    ///
    /// # Errors
    /// Local, when it cannot be stored; when the environment gives the present key but no next one.
    pub(crate) fn draft_next(home: &Home, settings: &KeySettings, present: KeyPlace) -> Result<Self> {
        match present {
            KeyPlace::Environment => {
                let next = settings.next_environment.as_ref().and_then(|text| decode(text.expose_secret()));
                let bytes = next.ok_or_else(|| {
                    Error::local("the master key comes from the environment, and there is no new one")
                        .with_code("master_key")
                        .with_advice(
                            "Set RECORDPORT_NEW_MASTER_KEY to the new key (32 bytes, base64), run rekey, then set \
                             RECORDPORT_MASTER_KEY to it",
                        )
                })?;
                Self::new(KeyPlace::Environment, true, &bytes)
            }
            KeyPlace::File => {
                let bytes = random_key()?;
                home.write(NEXT_KEY_FILE, encode(&bytes).as_bytes())?;
                Self::new(KeyPlace::File, true, &bytes)
            }
            KeyPlace::Keyring => {
                let bytes = random_key()?;
                keyring(KeyringCall::Write(&bytes), &next_keyring_user(home))?
                    .ok_or_else(|| Error::local("the keyring is not there any more"))?;
                Self::new(KeyPlace::Keyring, true, &bytes)
            }
        }
    }

    /// Makes the drafted key the only one, after the store was sealed under it. Harmless to repeat.
    ///
    /// # Errors
    /// Local, when it cannot be stored; both keys are kept then.
    pub(crate) fn promote_next(home: &Home, present: KeyPlace) -> Result<()> {
        match present {
            KeyPlace::Environment => Ok(()),
            KeyPlace::File => home.rename(NEXT_KEY_FILE, KEY_FILE),
            KeyPlace::Keyring => {
                let next = next_keyring_user(home);
                if let Some(bytes) = keyring(KeyringCall::Read, &next)? {
                    keyring(KeyringCall::Write(&bytes), &keyring_user(home))?;
                    keyring(KeyringCall::Delete, &next)?;
                }
                Ok(())
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> KeyPlace {
        self.place
    }

    /// Its id, which tells nothing about it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.id()
    }

    /// Whether a change of keys drafted it and did not end.
    pub(crate) fn is_next(&self) -> bool {
        self.next
    }

    pub(crate) fn sealing(&self) -> &SealingKey {
        &self.key
    }
}

impl KeyPlace {
    /// The place in words.
    #[must_use]
    pub fn describe(self, home: &Home) -> String {
        match self {
            Self::Environment => "the environment variable RECORDPORT_MASTER_KEY".to_owned(),
            Self::File => format!("the key file {}", home.file(KEY_FILE).display()),
            Self::Keyring => "the operating system's keyring".to_owned(),
        }
    }
}

/// The key in base64 of any of the common alphabets; blanks around it do not matter.
fn decode(text: &str) -> Option<KeyBytes> {
    let text = text.trim();
    let mut bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(text).ok())
        .map(Zeroizing::new)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok().map(KeyBytes::new);
    bytes.zeroize();
    key
}

fn encode(bytes: &KeyBytes) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", STANDARD.encode(bytes.as_slice())))
}

fn keyring_user(home: &Home) -> String {
    format!("master key of {}", home.path().display())
}

fn next_keyring_user(home: &Home) -> String {
    format!("next master key of {}", home.path().display())
}

#[derive(Debug, Clone, Copy)]
enum KeyringCall<'a> {
    Read,
    Write(&'a KeyBytes),
    Delete,
}

/// Whether asking a keyring makes sense at all: on Linux it is reached over the session bus.
fn keyring_reachable() -> bool {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return true;
    }
    std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
        || std::env::var_os("XDG_RUNTIME_DIR")
            .is_some_and(|dir| std::path::Path::new(&dir).join("bus").exists())
}

/// One call to the keyring, bounded in time. `None`: there is no such entry, or no keyring.
fn keyring(call: KeyringCall<'_>, user: &str) -> Result<Option<KeyBytes>> {
    if !keyring_reachable() {
        return Ok(None);
    }
    let (user, write) = (user.to_owned(), matches!(call, KeyringCall::Write(_)));
    let call = match call {
        KeyringCall::Read => None,
        KeyringCall::Write(bytes) => Some(Some(bytes.clone())),
        KeyringCall::Delete => Some(None),
    };
    let (answer, answered) = mpsc::channel();
    // A thread of its own: a keyring that waits for its user is left behind, and ends with the process.
    std::thread::spawn(move || {
        let told = keyring::Entry::new(KEYRING_SERVICE, &user).and_then(|entry| match call {
            None => entry.get_secret().map(|secret| Some(Zeroizing::new(secret))),
            Some(Some(bytes)) => {
                entry.set_secret(bytes.as_slice()).map(|()| Some(Zeroizing::new(bytes.to_vec())))
            }
            Some(None) => entry.delete_credential().map(|()| None),
        });
        // Nobody listens any more when it took too long.
        let _ = answer.send(told);
    });
    match answered.recv_timeout(KEYRING_PATIENCE) {
        Ok(Ok(None) | Err(keyring::Error::NoEntry | keyring::Error::NoDefaultStore)) => Ok(None),
        Ok(Ok(Some(secret))) => {
            let bytes = <[u8; KEY_BYTES]>::try_from(secret.as_slice()).map(KeyBytes::new).map_err(|_| {
                Error::local("the keyring's entry for recordport is not a key").with_code("master_key")
            })?;
            Ok(Some(bytes))
        }
        Ok(Err(error)) if write => Err(Error::local(format!("the keyring refused the key: {error}"))),
        // Reading: a keyring that is locked or broken has no key for us. Whoever needs it says so.
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_every_base64_alphabet_and_nothing_else() {
        let bytes = KeyBytes::new([0xfb; KEY_BYTES]);
        for text in
            [STANDARD.encode(*bytes), URL_SAFE_NO_PAD.encode(*bytes), format!(" {}\n", *encode(&bytes))]
        {
            assert_eq!(decode(&text).unwrap().as_slice(), bytes.as_slice());
        }
        for text in ["", "secret", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert!(decode(text).is_none(), "{text}");
        }
    }
}
