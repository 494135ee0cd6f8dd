//! Steps on values that nobody thought of: none loses anything without saying so, and missing, null and value stay
//! apart through each of them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use recordport::mapping::reverse::reverse;
use recordport::mapping::{Given, Mapping, Types, compile};
use recordport::record::{FieldType, RecordType};
use serde_json::{Value, json};

use super::{able, compiled, document, made, parsed, settings, updated};
use crate::support::record_types::open;

/// A text through steps, in fields of any text.
fn text(steps: &Value, value: &str) -> Result<String, String> {
    let rule = json!({"to": "Unlimited", "from": "Unlimited", "steps": steps});
    let out = made(rule, &json!({"Unlimited": value}).to_string())?;
    let out: Value = serde_json::from_str(&out).expect("JSON");
    Ok(out["Unlimited"].as_str().expect("text").to_owned())
}

/// Characters that mean something in some form of rich text, among letters.
fn wild() -> impl Strategy<Value = String> {
    "[a-zé*_#<>&\\[\\]`~|!.1-]{1,8}( [a-zé*_#<>&\\[\\]`~|!.1-]{1,8}){0,4}"
}

/// A type whose fields hold the results of steps that go backwards.
fn other() -> RecordType {
    let mut able = able();
    able.fields.push(open("Stage", super::stages(&["1", "2", "3"])));
    able.fields.push(open("Price", FieldType::text(80)));
    able.fields.push(open("Day", FieldType::text(40)));
    able
}

