//! What a run of the suite leaves behind for the search for secrets: everything that commands print at trace
//! level, the trace of this process, the files of every home, and beside them the secrets that the emulators
//! gave out or were sent. Nothing is kept unless `SUITE_EVIDENCE` names a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use recordport::emulator::Emulator;
use serde_json::Value;

/// Parameters of token requests that are secret.
const SECRET_PARAMETERS: [&str; 9] = [
    "code",
    "code_verifier",
    "client_secret",
    "client_assertion",
    "refresh_token",
    "access_token",
    "password",
    "assertion",
    "token",
];

/// What stands in the published credentials without being secret.
const PUBLIC_CREDENTIALS: [&str; 12] = [
    "client_id",
    "username",
    "redirect_uri",
    "organization_id",
    "user_id",
    "tenant",
    "email",
    "cloud_id",
    "user",
    "service_account",
    "account_id",
    "team_member_id",
];

/// Files larger than this hold rows, which are kept by the tests that make them.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The folder where evidence is kept, if it is.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = PathBuf::from(std::env::var_os("SUITE_EVIDENCE").filter(|name| !name.is_empty())?);
            for part in ["outputs", "secrets"] {
                fs::create_dir_all(folder.join(part)).expect("a folder for evidence");
            }
            let trace = folder.join("outputs").join(format!("process-{}.log", std::process::id()));
            let file = File::create(trace).expect("a trace");
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(Mutex::new(file))
                .init();
            Some(folder)
        })
        .as_deref()
}

/// A new file of this kind.
fn fresh(part: &str) -> Option<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Some(folder()?.join(part).join(format!("{}-{number}", std::process::id())))
}

/// The level that commands of the suite run at: the one in which most is told, when it is kept.
pub(crate) fn level() -> Option<&'static str> {
    folder().map(|_| "trace")
}

/// Keeps what a command printed.
pub(crate) fn output(stdout: &[u8], stderr: &[u8]) {
    if let Some(path) = fresh("outputs") {
        fs::write(path, [stdout, b"\n", stderr].concat()).expect("kept");
    }
}

/// Keeps the files below a folder.
pub(crate) fn files(below: &Path) {
    if folder().is_none() {
        return;
    }
    for file in files_below(below) {
        let small = fs::metadata(&file).is_ok_and(|about| about.len() <= FILE_BYTES_MAX);
        if small && let Some(path) = fresh("outputs") {
            // A home under test may be unreadable on purpose; then nothing can be read from it by others either.
            let _ = fs::copy(&file, path);
        }
    }
}

/// Keeps the secrets of an emulator.
pub(crate) fn secrets(credentials: &Value, requests: &Value) {
    if let Some(path) = fresh("secrets") {
        let secrets: Vec<String> = secrets_of(credentials, requests).into_iter().collect();
        fs::write(path, serde_json::to_vec(&secrets).expect("JSON")).expect("kept");
    }
}

/// An emulator in this process whose secrets are kept when it ends.
pub(crate) struct Watched(Option<Emulator>);

impl Watched {
    /// Closes both ports and every connection.
    pub(crate) async fn shutdown(mut self) {
        self.keep();
        if let Some(emulator) = self.0.take() {
            emulator.shutdown().await;
        }
    }

    fn keep(&self) {
        if let Some(emulator) = &self.0
            && folder().is_some()
        {
            secrets(&emulator.credentials(), &emulator.requests());
        }
    }
}

impl From<Emulator> for Watched {
    fn from(emulator: Emulator) -> Self {
        // The trace of this process begins with its first emulator.
        folder();
        Self(Some(emulator))
    }
}

impl Deref for Watched {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        self.0.as_ref().expect("it was not shut down")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.keep();
    }
}

/// Everything secret that an emulator published or was sent.
pub(crate) fn secrets_of(credentials: &Value, requests: &Value) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    published_secrets(credentials, &mut secrets);
    for request in requests["requests"].as_array().expect("a request log") {
        for (name, value) in header_pairs(&request["headers"]) {
            if name.eq_ignore_ascii_case("cookie") {
                secrets.insert(value);
            } else if name.eq_ignore_ascii_case("authorization") {
                let (scheme, rest) = value.split_once(' ').unwrap_or(("", &value));
                secrets.insert(rest.to_owned());
                if scheme.eq_ignore_ascii_case("basic")
                    && let Ok(decoded) = STANDARD.decode(rest)
                    && let Some((_, password)) = String::from_utf8_lossy(&decoded).split_once(':')
                {
                    secrets.insert(password.to_owned());
                }
            }
        }
        let body = request["body"].as_str().unwrap_or_default();
        let query = request["query"].as_str().unwrap_or_default();
        for pair in body.split('&').chain(query.split('&')) {
            if let Some((name, value)) = pair.split_once('=')
                && SECRET_PARAMETERS.contains(&name)
            {
                secrets.insert(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned());
            }
        }
    }
    secrets.retain(|secret| secret.len() >= 8);
    secrets
}

/// The secrets of the published credentials, whatever their nesting.
fn published_secrets(credentials: &Value, secrets: &mut BTreeSet<String>) {
    for (name, value) in credentials.as_object().expect("an object") {
        match value {
            Value::String(file) if name.ends_with("_file") => {
                let key = fs::read_to_string(file).expect("a key file");
                secrets.extend(key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
            }
            Value::String(text) if !PUBLIC_CREDENTIALS.contains(&name.as_str()) => {
                secrets.insert(text.clone());
            }
            Value::Object(_) => published_secrets(value, secrets),
            _ => {}
        }
    }
}

/// Headers as the log has them: an object, or a list of pairs.
fn header_pairs(headers: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match headers {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Array(pairs) => pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        other => panic!("headers of the log: {other}"),
    }
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
