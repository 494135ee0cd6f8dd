//! The store: private from its first instant, sealed, and never overwritten when something is wrong with it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use recordport::connect::connection::{Secrets, Standing};
use recordport::connect::home::Home;
use recordport::connect::sign_in::GrantKind;
use recordport::connect::sqlite::SqliteStore;
use recordport::connect::store::Store as _;
use recordport::error::{Error, ErrorKind};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::connected::{connection, keyed, made_up, name, open, process, settings};

async fn refused(home: &Path) -> Error {
    let prepared = match Home::prepare(home) {
        Ok(home) => home,
        Err(error) => return error,
    };
    match SqliteStore::open(&prepared, settings()).await {
        Ok(_) => panic!("{} was opened", home.display()),
        Err(error) => error,
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("is there").mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changes");
}

/// A home with the connection `demo` in it.
async fn made() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let store = open(&home).await;
    let tokens = made_up("an access token", Some("a refresh token"));
    let secrets =
        Secrets { client_secret: Some(SecretString::from("a client secret")), ..Secrets::default() };
    store.put(&connection("demo", GrantKind::Code), &secrets, Some(&tokens)).await.expect("is stored");
    (dir, home)
}

async fn access_token(store: &SqliteStore) -> recordport::error::Result<String> {
    let demo = store.connection(&name("demo")).await?;
    let tokens = store.tokens(&demo).await?.expect("tokens");
    Ok(tokens.access_token.expose_secret().to_owned())
}

#[tokio::test]
async fn fault_43_everything_is_private_from_its_first_instant_with_umask_000() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("a").join("home");
    let role = process("make a connection", &home);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(role.get_program()).args(role.get_args());
    command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdout(Stdio::null());
    command.env("RECORDPORT_KEYRING", "off");
    let mut child = command.spawn().expect("a process");
    let mut seen = BTreeSet::new();
    let status = loop {
        for path in [dir.path().join("a"), home.clone()] {
            if let Ok(metadata) = std::fs::symlink_metadata(&path) {
                assert_eq!(metadata.mode() & 0o077, 0, "{} is open to others", path.display());
            }
        }
        for entry in std::fs::read_dir(&home).into_iter().flatten().flatten() {
            if let Ok(metadata) = entry.metadata() {
                assert_eq!(metadata.mode() & 0o077, 0, "{} is open to others", entry.path().display());
                seen.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        if let Some(status) = child.try_wait().expect("is known") {
            break status;
        }
    };
    assert!(status.success());
    assert_eq!(mode(&home), 0o700);
    for file in ["recordport.db", "master.key"] {
        assert_eq!(mode(&home.join(file)), 0o600, "{file}");
    }
    assert!(seen.contains("recordport.db") && seen.contains("recordport.db-wal"), "{seen:?}");
}

#[tokio::test]
async fn fault_43_a_store_that_is_not_ours_alone_is_refused_with_the_remedy() {
    let (_dir, home) = made().await;
    let file = home.join("recordport.db");
    let before = std::fs::read(&file).expect("a file");

    chmod(&file, 0o644);
    let error = refused(&home).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Local, Some("open_to_others")));
    assert!(error.advice().expect("advice").contains("chmod 600 '"), "{error}");
    chmod(&file, 0o600);

    chmod(&home, 0o755);
    let error = refused(&home).await;
    assert_eq!(error.code(), Some("open_to_others"));
    assert!(error.advice().expect("advice").contains("chmod 700 '"), "{error}");
    chmod(&home, 0o700);

    // Only root can give a file away; elsewhere this part has nothing to check.
    if std::os::unix::fs::chown(&file, Some(4711), None).is_ok() {
        let error = refused(&home).await;
        assert_eq!(error.code(), Some("not_owner"), "{error}");
        let own = std::fs::metadata(&home).expect("is there").uid();
        std::os::unix::fs::chown(&file, Some(own), None).expect("is given back");
    }

    let elsewhere = home.join("elsewhere.db");
    std::fs::rename(&file, &elsewhere).expect("moves");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    let error = refused(&home).await;
    assert_eq!(error.code(), Some("not_a_file"), "{error}");
    assert!(error.message().contains("symbolic link"), "{error}");
    std::fs::remove_file(&file).expect("goes");
    std::fs::create_dir(&file).expect("a directory");
    assert!(refused(&home).await.message().contains("directory"));
    std::fs::remove_dir(&file).expect("goes");
    std::fs::rename(&elsewhere, &file).expect("moves back");

    let key = home.join("master.key");
    chmod(&key, 0o640);
    let error = access_token(&open(&home).await).await.expect_err("a key that others can read");
    assert_eq!((error.kind().exit_code(), error.code()), (7, Some("open_to_others")));
    chmod(&key, 0o600);
    assert_eq!(access_token(&open(&home).await).await.expect("opens"), "an access token");
    assert_eq!(std::fs::read(&file).expect("a file"), before, "nothing was written by all that");
}

