//! The same service behind the emulator's sockets: fault rules, state, a million rows.

use recordport::emulator::{Emulator, EmulatorConfig};
use serde_json::{Value, json};

use crate::support::emulated::client;

struct Wired {
    emulator: Emulator,
    client: reqwest::Client,
    token: String,
}

async fn wired(scale: u64) -> Wired {
    let emulator =
        Emulator::start(EmulatorConfig { scale, ..EmulatorConfig::default() }).await.expect("starts");
    let token = emulator.credentials()["dynamics"]["access_token"].as_str().expect("a token").to_owned();
    Wired { emulator, client: client(), token }
}

impl Wired {
    fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.emulator.http_url()) }
    }

    async fn get(&self, path: &str, page: usize) -> (u16, Value) {
        let prefer = format!("odata.maxpagesize={page}");
        let request = self.client.get(self.url(path)).bearer_auth(&self.token).header("prefer", prefer);
        let reply = request.send().await.expect("an answer");
        let status = reply.status().as_u16();
        (status, serde_json::from_slice(&reply.bytes().await.expect("a body")).unwrap_or_default())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let request = self.client.post(self.url(path)).bearer_auth(&self.token);
        let reply = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let reply = reply.expect("an answer");
        (reply.status().as_u16(), reply.text().await.expect("a body"))
    }

    async fn fault(&self, rule: Value) {
        let (status, answer) = self.post("/_emulator/faults", &rule).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test]
async fn page_faults_work_on_next_links() {
    let org = wired(1).await;
    org.fault(json!({"service": "dynamics", "kind": "evilnext", "path": "*/accounts"})).await;
    let (_, page) = org.get("/api/data/v9.2/accounts?$select=name", 50).await;
    let next = page["@odata.nextLink"].as_str().expect("a link");
    assert!(next.starts_with("http://127.0.0.2:9/api/data/"), "{next}");
    org.fault(json!({"service": "dynamics", "kind": "emptypage", "path": "*/accounts", "page": 2})).await;
    let (_, page) = org.get("/api/data/v9.2/accounts?$select=name", 50).await;
    let (_, empty) = org.get(page["@odata.nextLink"].as_str().expect("a link"), 50).await;
    assert_eq!(empty["value"], json!([]));
    let (status, second) = org.get(empty["@odata.nextLink"].as_str().expect("a link"), 50).await;
    assert_eq!((status, second["value"].as_array().map(Vec::len)), (200, Some(50)));
    org.fault(json!({"service": "dynamics", "kind": "429", "path": "*/accounts"})).await;
    let (status, refused) = org.get("/api/data/v9.2/accounts", 50).await;
    assert_eq!((status, &refused["error"]["code"]), (429, &json!("0x80072322")));
    org.fault(json!({"service": "dynamics", "kind": "expire_token"})).await;
    let (status, refused) = org.get("/api/data/v9.2/accounts", 50).await;
    assert_eq!((status, &refused["error"]["code"]), (401, &json!("0x8005f101")));
}

#[tokio::test]
async fn a_partial_fault_refuses_every_nth_row_of_a_batch() {
    let org = wired(1).await;
    org.fault(json!({"service": "dynamics", "kind": "partial", "body": 2})).await;
    let part = "--b\r\nContent-Type: application/http\r\n\r\nPOST accounts HTTP/1.1\r\nContent-Type: application/json\r\n\r\n\
                {\"name\":\"Partial\"}\r\n";
    let request = org.client.post(org.url("/api/data/v9.2/$batch")).bearer_auth(&org.token);
    let request = request
        .header("content-type", "multipart/mixed; boundary=b")
        .header("prefer", "odata.continue-on-error");
    let reply = request.body(format!("{}--b--\r\n", part.repeat(4))).send().await.expect("an answer");
    let answer = reply.text().await.expect("a body");
    assert_eq!(
        (answer.matches("HTTP/1.1 204").count(), answer.matches("HTTP/1.1 400").count()),
        (2, 2),
        "{answer}"
    );
    let (_, found) = org.get("/api/data/v9.2/accounts?$filter=name%20eq%20'Partial'", 50).await;
    assert_eq!(found["value"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn any_page_of_a_million_rows_is_made_on_demand() {
    let org = wired(8_400).await;
    let (_, first) = org.get("/api/data/v9.2/accounts?$select=accountnumber&$count=true", 5).await;
    assert_eq!(first["@odata.count"], 5000);
    let (_, one) = org.get("/api/data/v9.2/accounts?$filter=accountnumber%20eq%20'acc-1000001'", 5).await;
    let id = one["value"][0]["accountid"].as_str().expect("a row of the last thousands").to_owned();
    let (status, row) = org.get(&format!("/api/data/v9.2/accounts({id})"), 5).await;
    assert_eq!((status, &row["accountnumber"]), (200, &json!("ACC-1000001")));
    let next = first["@odata.nextLink"].as_str().expect("a link");
    let (_, second) = org.get(next, 5).await;
    assert_ne!(second["value"][0], first["value"][0]);
    assert_eq!(second["value"].as_array().map(Vec::len), Some(5));
}
