//! Runs scripts of `tests/clients` with Node; installs their packages from the lock file when they are missing.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The folder with the scripts and the lock file.
pub(crate) fn clients_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Runs one script, with its packages present, and returns what it printed.
pub(crate) fn run_script(script: &str, environment: &[(&str, String)], input: Option<&[u8]>) -> Output {
    install();
    let mut command = Command::new("node");
    command.arg(script).current_dir(clients_folder()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    command.stdin(if input.is_some() { std::process::Stdio::piped() } else { std::process::Stdio::null() });
    for (name, value) in environment {
        command.env(name, value);
    }
    let mut child = command.spawn().expect("node starts; Node 20 is needed for the tests");
    if let Some(input) = input {
        use std::io::Write as _;
        let mut pipe = child.stdin.take().unwrap();
        let bytes = input.to_vec();
        std::thread::spawn(move || pipe.write_all(&bytes));
    }
    child.wait_with_output().unwrap()
}

/// Installs the packages once, for all tests of all processes: a file lock keeps them apart, and a copy of the
/// lock file inside `node_modules` tells whether what is there is what is wanted.
fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let folder = clients_folder();
        let wanted = fs::read(folder.join("package-lock.json")).unwrap();
        let guard = File::create(std::env::temp_dir().join("recordport-clients.lock")).unwrap();
        guard.lock().unwrap();
        let stamp = folder.join("node_modules/.installed-lock");
        if fs::read(&stamp).is_ok_and(|present| present == wanted) {
            return;
        }
        let output = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output()
            .expect("npm starts; Node 20 with npm is needed for the tests");
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&stamp, &wanted).unwrap();
    });
}
