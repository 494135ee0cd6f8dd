//! What the steps make of values.

use recordport::mapping::Given;
use recordport::record::capability::ContentCapability;
use recordport::record::{Capability, RecordType};
use serde_json::{Value, json};

use super::{able, compiled, compiled_between, document, made, places, updated};

/// What steps make of a text in a field of any length.
fn text(steps: Value, value: &str) -> Result<String, String> {
    let record = json!({"Unlimited": value}).to_string();
    let out = made(json!({"to": "Unlimited", "from": "Unlimited", "steps": steps}), &record)?;
    let out: Value = serde_json::from_str(&out).expect("JSON");
    Ok(out["Unlimited"].as_str().map_or_else(|| out.to_string(), str::to_owned))
}

#[test]
fn steps_on_text() {
    let cases = [
        (json!([{"op": "trim"}]), "  a  b\n", "a  b"),
        (json!([{"op": "trim", "inside": true}]), "  a \t b\n", "a b"),
        (json!([{"op": "case", "to": "upper"}]), "straße", "STRASSE"),
        (json!([{"op": "case", "to": "lower"}]), "ÀB", "àb"),
        (json!([{"op": "case", "to": "title"}]), "o'neil JEAN-luc", "O'neil Jean-Luc"),
        (json!([{"op": "replace", "find": "-", "with": "+"}]), "a-b-c", "a+b+c"),
        (json!([{"op": "replace", "find": "b"}]), "abab", "aa"),
        (json!([{"op": "split", "by": ","}, {"op": "item", "index": 1}]), "a, b ,c", "b"),
        (json!([{"op": "split", "by": ","}, {"op": "item", "index": -1}]), "a,b,c,", "c"),
        (json!([{"op": "split", "by": ",", "exact": true}, {"op": "join", "with": "|"}]), "a, ,b,", "a| |b|"),
        (
            json!([{"op": "split", "by": " "}, {"op": "each", "steps": [{"op": "case", "to": "upper"}]},
            {"op": "join", "with": ""}]),
            "a b",
            "AB",
        ),
        (json!([{"op": "json"}]), "a\"b", "\"a\\\"b\""),
    ];
    for (steps, given, expected) in cases {
        assert_eq!(text(steps.clone(), given).as_deref(), Ok(expected), "{steps}");
    }
}

