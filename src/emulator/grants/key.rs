//! The RSA key pair with which a client of an emulated service signs its assertions.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};

/// A 2048-bit RSA key pair as PEM texts.
#[derive(Clone)]
pub struct SigningKey {
    private_pem: String,
    public_pem: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public_pem).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of this process. Making one takes a noticeable time, so all emulators of a process share it.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn shared() -> Result<Self> {
        static SHARED: OnceLock<SigningKey> = OnceLock::new();
        if let Some(key) = SHARED.get() {
            return Ok(key.clone());
        }
        let made = Self::make().map_err(|_| Error::local("cannot make an RSA key"))?;
        Ok(SHARED.get_or_init(|| made).clone())
    }

    fn make() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok(Self {
            private_pem: pem("PRIVATE KEY", private.as_ref()),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        })
    }

    /// The public half: PEM, SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The private half: PEM, PKCS #8.
    pub(crate) fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// Writes the private half (PEM, PKCS #8) to a new file that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        write_private(file, self.private_pem.as_bytes())
    }
}

/// Writes a file that only its owner can read; what was there is replaced.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::local(format!("cannot write {}: {error}", file.display()))
            .with_advice("choose a directory that this user can write to")
    };
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file).map_err(failed)?;
    file.write_all(content).map_err(failed)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