#[tokio::test]
async fn an_empty_directory_is_taken_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    std::fs::create_dir(&home).expect("a directory");
    chmod(&home, 0o777);
    Home::prepare(&home).expect("is taken");
    assert_eq!(mode(&home), 0o700);
    std::fs::write(home.join("letter.txt"), "x").expect("a file");
    chmod(&home, 0o755);
    Home::prepare(&home).expect_err("is in use");
    assert_eq!(mode(&home), 0o755, "somebody's directory was left alone");
    let error = Home::prepare(&home.join("letter.txt")).expect_err("is a file");
    assert_eq!(error.code(), Some("home_not_directory"));
}

#[tokio::test]
async fn fault_44_a_newer_foreign_or_broken_store_is_refused_and_left_as_it_was() {
    let (_dir, home) = made().await;
    let file = home.join("recordport.db");
    let whole = std::fs::read(&file).expect("a file");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    for (what, bytes, code) in [
        ("newer", with(&|bytes| bytes[60..64].copy_from_slice(&2_i32.to_be_bytes())), "store_newer"),
        ("another program's", with(&|bytes| bytes[68..72].copy_from_slice(&[1; 4])), "store_damaged"),
        ("no database", b"dear diary".repeat(1000), "store_damaged"),
        ("cut off", with(&|bytes| bytes.truncate(bytes.len() / 2)), "store_damaged"),
        ("cut in the header", with(&|bytes| bytes.truncate(50)), "store_damaged"),
        ("a page of noise", with(&|bytes| bytes[4096..8192].fill(0xa5)), "store_damaged"),
    ] {
        std::fs::write(&file, &bytes).expect("is written");
        let error = refused(&home).await;
        assert_eq!((error.kind().exit_code(), error.code()), (7, Some(code)), "{what}: {error}");
        assert!(error.advice().expect("advice").contains("Nothing was changed"), "{what}");
        assert_eq!(std::fs::read(&file).expect("a file"), bytes, "{what}: the file was touched");
    }
    std::fs::write(&file, &whole).expect("is written");
    assert_eq!(access_token(&open(&home).await).await.expect("opens"), "an access token");
}

#[tokio::test]
async fn fault_44_a_newer_layout_that_only_the_log_knows_is_refused_too() {
    let (_dir, home) = made().await;
    let file = home.join("recordport.db");
    let other = rusqlite::Connection::open(&file).expect("opens");
    other.pragma_update(None, "user_version", 99).expect("is set");
    let log = std::fs::read(home.join("recordport.db-wal")).expect("a log");
    assert!(!log.is_empty());
    assert_eq!(refused(&home).await.code(), Some("store_newer"));
    assert_eq!(std::fs::read(home.join("recordport.db-wal")).expect("a log"), log);
}

#[tokio::test]
async fn fault_44_no_flipped_byte_is_believed() {
    let (_dir, home) = made().await;
    let file = home.join("recordport.db");
    let whole = std::fs::read(&file).expect("a file");
    let mut noticed = 0;
    // Every byte would be many thousand stores; a prime step meets every page and every kind of place.
    for at in (0..whole.len()).step_by(127) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(home.join(format!("recordport.db{side}")));
        }
        std::fs::write(&file, &bytes).expect("is written");
        let prepared = Home::prepare(&home).expect("a home");
        let read = match SqliteStore::open(&prepared, settings()).await {
            Ok(store) => access_token(&store).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(token) => assert_eq!(token, "an access token", "byte {at}"),
            Err(error) => {
                noticed += 1;
                let text = format!("{error:?} {error}");
                assert!(!text.contains("an access token") && !text.contains("a client secret"), "{text}");
                assert!(matches!(error.kind(), ErrorKind::Local | ErrorKind::NotFound), "byte {at}: {error}");
            }
        }
    }
    assert!(noticed > 5, "{noticed} flips were noticed");
}

