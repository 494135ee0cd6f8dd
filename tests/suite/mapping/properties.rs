//! Conversions on values of every kind that nobody thought of: nothing is lost unless a step says so.

use std::sync::LazyLock;

use proptest::prelude::*;
use recordport::mapping::convert::{Conversion, convert};
use recordport::mapping::shape::{Kind, Shape};
use recordport::mapping::{Given, Program, Types, compile};
use recordport::record::number::Number;
use recordport::record::{Field, RecordType};
use serde_json::{Value, json};

use super::conversions::{field, sample};
use super::{able, document, made, parsed, settings, updated};
use crate::support::record_types::with_fields;

/// The programs of all conversions that need no step.
static SILENT: LazyLock<Vec<(Kind, Kind, Program)>> = LazyLock::new(|| {
    let pairs = Kind::ALL.into_iter().flat_map(|from| Kind::ALL.into_iter().map(move |to| (from, to)));
    let silent = pairs.filter(|(from, to)| {
        matches!(convert(&Shape::of(&field(*from)), &Shape::of(&field(*to))), Conversion::Silent(_))
    });
    silent.map(|(from, to)| (from, to, program(field(from), field(to)))).collect()
});

fn program(from: Field, to: Field) -> Program {
    let (source, target) = (with_fields(vec![from]), RecordType { fields: vec![to], ..able() });
    let rules = json!([{"to": "F", "from": "F"}, {"to": "@key", "const": "k"}]);
    let types = Types { source: &source, paths: &source, target: &target };
    compile(&parsed(&document("update", rules)), types, &settings()).program.expect("converts silently")
}

/// JSON texts of values that fields of a kind hold.
fn values(kind: Kind) -> BoxedStrategy<String> {
    let text = || any::<String>().prop_map(|text| Value::from(text).to_string());
    let digits = || "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?";
    match kind {
        Kind::Text | Kind::Html | Kind::Markdown | Kind::Adf | Kind::Reference | Kind::Json => text().boxed(),
        Kind::Boolean => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        Kind::Integer => {
            (-9_007_199_254_740_992_i64..=9_007_199_254_740_992).prop_map(|it| it.to_string()).boxed()
        }
        Kind::LongInteger => any::<i64>().prop_map(|number| format!("\"{number}\"")).boxed(),
        Kind::Decimal => digits().boxed(),
        Kind::Date => "\"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])\"".boxed(),
        Kind::Instant => {
            "\"20[0-9]{2}-0[1-9]-0[1-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:[03]0)\""
                .boxed()
        }
        Kind::List => proptest::collection::vec(any::<String>(), 0..5)
            .prop_map(|items| json!(items).to_string())
            .boxed(),
        // Of the others there are few values.
        other => proptest::sample::select(sample(other).2.to_vec()).prop_map(str::to_owned).boxed(),
    }
}

/// Whether two JSON texts say the same, a number and the text of its digits included.
fn same(one: &Value, two: &Value) -> bool {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    one == two || plain(one) == plain(two)
}

