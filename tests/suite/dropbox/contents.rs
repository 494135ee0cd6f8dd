//! Content in and out, however large.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn large_content_goes_up_in_pieces_and_comes_down_whole_whatever_breaks_off() {
    let at = account().await;
    let files = at.open("file").await;
    let bytes = noise(21 * MIB + 12_345);
    for (place, kind) in [
        ("append_v2", "drop_after_commit"),
        ("append_v2", "503_after_commit"),
        ("start", "drop_after_commit"),
        ("finish", "drop_after_commit"),
    ] {
        let path = format!("/big {place} {kind}.bin");
        fault(&at, json!({"kind": kind, "path": format!("/2/files/upload_session/{place}"), "times": 1}))
            .await;
        let pieces: Vec<Bytes> = (0..bytes.len())
            .step_by(MIB)
            .map(|from| bytes.slice(from..bytes.len().min(from + MIB)))
            .collect();
        let written = files
            .write_content(
                &at.cx,
                &Key::text(path.as_str()),
                "content",
                content(pieces),
                &WriteOptions::new(),
            )
            .await
            .expect("is written");
        assert_eq!(written.status(), "created", "{path}: {written:?}");
        let stored = read(&at, &*files, "path", &path).await.expect("there");
        assert_eq!(stored["size"], bytes.len());
    }
    for kind in ["reset", "trunc"] {
        fault(&at, json!({"kind": kind, "path": "/2/files/download", "times": 2})).await;
        let whole = bytes_of(&at, &*files, "/big append_v2 drop_after_commit.bin").await.expect("comes");
        assert!(whole == bytes, "{kind}");
    }
    let ranges = asked(&at).await.iter().filter(|path| *path == "files/download").count();
    assert!(ranges >= 4, "{ranges} downloads");
    // Bytes that break off at their source write nothing.
    let broken = vec![Ok(noise(9 * MIB)), Err(Error::local("the disk is gone"))];
    let lost = Content::new(stream::iter(broken).boxed());
    let key = Key::text("/never.bin");
    files.write_content(&at.cx, &key, "content", lost, &WriteOptions::new()).await.expect_err("breaks off");
    assert!(read(&at, &*files, "path", "/never.bin").await.is_none());
}

