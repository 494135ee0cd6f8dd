//! What Markdown has no word for, written as links and pictures with addresses of their own (`docs/rich-text.md`):
//! `[@Name](accountid:ID)`, `[Done](status:green)`, `[2026-01-31](date:)`, `[:smile:](emoji::smile:)`, `[url](card:)`,
//! `![alt](media:file/ID)`, `[label](<adf:{...}>)`. A real link with such an address is written `link:` and the address.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Number, Value};

use super::model::{Inline, Media, MediaPlace};
use super::opaque;

/// Schemes with a meaning here. An address that begins with one and is meant as an address gets `link:` before it.
const SCHEMES: [&str; 8] = ["accountid:", "emoji:", "date:", "status:", "card:", "media:", "adf:", "link:"];

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b':')
    .remove(b'@')
    .remove(b'+')
    .remove(b'#');

/// Something written as a link.
pub(super) struct Linked {
    /// What is shown.
    pub(super) label: String,
    /// The address.
    pub(super) target: String,
}

/// What a link stands for that is not one.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A piece of text.
    Inline(Inline),
    /// A card on its own.
    Card(String),
    /// A block that is carried along.
    Block(Value),
}

/// The notation of a piece that has none in Markdown; nothing for text, breaks and media.
pub(super) fn linked(inline: &Inline) -> Option<Linked> {
    let (label, target) = match inline {
        Inline::Text { .. } | Inline::Break | Inline::Media(_) => return None,
        Inline::Mention { id, text } => {
            (text.clone().unwrap_or_else(|| format!("@{id}")), format!("accountid:{}", encoded(id)))
        }
        Inline::Emoji { name, id, text } => {
            let id = id.as_ref().map(|id| format!("?id={}", encoded(id))).unwrap_or_default();
            (text.clone().unwrap_or_else(|| name.clone()), format!("emoji:{}{id}", encoded(name)))
        }
        Inline::Date(stamp) => match day_of(stamp) {
            Some(day) if stamp_of(&day).as_ref() == Some(stamp) => (day, "date:".to_owned()),
            Some(day) => (day, format!("date:{}", encoded(stamp))),
            None => (stamp.clone(), format!("date:{}", encoded(stamp))),
        },
        Inline::Status { text, color } => (text.clone(), format!("status:{}", encoded(color))),
        Inline::Card(url) => (url.clone(), "card:".to_owned()),
        Inline::Opaque(node) => opaque_link(node),
    };
    Some(Linked { label, target })
}

/// The notation of a card on its own.
pub(super) fn card(url: &str) -> Linked {
    Linked { label: url.to_owned(), target: "card:block".to_owned() }
}

/// The notation of a node that is carried along.
pub(super) fn carried(node: &Value) -> Linked {
    let (label, target) = opaque_link(node);
    Linked { label, target }
}

fn opaque_link(node: &Value) -> (String, String) {
    (opaque::label(node), format!("adf:{node}"))
}

/// The address of a real link, so that it is not taken for a notation.
pub(super) fn address(href: &str) -> String {
    if SCHEMES.iter().any(|scheme| href.starts_with(scheme)) {
        format!("link:{href}")
    } else {
        href.to_owned()
    }
}

/// The real address that a link leads to.
pub(super) fn real_address(target: &str) -> &str {
    target.strip_prefix("link:").unwrap_or(target)
}

/// Whether what a link shows must be known before its meaning is.
pub(super) fn is_notation(target: &str) -> bool {
    !target.starts_with("link:") && SCHEMES.iter().any(|scheme| target.starts_with(scheme))
}

/// What a link of ours stands for; nothing when it is not a notation or not a sound one.
pub(super) fn meaning(target: &str, label: &str) -> Option<Meaning> {
    let (scheme, rest) = target.split_once(':')?;
    let shown = || (!label.is_empty()).then(|| label.to_owned());
    let inline = match scheme {
        "accountid" => {
            let id = decoded(rest)?;
            let text = shown().filter(|text| text.strip_prefix('@') != Some(id.as_str()));
            Inline::Mention { id, text }
        }
        "emoji" => {
            let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
            let name = decoded(name)?;
            let id = query.strip_prefix("id=").and_then(decoded);
            let text = shown().filter(|text| *text != name);
            Inline::Emoji { name, id, text }
        }
        "date" if rest.is_empty() => Inline::Date(stamp_of(label.trim())?),
        "date" => Inline::Date(decoded(rest)?),
        "status" => Inline::Status { text: shown()?, color: decoded(rest).filter(|color| is_color(color))? },
        "card" if rest == "block" => return shown().map(Meaning::Card),
        "card" if rest.is_empty() => Inline::Card(shown()?),
        "adf" => {
            let node: Value = serde_json::from_str(rest).ok()?;
            return Some(match opaque::carried(&node)? {
                (opaque::Level::Block, node) => Meaning::Block(node),
                (opaque::Level::Inline, node) => Meaning::Inline(Inline::Opaque(node)),
            });
        }
        _ => return None,
    };
    Some(Meaning::Inline(inline))
}

