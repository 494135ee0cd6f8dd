//! Rich text between its forms.

use serde_json::{Value, json};

use super::{compiled, document, made, places};

/// A value of `from` in the field `to`, with the step; what does not fit is told.
fn rewritten(from: &str, to: &str, step: Value, text: &str) -> Result<String, String> {
    let rule = json!({"to": to, "from": from, "steps": [step]});
    let out = made(rule, &json!({from: text}).to_string())?;
    let out: Value = serde_json::from_str(&out).expect("JSON");
    Ok(out[to].as_str().expect("text").to_owned())
}

#[test]
fn rich_text_goes_between_all_of_its_forms() {
    let forms = [
        ("Body", "html", "<p>A <strong>bold</strong> word</p>"),
        ("Readme", "markdown", "A **bold** word"),
        (
            "Comment",
            "adf",
            r#"{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"A "},{"type":"text","text":"bold","marks":[{"type":"strong"}]},{"type":"text","text":" word"}]}]}"#,
        ),
    ];
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text.trim()));
    for (from, given, text) in forms {
        for (to, wanted, expected) in forms.into_iter().filter(|(to, ..)| *to != from) {
            let out = rewritten(from, to, json!({"op": "rich_text"}), text).expect("fits");
            assert_eq!(parsed(&out), parsed(expected), "{given} to {wanted}");
            // The same when it comes out of a field that only says that it is text.
            let said = json!({"op": "rich_text", "in": given, "out": wanted});
            assert_eq!(rewritten("Unlimited", to, said, text).as_deref(), Ok(out.as_str()));
        }
        let plain = rewritten(from, "Unlimited", json!({"op": "rich_text"}), text).expect("fits");
        assert_eq!(plain.trim(), "A bold word", "{given} to plain");
    }
    let html = rewritten("Unlimited", "Body", json!({"op": "rich_text"}), "1 < 2 & *no mark*").expect("fits");
    assert_eq!(html, "<p>1 &lt; 2 &amp; *no mark*</p>");
    let markdown = rewritten("Unlimited", "Readme", json!({"op": "rich_text"}), "*no mark*").expect("fits");
    assert!(markdown.contains("\\*no mark"), "{markdown}");
}

#[test]
fn what_is_no_document_fails_and_what_needs_no_step_is_told() {
    let step = json!({"op": "rich_text"});
    assert!(rewritten("Comment", "Body", step.clone(), "no JSON").is_err());
    assert!(rewritten("Comment", "Body", step.clone(), "[]").is_err());
    let refused = [
        ("Body", "Body", step.clone(), "/op"),
        ("Unlimited", "Unlimited", step.clone(), "/op"),
        ("Body", "Readme", json!({"op": "rich_text", "in": "markdown", "out": "markdown"}), "/in"),
        ("Tags", "Body", step, "/op"),
    ];
    for (from, to, step, at) in refused {
        let rules = json!([{"to": "@key", "const": "k"}, {"to": to, "from": from, "steps": [step]}]);
        let problems = compiled(&document("update", rules)).problems;
        assert_eq!(
            places(&problems),
            [format!("error /fields/1/steps/0{at}")],
            "{from} to {to}: {problems:#?}"
        );
    }
    let silent = json!([{"to": "@key", "const": "k"}, {"to": "Body", "from": "Readme"}]);
    let problems = compiled(&document("update", silent)).problems;
    assert_eq!(places(&problems), ["error /fields/1"]);
    assert!(problems[0].fix.as_deref().is_some_and(|fix| fix.contains("rich_text")), "{problems:#?}");
}

#[test]
fn missing_and_null_rich_text_stay_what_they_are() {
    let rule = json!({"to": "Body", "from": "Readme", "steps": [{"op": "rich_text"}]});
    assert_eq!(made(rule.clone(), "{}").as_deref(), Ok("{}"));
    assert_eq!(made(rule.clone(), r#"{"Readme":null}"#).as_deref(), Ok(r#"{"Body":null}"#));
    assert!(
        made(rule, &json!({"Readme": "x".repeat(300)}).to_string()).is_err(),
        "longer than the field takes"
    );
}
