//! Edits that leave alone what they do not touch.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::adf_read::read_adf;
use super::adf_write::Writer;
use super::markdown_read::read_markdown;
use super::markdown_write::write_markdown;
use super::model::{Block, Document};

/// Whether a Markdown says what a document says already, so that nothing needs to be sent. White space at the ends
/// of lines and of the text does not count.
#[must_use]
pub fn same_markdown(document: &Value, markdown: &str) -> bool {
    let present = write_markdown(&read_adf(document));
    tidy(&present) == tidy(markdown) || present == write_markdown(&read_markdown(markdown))
}

fn tidy(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// Markdown as ADF in which every top-level block of the present document that the Markdown did not change stands
/// as it is, with all that Markdown cannot say.
#[must_use]
pub fn write_over(present: &Value, markdown: &str) -> Value {
    if present.is_object() && same_markdown(present, markdown) {
        return present.clone();
    }
    let wanted: Vec<(Block, String)> = read_markdown(markdown)
        .blocks
        .into_iter()
        .map(|block| {
            let text = write_markdown(&Document { blocks: vec![block.clone()] });
            (block, text)
        })
        .collect();
    let kept: Vec<Kept<'_>> = present["content"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|_| present["type"] == "doc")
        .map(kept)
        .collect();
    let pairs = aligned(&kept, &wanted);
    let mut writer = Writer::beside(ids(present));
    let mut content: Vec<Value> = Vec::new();
    let mut at = 0;
    for (old, new) in pairs {
        append(&mut writer, &mut content, &wanted[at..new]);
        content.push(kept[old].node.clone());
        // What Markdown does not show goes with the block before it.
        content.extend(
            kept[old + 1..].iter().take_while(|next| next.texts.is_empty()).map(|next| next.node.clone()),
        );
        at = new + kept[old].texts.len();
    }
    append(&mut writer, &mut content, &wanted[at..]);
    json!({ "type": "doc", "version": 1, "content": content })
}

fn append(writer: &mut Writer, content: &mut Vec<Value>, blocks: &[(Block, String)]) {
    let blocks = blocks.iter().map(|(block, _)| block.clone()).collect();
    let written = writer.document(&Document { blocks });
    if let Some(Value::Array(nodes)) = written.get("content") {
        content.extend(nodes.iter().cloned());
    }
}

/// A block of the present document and the Markdown of the blocks that it is in Markdown.
struct Kept<'a> {
    node: &'a Value,
    texts: Vec<String>,
}

fn kept(node: &Value) -> Kept<'_> {
    let written = write_markdown(&read_adf(&json!({ "type": "doc", "content": [node] })));
    let blocks = read_markdown(&written).blocks;
    let texts = blocks.into_iter().map(|block| write_markdown(&Document { blocks: vec![block] })).collect();
    Kept { node, texts }
}

/// Pairs of places where a kept block begins in the wanted ones, in order: equal beginnings, equal ends, and between
/// them each block with the next that equals it.
fn aligned(kept: &[Kept<'_>], wanted: &[(Block, String)]) -> Vec<(usize, usize)> {
    let same = |old: usize, new: usize| {
        let texts = &kept[old].texts;
        !texts.is_empty()
            && wanted.len() >= new + texts.len()
            && texts.iter().zip(&wanted[new..]).all(|(text, (_, wanted))| text == wanted)
    };
    let mut pairs = Vec::new();
    let (mut old, mut new) = (0, 0);
    while old < kept.len() && (kept[old].texts.is_empty() || same(old, new)) {
        if !kept[old].texts.is_empty() {
            pairs.push((old, new));
        }
        new += kept[old].texts.len();
        old += 1;
    }
    let mut tail = Vec::new();
    let (mut old_end, mut new_end) = (kept.len(), wanted.len());
    while old_end > old {
        let count = kept[old_end - 1].texts.len();
        if count > 0 && (new_end < new + count || !same(old_end - 1, new_end - count)) {
            break;
        }
        old_end -= 1;
        new_end -= count;
        if count > 0 {
            tail.push((old_end, new_end));
        }
    }
    pairs.extend(between(kept, wanted, old..old_end, new..new_end, same));
    pairs.extend(tail.into_iter().rev());
    pairs
}

fn between(
    kept: &[Kept<'_>],
    wanted: &[(Block, String)],
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
    same: impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut places: std::collections::HashMap<&str, std::collections::VecDeque<usize>> = Default::default();
    for at in new.clone() {
        places.entry(&wanted[at].1).or_default().push_back(at);
    }
    let mut pairs = Vec::new();
    let mut from = new.start;
    for at in old {
        let Some(first) = kept[at].texts.first() else { continue };
        let Some(found) = places.get_mut(first.as_str()) else { continue };
        while found.front().is_some_and(|place| *place < from) {
            found.pop_front();
        }
        if let Some(place) = found.front().copied()
            && place + kept[at].texts.len() <= new.end
            && same(at, place)
        {
            pairs.push((at, place));
            from = place + kept[at].texts.len();
        }
    }
    pairs
}

fn ids(document: &Value) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut waiting = vec![document];
    while let Some(node) = waiting.pop() {
        found.extend(node["attrs"]["localId"].as_str().map(str::to_owned));
        waiting.extend(node["content"].as_array().into_iter().flatten());
    }
    found
}