#[test]
fn more_values_are_put_behind_a_text_unless_they_are_empty() {
    let rule = json!({"to": "Unlimited", "from": "Name",
        "steps": [{"op": "concat", "of": ["Email", "Phone", "Count", "@row"], "with": " / "}]});
    let out = made(rule, r#"{"Name":"n","Email":null,"Phone":"","Count":3}"#);
    assert_eq!(out.as_deref(), Ok(r#"{"Unlimited":"n / 3 / 7"}"#));
}

#[test]
fn what_is_cut_is_reported() {
    let rule =
        json!([{"to": "External", "from": "Unlimited", "steps": [{"op": "truncate", "ellipsis": "…"}]}]);
    let long = "é".repeat(65);
    let mapped = updated(rule.clone(), &json!({"Unlimited": long}).to_string()).expect("fits");
    assert!(mapped.json.contains(&format!("{}…", "é".repeat(63))), "{}", mapped.json);
    assert_eq!(mapped.warnings.len(), 1);
    assert_eq!(mapped.warnings[0].field, "External");
    assert_eq!(mapped.warnings[0].message, "was cut from 65 to 64 characters");
    let fits = updated(rule, &json!({"Unlimited": "é".repeat(64)}).to_string()).expect("fits");
    assert!(fits.warnings.is_empty());
}

#[test]
fn a_text_that_is_too_long_fails_and_is_never_cut_unasked() {
    let rule = json!({"to": "External", "from": "Unlimited"});
    let told = made(rule.clone(), &json!({"Unlimited": "x".repeat(65)}).to_string()).expect_err("refused");
    assert_eq!(told, "External: has 65 characters; at most 64 are taken");
    // Characters count, not the escapes that they are written with.
    let escaped = format!("{{\"Unlimited\":\"{}\"}}", "\\u00e9".repeat(64));
    assert!(made(rule, &escaped).is_ok());
}

#[test]
fn numbers_are_read_rounded_and_written_by_their_digits() {
    let amount = |steps: Value, value: &str| {
        let record = json!({"Unlimited": value}).to_string();
        made(json!({"to": "Free", "from": "Unlimited", "steps": steps}), &record)
    };
    let german = json!([{"op": "number", "decimal": ",", "group": "."}]);
    assert_eq!(amount(german.clone(), "1.234.567,80").as_deref(), Ok(r#"{"Free":1234567.8}"#));
    assert_eq!(
        amount(json!([{"op": "number"}]), " -12345678901234567890.125 ").as_deref(),
        Ok(r#"{"Free":-12345678901234567890.125}"#)
    );
    for wrong in ["12 €", "1,23,4", "1.23", "12e5x", "0x10", "--1"] {
        assert!(amount(german.clone(), wrong).is_err(), "{wrong}");
    }
    assert_eq!(amount(german, "").as_deref(), Ok(r#"{"Free":null}"#));

    let number = |steps: Value, value: &str| {
        let out = made(
            json!({"to": "Unlimited", "from": "Free", "steps": steps}),
            &format!("{{\"Free\":{value}}}"),
        );
        out.map(|out| out[14..out.len() - 2].to_owned())
    };
    assert_eq!(number(json!([]), "0.10").as_deref(), Ok("0.10"));
    let money = json!([{"op": "round", "places": 2}, {"op": "number_format", "decimal": ",", "group": " ", "places": 2}]);
    assert_eq!(number(money.clone(), "1234567.005").as_deref(), Ok("1 234 567,01"));
    assert_eq!(number(money, "-0.001").as_deref(), Ok("0,00"));
    let count = |value: &str| {
        made(
            json!({"to": "Count", "from": "Free", "steps": [{"op": "round"}]}),
            &format!("{{\"Free\":{value}}}"),
        )
    };
    assert_eq!(count("99.5").as_deref(), Ok(r#"{"Count":100}"#));
    assert!(count("1e300").is_err(), "beyond the field's bounds");
}

#[test]
fn digits_that_a_field_does_not_keep_fail_unless_rounded() {
    let rule = |steps: Value| json!({"to": "Amount", "from": "Free", "steps": steps});
    let told = made(rule(json!([])), r#"{"Free":1.005}"#).expect_err("refused");
    assert!(told.contains("add a round step"), "{told}");
    assert_eq!(made(rule(json!([])), r#"{"Free":1.500}"#).as_deref(), Ok(r#"{"Amount":1.500}"#));
    assert_eq!(
        made(rule(json!([{"op": "round", "places": 2}])), r#"{"Free":1.005}"#).as_deref(),
        Ok(r#"{"Amount":1.01}"#)
    );
}

#[test]
fn dates_go_between_forms_and_zones_and_none_is_guessed() {
    let date = |to: &str, from: &str, step: Value, value: &str| {
        let record = json!({from: value}).to_string();
        let out = made(json!({"to": to, "from": from, "steps": [step]}), &record)?;
        let out: Value = serde_json::from_str(&out).expect("JSON");
        Ok::<_, String>(out[to].as_str().expect("text").to_owned())
    };
    let prague = |more: Value| {
        let mut step = json!({"op": "date", "zone": "Europe/Prague"});
        step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        step
    };
    let cases = [
        ("Born", "Unlimited", json!({"op": "date", "in": "%d.%m.%Y"}), "31.01.2026", "2026-01-31"),
        ("Born", "Unlimited", json!({"op": "date"}), "2026-01-31", "2026-01-31"),
        ("Born", "Seen", prague(json!({})), "2026-01-31T23:30:00Z", "2026-02-01"),
        ("Opens", "Seen", prague(json!({})), "2026-07-31T23:30:00Z", "01:30:00"),
        ("Seen", "Unlimited", prague(json!({})), "2026-07-01 09:30", "2026-07-01T07:30:00Z"),
        (
            "Seen",
            "Unlimited",
            json!({"op": "date"}),
            "2026-07-01T09:30:00.25+02:00",
            "2026-07-01T07:30:00.25Z",
        ),
        ("Seen", "Born", prague(json!({})), "2026-01-31", "2026-01-30T23:00:00Z"),
        (
            "Seen",
            "Unlimited",
            prague(json!({"in": "%m/%d/%Y %I:%M %p"})),
            "07/01/2026 09:30 PM",
            "2026-07-01T19:30:00Z",
        ),
        (
            "Seen",
            "Unlimited",
            json!({"op": "date", "in": "epoch_milliseconds"}),
            "1500",
            "1970-01-01T00:00:01.5Z",
        ),
        (
            "Unlimited",
            "Seen",
            prague(json!({"out": "%d.%m.%Y %H:%M"})),
            "2026-01-31T23:30:00Z",
            "01.02.2026 00:30",
        ),
        ("Unlimited", "Born", json!({"op": "date", "out": "%Y%m%d"}), "2026-01-31", "20260131"),
    ];
    for (to, from, step, given, expected) in cases {
        assert_eq!(date(to, from, step.clone(), given).as_deref(), Ok(expected), "{from} to {to}: {step}");
    }
    let refused = [
        ("Born", "Unlimited", json!({"op": "date"}), "01/02/2026"),
        ("Born", "Unlimited", json!({"op": "date"}), "2026-02-30"),
        ("Seen", "Unlimited", json!({"op": "date"}), "2026-07-01 09:30"),
        ("Seen", "Unlimited", prague(json!({})), "2026-03-29 02:30"),
        ("Seen", "Unlimited", prague(json!({})), "2026-10-25 02:30"),
        ("Born", "Unlimited", json!({"op": "date"}), "2026-07-01T09:30:00Z"),
        ("Opens", "Unlimited", json!({"op": "date"}), "2026-07-01"),
    ];
    for (to, from, step, given) in refused {
        assert!(date(to, from, step.clone(), given).is_err(), "{given} {step}");
    }
}

#[test]
fn a_date_step_that_cannot_be_right_is_refused_before_it_runs() {
    let refused = [
        ("Born", "Seen", json!({"op": "date"})),
        ("Seen", "Born", json!({"op": "date"})),
        ("Born", "Unlimited", json!({"op": "date", "zone": "Europe/Nowhere"})),
        ("Born", "Unlimited", json!({"op": "date", "in": "DD.MM.YYYY"})),
        ("Born", "Count", json!({"op": "date"})),
        ("Unlimited", "Born", json!({"op": "date"})),
        ("Born", "Tags", json!({"op": "date"})),
    ];
    for (to, from, step) in refused {
        let rules = json!([{"to": "@key", "const": "k"}, {"to": to, "from": from, "steps": [step]}]);
        let problems = compiled(&document("update", rules)).problems;
        assert!(problems[0].pointer.starts_with("/fields/1/steps/0"), "{step}: {problems:#?}");
        assert!(problems[0].fix.is_some(), "{step}");
    }
}

#[test]
fn values_are_mapped_and_others_are_what_was_said() {
    let rule = |otherwise: Option<&str>| {
        let mut step = json!({"op": "picklist", "map": {"a": "Hot", "7": "Warm", "true": "Cold"}});
        if let Some(otherwise) = otherwise {
            step["else"] = json!(otherwise);
        }
        json!({"to": "Rating", "from": "Unlimited", "steps": [step]})
    };
    assert_eq!(made(rule(None), r#"{"Unlimited":"a"}"#).as_deref(), Ok(r#"{"Rating":"Hot"}"#));
    assert_eq!(made(rule(None), r#"{"Unlimited":"b"}"#), Err("Rating: \"b\" is not in the map".to_owned()));
    assert_eq!(made(rule(Some("null")), r#"{"Unlimited":"b"}"#).as_deref(), Ok(r#"{"Rating":null}"#));
    let from_boolean = json!({"to": "Rating", "from": "Active",
        "steps": [{"op": "picklist", "map": {"true": "Hot", "false": null}}]});
    assert_eq!(made(from_boolean.clone(), r#"{"Active":true}"#).as_deref(), Ok(r#"{"Rating":"Hot"}"#));
    assert_eq!(made(from_boolean, r#"{"Active":false}"#).as_deref(), Ok(r#"{"Rating":null}"#));
    let several = json!({"to": "Tags", "from": "Unlimited", "steps": [
        {"op": "split", "by": ";"}, {"op": "picklist", "map": {"x": "a", "y": "b", "z": "a"}, "else": "null"}]});
    assert_eq!(made(several, r#"{"Unlimited":"y;x;z;q"}"#).as_deref(), Ok(r#"{"Tags":["b","a"]}"#));
    let label = json!({"to": "Unlimited", "from": "Priority", "steps": [{"op": "label"}]});
    assert_eq!(made(label, r#"{"Priority":1}"#).as_deref(), Ok(r#"{"Unlimited":"High"}"#));
}

#[test]
fn a_default_stands_in_for_missing_and_null() {
    let rule = |empty: bool| json!({"to": "Notes", "from": "Rating", "steps": [{"op": "default", "value": "none", "empty": empty}]});
    for record in ["{}", r#"{"Rating":null}"#] {
        assert_eq!(made(rule(false), record).as_deref(), Ok(r#"{"Notes":"none"}"#));
    }
    assert_eq!(made(rule(false), r#"{"Rating":""}"#).as_deref(), Ok(r#"{"Notes":""}"#));
    assert_eq!(made(rule(true), r#"{"Rating":""}"#).as_deref(), Ok(r#"{"Notes":"none"}"#));
    let rules = json!([{"to": "@key", "const": "k"},
        {"to": "Free", "from": "Count", "steps": [{"op": "default", "value": "many"}]}]);
    assert_eq!(places(&compiled(&document("update", rules)).problems), ["error /fields/1/steps/0/value"]);
}

#[test]
fn missing_null_and_what_does_not_fit_do_what_was_said() {
    let rule = |more: Value| {
        let mut rule = json!({"to": "Rating", "from": "Rating"});
        rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        rule
    };
    assert_eq!(made(rule(json!({})), "{}").as_deref(), Ok("{}"));
    assert_eq!(made(rule(json!({"on_missing": "null"})), "{}").as_deref(), Ok(r#"{"Rating":null}"#));
    assert_eq!(
        made(rule(json!({"on_missing": "error"})), "{}"),
        Err("Rating: there is no value for it".to_owned())
    );
    assert_eq!(
        made(rule(json!({"on_missing": "error"})), r#"{"Rating":null}"#).as_deref(),
        Ok(r#"{"Rating":null}"#)
    );
    assert!(made(rule(json!({})), r#"{"Rating":"Tepid"}"#).is_err());
    let cleared =
        updated(json!([rule(json!({"on_invalid": "null"}))]), r#"{"Rating":"Tepid"}"#).expect("fits");
    assert!(cleared.json.contains(r#""Rating":null"#));
    assert_eq!(cleared.warnings.len(), 1, "what is cleared is reported");
    let needed =
        made(json!({"to": "Name", "from": "Unlimited", "on_invalid": "null"}), r#"{"Unlimited":null}"#);
    assert_eq!(needed, Err("Name: is null, and the field must have a value".to_owned()));
}

#[test]
fn the_first_case_that_holds_gives_the_value() {
    let rule = json!({"to": "Rating", "cases": [
        {"where": "Amount > 100 AND Name LIKE 'A%'", "const": "Hot"},
        {"filter": {"combinator": "and", "rules": [{"field": "Amount", "operator": "null"}]}, "from": "Rating"},
        {"where": "Amount >= 0", "const": "Warm"},
        {"const": null}]});
    for (record, expected) in [
        (r#"{"Name":"Ax","Amount":100.01,"Rating":"Cold"}"#, r#"{"Rating":"Hot"}"#),
        (r#"{"Name":"Bx","Amount":100.01}"#, r#"{"Rating":"Warm"}"#),
        (r#"{"Name":"Bx","Amount":null,"Rating":"Cold"}"#, r#"{"Rating":"Cold"}"#),
        (r#"{"Name":"Bx","Amount":-1}"#, r#"{"Rating":null}"#),
    ] {
        assert_eq!(made(rule.clone(), record).as_deref(), Ok(expected), "{record}");
    }
    let open_ended = json!({"to": "Rating", "cases": [{"where": "Amount > 100", "const": "Hot"}]});
    assert_eq!(made(open_ended, r#"{"Amount":1}"#).as_deref(), Ok("{}"), "no case is no value");
}

#[test]
fn a_template_goes_on_without_a_value_only_where_it_says_so() {
    let made_of = |template: &str, record: &str| made(json!({"to": "Notes", "template": template}), record);
    let record = r#"{"Name":"Ann \"A\"","Email":null,"Count":5,"Active":true}"#;
    assert_eq!(
        made_of("{Name} {Count} {Active} {@key}", record).as_deref(),
        Ok(r#"{"Notes":"Ann \"A\" 5 true the key"}"#)
    );
    assert_eq!(made_of("Hello {Email}!", record).as_deref(), Ok("{}"), "never \"Hello !\"");
    assert_eq!(made_of("{{{Name}}} {Email?}.", record).as_deref(), Ok(r#"{"Notes":"{Ann \"A\"} ."}"#));
}

#[test]
fn objects_are_built_by_their_parts_and_lists_element_by_element() {
    let rules = json!([
        {"to": "Address.city", "from": "Address.city"},
        {"to": "Address.geo.lat", "from": "Free"},
        {"to": "Guests", "from": "Guests", "steps": [{"op": "each", "fields": [
            {"to": "email", "from": "email", "steps": [{"op": "trim"}, {"op": "case", "to": "lower"}]},
            {"to": "reply", "cases": [{"where": "reply = 'yes'", "const": "no"}, {"const": "yes"}]}]}]},
        {"to": "Aliases", "from": "Guests", "steps": [{"op": "each", "steps": []}]},
    ]);
    let refused = compiled(&document(
        "update",
        Value::Array([&[json!({"to": "@key", "const": "k"})][..], rules.as_array().expect("rules")].concat()),
    ));
    assert_eq!(places(&refused.problems), ["error /fields/4"], "{:#?}", refused.problems);

    let mut rules = rules.as_array().expect("rules").clone();
    rules.pop();
    rules.push(json!({"to": "Aliases", "from": "Tags"}));
    let record = r#"{"Address":{"city":"Brno"},"Free":1.50,"Tags":["b","a"],
        "Guests":[{"email":" A@x.Cz ","reply":"yes"},{"email":"b@x.cz","reply":null}]}"#;
    let mapped = updated(Value::Array(rules.clone()), record).expect("fits");
    assert_eq!(
        mapped.json,
        r#"{"@key":"k","Address":{"city":"Brno","geo":{"lat":1.50}},"Guests":[{"email":"a@x.cz","reply":"no"},{"email":"b@x.cz","reply":"yes"}],"Aliases":["b","a"]}"#
    );
    let bare = updated(Value::Array(rules.clone()), "{}").expect("fits");
    assert_eq!(bare.json, r#"{"@key":"k"}"#, "an object of nothing is left out");
    let refused = |record: &str| updated(Value::Array(rules.clone()), record).expect_err("refused");
    let told = refused(r#"{"Guests":[{"email":"a@x"},{"email":null}]}"#);
    assert_eq!(told, ["Guests/1/email: is null, and the field must have a value"]);
}

#[test]
fn what_is_wrong_inside_of_a_list_is_told_with_its_whole_place() {
    let rules = |email: Value, tags: Value| {
        json!([
            {"to": "Guests", "from": "Guests", "steps": [{"op": "each", "fields": [
                {"to": "email", "from": "email", "steps": email}]}]},
            {"to": "Aliases", "from": "Aliases", "steps": tags},
        ])
    };
    let only_yes = json!([{"op": "picklist", "map": {"yes": "y"}, "else": "error"}]);
    let each = json!([{"op": "each", "steps": only_yes}]);
    let fields = |record: &str| -> Vec<String> {
        let told = updated(rules(only_yes.clone(), each.clone()), record).expect_err("refused");
        told.iter().map(|told| told.split_once(": ").expect("a field").0.to_owned()).collect()
    };
    let guests = |guests: &str| format!(r#"{{"Guests":{guests}}}"#);
    assert_eq!(fields(&guests(r#"[{"email":"yes"},{"email":"yes"},{"email":"no"}]"#)), ["Guests/2/email"]);
    // An element that has no fields is named itself.
    assert_eq!(fields(&guests(r#"[{"email":"yes"},7]"#)), ["Guests/1"]);
    assert_eq!(fields(r#"{"Aliases":["yes","no"]}"#), ["Aliases/1"]);
    assert_eq!(fields(r#"{"Guests":[{"email":"no"}],"Aliases":["no"]}"#), ["Guests/0/email", "Aliases/0"]);

    let mut cleared = rules(only_yes.clone(), each.clone());
    cleared[1]["on_invalid"] = json!("null");
    let mapped = updated(cleared, r#"{"Aliases":["yes","no"]}"#).expect("is cleared");
    let [warning] = &mapped.warnings[..] else { panic!("{:?}", mapped.warnings) };
    assert_eq!(warning.field, "Aliases");
    assert!(warning.message.starts_with("was cleared, because Aliases/1 "), "{}", warning.message);

    let cut = json!([{"op": "truncate", "length": 2}]);
    let mapped = updated(rules(cut, each), &guests(r#"[{"email":"a"},{"email":"abc"}]"#)).expect("is cut");
    assert_eq!(
        mapped.warnings.iter().map(|told| told.field.as_str()).collect::<Vec<_>>(),
        ["Guests/1/email"]
    );
}

#[test]
fn options_of_content_that_cannot_be_read_fail_their_record_instead_of_being_left_out() {
    let with_content = |writable| {
        let options = json!({"type": "object", "properties": {"file_name": {"type": "string"}}});
        let content =
            ContentCapability { fields: vec!["Photo".to_owned()], writable, bytes_max: None, options };
        let able = able();
        RecordType { capability: Capability { content: Some(content), ..able.capability }, ..able }
    };
    let mut document = document("update", json!([{"to": "@key", "const": "k"}]));
    document["contents"] = json!([
        {"from": "Photo", "to": "Photo"},
        {"from": "Photo", "to": "Photo", "options": [{"to": "file_name", "from": "Name"}]},
    ]);
    let compiled = compiled_between(&document, &with_content(false), &with_content(true));
    let program = compiled.program.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
    let apply = |record: &str| program.apply(Given { json: record, key: Some("k"), row: 1 });
    let mapped = apply(r#"{"Name":"a.png"}"#).expect("fits");
    assert_eq!(mapped.contents[1].options["file_name"], "a.png");
    // Half of a pair of surrogates is JSON, and no text.
    let refused = apply(r#"{"Name":"\ud800.png"}"#).expect_err("refused");
    assert_eq!(refused.fields()[0].field, "/contents/1/options", "{refused}");
}

#[test]
fn the_record_as_a_whole_is_json_text_digit_for_digit() {
    let rule = json!({"to": "Extra", "from": "@record", "steps": [{"op": "json"}]});
    let record = r#"{"Free":1.10,"Name":"é"}"#;
    let out: Value = serde_json::from_str(&made(rule, record).expect("fits")).expect("JSON");
    assert_eq!(out["Extra"], record);
}

#[test]
fn a_constant_keeps_its_digits() {
    let rules = r#""fields":[{"to":"@key","const":"k"},{"to":"Free","const":12345678901234567890.10}]"#;
    let text = document("update", json!([])).to_string().replace("\"fields\":[]", rules);
    let mapping = recordport::mapping::Mapping::parse(&text).expect("well-formed");
    let able = super::able();
    let types = recordport::mapping::Types { source: &able, paths: &able, target: &able };
    let program =
        recordport::mapping::compile(&mapping, types, &super::settings()).program.expect("compiles");
    let given = recordport::mapping::Given { json: "{}", key: None, row: 1 };
    assert_eq!(program.apply(given).expect("fits").json, r#"{"@key":"k","Free":12345678901234567890.10}"#);
}

#[test]
fn a_record_of_another_form_fails_by_itself() {
    for record in [r#"{"Rating":5}"#, r#"{"Rating":{"a":1}}"#, "[]", "null"] {
        let told = made(json!({"to": "Rating", "from": "Rating"}), record);
        assert!(told.is_err(), "{record}");
    }
}