#[tokio::test]
async fn fault_44_a_wrong_key_is_told_and_other_connections_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::prepare(&dir.path().join("home")).expect("a home");
    let (one, two) = (keyed(&[1; 32]), keyed(&[2; 32]));
    let store = SqliteStore::open(&home, one.clone()).await.expect("opens");
    let first = connection("first", GrantKind::Code);
    store.put(&first, &Secrets::default(), Some(&made_up("first token", None))).await.expect("is stored");
    drop(store);

    let store = SqliteStore::open(&home, two).await.expect("opens");
    assert_eq!(store.connections().await.expect("a list").len(), 1, "listing needs no key");
    let error = store.tokens(&first).await.expect_err("another key");
    assert_eq!((error.kind().exit_code(), error.code()), (7, Some("wrong_master_key")));
    assert!(error.message().contains("RECORDPORT_MASTER_KEY"), "{error}");
    let mut newer = made_up("stolen", None);
    newer.generation = 2;
    let second = connection("second", GrantKind::Code);
    store.put(&second, &Secrets::default(), Some(&made_up("second token", None))).await.expect("is stored");
    assert!(store.tokens(&second).await.expect("opens").is_some());
    drop(store);

    let store = SqliteStore::open(&home, one).await.expect("opens");
    let tokens = store.tokens(&first).await.expect("opens").expect("some");
    assert_eq!(tokens.access_token.expose_secret(), "first token", "nothing was overwritten");
    assert_eq!(store.tokens(&second).await.expect_err("the other's").code(), Some("wrong_master_key"));
}

#[tokio::test]
async fn a_missing_key_is_told_and_never_replaced() {
    let (_dir, home) = made().await;
    std::fs::remove_file(home.join("master.key")).expect("goes");
    let store = open(&home).await;
    let error = access_token(&store).await.expect_err("no key");
    assert_eq!((error.kind().exit_code(), error.code()), (7, Some("master_key_missing")));
    assert!(error.advice().expect("advice").contains("RECORDPORT_MASTER_KEY"));
    let put = store.put(&connection("other", GrantKind::Code), &Secrets::default(), None).await;
    assert_eq!(put.expect_err("no key").code(), Some("master_key_missing"));
    assert!(!home.join("master.key").exists(), "a new key would hide the loss of the old one");

    std::fs::write(home.join("master.key"), "not a key").expect("is written");
    chmod(&home.join("master.key"), 0o600);
    assert_eq!(access_token(&open(&home).await).await.expect_err("no key").code(), Some("master_key"));
}

#[tokio::test]
async fn a_sealed_record_opens_in_its_own_row_only() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let other = connection("other", GrantKind::Code);
    store.put(&other, &Secrets::default(), Some(&made_up("the other's", None))).await.expect("is stored");
    let demo = store.connection(&name("demo")).await.expect("it");
    let file = rusqlite::Connection::open(home.join("recordport.db")).expect("opens");
    let content = |id: &str| -> Vec<u8> {
        let of = "SELECT content FROM sealed WHERE connection = ?1 AND purpose = 'tokens'";
        file.query_row(of, [id], |row| row.get(0)).expect("a row")
    };
    let set = |id: &str, purpose: &str, content: &[u8]| {
        let of = "UPDATE sealed SET content = ?3 WHERE connection = ?1 AND purpose = ?2";
        assert_eq!(file.execute(of, rusqlite::params![id, purpose, content]).expect("is set"), 1);
    };
    let (ours, theirs) = (content(&demo.id), content(&other.id));
    set(&demo.id, "tokens", &theirs);
    set(&other.id, "tokens", &ours);
    for connection in [&demo, &other] {
        let error = store.tokens(connection).await.expect_err("was swapped");
        assert_eq!((error.kind().exit_code(), error.code()), (7, Some("sealed_record_broken")));
    }
    set(&demo.id, "secrets", &ours);
    assert_eq!(store.secrets(&demo).await.expect_err("another purpose").code(), Some("sealed_record_broken"));
    set(&demo.id, "tokens", &ours);
    assert!(store.tokens(&demo).await.expect("opens").is_some());

    // Whoever turns the connection to another host must not get its token.
    let mut turned = demo.clone();
    turned.endpoint = Some("https://evil.example/".parse().expect("an address"));
    let document = serde_json::to_string(&turned).expect("JSON");
    file.execute("UPDATE connection SET document = ?2 WHERE id = ?1", rusqlite::params![demo.id, document])
        .expect("is set");
    let turned = store.connection(&name("demo")).await.expect("it");
    assert_eq!(store.tokens(&turned).await.expect_err("was turned").code(), Some("sealed_record_broken"));
}