fn applied(mapping: &Mapping, source: &RecordType, target: &RecordType, json: &str) -> String {
    let compiled = compile(mapping, Types { source, paths: source, target }, &settings());
    let program = compiled.program.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
    program.apply(Given { json, key: None, row: 1 }).unwrap_or_else(|error| panic!("{error}")).json
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_date_is_read_as_what_it_says_or_not_at_all(
        second in 0_i64..4_000_000_000,
        nanos in 0_i32..1_000_000_000,
        minutes in -720_i32..840,
        garbage in ".{0,24}",
    ) {
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).expect("an offset");
        let instant = Timestamp::new(second, nanos).expect("an instant");
        let written = instant.display_with_offset(offset).to_string();
        let rule = json!({"to": "Seen", "from": "Unlimited", "steps": [{"op": "date", "in": "auto"}]});
        let out = made(rule.clone(), &json!({"Unlimited": written}).to_string()).expect("an instant");
        let out: Value = serde_json::from_str(&out).expect("JSON");
        prop_assert_eq!(out["Seen"].as_str().and_then(|text| text.parse::<Timestamp>().ok()), Some(instant));
        // The day of an instant is one of a zone that is named.
        let day = json!({"to": "Born", "from": "Seen", "steps": [{"op": "date", "zone": "Asia/Kolkata", "out": "date"}]});
        let day = made(day, &json!({"Seen": written}).to_string()).expect("a day");
        let zone = TimeZone::get("Asia/Kolkata").expect("a zone");
        prop_assert_eq!(day, json!({"Born": instant.to_zoned(zone).date().to_string()}).to_string());
        // What is no date is never made one.
        if let Ok(out) = made(rule, &json!({"Unlimited": garbage}).to_string()) {
            let out: Value = serde_json::from_str(&out).expect("JSON");
            let read: Option<Timestamp> = out["Seen"].as_str().and_then(|text| text.parse().ok());
            let blank = garbage.trim().is_empty() && out["Seen"].is_null();
            let same = read.is_some() && read == garbage.trim().parse().ok();
            prop_assert!(blank || same, "{} became {}", garbage, out);
        }
    }

    #[test]
    fn a_value_is_mapped_as_the_map_says_and_no_other_is_guessed(
        map in proptest::collection::btree_map("[a-z0-9 ]{1,6}", proptest::sample::select(vec!["Hot", "Warm", "Cold"]), 1..5),
        value in "[a-zA-Z0-9 ]{1,6}",
    ) {
        let step = |otherwise: &str| json!([{"op": "picklist", "map": map, "else": otherwise}]);
        let rule = |otherwise: &str| json!({"to": "Rating", "from": "Unlimited", "steps": step(otherwise)});
        let record = json!({"Unlimited": value}).to_string();
        match map.get(value.as_str()) {
            Some(wanted) => {
                let out = made(rule("error"), &record);
                prop_assert_eq!(out, Ok(json!({"Rating": wanted}).to_string()));
            }
            None => {
                prop_assert!(made(rule("error"), &record).is_err());
                prop_assert_eq!(made(rule("null"), &record), Ok(json!({"Rating": null}).to_string()));
                prop_assert_eq!(text(&step("keep"), &value), Ok(value.clone()));
            }
        }
    }

    #[test]
    fn a_label_is_that_of_its_value_and_an_unknown_value_has_none(number in -3_i64..6) {
        let rule = json!({"to": "Unlimited", "from": "Priority", "steps": [{"op": "label"}]});
        let out = made(rule, &json!({"Priority": number}).to_string());
        match number {
            1 => prop_assert_eq!(out, Ok(json!({"Unlimited": "High"}).to_string())),
            _ => prop_assert!(out.is_err(), "{:?}", out),
        }
    }

    #[test]
    fn what_is_put_together_holds_every_part_that_there_is(
        value in ".{0,12}",
        name in proptest::option::of(".{0,12}"),
        digits in "(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?",
    ) {
        let steps = json!([{"op": "concat", "of": ["Notes", "Free"], "with": " | "}]);
        let rule = json!({"to": "Unlimited", "from": "Unlimited", "steps": steps});
        let notes = name.as_ref().map_or(Value::Null, |name| json!(name));
        let record = format!("{{\"Unlimited\":{},\"Notes\":{notes},\"Free\":{digits}}}", json!(value));
        let out: Value = serde_json::from_str(&made(rule, &record).expect("fits")).expect("JSON");
        let parts = [Some(value.as_str()), name.as_deref(), Some(digits.as_str())];
        let wanted: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        let wanted = wanted.join(" | ");
        prop_assert_eq!(out["Unlimited"].as_str(), Some(wanted.as_str()));
    }

    #[test]
    fn replacing_touches_what_was_found_and_nothing_else(value in "[ab.$^\\\\(]{0,16}", find in "[ab.$^\\\\(]{1,3}", with in "[ab$1\\\\]{0,3}") {
        let steps = json!([{"op": "replace", "find": find, "with": with}]);
        prop_assert_eq!(text(&steps, &value), Ok(value.replace(&find, &with)));
    }

    #[test]
    fn every_element_is_kept_in_its_place(items in proptest::collection::vec("[ a-c]{0,5}", 0..6), numbers in proptest::collection::vec("-?[1-9][0-9]{0,25}", 0..5)) {
        let each = json!([{"op": "each", "steps": [{"op": "trim"}, {"op": "case", "to": "upper"}]}, {"op": "json"}]);
        let rule = json!({"to": "Extra", "from": "Aliases", "steps": each});
        let out: Value = serde_json::from_str(&made(rule, &json!({"Aliases": items}).to_string()).expect("fits")).expect("JSON");
        let wanted: Vec<String> = items.iter().map(|item| item.trim().to_uppercase()).collect();
        prop_assert_eq!(out["Extra"].as_str().map(str::to_owned), Some(json!(wanted).to_string()));
        // Elements that are no objects are taken whole by rules, too.
        let guests = json!({"to": "Guests", "from": "Aliases", "steps": [{"op": "each", "fields": [{"to": "email", "from": "@item"}]}]});
        let addresses: Vec<String> = numbers.iter().map(|number| format!("{number}@x.cz")).collect();
        let out: Value = serde_json::from_str(&made(guests, &json!({"Aliases": addresses}).to_string()).expect("fits")).expect("JSON");
        let wanted: Vec<Value> = addresses.iter().map(|address| json!({"email": address})).collect();
        prop_assert_eq!(&out["Guests"], &json!(wanted));
    }

    #[test]
    fn a_text_without_marks_is_the_same_after_any_form_of_rich_text(value in wild()) {
        for form in ["html", "markdown", "adf"] {
            let steps = json!([{"op": "rich_text", "in": "plain", "out": form}, {"op": "rich_text", "in": form, "out": "plain"}]);
            let out = text(&steps, &value);
            prop_assert_eq!(out.as_deref().map(str::trim), Ok(value.as_str()), "{}", form);
        }
    }

    #[test]
    fn a_mapping_and_its_opposite_give_back_what_there_was(
        rating in proptest::sample::select(vec![json!("Hot"), json!("Cold"), Value::Null]),
        cents in -100_000_000_i64..100_000_000,
        day in 1_i16..28,
        active in any::<bool>(),
    ) {
        let (here, there) = (able(), other());
        let rules = json!([
            {"to": "@key", "const": "k"},
            {"to": "Stage", "from": "Rating", "steps": [{"op": "picklist", "map": {"Hot": "1", "Warm": "2", "Cold": "3"}}]},
            {"to": "Price", "from": "Amount", "steps": [{"op": "number_format", "decimal": ",", "group": ".", "places": 2}]},
            {"to": "Day", "from": "Born", "steps": [{"op": "date", "out": "%d.%m.%Y"}]},
            {"to": "Active", "from": "Active"},
        ]);
        let forth = parsed(&document("update", rules));
        let mut back = reverse(&forth, &here, &there).mapping;
        back.fields.push(serde_json::from_value(json!({"to": "@key", "const": "k"})).expect("a rule"));
        let record = json!({"Rating": rating, "Amount": format!("{}.{:02}", cents / 100, cents.abs() % 100).parse::<f64>().expect("a number"),
            "Born": format!("2024-02-{day:02}"), "Active": active});
        let row = applied(&forth, &here, &there, &record.to_string());
        let mut again: Value = serde_json::from_str(&applied(&back, &there, &here, &row)).expect("JSON");
        again.as_object_mut().expect("an object").remove("@key");
        prop_assert_eq!(again["Amount"].as_f64(), record["Amount"].as_f64(), "{}", row);
        again["Amount"] = record["Amount"].clone();
        prop_assert_eq!(again, record, "{}", row);
    }
}

