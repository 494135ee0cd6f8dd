//! Renewal: once, however many ask, whoever dies, whatever the provider answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use recordport::connect::access::AccessSource as _;
use recordport::connect::connection::Standing;
use recordport::connect::sign_in::GrantKind;
use recordport::connect::store::Store as _;
use recordport::error::ErrorKind;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::connected::{Connected, made_up, name, open};

/// A process in a role, with its lines.
struct Role {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Role {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("a process");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, said }
    }

    fn next(&mut self) -> String {
        loop {
            let line = self.said.next().expect("a line").expect("text");
            if let Some((_, said)) = line.split_once("role: ") {
                return said.to_owned();
            }
        }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().expect("its input").write_all(b"go\n").expect("is read");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets processes find the same rejected token at the same time; gives what each got.
async fn race(connected: &Connected, processes: usize) -> Vec<String> {
    let commands: Vec<Command> = (0..processes).map(|_| connected.command("renew")).collect();
    tokio::task::spawn_blocking(move || {
        let mut roles: Vec<Role> =
            commands.into_iter().map(|mut command| Role::start(&mut command)).collect();
        for role in &mut roles {
            assert_eq!(role.next(), "ready");
        }
        for role in &mut roles {
            role.go();
        }
        roles.iter_mut().map(Role::next).collect()
    })
    .await
    .expect("ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_36_two_processes_renew_once_twenty_times_in_a_row() {
    let connected = Connected::start().await;
    for round in 1..=20 {
        connected.forget_requests().await;
        let got = race(&connected, 2).await;
        assert_eq!(got[0], got[1], "both have the same token");
        assert_eq!(connected.token_requests().await.len(), 1, "round {round}");
        let authorization = got[0].split_once(' ').expect("generation and token").1;
        assert!(connected.accepts(authorization).await, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_36_eight_processes_renew_once() {
    let connected = Connected::start().await;
    let got = race(&connected, 8).await;
    assert!(got.iter().all(|one| *one == got[0]), "{}", got.len());
    assert_eq!(connected.token_requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_37_64_tasks_renew_once() {
    let connected = Connected::start().await;
    let keeper = connected.keeper();
    let old = keeper.access(None).await.expect("a token");
    let tasks = (0..64).map(|_| {
        let keeper = Arc::clone(&keeper);
        tokio::spawn(async move { keeper.access(Some(1)).await.expect("a token") })
    });
    let all = futures::future::join_all(tasks).await;
    assert_eq!(connected.token_requests().await.len(), 1);
    for access in all.into_iter().map(|access| access.expect("ends")) {
        assert_eq!(access.generation, 2);
        assert_ne!(access.authorization.expose_secret(), old.authorization.expose_secret());
        assert!(access.bases.contains_key("api"));
    }
    // Who saw the older token rejected is given the newer one, without a request.
    assert_eq!(keeper.access(Some(1)).await.expect("a token").generation, 2);
    assert_eq!(connected.token_requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_36_a_lost_race_takes_over_the_newer_token() {
    let connected = Connected::start().await;
    let (one, two) = (connected.keeper(), connected.keeper());
    assert_eq!(one.access(None).await.expect("a token").generation, 1);
    assert_eq!(two.access(None).await.expect("a token").generation, 1);
    let newer = two.access(Some(1)).await.expect("a token");
    let adopted = one.access(Some(1)).await.expect("a token");
    assert_eq!(adopted.authorization.expose_secret(), newer.authorization.expose_secret());
    assert_eq!(connected.token_requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_38_a_killed_holder_holds_nobody_up_and_a_stopped_one_is_named() {
    let connected = Connected::start().await;
    let mut holder = Role::start(&mut connected.command("hold the lock"));
    let holder = tokio::task::spawn_blocking(move || {
        assert_eq!(holder.next(), "locked");
        holder
    });
    let holder = holder.await.expect("ends");
    holder.signal("STOP");
    let mut settings = crate::support::connected::settings();
    settings.renewal_patience = Duration::from_millis(200);
    let home = recordport::connect::home::Home::prepare(&connected.home()).expect("a home");
    let impatient = recordport::connect::sqlite::SqliteStore::open(&home, settings).await.expect("opens");
    let error = connected.keeper_on(Arc::new(impatient)).access(Some(1)).await.expect_err("is locked");
    assert_eq!((error.kind().exit_code(), error.code()), (7, Some("renewal_locked")));
    let named = format!("process {}", holder.child.id());
    assert!(error.message().contains(&named), "{error}");
    assert!(connected.token_requests().await.is_empty());

    let keeper = connected.keeper();
    let waiting = tokio::spawn(async move { keeper.access(Some(1)).await });
    holder.signal("KILL");
    let died = Instant::now();
    assert_eq!(waiting.await.expect("ends").expect("a token").generation, 2);
    assert!(died.elapsed() < Duration::from_secs(20), "well before the patience of 30 s is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_39_a_process_killed_between_answer_and_write_leaves_a_whole_store() {
    let connected = Connected::start().await;
    let mut command = connected.command("renew");
    let mut role = tokio::task::spawn_blocking(move || {
        let mut role = Role::start(&mut command);
        assert_eq!(role.next(), "ready");
        role
    })
    .await
    .expect("ends");
    // The store is held, so that the process has its answer and cannot write it down.
    let file = rusqlite::Connection::open(connected.home().join("recordport.db")).expect("opens");
    file.execute_batch("BEGIN IMMEDIATE").expect("is held");
    role.go();
    let answered = async {
        while !connected.token_requests().await.iter().any(|request| request["status"] == 200) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("is answered");
    role.signal("KILL");
    drop(role);
    file.execute_batch("ROLLBACK").expect("is let go");

    let store = open(&connected.home()).await;
    let tokens = store.tokens(&connected.connection).await.expect("is whole").expect("some");
    assert_eq!(tokens.generation, 1, "the old one");
    // The provider has replaced that refresh token: only the user can mend this, and is told so.
    let error = connected.keeper().access(Some(1)).await.expect_err("is used up");
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("invalid_grant")));
    assert!(error.advice().expect("advice").contains("connections authorize demo"), "{error}");
    let standing = store.standing(&connected.connection.id).await.expect("is known");
    assert!(matches!(standing, Standing::NeedsReconnect { .. }), "{standing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_35_a_refused_refresh_token_ends_it_with_advice_and_without_hammering() {
    let connected = Connected::start().await;
    connected.change_user(json!({ "revoke": true })).await;
    let keeper = connected.keeper();
    let error = keeper.access(Some(1)).await.expect_err("was revoked");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthorized, Some("invalid_grant")));
    assert_eq!(error.provider_message(), Some("expired access/refresh token"));
    assert_eq!(error.provider(), Some("salesforce"));
    assert_eq!(error.advice(), Some("Sign in again: recordport connections authorize demo"));
    for keeper in [keeper, connected.keeper()] {
        let error = keeper.access(Some(1)).await.expect_err("is over");
        assert_eq!((error.kind().exit_code(), error.code()), (3, Some("needs_reconnect")));
        assert!(error.provider_message().expect("why").contains("invalid_grant"), "{error}");
    }
    assert_eq!(connected.token_requests().await.len(), 1, "asked once and never again");
    // Signing in anew makes it ready.
    let fresh = made_up("a new token", Some("a new refresh token"));
    connected.store.put(&connected.connection, &connected.secrets(), Some(&fresh)).await.expect("is stored");
    assert_eq!(connected.keeper().access(None).await.expect("a token").generation, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_35_a_newer_token_in_the_store_is_found_before_giving_up() {
    let connected = Connected::start().await;
    let keeper = connected.keeper();
    assert_eq!(keeper.access(None).await.expect("a token").generation, 1);
    // While the request is on its way somebody signs in anew; the refusal is kept back until then.
    connected
        .fault(json!({
            "service": "salesforce", "path": "/services/oauth2/token", "kind": "status", "status": 400,
            "headers": { "content-type": "application/json" }, "body": "{\"error\":\"invalid_grant\"}",
            "delay_ms": 1500, "times": 1
        }))
        .await;
    let asking = Arc::clone(&keeper);
    let asking = tokio::spawn(async move { asking.access(Some(1)).await });
    while connected.token_requests().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut fresh = made_up("a newer token", Some("a newer refresh token"));
    fresh.generation = 2;
    assert!(connected.store.put_tokens(&connected.connection, &fresh).await.expect("is stored"));
    let access = asking.await.expect("ends").expect("the newer token");
    assert_eq!(access.authorization.expose_secret(), "Bearer a newer token");
    assert_eq!(connected.store.standing(&connected.connection.id).await.expect("known"), Standing::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_84_two_copies_of_a_store_both_notice_and_neither_loops() {
    let connected = Connected::start().await;
    let copy = connected.dir.path().join("copy");
    std::fs::create_dir(&copy).expect("a directory");
    recordport::connect::home::Home::prepare(&copy).expect("a home");
    for file in ["recordport.db", "recordport.db-wal", "master.key"] {
        if std::fs::copy(connected.home().join(file), copy.join(file)).is_err() {
            assert_eq!(file, "recordport.db-wal", "only the log may be missing");
        }
    }
    let here = connected.keeper();
    let there = connected.keeper_on(Arc::new(open(&copy).await));
    assert_eq!(here.access(Some(1)).await.expect("a token").generation, 2);
    let error = there.access(Some(1)).await.expect_err("was rotated away");
    assert_eq!(error.code(), Some("invalid_grant"));
    let error = here.access(Some(2)).await.expect_err("reuse revoked it");
    assert_eq!(error.code(), Some("invalid_grant"));
    for keeper in [here, there] {
        assert_eq!(keeper.access(Some(2)).await.expect_err("is over").code(), Some("needs_reconnect"));
    }
    assert_eq!(connected.token_requests().await.len(), 3);
}

/// A 200 answer of the token endpoint with this body, once.
async fn answer(connected: &Connected, body: serde_json::Value) {
    connected
        .fault(json!({
            "service": "salesforce", "path": "/services/oauth2/token", "kind": "status", "status": 200,
            "headers": { "content-type": "application/json" }, "body": body.to_string(), "times": 1
        }))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_33_a_lifetime_that_is_none_is_unknown_and_the_token_is_used_until_refused() {
    let connected = Connected::start().await;
    let keeper = connected.keeper();
    let origin = connected.emulator.http_url();
    let variants = [
        json!({}),
        json!({ "expires_in": "3600" }),
        json!({ "expires_in": 0 }),
        json!({ "expires_in": -5 }),
        json!({ "expires_in": null }),
        json!({ "expires_in": 1e300 }),
    ];
    for (generation, variant) in (1..).zip(variants) {
        let mut body = json!({ "access_token": "made up", "token_type": "bearer", "instance_url": origin });
        body.as_object_mut().expect("an object").extend(variant.as_object().expect("an object").clone());
        answer(&connected, body).await;
        let access =
            keeper.access(Some(generation)).await.unwrap_or_else(|error| panic!("{variant}: {error}"));
        assert_eq!(access.generation, generation + 1, "{variant}");
        let tokens = keeper.stored().await.expect("opens").expect("some");
        assert_eq!(tokens.expires, None, "{variant}");
        let old = tokens.refresh_token.expect("the old one is kept");
        assert_eq!(old.expose_secret(), connected.credential("refresh_token"));
        assert_eq!(keeper.access(None).await.expect("a token").generation, generation + 1, "{variant}");
    }
    assert_eq!(connected.token_requests().await.len(), 6);
    // A lifetime that is one is believed: the token is renewed before it ends.
    answer(
        &connected,
        json!({ "access_token": "short", "token_type": "Bearer", "instance_url": origin,
        "expires_in": 10 }),
    )
    .await;
    assert_eq!(keeper.access(Some(7)).await.expect("a token").generation, 8);
    assert_eq!(keeper.access(None).await.expect("a token").generation, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_34_a_refresh_that_may_have_been_executed_is_not_sent_again() {
    for (kind, extra) in [
        ("status", json!({ "status": 500, "body": "{}" })),
        ("503", json!({})),
        ("html503", json!({})),
        ("reset", json!({})),
        ("html200", json!({})),
        ("badjson", json!({})),
        ("empty200", json!({})),
    ] {
        let connected = Connected::start().await;
        let keeper = connected.keeper();
        let mut rule =
            json!({ "service": "salesforce", "path": "/services/oauth2/token", "kind": kind, "times": 1 });
        rule.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        connected.fault(rule).await;
        let error = keeper.access(Some(1)).await.expect_err(kind);
        assert_eq!(error.kind().exit_code(), 5, "{kind}: {error}");
        assert_eq!(connected.token_requests().await.len(), 1, "{kind}");
        let standing = connected.store.standing(&connected.connection.id).await.expect("known");
        assert_eq!(standing, Standing::Ready, "{kind}: it may work the next time");
        let text = format!("{error} {error:?}");
        for secret in ["refresh_token", "client_secret"] {
            assert!(!text.contains(&connected.credential(secret)), "{kind}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_34_a_refresh_that_was_certainly_not_executed_is_sent_again() {
    let connected = Connected::start().await;
    connected.fault(json!({
        "service": "salesforce", "path": "/services/oauth2/token", "kind": "429", "retry_after": "0", "times": 2
    }))
    .await;
    assert_eq!(connected.keeper().access(Some(1)).await.expect("a token").generation, 2);
    assert_eq!(connected.token_requests().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_24_a_foreign_instance_address_gets_no_token() {
    let connected = Connected::start().await;
    for (generation, foreign) in (1..).zip([
        "https://evil.example",
        "http://169.254.169.254",
        "http://localhost:1",
        "https://acme.my.salesforce.com.evil.example",
        "file:///etc/passwd",
        "http://user@127.0.0.1",
    ]) {
        let keeper = connected.keeper();
        answer(
            &connected,
            json!({ "access_token": "for evil", "token_type": "Bearer", "instance_url": foreign,
            "refresh_token": format!("rotated {generation}") }),
        )
        .await;
        let error = keeper.access(Some(generation)).await.expect_err(foreign);
        assert_eq!((error.kind(), error.code()), (ErrorKind::ForeignHost, Some("foreign_host")), "{foreign}");
        // The rotated refresh token is the only valid one and must not be lost over this.
        let tokens = connected.store.tokens(&connected.connection).await.expect("opens").expect("some");
        assert_eq!(tokens.refresh_token.expect("one").expose_secret(), format!("rotated {generation}"));
        assert!(tokens.bases.is_empty(), "{foreign}");
    }
    // The unusable access token is not given out: the next one is asked for.
    answer(
        &connected,
        json!({ "access_token": "good", "token_type": "Bearer",
        "instance_url": connected.emulator.http_url() }),
    )
    .await;
    let access = connected.keeper().access(None).await.expect("a token");
    assert_eq!(access.authorization.expose_secret(), "Bearer good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_42_a_token_that_cannot_be_stored_is_kept_in_memory_and_said() {
    let connected = Connected::start().await;
    let file = rusqlite::Connection::open(connected.home().join("recordport.db")).expect("opens");
    let full = "CREATE TRIGGER full BEFORE INSERT ON sealed BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END";
    file.execute_batch(full).expect("is set up");
    let keeper = connected.keeper();
    let access = keeper.access(Some(1)).await.expect("a token");
    assert!(connected.accepts(access.authorization.expose_secret()).await);
    let notices = keeper.take_notices();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("kept in memory only"), "{notices:?}");
    assert!(!notices[0].contains(&access.authorization.expose_secret()["Bearer ".len()..]));
    let stored = connected.store.tokens(&connected.connection).await.expect("is whole").expect("some");
    assert_eq!(stored.generation, 1, "the old file is intact");
    assert_eq!(keeper.access(None).await.expect("a token").generation, 2);
    file.execute_batch("DROP TRIGGER full").expect("is undone");
    assert_eq!(keeper.access(Some(2)).await.expect("a token").generation, 3);
    let stored = connected.store.tokens(&connected.connection).await.expect("opens").expect("some");
    assert_eq!(stored.generation, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_without_a_user_ask_again_instead_of_refreshing() {
    for grant in [GrantKind::ClientCredentials, GrantKind::Jwt] {
        let connected = Connected::with(grant).await;
        let keeper = connected.keeper();
        let first = keeper.access(None).await.unwrap_or_else(|error| panic!("{grant:?}: {error}"));
        assert!(connected.accepts(first.authorization.expose_secret()).await, "{grant:?}");
        let second = keeper.access(Some(first.generation)).await.expect("a token");
        assert_ne!(first.authorization.expose_secret(), second.authorization.expose_secret());
        assert_eq!(connected.token_requests().await.len(), 2);
        // These are repeated safely.
        connected
            .fault(json!({
                "service": "salesforce", "path": "/services/oauth2/token", "kind": "503", "times": 1
            }))
            .await;
        keeper.access(Some(second.generation)).await.unwrap_or_else(|error| panic!("{grant:?}: {error}"));
        assert_eq!(connected.token_requests().await.len(), 4);
        // An administrator may allow it again, so the connection is not given up.
        connected.change_user(json!({ "active": false })).await;
        let error = keeper.access(Some(3)).await.expect_err("nobody is home");
        assert_eq!((error.kind().exit_code(), error.code()), (3, Some("inactive_user")));
        connected.change_user(json!({ "active": true })).await;
        keeper.access(Some(3)).await.unwrap_or_else(|error| panic!("{grant:?}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_token_is_used_until_it_ends() {
    let connected = Connected::with(GrantKind::Token).await;
    let keeper = connected.keeper();
    let access = keeper.access(None).await.expect("a token");
    assert!(connected.accepts(access.authorization.expose_secret()).await);
    let error = keeper.access(Some(1)).await.expect_err("cannot be renewed");
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("no_refresh_token")));
    assert!(error.advice().expect("advice").contains("--token-stdin"), "{error}");
    assert!(connected.token_requests().await.is_empty());
    let farewell = keeper.farewell().await.expect("goes");
    assert!(!farewell.revoked && connected.requests("/services/oauth2/revoke").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_a_connection_revokes_first_and_erases_in_any_case() {
    let connected = Connected::start().await;
    let access = connected.keeper().access(None).await.expect("a token");
    let farewell = connected.keeper().farewell().await.expect("goes");
    assert_eq!((farewell.revoked, farewell.note), (true, None));
    assert!(!connected.accepts(access.authorization.expose_secret()).await, "is worthless at the provider");
    assert_eq!(
        connected.store.connection(&name("demo")).await.expect_err("is gone").kind(),
        ErrorKind::NotFound
    );

    let connected = Connected::start().await;
    connected
        .fault(json!({
            "service": "salesforce", "path": "/services/oauth2/revoke", "kind": "503", "times": 10
        }))
        .await;
    let farewell = connected.keeper().farewell().await.expect("goes");
    assert!(!farewell.revoked);
    assert!(farewell.note.expect("a note").contains("end the access in your account"));
    assert!(connected.store.connections().await.expect("a list").is_empty());
}