/// Colours of status lozenges.
pub(super) fn is_color(color: &str) -> bool {
    ["neutral", "purple", "blue", "red", "yellow", "green"].contains(&color) || is_hex_color(color)
}

/// `#rrggbb`.
pub(super) fn is_hex_color(color: &str) -> bool {
    color.len() == 7 && color.starts_with('#') && color[1..].bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The day (UTC) of a time stamp in milliseconds.
pub(super) fn day_of(stamp: &str) -> Option<String> {
    let at = Timestamp::from_millisecond(stamp.parse().ok()?).ok()?;
    Some(at.to_zoned(TimeZone::UTC).date().to_string())
}

fn stamp_of(day: &str) -> Option<String> {
    let day: Date = day.parse().ok()?;
    let at = day.to_zoned(TimeZone::UTC).ok()?;
    Some(at.timestamp().as_millisecond().to_string())
}

/// How a medium must be marked where its place alone does not tell what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The place tells.
    Natural,
    /// Within text although it stands alone in its paragraph.
    Inline,
    /// In a group although it is the only one.
    Group,
}

/// The address of a medium in Markdown.
pub(super) fn media_target(media: &Media, standing: Standing) -> String {
    let (path, mut query) = match &media.place {
        MediaPlace::Address(url) if standing == Standing::Natural && media.is_bare() => return address(url),
        MediaPlace::Address(url) => (format!("external/{}", encoded(url)), String::new()),
        MediaPlace::Stored { kind, id, collection } => {
            let mut query = String::new();
            add(&mut query, "collection", collection);
            (format!("{}/{}", encoded(kind), encoded(id)), query)
        }
    };
    for (name, value) in [("width", &media.width), ("height", &media.height)] {
        if let Some(value) = value {
            add(&mut query, name, &value.to_string());
        }
    }
    add(&mut query, "layout", media.layout.as_deref().unwrap_or_default());
    let standing = match standing {
        Standing::Natural => "",
        Standing::Inline => "inline",
        Standing::Group => "group",
    };
    add(&mut query, "as", standing);
    format!("media:{path}{query}")
}

fn add(query: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.push_str(&encoded(value));
    }
}

/// A medium from its address and text.
pub(super) fn media(target: &str, alt: &str) -> (Media, Standing) {
    stored(target, alt).unwrap_or_else(|| {
        let place = MediaPlace::Address(real_address(target).to_owned());
        (Media { place, alt: alt.to_owned(), width: None, height: None, layout: None }, Standing::Natural)
    })
}

fn stored(target: &str, alt: &str) -> Option<(Media, Standing)> {
    let rest = target.strip_prefix("media:")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, id) = path.split_once('/')?;
    let id = decoded(id).filter(|id| !id.is_empty())?;
    let pairs: Vec<(&str, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(name, value)| Some((name, decoded(value)?)))
        .collect();
    let value = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let number = |name: &str| -> Option<Number> {
        serde_json::from_str(&value(name)?)
            .ok()
            .filter(|number: &Number| number.as_f64().is_some_and(|at| at >= 0.0))
    };
    let place = match kind {
        "external" => MediaPlace::Address(id),
        "file" | "link" | "image" => MediaPlace::Stored {
            kind: kind.to_owned(),
            id,
            collection: value("collection").unwrap_or_default(),
        },
        _ => return None,
    };
    let standing = match value("as").as_deref() {
        Some("inline") => Standing::Inline,
        Some("group") => Standing::Group,
        _ => Standing::Natural,
    };
    let layout = value("layout").filter(|layout| opaque::LAYOUTS.contains(&layout.as_str()));
    let layout = layout.filter(|layout| layout != "center");
    Some((
        Media { place, alt: alt.to_owned(), width: number("width"), height: number("height"), layout },
        standing,
    ))
}

impl Media {
    /// Nothing is said of it but its place and text.
    fn is_bare(&self) -> bool {
        self.width.is_none() && self.height.is_none() && self.layout.is_none()
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