/// For each kind of step a field that it goes from, one that it goes to, and the step.
const EACH: [(&str, &str, &str); 19] = [
    ("Unlimited", "Unlimited", r#"{"op":"trim"}"#),
    ("Unlimited", "Unlimited", r#"{"op":"case","to":"upper"}"#),
    ("Seen", "Born", r#"{"op":"date","zone":"UTC","out":"date"}"#),
    ("Unlimited", "Seen", r#"{"op":"date"}"#),
    ("Unlimited", "Free", r#"{"op":"number"}"#),
    ("Free", "Unlimited", r#"{"op":"number_format","places":2}"#),
    ("Free", "Free", r#"{"op":"round","places":1}"#),
    ("Unlimited", "Unlimited", r#"{"op":"truncate","length":3}"#),
    ("Unlimited", "Rating", r#"{"op":"picklist","map":{"a":"Hot"},"else":"null"}"#),
    ("Priority", "Unlimited", r#"{"op":"label"}"#),
    ("Unlimited", "Aliases", r#"{"op":"split","by":","}"#),
    ("Aliases", "Unlimited", r#"{"op":"join","with":","}"#),
    ("Aliases", "Unlimited", r#"{"op":"item","index":0}"#),
    ("Unlimited", "Unlimited", r#"{"op":"concat","of":["Notes"],"with":" "}"#),
    ("Unlimited", "Unlimited", r#"{"op":"replace","find":"a","with":"b"}"#),
    ("Unlimited", "Body", r#"{"op":"rich_text"}"#),
    ("Unlimited", "Unlimited", r#"{"op":"expr","cel":"value + '!'"}"#),
    ("Unlimited", "Extra", r#"{"op":"json"}"#),
    ("Aliases", "Aliases", r#"{"op":"each","steps":[{"op":"trim"}]}"#),
];

#[test]
fn missing_and_null_pass_every_step_untouched_and_stay_apart() {
    for (from, to, step) in EACH {
        let step: Value = serde_json::from_str(step).expect("JSON");
        let rule = |more: &Value| {
            let mut rule = json!({"to": to, "from": from, "steps": [step]});
            rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            rule
        };
        let rules = json!([{"to": "@key", "const": "k"}, rule(&json!({}))]);
        assert!(compiled(&document("update", rules)).program.is_some(), "{step}");
        let null = json!({ from: null }).to_string();
        let cleared = json!({ to: null }).to_string();
        assert_eq!(made(rule(&json!({})), "{}").as_deref(), Ok("{}"), "{step}");
        assert_eq!(made(rule(&json!({})), &null).as_deref(), Ok(cleared.as_str()), "{step}");
        let cleared_too = made(rule(&json!({"on_missing": "null"})), "{}");
        assert_eq!(cleared_too.as_deref(), Ok(cleared.as_str()), "{step}");
        assert!(made(rule(&json!({"on_missing": "error"})), "{}").is_err(), "{step}");
        assert!(
            made(rule(&json!({"on_missing": "error"})), &null).is_ok(),
            "{step}: null is no missing value"
        );
        assert!(updated(json!([rule(&json!({}))]), "{}").expect("fits").warnings.is_empty(), "{step}");
    }
}