#[tokio::test]
async fn nothing_secret_is_in_the_files_or_in_debug_texts() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let demo = store.connection(&name("demo")).await.expect("it");
    let (tokens, secrets) =
        (store.tokens(&demo).await.expect("opens"), store.secrets(&demo).await.expect("opens"));
    let key = std::fs::read_to_string(home.join("master.key")).expect("a key");
    let shown = format!("{store:?} {demo:?} {tokens:?} {secrets:?} {:?}", settings());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&home).expect("a directory").flatten() {
        if entry.file_name() != "master.key" {
            files.extend(std::fs::read(entry.path()).expect("a file"));
        }
    }
    for secret in ["an access token", "a refresh token", "a client secret", key.trim()] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
        assert!(!files.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is in a file");
    }
}

#[tokio::test]
async fn names_are_unique_whatever_their_case_and_a_wrong_one_lists_the_others() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let put = store.put(&connection("DEMO", GrantKind::Code), &Secrets::default(), None).await;
    assert_eq!(put.expect_err("a name in use").code(), Some("connection_exists"));
    let error = store.connection(&name("dema")).await.expect_err("no such name");
    assert_eq!(error.kind().exit_code(), 4);
    assert_eq!(error.advice(), Some("There are: demo"));
    for bad in ["", ".", "-x", "a b", "a/b", "é", "../x", &"x".repeat(65)] {
        assert!(recordport::connect::connection::ConnectionName::new(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_removed_connection_leaves_nothing_behind() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let demo = store.connection(&name("demo")).await.expect("it");
    let sealed: Vec<u8> = rusqlite::Connection::open(home.join("recordport.db"))
        .and_then(|file| {
            file.query_row("SELECT content FROM sealed WHERE purpose = 'tokens'", [], |row| row.get(0))
        })
        .expect("a row");
    assert!(store.remove(&demo.id).await.expect("goes"));
    assert!(!store.remove(&demo.id).await.expect("is gone"));
    for file in ["recordport.db", "recordport.db-wal"] {
        let bytes = std::fs::read(home.join(file)).unwrap_or_default();
        assert!(!bytes.windows(sealed.len()).any(|part| part == sealed), "{file} still has it");
    }
    assert_eq!(store.standing(&demo.id).await.expect_err("is gone").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn standing_changes_only_for_the_tokens_that_it_was_found_with() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let demo = store.connection(&name("demo")).await.expect("it");
    let over = Standing::NeedsReconnect { reason: "revoked".to_owned(), since: jiff::Timestamp::now() };
    store.set_standing(&demo.id, 7, &over).await.expect("is looked at");
    assert_eq!(store.standing(&demo.id).await.expect("known"), Standing::Ready, "other tokens were meant");
    store.set_standing(&demo.id, 1, &over).await.expect("is set");
    assert_eq!(store.standing(&demo.id).await.expect("known"), over);
    let mut tokens = made_up("a newer token", None);
    tokens.generation = 1;
    assert!(!store.put_tokens(&demo, &tokens).await.expect("is looked at"), "not newer");
    tokens.generation = 2;
    assert!(store.put_tokens(&demo, &tokens).await.expect("is stored"));
    assert_eq!(store.standing(&demo.id).await.expect("known"), Standing::Ready);
}

#[tokio::test]
async fn rekey_changes_the_key_and_nothing_else() {
    let (_dir, home) = made().await;
    let store = open(&home).await;
    let old = std::fs::read(home.join("master.key")).expect("a key");
    let rekeyed = store.rekey().await.expect("a new key");
    assert_eq!((rekeyed.records, rekeyed.skipped.len()), (2, 0));
    assert_ne!(std::fs::read(home.join("master.key")).expect("a key"), old);
    assert!(!home.join("master.key.next").exists());
    assert_eq!(access_token(&store).await.expect("opens"), "an access token");
    assert_eq!(access_token(&open(&home).await).await.expect("opens"), "an access token");
    std::fs::write(home.join("master.key"), old).expect("is written");
    assert_eq!(
        access_token(&open(&home).await).await.expect_err("the old key").code(),
        Some("wrong_master_key")
    );
}

#[tokio::test]
async fn rekey_that_stopped_after_its_commit_still_opens_and_goes_on() {
    let (_dir, home) = made().await;
    let key = home.join("master.key");
    let old = std::fs::read(&key).expect("a key");
    open(&home).await.rekey().await.expect("a new key");
    // As if the process had ended before the new key took the old one's place.
    std::fs::rename(&key, home.join("master.key.next")).expect("moves");
    std::fs::write(&key, &old).expect("is written");
    chmod(&key, 0o600);
    assert_eq!(access_token(&open(&home).await).await.expect("opens"), "an access token");
    let store = open(&home).await;
    assert_eq!(store.rekey().await.expect("a new key").records, 2);
    assert_eq!(access_token(&open(&home).await).await.expect("opens"), "an access token");
    assert!(!home.join("master.key.next").exists());
}

#[tokio::test]
async fn rekey_of_a_key_from_the_environment_takes_the_next_one_from_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::prepare(&dir.path().join("home")).expect("a home");
    let mut one = keyed(&[1; 32]);
    let demo = connection("demo", GrantKind::Code);
    let store = SqliteStore::open(&home, one.clone()).await.expect("opens");
    store.put(&demo, &Secrets::default(), Some(&made_up("a token", None))).await.expect("is stored");
    let error = store.rekey().await.expect_err("no next key");
    assert!(error.advice().expect("advice").contains("RECORDPORT_NEW_MASTER_KEY"), "{error}");
    one.keys.next_environment = keyed(&[2; 32]).keys.environment;
    let store = SqliteStore::open(&home, one).await.expect("opens");
    assert_eq!(store.rekey().await.expect("a new key").records, 2);
    let store = SqliteStore::open(&home, keyed(&[2; 32])).await.expect("opens");
    assert!(store.tokens(&demo).await.expect("opens").is_some());
    assert!(!dir.path().join("home/master.key").exists(), "no key was written to disk");
}

#[tokio::test]
async fn fault_83_the_key_changes_under_a_running_process() {
    let (_dir, home) = made().await;
    let (running, other) = (open(&home).await, open(&home).await);
    assert_eq!(access_token(&running).await.expect("opens"), "an access token");
    let demo = running.connection(&name("demo")).await.expect("it");
    for generation in 2..6 {
        other.rekey().await.expect("a new key");
        let text = format!("token {generation}");
        let mut tokens = made_up(&text, None);
        tokens.generation = generation;
        assert!(running.put_tokens(&demo, &tokens).await.expect("is stored"), "{text}");
        assert_eq!(access_token(&running).await.expect("opens"), text);
        assert_eq!(access_token(&other).await.expect("opens"), text);
        assert_eq!(access_token(&open(&home).await).await.expect("opens"), text, "and for a new process");
    }
}

/// Starts a role, lets it say `lines` lines, kills it in the middle of its work, and gives its last line.
fn killed_after(role: &str, home: &Path, lines: usize) -> String {
    let mut child = process(role, home).spawn().expect("a process");
    let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut last = String::new();
    for line in
        said.by_ref().map(|line| line.expect("text")).filter(|line| line.contains("role: ")).take(lines)
    {
        last = line.split_once("role: ").expect("a line of the role").1.to_owned();
    }
    child.kill().expect("is killed");
    for line in said.map_while(Result::ok).filter(|line| line.contains("role: ")) {
        last = line.split_once("role: ").expect("a line of the role").1.to_owned();
    }
    child.wait().expect("ends");
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_a_process_killed_while_writing_tokens_leaves_the_old_or_the_new() {
    // Two lanes of rounds, one for each core.
    let lanes = (0..2_usize).map(|lane| async move {
        let (_dir, home) = made().await;
        for round in 0..100 {
            let place = home.clone();
            let last = tokio::task::spawn_blocking(move || {
                killed_after("write tokens forever", &place, 1 + (round * 7 + lane) % 5)
            });
            let last: u64 = last.await.expect("ends").parse().expect("a number");
            let store = open(&home).await;
            let demo = store.connection(&name("demo")).await.expect("it");
            let tokens = store.tokens(&demo).await.expect("opens").expect("some");
            let number = tokens.generation;
            assert!(number >= last, "{number} is older than {last}, which was durable");
            let text = format!("token {number} ").repeat(64);
            assert_eq!(tokens.access_token.expose_secret(), text);
            assert_eq!(tokens.refresh_token.expect("one").expose_secret(), text);
        }
    });
    futures::future::join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_a_process_killed_while_changing_keys_loses_nothing() {
    let (_dir, home) = made().await;
    for round in 0..20 {
        let place = home.clone();
        let last = tokio::task::spawn_blocking(move || killed_after("rekey forever", &place, 1 + round % 3));
        assert_eq!(last.await.expect("ends").len(), 16, "the id of a key");
        assert_eq!(
            access_token(&open(&home).await).await.expect("opens"),
            "an access token",
            "round {round}"
        );
    }
}
