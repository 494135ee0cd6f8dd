//! Rich text: one document model, read from and written to the Atlassian Document Format (ADF), Markdown, HTML and
//! plain text.
//!
//! Markdown is what people and programs edit. What it cannot say by itself has a notation that reads well and can
//! be reversed (`docs/rich-text.md`); what has none stays in the raw document beside it. [`write_over`] and
//! [`same_markdown`] keep what an edit did not touch.
//!
//! Every input is accepted: nothing here fails, nothing recurses deeper than [`MAX_DEPTH`], and the work grows with
//! the length of the input.

mod adf_read;
mod adf_write;
mod builder;
mod escape;
mod finished;
mod fit;
mod html_read;
mod html_write;
mod markdown_inline;
mod markdown_read;
mod markdown_write;
mod model;
mod notation;
mod opaque;
mod over;
mod plain;

pub use adf_read::read_adf;
pub use adf_write::write_adf;
pub use html_read::read_html;
pub use html_write::write_html;
pub use markdown_read::read_markdown;
pub use markdown_write::write_markdown;
pub use model::{Block, Cell, Document, Inline, Link, Marks, Media, MediaPlace, PanelKind, Script, Task};
pub use over::{same_markdown, write_over};
pub use plain::{read_plain, write_plain};

use serde_json::Value;

/// Containers inside each other that are kept apart; what lies deeper is kept as content of the deepest.
pub const MAX_DEPTH: usize = 40;

/// An ADF document as Markdown. A plain text (as version 2 of the Jira API has it) and null are accepted too.
#[must_use]
pub fn adf_to_markdown(document: &Value) -> String {
    write_markdown(&read_adf(document))
}

/// Markdown as an ADF document that the ADF schema accepts.
#[must_use]
pub fn markdown_to_adf(text: &str) -> Value {
    write_adf(&read_markdown(text))
}
