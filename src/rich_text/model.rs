//! The document model that every format is read into and written from.

use std::sync::Arc;

use serde_json::{Number, Value};

/// A document: blocks one below the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Its blocks.
    pub blocks: Vec<Block>,
}

/// A block of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Running text; may be empty.
    Paragraph(Vec<Inline>),
    /// A heading of level 1 to 6.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text.
        text: Vec<Inline>,
    },
    /// A bullet list, or a numbered one when it has a first number.
    List {
        /// The first number of a numbered list.
        start: Option<u64>,
        /// Its items, each with blocks of its own.
        items: Vec<Vec<Block>>,
    },
    /// A list of things to do.
    Tasks(Vec<Task>),
    /// A list of decisions.
    Decisions(Vec<Vec<Inline>>),
    /// Code as it stands.
    Code {
        /// Language that it is written in.
        language: Option<String>,
        /// The code; no line break at its end belongs to the notation.
        text: String,
    },
    /// A quotation.
    Quote(Vec<Block>),
    /// A coloured box.
    Panel {
        /// What it says by its colour.
        kind: PanelKind,
        /// Its content.
        blocks: Vec<Block>,
    },
    /// Content that is shown when its title is opened.
    Expand {
        /// Title that is always shown.
        title: String,
        /// What it hides.
        blocks: Vec<Block>,
    },
    /// A line across.
    Rule,
    /// A table: rows of cells.
    Table(Vec<Vec<Cell>>),
    /// One picture or file on its own.
    Media {
        /// The picture or file.
        media: Media,
        /// Text below it.
        caption: String,
    },
    /// Files side by side.
    MediaGroup(Vec<Media>),
    /// An address shown as a card.
    Card(String),
    /// A node that is carried along unread: its type and attributes.
    Opaque(Value),
}

/// One thing to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// Whether it is done.
    pub done: bool,
    /// What is to do.
    pub text: Vec<Inline>,
    /// Things to do below it.
    pub nested: Vec<Self>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Whether it is a heading of its row or column.
    pub header: bool,
    /// Columns that it covers, 1 for a usual cell.
    pub columns: u32,
    /// Rows that it covers, 1 for a usual cell.
    pub rows: u32,
    /// Its content.
    pub blocks: Vec<Block>,
}

/// What a panel says by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelKind {
    /// Information.
    Info,
    /// A note.
    Note,
    /// A tip.
    Tip,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// A success.
    Success,
    /// A colour of its author's choice, which only the raw document tells.
    Custom,
}

impl PanelKind {
    /// Every kind with its name in ADF.
    pub(super) const NAMES: [(Self, &'static str); 7] = [
        (Self::Info, "info"),
        (Self::Note, "note"),
        (Self::Tip, "tip"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Success, "success"),
        (Self::Custom, "custom"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("info", |(_, name)| name)
    }

    /// The kind of a name in any case; names that other dialects of Markdown use are understood.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "important" => Some(Self::Info),
            "caution" => Some(Self::Error),
            other => Self::NAMES.iter().find(|(_, known)| *known == other).map(|(kind, _)| *kind),
        }
    }
}

/// A piece of running text.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// Text with its marks; never empty, without line breaks.
    Text {
        /// The text.
        text: String,
        /// How it looks and where it leads.
        marks: Marks,
    },
    /// A line break.
    Break,
    /// A person who is spoken to.
    Mention {
        /// Account id.
        id: String,
        /// What is shown, such as `@Name`.
        text: Option<String>,
    },
    /// An emoji.
    Emoji {
        /// Its name, such as `:smile:`.
        name: String,
        /// Its id, which tells emojis of the same name apart.
        id: Option<String>,
        /// What is shown.
        text: Option<String>,
    },
    /// A day, as milliseconds since 1970 in text.
    Date(String),
    /// A coloured word.
    Status {
        /// The word.
        text: String,
        /// `neutral`, `purple`, `blue`, `red`, `yellow`, `green` or `#rrggbb`.
        color: String,
    },
    /// An address shown with the title of its page.
    Card(String),
    /// A picture or file within text.
    Media(Media),
    /// A node that is carried along unread: its type and attributes.
    Opaque(Value),
}

/// A picture or file.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// Where it is.
    pub place: MediaPlace,
    /// Text for those who do not see it.
    pub alt: String,
    /// Width in pixels.
    pub width: Option<Number>,
    /// Height in pixels.
    pub height: Option<Number>,
    /// How it stands on the page (`center` unless said otherwise); of media on their own only.
    pub layout: Option<String>,
}

/// Where a picture or file is.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaPlace {
    /// In the media service of the provider.
    Stored {
        /// `file`, `link` or `image`.
        kind: String,
        /// Its id.
        id: String,
        /// Its collection; often empty.
        collection: String,
    },
    /// At an address.
    Address(String),
}

/// How a text looks and where it leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Where it leads.
    pub link: Option<Arc<Link>>,
    /// Bold.
    pub strong: bool,
    /// Italic.
    pub em: bool,
    /// Struck out.
    pub strike: bool,
    /// Underlined.
    pub underline: bool,
    /// Code; the only other mark that code may have is a link.
    pub code: bool,
    /// Lowered or raised.
    pub script: Option<Script>,
    /// Colour of the text as `#rrggbb`.
    pub color: Option<String>,
    /// Colour behind the text as `#rrggbb`.
    pub background: Option<String>,
}

/// Where a text leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub href: String,
    /// What is shown when it is pointed at.
    pub title: Option<String>,
}

/// Lowered or raised text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Lowered.
    Sub,
    /// Raised.
    Sup,
}

impl Marks {
    /// These marks as they may stand on one text: code allows only a link beside it.
    fn settled(&self) -> Self {
        if self.code { Self { code: true, link: self.link.clone(), ..Self::default() } } else { self.clone() }
    }
}

/// Appends text: line breaks become breaks, empty text nothing, text with the marks of what stands before it joins it.
pub(super) fn push_text(into: &mut Vec<Inline>, text: &str, marks: &Marks) {
    let marks = marks.settled();
    let mut lines = text.split('\n');
    push_line(into, lines.next().unwrap_or_default(), &marks);
    for line in lines {
        into.push(Inline::Break);
        push_line(into, line, &marks);
    }
}

fn push_line(into: &mut Vec<Inline>, line: &str, marks: &Marks) {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return;
    }
    if let Some(Inline::Text { text, marks: before }) = into.last_mut()
        && before == marks
    {
        text.push_str(line);
        return;
    }
    into.push(Inline::Text { text: line.to_owned(), marks: marks.clone() });
}

/// The words of running text, without marks.
pub(super) fn words(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text { text, .. } => out.push_str(text),
            Inline::Break => out.push('\n'),
            Inline::Mention { id, text } => out.push_str(text.as_deref().unwrap_or(id)),
            Inline::Emoji { name, text, .. } => out.push_str(text.as_deref().unwrap_or(name)),
            Inline::Date(stamp) => {
                out.push_str(&super::notation::day_of(stamp).unwrap_or_else(|| stamp.clone()))
            }
            Inline::Status { text, .. } => out.push_str(text),
            Inline::Card(url) => out.push_str(url),
            Inline::Media(media) => out.push_str(media.words()),
            Inline::Opaque(node) => out.push_str(&super::opaque::label(node)),
        }
    }
    out
}

impl Media {
    /// What is said where it cannot be shown.
    pub(super) fn words(&self) -> &str {
        match &self.place {
            _ if !self.alt.is_empty() => &self.alt,
            MediaPlace::Stored { id, .. } => id,
            MediaPlace::Address(url) => url,
        }
    }
}
