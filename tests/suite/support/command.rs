//! The command line as its users run it: processes with a home of their own.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::evidence;

/// The program under test, with nothing of the environment that it would listen to.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recordport"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RECORDPORT_") {
            command.env_remove(&name);
        }
    }
    command.env("RECORDPORT_KEYRING", "off").env("NO_COLOR", "1");
    if let Some(level) = evidence::level() {
        command.env("RECORDPORT_LOG", level);
    }
    command
}

/// What one run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The run, which must have ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self:#?}");
        self
    }

    /// Stdout as lines of JSON.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Whether stderr says this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
    }
}

/// A home of its own, with connections to an emulator.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    /// One with the connection `sf` to the emulated Salesforce.
    pub(crate) fn connected(emulator: &EmulatorProcess) -> Self {
        let home = Self::new();
        home.run(&["connect", "salesforce", "sf", "--emulator", &emulator.url(), "--no-browser"]).expect(0);
        home
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A file beside the home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file beside the home and returns its path as text.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).env("RECORDPORT_HOME", self.path()).env("HOME", self.dir.path());
        command.current_dir(self.dir.path());
        command
    }

    /// Runs a command without input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments), None)
    }

    /// Runs a command with input.
    pub(crate) fn feed(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
        finish(self.command(arguments), Some(input.as_ref()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        evidence::files(&self.path());
    }
}

/// Runs a prepared command to its end.
pub(crate) fn finish(mut command: Command, input: Option<&[u8]>) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().expect("starts");
    if let Some(input) = input {
        let mut pipe = child.stdin.take().expect("stdin");
        let bytes = input.to_vec();
        // A command that refuses its input early closes the pipe; that is its right.
        std::thread::spawn(move || pipe.write_all(&bytes));
    }
    let output = child.wait_with_output().expect("ends");
    evidence::output(&output.stdout, &output.stderr);
    Ran {
        status: output.status,
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command while a file or a folder is on a read-only file system; nothing where this machine lets nobody mount.
pub(crate) fn on_read_only(path: &Path, inner: &Command) -> Option<Ran> {
    let mut outer = Command::new("unshare");
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    outer.args(["-rm", "sh", "-c", mount]).arg(path).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let ran = finish(outer, None);
    let refused = ["unshare:", "mount:"].iter().any(|told| ran.stderr.contains(told));
    (!refused).then_some(ran)
}

/// Reads a pipe to its end beside the test. A process whose words nobody takes stands still once its pipe is full,
/// which at trace level is soon.
pub(crate) fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        pipe.read_to_end(&mut said).expect("read");
        evidence::output(&[], &said);
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Waits until something holds; processes have no better way to tell.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not happen");
}

/// A running `recordport emulator`.
pub(crate) struct EmulatorProcess {
    child: Child,
    ready: Value,
    _stdout: BufReader<ChildStdout>,
}

impl EmulatorProcess {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = program()
            .arg("emulator")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a ready line");
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, _stdout: stdout }
    }

    pub(crate) fn url(&self) -> String {
        self.ready["http"].as_str().expect("an address").to_owned()
    }

    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A request to the control surface, which must succeed.
    pub(crate) fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        control(&self.url(), method, path, body)
    }

    /// Adds a fault rule.
    pub(crate) fn fault(&self, rule: &Value) {
        self.control("POST", "faults", rule);
    }

    /// The paths of the requests received so far that begin so.
    pub(crate) fn requests(&self, prefix: &str) -> Vec<Value> {
        self.control("GET", "requests", &Value::Null)["requests"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|request| request["path"].as_str().is_some_and(|path| path.starts_with(prefix)))
            .cloned()
            .collect()
    }

    /// Rows as stored.
    pub(crate) fn state(&self, record_type: &str) -> Vec<Value> {
        let state = self.control("GET", &format!("state/salesforce/{record_type}"), &Value::Null);
        let rows = state.as_array().or_else(|| state["rows"].as_array());
        rows.expect("rows").clone()
    }
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        // One that was stopped by its test can be asked nothing any more.
        if evidence::level().is_some()
            && matches!(self.child.try_wait(), Ok(None))
            && !std::thread::panicking()
        {
            let ask = |path: &str| self.control("GET", path, &Value::Null);
            evidence::secrets(&ask("credentials"), &ask("requests"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to the control surface of the emulator at an address, which must succeed.
pub(crate) fn control(address: &str, method: &str, path: &str, body: &Value) -> Value {
    let authority = address.strip_prefix("http://").expect("http");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} /_emulator/{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let mut stream = std::net::TcpStream::connect(authority).expect("connects");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("answered");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 20"), "{head}\n{body}");
    if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// Sends a signal by name to a process of ours.
pub(crate) fn signal(name: &str, id: u32) {
    let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// The mode of a path, without its kind.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
}
