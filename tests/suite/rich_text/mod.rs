//! Rich text: Markdown, ADF, HTML and plain text into each other.

mod documents;

use std::io::Read;
use std::sync::LazyLock;

use proptest::prelude::*;
use recordport::rich_text::{
    Document, adf_to_markdown, markdown_to_adf, read_adf, read_html, read_markdown, read_plain,
    same_markdown, write_adf, write_html, write_markdown, write_over, write_plain,
};
use serde_json::{Value, json};

/// The ADF schema of the package `@atlaskit/adf-schema`.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/specs/adf-full.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
});

fn assert_valid(document: &Value) {
    assert!(SCHEMA.is_valid(document), "not accepted by the ADF schema: {document}");
}

fn doc(content: &Value) -> Value {
    json!({ "type": "doc", "version": 1, "content": content })
}

/// What goes to Markdown and back, with the Markdown between.
fn round_trip(document: &Value) -> (String, Value) {
    let markdown = adf_to_markdown(document);
    let again = markdown_to_adf(&markdown);
    (markdown, again)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_that_markdown_can_say_survives_markdown(document in documents::documents()) {
        let adf = write_adf(&document);
        assert_valid(&adf);
        prop_assert_eq!(&write_adf(&read_adf(&adf)), &adf, "ADF is read as it is written");
        let (markdown, again) = round_trip(&adf);
        prop_assert_eq!(&again, &adf, "by way of\n{}", markdown);
    }

    #[test]
    fn any_markdown_becomes_a_document_that_the_schema_accepts_and_that_is_stable(
        lines in proptest::collection::vec((
            prop_oneof![Just(""), Just("- "), Just("> "), Just("1. "), Just("# "), Just("    "), Just("| "), Just("- [ ] "), Just("```"), Just("  ")],
            documents::texts(),
            prop_oneof![
                Just(""), Just("<b>"), Just("</details>"), Just("<details><summary>"), Just("<table><td>"), Just("</td>"), Just("<ul><li>"),
                Just("![a](b)"), Just("[x](status:)"), Just("[x](status:blue)"), Just("<adf:{}>"), Just("[x](<adf:{\"type\":\"extension\"}>)"),
                Just("|a|b|\n|-|-|\n|c|"), Just("[!NOTE]"), Just("**"), Just("<pre>"), Just("<span style='color:#ff0000'>"), Just("[y](date:)"),
            ],
        ), 0..12),
    ) {
        let text: Vec<String> = lines.into_iter().map(|(start, text, end)| format!("{start}{text}{end}")).collect();
        let adf = markdown_to_adf(&text.join("\n"));
        assert_valid(&adf);
        let (markdown, again) = round_trip(&adf);
        assert_valid(&again);
        prop_assert!(same_markdown(&adf, &markdown));
    }
}

#[test]
fn a_table_and_a_mention_survive() {
    let cell = |kind: &str, content: Value| json!({ "type": kind, "attrs": {}, "content": [{ "type": "paragraph", "content": content }] });
    let text = |text: &str| json!([{ "type": "text", "text": text }]);
    let adf = doc(&json!([
        { "type": "table", "content": [
            { "type": "tableRow", "content": [cell("tableHeader", text("Who")), cell("tableHeader", text("What | why"))] },
            { "type": "tableRow", "content": [
                cell("tableCell", json!([{ "type": "mention", "attrs": { "id": "557058:1", "text": "@Ada" } }])),
                cell("tableCell", json!([
                    { "type": "text", "text": "a|b", "marks": [{ "type": "code" }] },
                    { "type": "hardBreak" },
                    { "type": "status", "attrs": { "text": "Done", "color": "green" } },
                ])),
            ] },
        ] },
        { "type": "paragraph", "content": [
            { "type": "text", "text": "Ask " },
            { "type": "mention", "attrs": { "id": "557058:1", "text": "@Ada" } },
            { "type": "text", "text": " until " },
            { "type": "date", "attrs": { "timestamp": "1769817600000" } },
        ] },
    ]));
    assert_valid(&adf);
    let (markdown, again) = round_trip(&adf);
    assert_eq!(
        markdown,
        "| Who | What \\| why |\n| --- | --- |\n| [@Ada](accountid:557058:1) | `a\\|b`<br>[Done](status:green) |\n\n\
         Ask [@Ada](accountid:557058:1) until [2026-01-31](date:)"
    );
    assert_eq!(again, adf);
}

