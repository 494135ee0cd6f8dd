//! Authorisation code with PKCE in the user's own browser (RFC 6749 section 4.1, RFC 7636, RFC 8252).
//!
//! An [`Attempt`] lives in memory only: its code, verifier and state never reach the disk.

use std::process::Stdio;
use std::time::Duration;

use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use secrecy::SecretString;
use url::Url;

use crate::connect::callback::{Callback, Expected, Redirect};
use crate::connect::oauth::{Grant, OAuthClient};
use crate::error::{Error, Result};

/// How long the user has for the provider's pages.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Where the browser lands after the provider's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// On a listener of this process.
    Here,
    /// Somewhere else; the user pastes the address it landed on.
    Pasted,
}

/// One sign-in in progress.
#[derive(Debug)]
pub struct Attempt {
    client: OAuthClient,
    address: Url,
    redirect: Redirect,
    expected: Expected,
    verifier: PkceCodeVerifier,
    callback: Option<Callback>,
}

impl Attempt {
    /// Makes state, verifier and the address of the authorisation page, and listens for the browser's return
    /// if it lands here.
    ///
    /// # Errors
    /// Local with advice, when the port is in use; invalid, for a redirect address that cannot be served.
    pub async fn begin(
        client: OAuthClient,
        scopes: &[String],
        redirect_uri: Option<&str>,
        landing: Landing,
    ) -> Result<Self> {
        let rule = &client.sign_in().redirect;
        let (redirect, callback) = match landing {
            Landing::Here => {
                let callback = Callback::listen(rule, redirect_uri).await?;
                (callback.redirect().clone(), Some(callback))
            }
            Landing::Pasted => (Redirect::elsewhere(rule, redirect_uri)?, None),
        };
        let expected = Expected::new(client.sign_in().hosts.clone())?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let address = client.authorize_url(redirect.text(), scopes, expected.state(), challenge)?;
        Ok(Self { client, address, redirect, expected, verifier, callback })
    }

    /// The authorisation page to open.
    #[must_use]
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// The redirect address, exactly as it must be registered with the OAuth client.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        self.redirect.text()
    }

    /// Waits for the browser and exchanges the code.
    ///
    /// # Errors
    /// Unauthorized with advice, when the user denied, time ran out or the provider refused.
    pub async fn wait(self, patience: Duration) -> Result<Grant> {
        let callback = self.callback.ok_or_else(|| Error::bug("this sign-in lands elsewhere"))?;
        let code = callback.wait(self.expected, patience).await?;
        Self::exchange(&self.client, code, self.verifier, &self.redirect).await
    }

    /// Takes the address that the browser landed on, as the user copied it, and exchanges its code.
    ///
    /// # Errors
    /// Invalid, when it is another address or belongs to another attempt; as [`wait`](Self::wait).
    pub async fn paste(self, landed: &SecretString) -> Result<Grant> {
        let code = self.expected.read_pasted(landed, &self.redirect)?;
        Self::exchange(&self.client, code, self.verifier, &self.redirect).await
    }

    async fn exchange(
        client: &OAuthClient,
        code: SecretString,
        verifier: PkceCodeVerifier,
        redirect: &Redirect,
    ) -> Result<Grant> {
        client.exchange_code(code, verifier, redirect.text()).await
    }
}

/// Opens an address in the user's browser. Our own variables, which may hold secrets, are not inherited.
///
/// # Errors
/// Local, when no browser can be started; the address can be opened by hand then.
pub fn open_browser(address: &Url) -> Result<()> {
    let mut last = None;
    for mut command in open::commands(address.as_str()) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RECORDPORT_") {
                command.env_remove(&name);
            }
        }
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match started {
            Ok(mut child) => {
                // Launchers end at once; a browser itself may run on. Either way somebody has to collect it.
                std::thread::spawn(move || child.wait());
                return Ok(());
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "none was found".to_owned(), |error| error.to_string());
    Err(Error::local(format!("no browser could be started: {why}"))
        .with_code("no_browser")
        .with_advice("Open the printed address yourself, or use --no-browser"))
}