fn case() -> impl Strategy<Value = (usize, String)> {
    (0..SILENT.len()).prop_flat_map(|at| (Just(at), values(SILENT[at].0)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_silent_conversion_keeps_everything_or_fails((at, value) in case()) {
        let (from, to, program) = &SILENT[at];
        let record = format!("{{\"F\":{value}}}");
        if let Ok(mapped) = program.apply(Given { json: &record, key: None, row: 1 }) {
            let out = mapped.json.strip_prefix("{\"F\":").and_then(|out| out.strip_suffix(",\"@key\":\"k\"}"));
            let out = out.expect("the field");
            let inner = out.strip_prefix('[').and_then(|out| out.strip_suffix(']'));
            let alike = |out: &str| {
                let numbers = (Number::parse(out.trim_matches('"')), Number::parse(value.trim_matches('"')));
                let read = |text: &str| serde_json::from_str::<Value>(text).ok();
                matches!(numbers, (Some(one), Some(two)) if one == two)
                    || out == value
                    || matches!((read(out), read(&value)), (Some(one), Some(two)) if same(&one, &two))
            };
            prop_assert!(alike(out) || inner.is_some_and(alike), "{:?} to {:?}: {} became {}", from, to, value, out);
            prop_assert!(mapped.warnings.is_empty());
        }
    }
}

/// One value through steps in fields of any text.
fn text(steps: Value, value: &str) -> Result<String, String> {
    let record = json!({"Unlimited": value}).to_string();
    let out = made(json!({"to": "Unlimited", "from": "Unlimited", "steps": steps}), &record)?;
    let out: Value = serde_json::from_str(&out).expect("JSON");
    out["Unlimited"].as_str().map(str::to_owned).ok_or_else(|| out.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_number_is_what_it_was_after_it_was_written_and_read(digits in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,10})?", places in 0_u8..6) {
        let steps = json!([{"op": "number_format", "decimal": ",", "group": " ", "places": places},
            {"op": "number", "decimal": ",", "group": " "}]);
        let rule = json!({"to": "Free", "from": "Free", "steps": steps});
        let out = made(rule, &format!("{{\"Free\":{digits}}}")).expect("fits");
        let out = out.strip_prefix("{\"Free\":").and_then(|out| out.strip_suffix('}')).expect("a number");
        prop_assert_eq!(Number::parse(out).expect("a number"), Number::parse(&digits).expect("a number"));
    }

    #[test]
    fn what_is_rounded_is_no_farther_than_half_of_what_is_left(number in -10_i128.pow(20)..10_i128.pow(20), scale in 0_u32..12, places in 0_u32..12) {
        let rule = json!({"to": "Free", "from": "Free", "steps": [{"op": "round", "places": places}]});
        let out = made(rule, &format!("{{\"Free\":{number}e-{scale}}}")).expect("fits");
        let out = out.strip_prefix("{\"Free\":").and_then(|out| out.strip_suffix('}')).expect("a number");
        let (whole, fraction) = out.split_once('.').unwrap_or((out, ""));
        prop_assert!(fraction.len() <= places as usize, "{}", out);
        let widened: i128 = format!("{whole}{fraction}{}", "0".repeat(12 - fraction.len())).parse().expect("digits");
        let given = number * 10_i128.pow(12 - scale);
        let unit = 10_i128.pow(12 - places);
        prop_assert!((widened - given).abs() * 2 <= unit, "{}e-{} became {}", number, scale, out);
    }

    #[test]
    fn a_list_that_was_joined_is_split_into_what_it_was(items in proptest::collection::vec("[^;]{0,8}", 1..6)) {
        let joined = items.join(";");
        let steps = json!([{"op": "split", "by": ";", "exact": true}, {"op": "join", "with": ";"}]);
        let out = text(steps, &joined);
        prop_assert_eq!(out.as_deref(), Ok(joined.as_str()));
        let steps = json!([{"op": "split", "by": ";", "exact": true}, {"op": "item", "index": -1}]);
        let out = text(steps, &joined);
        prop_assert_eq!(out.as_deref(), Ok(items.last().expect("one").as_str()));
    }

    #[test]
    fn what_is_cut_is_a_beginning_and_is_always_told(value in ".{0,40}", length in 0_usize..40) {
        let rule = json!([{"to": "Unlimited", "from": "Unlimited", "steps": [{"op": "truncate", "length": length}]}]);
        let mapped = updated(rule, &json!({"Unlimited": value}).to_string()).expect("fits");
        let row: Value = serde_json::from_str(&mapped.json).expect("JSON");
        let out = row["Unlimited"].as_str().expect("text");
        prop_assert!(value.starts_with(out));
        prop_assert_eq!(out.chars().count(), value.chars().count().min(length));
        prop_assert_eq!(mapped.warnings.is_empty(), out == value);
    }

    #[test]
    fn an_instant_is_the_same_after_a_pattern_in_any_zone(second in 0_i64..4_000_000_000, zone in proptest::sample::select(vec!["UTC", "Asia/Kolkata", "Etc/GMT+9"])) {
        let instant = jiff::Timestamp::from_second(second).expect("an instant").to_string();
        let pattern = "%Y/%m/%d %H:%M:%S";
        let there = json!({"to": "Unlimited", "from": "Seen", "steps": [{"op": "date", "zone": zone, "out": pattern}]});
        let written = made(there, &json!({"Seen": instant}).to_string()).expect("fits");
        let back = json!({"to": "Seen", "from": "Unlimited", "steps": [{"op": "date", "zone": zone, "in": pattern}]});
        let read = made(back, &written).expect("fits");
        prop_assert_eq!(read, json!({"Seen": instant}).to_string());
    }

    #[test]
    fn json_text_holds_the_value_digit_for_digit(value in values(Kind::Decimal)) {
        let rule = json!({"to": "Extra", "from": "Free", "steps": [{"op": "json"}]});
        let out = made(rule, &format!("{{\"Free\":{value}}}")).expect("fits");
        let out: Value = serde_json::from_str(&out).expect("JSON");
        prop_assert_eq!(out["Extra"].as_str(), Some(value.as_str()));
    }
}