#[test]
fn markdown_of_people_becomes_the_nodes_that_they_mean() {
    let adf = markdown_to_adf(
        "# Title\n\nSome **bold**, _italic_, ~~old~~ and `code`, a [link](https://example.com \"T\"),\na soft line\\\nand a hard one.\n\n\
         1. one\n2. two\n   - [x] done\n   - [ ] open\n\n> [!WARNING]\n> Hot\n\n```rust\nfn main() {}\n```\n\n---\n\n\
         <details>\n<summary>More</summary>\n\nHidden\n\n</details>\n\n![alt](https://example.com/a.png)",
    );
    assert_valid(&adf);
    let kinds: Vec<&str> =
        adf["content"].as_array().unwrap().iter().filter_map(|node| node["type"].as_str()).collect();
    assert_eq!(
        kinds,
        ["heading", "paragraph", "orderedList", "panel", "codeBlock", "rule", "expand", "mediaSingle"]
    );
    let line = &adf["content"][1]["content"];
    assert_eq!(line[1], json!({ "type": "text", "text": "bold", "marks": [{ "type": "strong" }] }));
    assert_eq!(
        line[9]["marks"],
        json!([{ "type": "link", "attrs": { "href": "https://example.com", "title": "T" } }])
    );
    assert_eq!(line[10]["text"], ", a soft line");
    assert_eq!(line[11], json!({ "type": "hardBreak" }));
    let tasks = &adf["content"][2]["content"][1]["content"][1];
    assert_eq!(tasks["type"], "taskList");
    assert_eq!(tasks["content"][0]["attrs"]["state"], "DONE");
    assert_eq!(adf["content"][3]["attrs"]["panelType"], "warning");
    assert_eq!(adf["content"][4]["attrs"]["language"], "rust");
    assert_eq!(adf["content"][6]["attrs"]["title"], "More");
}

#[test]
fn tags_without_a_meaning_are_words() {
    for text in ["Use List<String> here", "a <custom-tag> b", "<x>alone</x>"] {
        let adf = markdown_to_adf(text);
        assert_valid(&adf);
        assert_eq!(adf["content"][0]["content"][0]["text"], text);
    }
}

#[test]
fn blocks_where_they_may_not_stand_give_their_content() {
    let adf = markdown_to_adf(
        "- # Heading\n- | a | b |\n  |---|---|\n  | c | d |\n- > quoted\n\n> # In a quotation\n> > deeper",
    );
    assert_valid(&adf);
    let text = write_plain(&read_adf(&adf));
    for word in ["Heading", "a | b", "c | d", "quoted", "In a quotation", "deeper"] {
        assert!(text.contains(word), "{word} is lost in {text}");
    }
}

#[test]
fn unknown_nodes_give_their_content_and_bad_ones_do_no_harm() {
    let adf = doc(&json!([
        { "type": "layoutSection", "content": [
            { "type": "layoutColumn", "attrs": { "width": 50 }, "content": [{ "type": "paragraph", "content": [{ "type": "text", "text": "left" }] }] },
            { "type": "layoutColumn", "attrs": { "width": 50 }, "content": [{ "type": "paragraph", "content": [{ "type": "text", "text": "right" }] }] },
        ] },
        { "type": "novelty", "content": [{ "type": "text", "text": "new" }] },
        { "type": "paragraph", "content": [{ "type": "sparkle", "attrs": { "text": "glitter" } }, { "type": "text" }, 7, null] },
        { "type": "table", "content": "no" },
        { "attrs": 1 },
    ]));
    let (markdown, again) = round_trip(&adf);
    for word in ["left", "right", "new", "glitter"] {
        assert!(markdown.contains(word), "{word} is lost in {markdown}");
    }
    assert_valid(&again);
    assert_eq!(adf_to_markdown(&Value::Null), "");
    assert_eq!(adf_to_markdown(&json!("1. plain\ntext")), "1\\. plain\\\ntext");
}

#[test]
fn a_document_that_was_not_edited_is_not_written() {
    let adf = doc(&json!([
        { "type": "paragraph", "marks": [{ "type": "alignment", "attrs": { "align": "center" } }], "content": [{ "type": "text", "text": "Hello *you*" }] },
        { "type": "paragraph" },
    ]));
    let markdown = adf_to_markdown(&adf);
    assert!(same_markdown(&adf, &markdown));
    assert!(same_markdown(&adf, &format!("{markdown}  \r\n\n")));
    assert!(same_markdown(&adf, "Hello \\*you\\*"), "the same said otherwise");
    assert!(!same_markdown(&adf, "Hello *you*"));
    assert_eq!(write_over(&adf, &markdown), adf);
}

