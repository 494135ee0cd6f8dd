//! `search_v2`: words in names and in what small files hold.
//!
//! The index lags: entries written within the last seconds of emulated time are not found yet, as with the
//! service. Matches beyond ten thousand are not given.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Space;
use super::call::Call;
use super::errors::Refusal;
use super::metadata::Look;
use super::places;
use super::tree::{Kind, Node};

const USUAL: u64 = 100;
const MOST: u64 = 1_000;
/// Matches of one search in all.
const IN_ALL: usize = 10_000;
const LONGEST: usize = 1_000;
/// How far the index is behind.
const LAG: SignedDuration = SignedDuration::from_secs(5);
/// Files whose text is in the index.
const INDEXED: u64 = 64 * 1024;

const CATEGORIES: [(&str, &[&str]); 9] = [
    ("image", &["jpg", "jpeg", "png", "gif", "webp"]),
    ("document", &["doc", "docx", "md", "txt", "rtf"]),
    ("pdf", &["pdf"]),
    ("spreadsheet", &["xlsx", "xls", "csv"]),
    ("presentation", &["ppt", "pptx"]),
    ("audio", &["mp3", "wav"]),
    ("video", &["mp4", "mov"]),
    ("folder", &[]),
    ("paper", &["paper"]),
];

/// What is looked for, and how many matches were given already.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Search {
    words: Vec<String>,
    folder: String,
    space: String,
    names_only: bool,
    deleted: bool,
    extensions: Vec<String>,
    categories: Vec<String>,
    by_time: bool,
    page: usize,
    from: usize,
}

pub(super) fn start(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["query", "options", "match_field_options", "include_highlights"])?;
    let query = call.arguments.text("query")?;
    if query.chars().count() > LONGEST {
        return Err(call.arguments.wrong("query", format!("must be at most {LONGEST} characters")));
    }
    if query.trim().is_empty() {
        let error = json!({ ".tag": "invalid_argument", "invalid_argument": "query is empty" });
        return Err(Refusal::endpoint(error));
    }
    call.arguments.boolean("include_highlights", false)?;
    let mut search = Search {
        words: query.to_lowercase().split_whitespace().map(str::to_owned).collect(),
        folder: call.view.lower(),
        space: call.view.lower(),
        names_only: false,
        deleted: false,
        extensions: Vec::new(),
        categories: Vec::new(),
        by_time: false,
        page: USUAL as usize,
        from: 0,
    };
    if let Some(options) = call.arguments.optional_object("options")? {
        options.only(&[
            "path",
            "max_results",
            "order_by",
            "file_status",
            "filename_only",
            "file_extensions",
            "file_categories",
            "account_id",
        ])?;
        if options.has("path") {
            search.folder = places::folder(&space.tree, &call.view, &space.home, &options, "path")?;
        }
        let page = options.number("max_results", 1, MOST)?.unwrap_or(USUAL);
        search.page = usize::try_from(page).unwrap_or(1);
        let order = options.union("order_by", &["relevance", "last_modified_time"], &[])?;
        search.by_time = order.is_some_and(|order| order.tag == "last_modified_time");
        let status = options.union("file_status", &["active", "deleted"], &[])?;
        search.deleted = status.is_some_and(|status| status.tag == "deleted");
        search.names_only = options.boolean("filename_only", false)?;
        search.extensions =
            options.texts("file_extensions", 100)?.iter().map(|own| own.to_lowercase()).collect();
        search.categories = options.tags("file_categories", 20)?;
    }
    Ok(page(space, call, search))
}

pub(super) fn go_on(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["cursor"])?;
    let text = call.arguments.text("cursor")?;
    let search =
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice::<Search>(&bytes).ok());
    match search.filter(|search| search.space == call.view.lower()) {
        Some(search) => Ok(page(space, call, search)),
        None => Err(call.arguments.wrong("cursor", "Invalid \"cursor\" parameter: cursor is malformed")),
    }
}

impl Search {
    /// Where the words are found: in the name, in the text, in both.
    fn matches(&self, node: &Node) -> Option<&'static str> {
        let name = node.name().to_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !self.extensions.is_empty()
            && (node.is_folder()
                || !self.extensions.iter().any(|own| own.trim_start_matches('.') == extension))
        {
            return None;
        }
        let in_category = |category: &String| {
            if category == "folder" {
                return node.is_folder();
            }
            let known = CATEGORIES.iter().find(|(own, _)| own == category);
            match known {
                Some((_, list)) => !node.is_folder() && list.contains(&extension),
                None => !node.is_folder() && !CATEGORIES.iter().any(|(_, list)| list.contains(&extension)),
            }
        };
        if !self.categories.is_empty() && !self.categories.iter().any(in_category) {
            return None;
        }
        let in_name = self.words.iter().all(|word| name.contains(word.as_str()));
        let in_text = !self.names_only && self.is_in_text(node);
        match (in_name, in_text) {
            (true, true) => Some("filename_and_content"),
            (true, false) => Some("filename"),
            (false, true) => Some("file_content"),
            (false, false) => None,
        }
    }

    fn is_in_text(&self, node: &Node) -> bool {
        let Some(latest) = node.latest().filter(|latest| latest.content.size() <= INDEXED) else {
            return false;
        };
        let bytes = latest.content.bytes();
        std::str::from_utf8(&bytes).is_ok_and(|text| {
            let text = text.to_lowercase();
            self.words.iter().all(|word| text.split(|c: char| !c.is_alphanumeric()).any(|own| own == word))
        })
    }
}

fn page(space: &Space, call: &Call<'_>, mut search: Search) -> Value {
    let tree = &space.tree;
    let look = Look { tree, view: &call.view, tag: true, templates: &[] };
    let seen = |node: &Node| {
        node.latest().is_none_or(|latest| call.now.duration_since(latest.server_modified) >= LAG)
    };
    let mut found: Vec<(Node, &'static str)> = if search.deleted {
        let gone = tree.gone().values().map(|gone| gone.node.clone());
        gone.filter(|node| super::tree::is_under(&node.lower(), &search.folder, true))
            .filter_map(|node| Some((search.matches(&node)?, node)))
            .map(|(how, node)| (node, how))
            .collect()
    } else {
        tree.under(&search.folder, true, 0)
            .filter(seen)
            .filter_map(|node| Some((search.matches(&node)?, node)))
            .map(|(how, node)| (node, how))
            .collect()
    };
    if search.by_time {
        let time = |node: &Node| match &node.kind {
            Kind::File(revisions) => revisions.last().map(|own| own.server_modified),
            Kind::Folder => None,
        };
        found.sort_by_key(|(node, _)| std::cmp::Reverse(time(node)));
    }
    found.truncate(IN_ALL);
    let total = found.len();
    let matches: Vec<Value> = found
        .iter()
        .skip(search.from)
        .take(search.page)
        .map(|(node, how)| {
            let mut metadata = if search.deleted { look.deleted(&node.path) } else { look.node(node) };
            // Recorded, and not in the specification.
            metadata["file_owner_team_encrypted_id"] = json!("");
            json!({
                "highlight_spans": [],
                "match_type": { ".tag": how },
                "metadata": { ".tag": "metadata", "metadata": metadata },
            })
        })
        .collect();
    search.from += matches.len();
    let has_more = search.from < total;
    let mut out = json!({ "has_more": has_more, "matches": matches });
    if has_more {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&search).unwrap_or_default());
        out["cursor"] = json!(text);
    }
    out
}
