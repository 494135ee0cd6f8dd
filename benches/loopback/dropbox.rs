//! Files as Dropbox lists them, made up from their number, and the content of one that is as long as its name says.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

/// The address of a folder's listing.
pub(crate) const LIST: &str = "/2/files/list_folder";

/// What a small request is answered with; `None` for what does not belong to Dropbox.
pub(crate) fn answer(path: &str) -> Option<Value> {
    Some(match path.strip_prefix("/2/")? {
        "users/get_current_account" => json!({
            "account_id": "dbid:AAHbench0000000000000000000000000000000", "email": "bench@example.com",
            "email_verified": true, "disabled": false, "country": "DE", "locale": "en", "is_paired": false,
            "name": { "given_name": "Bench", "surname": "", "familiar_name": "Bench", "display_name": "Bench",
                "abbreviated_name": "B" },
            "referral_link": "https://db.tt/bench", "account_type": { ".tag": "basic" },
            "root_info": { ".tag": "user", "root_namespace_id": "1", "home_namespace_id": "1" },
        }),
        "file_properties/templates/list_for_user" => json!({ "template_ids": [] }),
        "files/list_folder/get_latest_cursor" => json!({ "cursor": "0" }),
        _ => json!({}),
    })
}

fn file(out: &mut String, n: usize) {
    let spread = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let city = ["Hamburg", "São Paulo", "Springfield", "Malmö", "Leeds", "Kraków"][n % 6];
    let small = city.to_lowercase();
    let _ = write!(
        out,
        concat!(
            r#"{{".tag":"file","name":"Report {n:08}.pdf","path_lower":"/works/{small}/report {n:08}.pdf","#,
            r#""path_display":"/Works/{city}/Report {n:08}.pdf","id":"id:a4ayc_80_OEAAAAA{n:08}","#,
            r#""client_modified":"2025-03-{day:02}T16:21:{second}Z","server_modified":"2026-01-{day:02}T08:05:{second}Z","#,
            r#""rev":"0{n:08x}{spread:06x}","size":{spread},"is_downloadable":true,"#,
            r#""content_hash":"{hash:016x}{hash:016x}{hash:016x}{hash:016x}"}}"#,
        ),
        n = n,
        small = small,
        city = city,
        day = spread % 28 + 1,
        second = spread % 50 + 10,
        spread = spread,
        hash = spread.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    );
}

/// The files of pages: everything between head and end.
pub(crate) fn bodies(files: usize, page: usize) -> Vec<Bytes> {
    super::server::bodies(files, page, "\"entries\":[", file)
}

/// What stands before the files of any page.
pub(crate) fn head() -> Bytes {
    Bytes::from_static(b"{")
}

/// What stands behind the files of the page that begins at one.
pub(crate) fn end(files: usize, page: usize, first: usize) -> Bytes {
    let next = first + page;
    Bytes::from(format!(r#","cursor":"{next}","has_more":{}}}"#, next < files))
}

/// What asks for a page: path and body.
pub(crate) fn wanted(cursor: Option<&str>) -> (&'static str, Value) {
    match cursor {
        None => (LIST, json!({ "path": "", "recursive": true, "limit": 2000 })),
        Some(cursor) => ("/2/files/list_folder/continue", json!({ "cursor": cursor })),
    }
}

/// The file that the page of a listing begins at.
pub(crate) fn first_of(body: &[u8]) -> usize {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["cursor"].as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or_default()
}
