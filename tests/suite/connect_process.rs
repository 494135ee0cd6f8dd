//! The roles that other tests run in processes of their own: locks, crashes and umasks are between processes.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use recordport::connect::access::AccessSource as _;
use recordport::connect::home::Home;
use recordport::connect::sign_in::GrantKind;
use recordport::connect::sqlite::SqliteStore;
use recordport::connect::store::Store;
use recordport::connect::token::TokenKeeper;
use secrecy::ExposeSecret as _;

use crate::support::connected::{clock, connection, made_up, name, open, settings, sign_in, wire};

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "role: {line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// Started by other tests; alone it has no role.
#[tokio::test]
#[ignore = "a process that other tests start"]
async fn plays_its_role() {
    let Ok(role) = std::env::var("CONNECT_ROLE") else { return };
    let home = PathBuf::from(std::env::var_os("CONNECT_ROLE_HOME").expect("a home"));
    match role.as_str() {
        "make a connection" => {
            let store = open(&home).await;
            let tokens = made_up("an access token", Some("a refresh token"));
            store
                .put(&connection("demo", GrantKind::Code), &Default::default(), Some(&tokens))
                .await
                .expect("put");
            say("made");
        }
        "renew" => {
            let (keeper, known) = keeper(&home).await;
            let access = keeper.access(Some(known)).await.expect("a token");
            say(&format!("{} {}", access.generation, access.authorization.expose_secret()));
        }
        "hold the lock" => {
            let store = open(&home).await;
            let id = store.connection(&name("demo")).await.expect("it").id;
            let _guard = store.lock_renewal(&id).await.expect("the lock");
            say("locked");
            std::future::pending::<()>().await;
        }
        "write tokens forever" => {
            let store = open(&home).await;
            let demo = store.connection(&name("demo")).await.expect("it");
            let present = store.tokens(&demo).await.expect("tokens").expect("some");
            for generation in present.generation + 1.. {
                let text = format!("token {generation} ").repeat(64);
                let mut tokens = made_up(&text, Some(&text));
                tokens.generation = generation;
                assert!(store.put_tokens(&demo, &tokens).await.expect("is stored"));
                say(&generation.to_string());
            }
        }
        "rekey forever" => {
            let store = open(&home).await;
            loop {
                say(&store.rekey().await.expect("a new key").key_id);
            }
        }
        other => panic!("no role {other:?}"),
    }
}

/// A keeper that has its token in hand, at the parent's starting signal, and that token's generation.
async fn keeper(home: &std::path::Path) -> (TokenKeeper, u64) {
    let endpoint = std::env::var("CONNECT_ROLE_ENDPOINT").expect("an endpoint");
    let store = SqliteStore::open(&Home::prepare(home).expect("a home"), settings()).await.expect("a store");
    let demo = store.connection(&name("demo")).await.expect("the connection");
    let keeper = TokenKeeper::new(Arc::new(store), demo, sign_in(&endpoint), wire(), clock());
    // All processes know the old token before any of them renews it.
    let known = keeper.access(None).await.expect("a token").generation;
    say("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the starting signal");
    (keeper, known)
}
