//! Official clients, unmodified, against the emulator.

use recordport::emulator::{Emulator, EmulatorConfig};

use crate::support::node;

/// Runs jsforce's checks over one of the emulator's two ports.
async fn drive_by_jsforce(scheme: &str) {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let environment = [
        ("RECORDPORT_READY", emulator.ready_line().to_string()),
        ("RECORDPORT_SCHEME", scheme.to_owned()),
        ("NODE_EXTRA_CA_CERTS", emulator.ca_file().display().to_string()),
    ];
    let output = tokio::task::spawn_blocking(move || node::run_script("jsforce.mjs", &environment, None))
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains(" passed, 0 failed"), "{printed}");
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_works_against_the_emulated_salesforce() {
    drive_by_jsforce("http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_works_over_tls_with_the_emulators_certificate_file() {
    drive_by_jsforce("https").await;
}

/// Runs the checks of another client, which trust in plain HTTP.
async fn drive_by(script: &'static str) {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let ready = emulator.ready_line().to_string();
    let output =
        tokio::task::spawn_blocking(move || node::run_script(script, &[("RECORDPORT_READY", ready)], None))
            .await
            .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains(" passed, 0 failed"), "{printed}");
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamics_web_api_works_against_the_emulated_dynamics() {
    drive_by("dynamics.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulated_metadata_document_is_valid_csdl() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let ready = emulator.ready_line().to_string();
    let output = tokio::task::spawn_blocking(move || {
        node::run_script("csdl.mjs", &[("RECORDPORT_READY", ready)], None)
    })
    .await
    .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.trim(), "valid");
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_js_works_against_the_emulated_jira() {
    drive_by("jira.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropboxs_own_package_works_against_the_emulated_dropbox() {
    drive_by("dropbox.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_own_package_works_against_the_emulated_google_calendar() {
    drive_by("google.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_https_trusts_the_emulator_by_its_certificate_file_only() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.unwrap();
    let ready = emulator.ready_line().to_string();
    let output = tokio::task::spawn_blocking(move || {
        node::run_script("tls.mjs", &[("RECORDPORT_READY", ready)], None)
    })
    .await
    .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    emulator.shutdown().await;
}
