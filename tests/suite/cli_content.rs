//! Content of records: bytes in, bytes out.

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};

/// An attachment with these bytes; its id.
fn attachment(home: &Home, bytes: &[u8]) -> String {
    let account = home.run(&["search", "sf", "Account", "--select", "Id", "--limit", "1"]).expect(0).lines();
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let row = json!({"Name": "picture.png", "ParentId": account[0]["Id"], "Body": body});
    let lines = home.feed(&["create", "sf", "Attachment"], row.to_string()).expect(0).lines();
    lines[0]["key"].as_str().expect("a key").to_owned()
}

#[test]
fn content_comes_as_it_went() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let first: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    let id = attachment(&home, &first);
    let file = home.write("got.png", "an older picture");
    home.run(&["content", "get", "sf", "Attachment", &id, &file]).expect(0);
    assert_eq!(std::fs::read(&file).expect("written"), first);

    let second = home.write("put.png", vec![7_u8; 1_500_000]);
    let put = home.run(&["content", "put", "sf", "Attachment", &id, &second, "--field", "Body"]).expect(0);
    assert_eq!(put.lines(), [json!({"row": 0, "status": "updated", "key": id})]);
    home.run(&["content", "get", "sf", "Attachment", &id, &file]).expect(0);
    assert_eq!(std::fs::read(&file).expect("written"), vec![7_u8; 1_500_000]);
    home.feed(&["content", "put", "sf", "Attachment", &id], "from a pipe").expect(0);
    assert_eq!(home.run(&["content", "get", "sf", "Attachment", &id]).expect(0).stdout, "from a pipe");
}

#[test]
fn content_that_breaks_off_replaces_nothing() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let id = attachment(&home, &vec![1_u8; 400_000]);
    let file = home.write("kept.png", "an older picture");
    for kind in ["reset", "trunc"] {
        let path = "/services/data/*/sobjects/Attachment/*/Body";
        emulator.fault(&json!({"kind": kind, "path": path, "times": 1}));
        home.run(&["content", "get", "sf", "Attachment", &id, &file]).expect(5);
        assert_eq!(std::fs::read(&file).expect("there"), b"an older picture", "{kind}");
    }
    assert!(!home.file("kept.png.tmp").exists());
}

#[test]
fn what_has_no_content_is_refused_before_the_wire() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let id = attachment(&home, b"x");
    home.run(&["content", "get", "sf", "Account", "001000000000000AAA"]).expect(2).says("no content");
    home.run(&["content", "get", "sf", "Attachment", &id, "--field", "Name"]).expect(2).says("Body");
    home.run(&["content", "get", "sf", "Attachment", "00P000000000000AAA"]).expect(4);
    let big = home.write("big", vec![0_u8; 40 << 20]);
    home.run(&["content", "put", "sf", "Attachment", &id, &big]).expect(2).says("bytes");
    let dry = home.feed(&["content", "put", "sf", "Attachment", &id, "--dry-run"], "secret plans").expect(0);
    assert_eq!(dry.lines()[0]["method"], Value::from("PATCH"));
    assert_eq!(home.run(&["content", "get", "sf", "Attachment", &id]).expect(0).stdout, "x");
}

#[test]
fn a_file_is_attached_under_its_own_name_unless_another_is_given() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    let url = emulator.url();
    let connect = ["connect", "jira", "work", "--emulator", &url, "--access", "read-write", "--no-browser"];
    home.run(&connect).expect(0);
    let found =
        home.run(&["search", "work", "issue", "--select", "id,key", "--limit", "1"]).expect(0).lines();
    let (id, key) = (found[0]["id"].as_str().expect("an id"), found[0]["key"].as_str().expect("a key"));
    let file = home.write("plan.txt", "first");
    let put = ["content", "put", "work", "issue", id, &file, "--field", "attachment"];
    assert_eq!(home.run(&put).expect(0).lines(), [json!({"row": 0, "status": "updated", "key": id})]);
    home.run(&[&put[..], &["--option", "file_name=other.txt"]].concat()).expect(0);
    let files = home.run(&["search", "work", &format!("attachment:{key}"), "--select", "filename"]).expect(0);
    assert_eq!(files.lines(), [json!({"filename": "plan.txt"}), json!({"filename": "other.txt"})]);
    let several = home.run(&["content", "get", "work", "issue", id]).expect(2);
    several.says("several attachments");
}
