//! What a workspace shares between the planes of one connection.

use std::sync::Arc;

use jiff::Timestamp;
use recordport::connect::connection::{Connection, ConnectionName};
use recordport::connect::sign_in::{AccessMode, GrantKind};
use recordport::workspace::{Use, Workspace};
use serde_json::json;

fn connection(name: &str) -> Connection {
    let mut connection = Connection::new(
        ConnectionName::new(name).unwrap(),
        "salesforce",
        AccessMode::ReadWrite,
        GrantKind::Token,
        Timestamp::UNIX_EPOCH,
    );
    connection.endpoint = Some("http://127.0.0.1:9/".parse().unwrap());
    connection
}

#[tokio::test]
async fn all_planes_of_a_connection_share_its_limits_and_connections_do_not() {
    let home = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&home.path().join("home")).await.unwrap();
    let (crm, mut other) = (connection("crm"), connection("other"));
    other.config = json!({ "quota_reserve": 7 });
    let one = workspace.ready(crm.clone(), Use::default()).unwrap();
    let two = workspace.clone().ready(crm, Use { refresh: true, dry_run: None }).unwrap();
    let three = workspace.ready(other, Use::default()).unwrap();
    assert!(Arc::ptr_eq(&one.limits, &two.limits));
    assert!(!Arc::ptr_eq(&one.limits, &three.limits));
    assert_eq!((one.limits.reserve(100_000), one.limits.reserve(5_000)), (100, 50));
    assert_eq!(three.limits.reserve(100_000), 7);
}