/// The most memory that a process has used so far, in MiB; nothing once it has ended.
fn peak(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Most memory that a process may use however large a content is, in MiB.
const MOST: u64 = 96;
/// Bytes of a piece of an upload.
const PIECE: usize = 8 * MIB;

/// How much goes up, and how much comes down, in bytes; drills say more.
fn extent() -> (usize, usize) {
    let said = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let up = said("SUITE_CONTENT_MIB").unwrap_or(56);
    let down = said("SUITE_DOWNLOAD_MIB").unwrap_or(up);
    (up * MIB + 4_321, down * MIB + 4_321)
}

/// Bytes of a size of which no two MiB are alike.
struct Large {
    block: Vec<u8>,
    size: usize,
}

impl Large {
    fn of(size: usize) -> Self {
        Self { block: noise(MIB).to_vec(), size }
    }

    /// A MiB, or what is left at the end.
    fn piece(&mut self, number: usize) -> &[u8] {
        self.block[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let left = self.size.saturating_sub(number * MIB).min(MIB);
        &self.block[..left]
    }

    fn pieces(&self) -> usize {
        self.size.div_ceil(MIB)
    }

    fn write(&mut self, to: &Path) {
        let mut file = std::fs::File::create(to).expect("made");
        for number in 0..self.pieces() {
            file.write_all(self.piece(number)).expect("written");
        }
    }

    fn content_hash(&mut self) -> String {
        let (mut whole, mut block) = (Context::new(&SHA256), Context::new(&SHA256));
        for number in 0..self.pieces() {
            block.update(self.piece(number));
            if number % 4 == 3 || number + 1 == self.pieces() {
                let done = std::mem::replace(&mut block, Context::new(&SHA256));
                whole.update(done.finish().as_ref());
            }
        }
        whole.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[expect(clippy::print_stdout, reason = "drills tell what they measured")]
fn told(what: &str, bytes: usize, since: Instant, peak: u64) {
    println!(
        "drill dropbox {what}: {} MiB in {:.1?}, at most {peak} MiB of memory",
        bytes / MIB,
        since.elapsed()
    );
}

#[test]
fn a_large_upload_that_was_killed_twice_goes_on_where_it_was_and_ends_with_the_right_hash_in_little_memory() {
    let size = extent().0;
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    home.run(&["connect", "dropbox", "box", "--access", "read-write", "--emulator", &url, "--no-browser"])
        .expect(0);
    let mut large = Large::of(size);
    let big = home.file("big.bin");
    large.write(&big);
    let checkpoint = home.file("upload.json");
    let put = [
        "content",
        "put",
        "box",
        "file",
        "/Videos/größer.bin",
        big.to_str().expect("text"),
        "--checkpoint",
        checkpoint.to_str().expect("text"),
        "--option",
        "mode=add",
    ];
    let (since, mut most) = (Instant::now(), 0);
    let appends = || emulator.requests("/2/files/upload_session/append_v2").len();
    let begin = || home.command(&put).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let third = size / PIECE / 3;
    for pieces in [third, third + 1] {
        emulator.fault(&json!({
            "service": "dropbox", "kind": "hang", "path": "/2/files/upload_session/append_v2", "nth": pieces, "times": 1,
        }));
        let before = appends();
        let mut running = begin();
        until("the upload is in its middle", || appends() >= before + pieces);
        most = most.max(peak(&running).expect("it runs"));
        running.kill().expect("is killed");
        running.wait().expect("ends");
        emulator.control("DELETE", "faults", &Value::Null);
    }
    let mut running = begin();
    until("the upload ends", || {
        most = most.max(peak(&running).unwrap_or_default());
        running.try_wait().expect("is ours").is_some()
    });
    assert!(running.wait().expect("ended").success());
    told("upload, killed twice", size, since, most);
    assert!(most < MOST, "{most} MiB");
    assert_eq!(emulator.requests("/2/files/upload_session/start").len(), 1, "it was begun once");
    let sent: usize = appends();
    assert!(sent <= size / PIECE + 8, "{sent} pieces: what was there was not sent again");
    assert!(!checkpoint.exists(), "an upload that is over is forgotten");
    let stored = home.run(&["get", "box", "file", "--by", "path", "/videos/GRÖßER.bin"]).expect(0).lines();
    assert_eq!(
        (&stored[0]["size"], &stored[0]["content_hash"]),
        (&json!(size), &json!(large.content_hash()))
    );
}

#[test]
fn a_large_download_streams_in_little_memory() {
    let size = extent().1;
    let home = Home::new();
    let folder = home.file("imported");
    std::fs::create_dir(&folder).expect("made");
    let mut large = Large::of(size);
    large.write(&folder.join("big.bin"));
    let emulator = EmulatorProcess::start(&["--empty", "--import", &format!("dropbox:{}", folder.display())]);
    home.run(&["connect", "dropbox", "box", "--emulator", &emulator.url(), "--no-browser"]).expect(0);
    let since = Instant::now();
    let get = ["content", "get", "box", "file", "/big.bin"];
    let mut running =
        home.command(&get).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut pipe = running.stdout.take().expect("stdout");
    let mut came = vec![0; MIB];
    let mut most = 0;
    for number in 0..large.pieces() {
        // While something is left that the pipe does not hold, the process waits for its reader.
        most = most.max(peak(&running).unwrap_or_default());
        let wanted = large.piece(number);
        pipe.read_exact(&mut came[..wanted.len()]).expect("all of it");
        assert!(&came[..wanted.len()] == wanted, "MiB {number} is another");
    }
    assert_eq!(pipe.read(&mut came).expect("the end"), 0);
    assert!(running.wait().expect("ends").success());
    told("download", size, since, most);
    assert!((1..MOST).contains(&most), "{most} MiB");
}
