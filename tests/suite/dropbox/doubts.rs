//! Rows whose answers are lost, and rows that would be taken for each other then.

use recordport::connect::sign_in::AccessMode;
use recordport::layer::check::Checked;

use super::*;

async fn checked(at: &Connected, name: &str) -> Checked {
    Checked::new(at.open(name).await, AccessMode::ReadWrite)
}

fn statuses(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_whose_answer_is_lost_is_told_as_there_and_never_as_made() {
    let at = account().await;
    call(&at, "file_properties/templates/add_for_user", &template()).await;
    let folders = checked(&at, "folder").await;
    for (turn, kind) in ["drop_after_commit", "503_after_commit"].into_iter().enumerate() {
        fault(&at, json!({"kind": kind, "path": "/2/files/create_folder_v2", "times": 1})).await;
        let path = format!("/Alone {turn}");
        let alone = create(&at, &folders, &[json!({"path": path})]).await.remove(0);
        assert_eq!(alone.status(), "unchanged", "{alone:?}");
        let there = read(&at, &folders, "path", &path).await.expect("there");
        assert_eq!(there["id"], alone.key().expect("a key").to_string());

        fault(&at, json!({"kind": kind, "path": "/2/files/create_folder_batch", "times": 1})).await;
        let paths = [format!("/Many {turn}"), format!("/Many {turn}/below"), format!("/MANY {turn}")];
        let several = create(&at, &folders, &paths.map(|path| json!({"path": path}))).await;
        assert_eq!(statuses(&several), ["unchanged", "unchanged", "failed"], "{several:?}");
        assert_eq!(several[2].error().expect("told").code(), Some("same_path"));
    }
    // One that did not arrive is sent again, and that answer tells who made it.
    fault(&at, json!({"kind": "503", "path": "/2/files/create_folder_v2", "times": 1})).await;
    let late = create(&at, &folders, &[json!({"path": "/Late"})]).await;
    assert_eq!(statuses(&late), ["created"], "{late:?}");
    // Nobody knows whether one has the row's properties.
    fault(&at, json!({"kind": "drop_after_commit", "path": "/2/files/create_folder_v2", "times": 1})).await;
    let more = create(&at, &folders, &[json!({"path": "/More", "Review_state": "open"})]).await;
    assert_eq!(statuses(&more), ["unknown"], "{more:?}");
    assert_eq!(found(&at, "folder", QueryDraft::default()).await.len(), 8, "each folder once");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rows_with_one_path_only_one_can_be_the_file() {
    let at = account().await;
    let files = checked(&at, "file").await;
    let rows =
        ["/Same.txt", "/same.TXT", "/other.txt"].map(|path| json!({"path": path, "content": base64("x")}));
    for kind in ["drop_after_commit", "503_after_commit"] {
        fault(&at, json!({"kind": kind, "path": "/2/files/upload_session/finish_batch_v2", "times": 1}))
            .await;
        let outcomes = create(&at, &files, &rows).await;
        assert_eq!(statuses(&outcomes), ["created", "failed", "created"], "{outcomes:?}");
        assert_eq!(outcomes[1].error().expect("told").code(), Some("same_path"));
        assert_eq!(found(&at, "file", QueryDraft::default()).await.len(), 2);
        let keys = outcomes.iter().filter_map(Outcome::key).cloned();
        let doomed: Vec<VersionedKey> = keys.map(|key| VersionedKey { key, if_version: None }).collect();
        files.delete(&at.cx, &doomed, &WriteOptions::new()).await.expect("deletes");
    }
    let rows = [0, 1].map(|_| NewRow { fields: row(&json!({"path": "/Same.txt"})), marker: None });
    let renamed = files.create(&at.cx, &rows, &options(json!({"autorename": true}))).await.expect("creates");
    assert_eq!(statuses(&renamed), ["created", "created"], "{renamed:?}");
    assert_ne!(renamed[0].key(), renamed[1].key());
}
