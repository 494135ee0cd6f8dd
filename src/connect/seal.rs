//! Sealing: AES-256-GCM with a random nonce. What a sealed record is, and whose, is part of what is
//! authenticated, so that a record copied to another row does not open.
//!
//! A sealed record is one byte of format (1), 12 bytes of nonce, the ciphertext and its 16-byte tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Format of sealed records.
const FORMAT: u8 = 1;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// Raw key material, wiped when dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// What a sealed record is and whom it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    /// Id of the connection; empty for a data key.
    pub(crate) owner: &'a str,
    /// The provider's name; empty for a data key.
    pub(crate) provider: &'a str,
    /// `tokens`, `secrets`, `data-key`.
    pub(crate) purpose: &'a str,
    /// What else must be unchanged for the record to open.
    pub(crate) binding: &'a str,
}

impl Label<'_> {
    fn authenticated(&self, key_id: &str) -> Vec<u8> {
        // JSON keeps the parts apart whatever they contain.
        serde_json::json!([
            "recordport/sealed",
            FORMAT,
            self.owner,
            self.provider,
            self.purpose,
            key_id,
            self.binding
        ])
        .to_string()
        .into_bytes()
    }
}

/// A key that seals and opens, known by its id.
pub(crate) struct SealingKey {
    id: String,
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// A key from its bytes; the id is made from them and tells nothing about them.
    pub(crate) fn new(bytes: &KeyBytes) -> Result<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice())
            .map_err(|_| Error::bug("a 32-byte key was refused by AES-256-GCM"))?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()), b"recordport key id");
        let id = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, key })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Seals; the plain text is overwritten in place and never copied.
    pub(crate) fn seal(&self, label: Label<'_>, mut plain: Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
        // Room for the tag, so that appending it does not leave the plain text behind in a freed buffer.
        plain.reserve(AES_256_GCM.tag_len());
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(label.authenticated(&self.id)), &mut *plain)
            .map_err(|_| Error::bug("sealing failed"))?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&plain);
        Ok(sealed)
    }

    /// Opens; `None` when the record was changed, moved or sealed under another key.
    pub(crate) fn open(&self, label: Label<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&format, rest) = sealed.split_first()?;
        let (nonce, cipher) = rest.split_at_checked(NONCE_LEN)?;
        if format != FORMAT {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(cipher.to_vec());
        let length =
            self.key.open_in_place(nonce, Aad::from(label.authenticated(&self.id)), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// A fresh random key.
pub(crate) fn random_key() -> Result<KeyBytes> {
    let mut bytes = KeyBytes::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_| Error::local("the system gave no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label<'_> = Label { owner: "one", provider: "salesforce", purpose: "tokens", binding: "{}" };

    #[test]
    fn what_was_sealed_opens_under_the_same_label_only() {
        let key = SealingKey::new(&random_key().unwrap()).unwrap();
        let sealed = key.seal(LABEL, Zeroizing::new(b"secret".to_vec())).unwrap();
        assert_eq!(key.open(LABEL, &sealed).unwrap().as_slice(), b"secret");
        for other in [
            Label { owner: "two", ..LABEL },
            Label { provider: "jira", ..LABEL },
            Label { purpose: "secrets", ..LABEL },
            Label { binding: "{\"endpoint\":\"https://evil.example\"}", ..LABEL },
        ] {
            assert!(key.open(other, &sealed).is_none(), "{other:?}");
        }
        assert!(SealingKey::new(&random_key().unwrap()).unwrap().open(LABEL, &sealed).is_none());
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let key = SealingKey::new(&random_key().unwrap()).unwrap();
        let sealed = key.seal(LABEL, Zeroizing::new(b"secret".to_vec())).unwrap();
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 0x10;
            assert!(key.open(LABEL, &broken).is_none(), "byte {at}");
            assert!(key.open(LABEL, &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_text_never_seals_to_the_same_bytes() {
        let key = SealingKey::new(&random_key().unwrap()).unwrap();
        let seal = || key.seal(LABEL, Zeroizing::new(b"secret".to_vec())).unwrap();
        assert_ne!(seal(), seal());
    }
}
