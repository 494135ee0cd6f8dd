//! The emulator: the same services from the other side, on loopback.
//!
//! It speaks the protocols of the real services at their real paths, keeps their rows in memory, asks for
//! consent on real pages, and goes wrong in every way that a [fault rule](faults) names. It exists so that a
//! connection, a mapping or a client can be tried without an account, and so that tests meet a server that
//! knows nothing of the code under test: nothing here is shared with the providers.
//!
//! ```no_run
//! # async fn run() -> recordport::error::Result<()> {
//! use recordport::emulator::{Emulator, EmulatorConfig};
//!
//! let emulator = Emulator::start(EmulatorConfig::default()).await?;
//! println!("{}", emulator.ready_line());
//! emulator.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod chance;
pub mod clock;
mod compression;
mod control;
pub mod dropbox;
pub mod dynamics;
pub mod faults;
pub mod google_calendar;
pub mod grants;
pub mod jira;
mod json;
mod request_log;
pub mod salesforce;
mod server;
pub mod service;
mod tls;
mod vocabulary;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use self::clock::Clock;
use self::faults::Faults;
use self::grants::key::write_private;
use self::request_log::RequestLog;
use self::server::Shared;
use self::service::{Service, ServiceConfig};
use crate::error::{Error, Result};

/// How an emulator is started.
#[derive(Debug, Clone)]
pub struct EmulatorConfig {
    /// Where to listen for plain HTTP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen for TLS; port 0 takes a free one.
    pub tls_listen: SocketAddr,
    /// Decides data, ids and the first credentials.
    pub seed: u64,
    /// Multiplies the demo data.
    pub scale: u64,
    /// Start without rows.
    pub empty: bool,
    /// Real descriptions to load: name of the service, file.
    pub imports: Vec<(String, PathBuf)>,
    /// Where the certificate and the key files go; a fresh private directory that is removed at the end when
    /// not given.
    pub dir: Option<PathBuf>,
    /// Write header names of HTTP/1 answers in lower case instead of Title-Case.
    pub lower_case_headers: bool,
    /// The longest request body.
    pub max_body_bytes: usize,
    /// The emulated time at the start, and after a reset; the real time when not given.
    pub start_at: Option<Timestamp>,
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: loopback,
            tls_listen: loopback,
            seed: 7,
            scale: 1,
            empty: false,
            imports: Vec::new(),
            dir: None,
            lower_case_headers: false,
            // The largest upload that a service takes is 150 MB.
            max_body_bytes: 160 * 1024 * 1024,
            start_at: None,
        }
    }
}

/// A running emulator. Dropping it ends it as [`shutdown`](Self::shutdown) does.
#[derive(Debug)]
pub struct Emulator {
    http: SocketAddr,
    https: SocketAddr,
    ca_file: PathBuf,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
    /// Removed last, after the listeners are gone.
    _dir: Dir,
}

impl Emulator {
    /// Starts all emulated services; both ports accept connections when this returns.
    ///
    /// # Errors
    /// When a port is taken, a file cannot be written, or an import names an unknown service or is not what
    /// that service describes.
    pub async fn start(config: EmulatorConfig) -> Result<Self> {
        Self::start_with(config, services).await
    }