#[test]
fn an_edit_leaves_the_other_blocks_as_they_are() {
    let aligned = |text: &str| {
        json!({ "type": "paragraph", "marks": [{ "type": "alignment", "attrs": { "align": "center" } }],
                "content": [{ "type": "text", "text": text }] })
    };
    let macros = json!({ "type": "bodiedExtension", "attrs": { "extensionKey": "x", "extensionType": "y" },
                         "content": [aligned("in a macro"), aligned("twice")] });
    let adf =
        doc(&json!([aligned("one"), { "type": "paragraph" }, macros, aligned("two"), aligned("three")]));
    let edited = adf_to_markdown(&adf).replace("two", "2\n\nnew");
    let written = write_over(&adf, &edited);
    let plain = |text: &str| json!({ "type": "paragraph", "content": [{ "type": "text", "text": text }] });
    assert_eq!(
        written["content"],
        json!([aligned("one"), { "type": "paragraph" }, macros, plain("2"), plain("new"), aligned("three")])
    );
}

#[test]
fn depth_and_length_are_no_danger() {
    let many = 4_000;
    let hostile = [
        "> ".repeat(2_000) + "a",
        "- ".repeat(2_000) + "a",
        "<details>".repeat(many),
        "<b>".repeat(many) + &"</i>".repeat(many),
        "<a href=x>".repeat(many),
        "<table><tr><td>".repeat(many / 10),
        "[".repeat(many),
        "![".repeat(many / 10) + &"](a)".repeat(many / 10),
        "*a_ ".repeat(many),
        "<span data-link='status:blue'>".repeat(many),
        "`".repeat(many) + "a",
        "| ".repeat(many / 10) + "\n" + &"|-".repeat(many / 10) + "\n" + &"| a".repeat(many / 10),
    ];
    for text in hostile {
        let adf = markdown_to_adf(&text);
        assert!(serde_json::from_str::<Value>(&adf.to_string()).is_ok(), "too deep to be read");
        let _ = write_html(&read_markdown(&text));
        let _ = write_plain(&read_html(&text));
    }
    let mut deep = json!({ "type": "text", "text": "core" });
    for _ in 0..3_000 {
        let mut quote = json!({ "type": "blockquote" });
        quote["content"] = Value::Array(vec![deep]);
        deep = quote;
    }
    let (markdown, again) = round_trip(&deep);
    assert!(markdown.contains("core"));
    assert!(again.to_string().contains("core"));
    dismantle(deep);
}

/// Takes a deep value apart without recursion, since dropping it would recurse.
fn dismantle(value: Value) {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(members) => waiting.extend(members.into_iter().map(|(_, member)| member)),
            _ => {}
        }
    }
}

#[test]
fn html_says_the_same() {
    let html = "<h2>Title</h2><p>Some <b>bold</b> and <a href=\"https://example.com\">linked</a><br>text</p>\
                <ul>\n <li>one\n <li>two<ol start=3><li>three</li></ol></ul>\
                <pre><code class=\"language-sql\">SELECT 1\n  FROM t</code></pre>\
                <table><thead><tr><th>A<th>B<tbody><tr><td>1<td>2</table><script>no()</script><blockquote>said</blockquote>";
    let document = read_html(html);
    assert_valid(&write_adf(&document));
    assert_eq!(
        write_markdown(&document),
        "## Title\n\nSome **bold** and [linked](https://example.com)\\\ntext\n\n- one\n- two\n\n  3. three\n\n\
         ```sql\nSELECT 1\n  FROM t\n```\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n\n> said"
    );
    let again = read_html(&write_html(&document));
    assert_eq!(again, document);
}

#[test]
fn plain_text_keeps_its_lines_and_paragraphs() {
    let document = read_plain("Dear *you*,\n- not a list\n\n\nYours\n");
    assert_eq!(write_markdown(&document), "Dear \\*you\\*,\\\n\\- not a list\n\nYours");
    assert_eq!(write_plain(&document), "Dear *you*,\n- not a list\n\nYours");
    assert_eq!(write_adf(&Document::default()), doc(&json!([])));
}

#[test]
fn a_backslash_before_the_blank_at_the_end_of_a_line_stays_one() {
    let adf = doc(&json!([{ "type": "paragraph", "content": [{ "type": "text", "text": "C:\\ " }] }]));
    let (markdown, again) = round_trip(&adf);
    assert_eq!((markdown.as_str(), again), ("C:\\\\&#32;", adf));
}

#[test]
fn a_line_break_alone_does_not_swallow_the_list_below_it() {
    let adf = doc(&json!([{ "type": "bulletList", "content": [{ "type": "listItem", "content": [
        { "type": "paragraph", "content": [{ "type": "hardBreak" }] },
        { "type": "taskList", "attrs": { "localId": "1" }, "content": [
            { "type": "taskItem", "attrs": { "localId": "2", "state": "TODO" }, "content": [{ "type": "text", "text": "a" }] },
        ] },
    ] }] }]));
    assert_eq!(round_trip(&adf).1, adf);
}
