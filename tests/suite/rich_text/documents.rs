//! Documents that Markdown and its notations can say, at random, in the worst characters.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use recordport::rich_text::{
    Block, Cell, Document, Inline, Link, Marks, Media, MediaPlace, PanelKind, Script, Task,
};

/// A document.
pub(super) fn documents() -> impl Strategy<Value = Document> {
    vec(blocks(2), 0..5).prop_map(|blocks| Document { blocks })
}

/// Text in which everything could be taken for notation.
pub(super) fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c ]{1,6}",
        4 => r#"[ab 1*_`~<>&#!|\\\-+.()\[\]=:"'{}/@^$;,?%]{1,8}"#,
        1 => "[éß中😄“”…—\u{a0}\u{2003}a *_]{1,4}",
        1 => prop_oneof![
            Just("1. a".to_owned()), Just("- a".to_owned()), Just("# a".to_owned()), Just("> [!INFO]".to_owned()),
            Just("[!INFO]".to_owned()), Just("a | b".to_owned()), Just("--- | ---".to_owned()), Just("```".to_owned()),
            Just("<b>".to_owned()), Just("&amp;".to_owned()), Just("&#42;".to_owned()), Just("[a]: b".to_owned()),
            Just("[a](b)".to_owned()), Just("https://example.com/a_b".to_owned()), Just("a@b.example".to_owned()),
            Just("C:\\temp\\".to_owned()), Just("snake_case_name".to_owned()), Just("[ ] a".to_owned()),
            Just("===".to_owned()), Just("<details>".to_owned()), Just("</details>".to_owned()), Just("&".to_owned()),
            Just("10) a".to_owned()), Just("\\|".to_owned()), Just("|".to_owned()),
        ],
    ]
}

fn colors() -> impl Strategy<Value = String> {
    prop_oneof![Just("#ff0000".to_owned()), Just("#00FF7f".to_owned())]
}

fn links() -> impl Strategy<Value = Arc<Link>> {
    let hrefs = prop_oneof![
        Just("https://example.com/a".to_owned()),
        Just(String::new()),
        Just("status:green".to_owned()),
        Just("link:accountid:1".to_owned()),
        r#"[a /()<>\\|&`"'?#%\[\]*_]{1,8}"#,
    ];
    let titles = option::of(r#"[a"'\\|&`<>*() ]{1,6}"#);
    (hrefs, titles).prop_map(|(href, title)| Arc::new(Link { href, title }))
}

fn marks() -> impl Strategy<Value = Marks> {
    let flags = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2));
    let others = (
        option::weighted(0.2, links()),
        option::weighted(0.1, prop_oneof![Just(Script::Sub), Just(Script::Sup)]),
        option::weighted(0.1, colors()),
        option::weighted(0.1, colors()),
    );
    prop_oneof![
        3 => Just(Marks::default()),
        3 => (flags, others).prop_map(|((strong, em, strike, underline), (link, script, color, background))| Marks {
            strong, em, strike, underline, link, script, color, background, code: false,
        }),
        1 => option::weighted(0.2, links()).prop_map(|link| Marks { code: true, link, ..Marks::default() }),
    ]
}

fn ids() -> impl Strategy<Value = String> {
    prop_oneof![Just("557058:f58131cb-b67d".to_owned()), "[a-z0-9:%/?&# ]{1,6}"]
}

fn pieces() -> impl Strategy<Value = Inline> {
    let shown = || {
        texts().prop_filter("labels do not begin or end with a mark of their own", |text| text.trim() == text)
    };
    prop_oneof![
        12 => (texts(), marks()).prop_map(|(text, marks)| Inline::Text { text, marks }),
        2 => Just(Inline::Break),
        2 => (ids(), option::of(shown())).prop_map(|(id, text)| {
            Inline::Mention { text: text.filter(|text| *text != format!("@{id}")), id }
        }),
        1 => (option::of(ids()), option::of(shown())).prop_map(|(id, text)| {
            Inline::Emoji { name: ":smile:".to_owned(), id, text: text.filter(|text| text != ":smile:") }
        }),
        1 => prop_oneof![Just("1769817600000"), Just("1769817600123"), Just("-86400000")]
            .prop_map(|stamp| Inline::Date(stamp.to_owned())),
        1 => (shown(), prop_oneof![Just("blue".to_owned()), colors()])
            .prop_map(|(text, color)| Inline::Status { text, color }),
        1 => prop_oneof![Just("https://example.com/x?y=1|2".to_owned()), Just("not an address".to_owned())]
            .prop_map(Inline::Card),
        1 => Just(Inline::Opaque(serde_json::json!({ "type": "placeholder", "attrs": { "text": "Type <here> `a` \\ |" } }))),
        1 => media().prop_filter("addresses within text are links", |media| matches!(media.place, MediaPlace::Stored { .. }))
            .prop_map(|media| Inline::Media(Media { layout: None, ..media })),
    ]
}

/// Running text as a reader gives it: no two neighbours of the same marks, marks of code alone.
fn inlines(least: usize) -> impl Strategy<Value = Vec<Inline>> {
    vec(pieces(), least..6).prop_map(|pieces| {
        let mut out: Vec<Inline> = Vec::new();
        for piece in pieces {
            if let (Some(Inline::Text { text, marks }), Inline::Text { text: more, marks: other }) =
                (out.last_mut(), &piece)
                && marks == other
            {
                text.push_str(more);
            } else {
                out.push(piece);
            }
        }
        out
    })
}

