//! The same service behind the emulator's sockets.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use recordport::emulator::{Emulator, EmulatorConfig};
use serde_json::{Value, json};

use crate::support::emulated::client;

async fn json_of(reply: reqwest::Response) -> Value {
    let text = reply.text().await.expect("a whole body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn rows_states_and_locators_are_reached_over_http() {
    let emulator =
        Emulator::start(EmulatorConfig { scale: 20, ..EmulatorConfig::default() }).await.expect("starts");
    let credentials = emulator.credentials();
    let token = credentials["salesforce"]["access_token"].as_str().expect("a token").to_owned();
    let client = client();
    let url = |path: &str| format!("{}{path}", emulator.http_url());
    let get = |path: String| {
        let request = client.get(url(&path)).bearer_auth(&token);
        async move {
            let reply = request.send().await.expect("an answer");
            (reply.status().as_u16(), json_of(reply).await)
        }
    };
    let (status, page) = get("/services/data/v60.0/query?q=SELECT+Id+FROM+Account".to_owned()).await;
    assert_eq!((status, &page["totalSize"]), (200, &json!(2400)));
    let (_, state) = get("/_emulator/state/salesforce/Account".to_owned()).await;
    assert_eq!(state.as_array().map(Vec::len), Some(2400));
    assert_eq!(state[0]["Id"], page["records"][0]["Id"]);
    let (status, _) = get("/_emulator/state/salesforce/Nothing".to_owned()).await;
    assert_eq!(status, 404);
    let next = page["nextRecordsUrl"].as_str().expect("a next page").to_owned();
    assert_eq!(get(next.clone()).await.0, 200);
    let expired = client.post(url("/_emulator/salesforce/expire-locators")).send().await.expect("an answer");
    assert_eq!(expired.status().as_u16(), 204);
    let (status, gone) = get(next).await;
    assert_eq!((status, &gone[0]["errorCode"]), (400, &json!("INVALID_QUERY_LOCATOR")));
    emulator.shutdown().await;
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_million_rows_need_little_memory() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_recordport"))
        .args(["emulator", "--scale", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the emulator starts");
    let stdout = child.stdout.take().expect("a pipe");
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a ready line");
    let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
    let token = ready["credentials"]["salesforce"]["access_token"].as_str().expect("a token");
    let client = client();
    let get = async |path: &str| -> Value {
        let url = format!("{}{path}", ready["http"].as_str().expect("an address"));
        json_of(client.get(url).bearer_auth(token).send().await.expect("an answer")).await
    };
    let counts = get("/services/data/v60.0/limits/recordCount").await;
    let all: u64 =
        counts["sObjects"].as_array().expect("counts").iter().filter_map(|row| row["count"].as_u64()).sum();
    assert!(all > 1_000_000, "{all}");
    let page = get("/services/data/v60.0/query?q=SELECT+Id,Name,Email+FROM+Contact").await;
    assert_eq!(page["totalSize"], 300_000);
    let mut next = page["nextRecordsUrl"].as_str().expect("a next page").to_owned();
    next.truncate(next.rfind('-').expect("an offset"));
    let last = get(&format!("{next}-298000")).await;
    assert_eq!((&last["done"], last["records"].as_array().map(Vec::len)), (&json!(true), Some(2000)));
    get("/services/data/v60.0/query?q=SELECT+Id+FROM+Contact+ORDER+BY+LastName+LIMIT+2000").await;
    let sorted = get("/services/data/v60.0/query?q=SELECT+Id+FROM+Account+ORDER+BY+Name").await;
    assert_eq!(sorted["totalSize"], 120_000);
    let groups = get(
        "/services/data/v60.0/query?q=SELECT+AccountId,COUNT(Id)+FROM+Case+GROUP+BY+AccountId+ORDER+BY+COUNT(Id)+DESC+LIMIT+10",
    )
    .await;
    assert_eq!(groups["records"].as_array().map(Vec::len), Some(10));
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).expect("the process lives");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak")
        .trim()
        .trim_end_matches(" kB");
    let peak: u64 = peak.trim().parse().expect("a number");
    assert!(peak < 200 * 1024, "{peak} KiB at the peak");
}