    /// Starts services of the caller's making.
    ///
    /// # Errors
    /// As [`start`](Self::start), and what `make` returns.
    pub async fn start_with(
        config: EmulatorConfig,
        make: impl FnOnce(&ServiceConfig) -> Result<Vec<Arc<dyn Service>>>,
    ) -> Result<Self> {
        let http = bind(config.listen).await?;
        let https = bind(config.tls_listen).await?;
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Error::local(format!("the port is gone again: {error}")))
        };
        let (http_address, https_address) = (address(&http)?, address(&https)?);

        let dir = Dir::open(config.dir)?;
        let identity = tls::identity()?;
        let ca_file = dir.path.join("emulator-ca.pem");
        write_private(&ca_file, identity.ca_pem.as_bytes())?;

        let clock = Clock::new(config.start_at);
        let services = make(&ServiceConfig {
            seed: config.seed,
            scale: config.scale,
            empty: config.empty,
            dir: dir.path.clone(),
            clock: clock.clone(),
        })?;
        for (name, file) in &config.imports {
            import(&services, name, file)?;
        }
        let shared = Arc::new(Shared {
            services,
            clock,
            faults: Faults::new(config.seed),
            log: RequestLog::default(),
            lower_case_headers: config.lower_case_headers,
            max_body: config.max_body_bytes,
            connections: AtomicU64::new(0),
        });
        let tls = TlsAcceptor::from(identity.config);
        let listeners = vec![
            tokio::spawn(server::accept(http, None, Arc::clone(&shared))),
            tokio::spawn(server::accept(https, Some(tls), Arc::clone(&shared))),
        ];
        Ok(Self { http: http_address, https: https_address, ca_file, shared, listeners, _dir: dir })
    }

    /// `http://address:port`.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", reachable(self.http))
    }

    /// `https://address:port`.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", reachable(self.https))
    }

    /// The authority that TLS clients have to trust, as a PEM file.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The first credentials of every service by its name.
    #[must_use]
    pub fn credentials(&self) -> Value {
        control::credentials(&self.shared)
    }

    /// What a program that starts an emulator needs to know, in one object.
    #[must_use]
    pub fn ready_line(&self) -> Value {
        json!({
            "http": self.http_url(),
            "https": self.https_url(),
            "ca_file": self.ca_file,
            "credentials": self.credentials(),
        })
    }

    /// The emulated clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The fault rules.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was received so far, secrets included, as `GET /_emulator/requests` tells it.
    #[must_use]
    pub fn requests(&self) -> Value {
        self.shared.log.to_json(|_, _| true)
    }

    /// Rows, grants, faults, clock and request log as after start.
    pub fn reset(&self) {
        control::reset(&self.shared);
    }

    /// Closes both ports and every connection.
    pub async fn shutdown(mut self) {
        for listener in std::mem::take(&mut self.listeners) {
            listener.abort();
            // The answer says that it was aborted, which is what was asked.
            let _ = listener.await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

/// The services that this version emulates.
fn services(config: &ServiceConfig) -> Result<Vec<Arc<dyn Service>>> {
    Ok(vec![
        Arc::new(salesforce::Salesforce::start(config)?),
        Arc::new(dynamics::Dynamics::start(config)?),
        Arc::new(jira::Jira::start(config)?),
        Arc::new(google_calendar::GoogleCalendar::start(config)?),
        Arc::new(dropbox::Dropbox::start(config)),
    ])
}

fn import(services: &[Arc<dyn Service>], name: &str, file: &Path) -> Result<()> {
    let Some(service) = services.iter().find(|service| service.name() == name) else {
        let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
        return Err(Error::invalid(format!("there is no emulated service {name:?}"))
            .with_advice(format!("give one of {}", names.join(", "))));
    };
    service.import(file).map_err(|reason| {
        Error::invalid(format!("cannot import {}: {reason}", file.display())).with_provider(name)
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::local(format!("cannot listen on {address}: {error}"))
            .with_advice("choose another port, or port 0 for a free one")
    })
}

/// The address under which clients on this machine reach a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A private directory, removed at the end when it was made for this run alone.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    temporary: bool,
}

impl Dir {
    fn open(path: Option<PathBuf>) -> Result<Self> {
        let temporary = path.is_none();
        let path = path.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("recordport-emulator-{}", uuid::Uuid::new_v4().simple()))
        });
        let mut builder = std::fs::DirBuilder::new();
        // A temporary directory must be new: one that somebody else has put there is not ours to trust.
        builder.recursive(!temporary);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| {
            Error::local(format!("cannot make the directory {}: {error}", path.display()))
                .with_advice("choose a directory that this user can write to")
        })?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning of temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