fn media() -> impl Strategy<Value = Media> {
    let places = prop_oneof![
        (ids(), prop_oneof![Just(String::new()), Just("a b&c".to_owned())])
            .prop_map(|(id, collection)| { MediaPlace::Stored { kind: "file".to_owned(), id, collection } }),
        Just(MediaPlace::Address("https://example.com/a(b).png".to_owned())),
    ];
    let alt = prop_oneof![Just(String::new()), texts().prop_filter("trimmed", |text| text.trim() == text)];
    let sizes = option::of(prop_oneof![Just(serde_json::Number::from(640)), Just("12.5".parse().unwrap())]);
    (places, alt, sizes, option::of(Just("wide".to_owned()))).prop_map(|(place, alt, width, layout)| Media {
        place,
        alt,
        height: width.clone(),
        width,
        layout,
    })
}

fn panels() -> impl Strategy<Value = PanelKind> {
    prop_oneof![
        Just(PanelKind::Info),
        Just(PanelKind::Warning),
        Just(PanelKind::Success),
        Just(PanelKind::Custom)
    ]
}

fn paragraph() -> impl Strategy<Value = Block> {
    inlines(1).prop_map(Block::Paragraph)
}

fn code() -> impl Strategy<Value = Block> {
    let languages = option::of(prop_oneof![Just("rust".to_owned()), Just("c++ `x` &amp; \\".to_owned())]);
    let lines = vec(
        prop_oneof![texts(), Just("```".to_owned()), Just(String::new()), Just("    a".to_owned())],
        0..4,
    );
    (languages, lines).prop_map(|(language, lines)| Block::Code { language, text: lines.join("\n") })
}

fn items(depth: u32) -> BoxedStrategy<Vec<Vec<Block>>> {
    let rest = if depth == 0 {
        code().boxed()
    } else {
        prop_oneof![list(depth - 1), code(), paragraph(), tasks().prop_map(Block::Tasks)].boxed()
    };
    let item = prop_oneof![
        4 => (paragraph(), vec(rest.clone(), 0..3)).prop_map(|(first, mut rest)| {
            rest.insert(0, first);
            rest
        }),
        1 => rest.prop_map(|only| vec![only]),
        1 => Just(Vec::new()),
    ];
    vec(item, 1..4).boxed()
}

fn list(depth: u32) -> BoxedStrategy<Block> {
    let starts = prop_oneof![Just(None), Just(Some(1)), Just(Some(7)), Just(Some(0))];
    (starts, items(depth)).prop_map(|(start, items)| Block::List { start, items }).boxed()
}

fn tasks() -> BoxedStrategy<Vec<Task>> {
    let leaf = (any::<bool>(), inlines(1)).prop_map(|(done, text)| Task { done, text, nested: Vec::new() });
    let nested = (any::<bool>(), inlines(1), vec(leaf, 0..3)).prop_map(|(done, text, nested)| Task {
        done,
        text,
        nested,
    });
    vec(nested, 1..4).boxed()
}

fn cells(header: bool) -> impl Strategy<Value = Cell> {
    let text =
        prop_oneof![1 => Just(Vec::new()), 4 => inlines(1).prop_map(|text| vec![Block::Paragraph(text)])];
    text.prop_map(move |blocks| Cell { header, columns: 1, rows: 1, blocks })
}

fn tables() -> impl Strategy<Value = Block> {
    (any::<bool>(), 1_usize..4, 1_usize..4).prop_flat_map(|(headed, columns, rows)| {
        let head = vec(cells(headed), columns).prop_filter("a row of empty headings is no row", move |row| {
            !headed || row.iter().any(|cell| !cell.blocks.is_empty())
        });
        (head, vec(vec(cells(false), columns), rows)).prop_map(|(head, mut rows)| {
            rows.insert(0, head);
            Block::Table(rows)
        })
    })
}

fn blocks(depth: u32) -> BoxedStrategy<Block> {
    let heading = (1_u8..=6, inlines(0)).prop_map(|(level, text)| Block::Heading { level, text });
    let quoted = || vec(prop_oneof![paragraph(), list(1), code()], 1..3);
    let panel = (panels(), vec(prop_oneof![paragraph(), list(1), code(), Just(Block::Rule)], 1..3))
        .prop_map(|(kind, blocks)| Block::Panel { kind, blocks });
    let single = (media(), prop_oneof![Just(String::new()), Just("A \"caption\" & more".to_owned())])
        .prop_map(|(media, caption)| Block::Media { media, caption });
    let group =
        vec(media().prop_map(|media| Media { layout: None, ..media }), 1..4).prop_map(Block::MediaGroup);
    let flat = prop_oneof![
        6 => paragraph(),
        2 => heading,
        3 => list(depth),
        2 => tasks().prop_map(Block::Tasks),
        2 => code(),
        2 => quoted().prop_map(Block::Quote),
        2 => panel,
        1 => vec(inlines(1), 1..3).prop_map(Block::Decisions),
        1 => Just(Block::Rule),
        3 => tables(),
        1 => single,
        1 => group,
        1 => Just(Block::Card("https://example.com/card".to_owned())),
        1 => Just(Block::Opaque(serde_json::json!({
            "type": "extension", "attrs": { "extensionKey": "toc", "extensionType": "com.example", "parameters": { "a": [1, "<|>"] } },
        }))),
    ];
    if depth == 0 {
        return flat.boxed();
    }
    let title = prop_oneof![Just(String::new()), Just("A <title> & \"more\"".to_owned())];
    let expand = (title, vec(blocks(0), 1..3)).prop_map(|(title, blocks)| Block::Expand { title, blocks });
    prop_oneof![12 => flat, 1 => expand].boxed()
}
