//! Formulas: typed over the source's fields, exact in their numbers, and at an end before long.

use proptest::prelude::*;
use recordport::mapping::compile::reads;
use serde_json::{Value, json};

use super::{compiled, document, made, parsed, places};

/// What a formula gives for the field `to` of a record, as JSON text; `-` where the field is left out.
fn computed(to: &str, cel: &str, record: &str) -> Result<String, String> {
    let rule = json!({"to": to, "from": "@record", "steps": [{"op": "expr", "cel": cel}]});
    let out = made(rule, record)?;
    let inner = out.strip_prefix(&format!("{{\"{to}\":")).and_then(|out| out.strip_suffix('}'));
    Ok(inner.map_or("-".to_owned(), str::to_owned))
}

const RECORD: &str = r#"{"Name":"Ann Okafor","Email":null,"Amount":19.99,"Free":0.1,"Count":7,"Big":"9007199254740993",
    "Active":true,"Born":"2000-02-29","Seen":"2026-03-29T00:30:00Z","Opens":"09:30:00","Status":"New","Priority":1,
    "Tags":["b","a"],"Address":{"city":"Brno"},"Guests":[{"email":"a@x.cz","reply":"yes"},{"email":"b@x.cz"}]}"#;

#[test]
fn formulas_compute_what_cel_says() {
    let cases = [
        ("Unlimited", "Name + ', ' + Address.city", r#""Ann Okafor, Brno""#),
        ("Unlimited", "record.Name.substring(0, 3).upperAscii() + \"\\u00e9\"", r#""ANNé""#),
        ("Unlimited", "size(Name) > 5 && Active ? 'long' : 'short'", r#""long""#),
        ("Unlimited", "Name.split(' ').map(n, n.substring(0, 1)).join('.')", r#""A.O""#),
        ("Unlimited", "Name.replace('n', r'\\').trim()", r#""A\\\\ Okafor""#),
        (
            "Unlimited",
            "string(Count) + '/' + string(Amount * 2) + '/' + string(Seen)",
            r#""7/39.98/2026-03-29T00:30:00Z""#,
        ),
        ("Unlimited", "Tags.filter(t, t != 'a').join()", r#""b""#),
        ("Unlimited", "Guests.exists(g, g.reply == 'yes') ? Guests[0].email : ''", r#""a@x.cz""#),
        ("Unlimited", "Status in ['New', 'Done'] ? 'open' : 'gone'", r#""open""#),
        ("Unlimited", "default(Email, 'nobody')", r#""nobody""#),
        ("Unlimited", "Email == null ? 'none' : Email", r#""none""#),
        ("Unlimited", "has(Phone) ? Phone : 'no phone'", r#""no phone""#),
        ("Unlimited", "mark.key + string(mark.row)", r#""the key7""#),
        ("Free", "Free + 0.2", "0.3"),
        ("Free", "Amount * Count - 1", "138.93"),
        ("Free", "Amount / 4", "4.9975"),
        ("Free", "div(Amount, 3, 2)", "6.66"),
        ("Free", "-(Big - 9007199254740992)", "-1"),
        ("Count", "Count % 4", "3"),
        ("Count", "int('12') + Name.indexOf('O') + Tags.size()", "18"),
        ("Count", "Born.getFullYear() + Born.getMonth() + Born.getDayOfMonth()", "2029"),
        ("Count", "Seen.getHours('Europe/Prague')", "1"),
        ("Count", "(timestamp('2026-03-30T00:30:00Z') - Seen).getHours()", "24"),
        ("Count", "Tags.map(t, t == 'a', size(t))[0]", "1"),
        ("Active", "Amount >= 19.990 && !(Name.contains('x'))", "true"),
        ("Active", "Guests.exists_one(g, has(g.reply)) && Tags.all(t, t < 'c')", "true"),
        ("Born", "Born + duration('24h')", r#""2000-03-01""#),
        ("Born", "Born - duration('48h')", r#""2000-02-27""#),
        ("Seen", "Seen + duration('1h30m')", r#""2026-03-29T02:00:00Z""#),
        ("Born", "Active ? Born : null", r#""2000-02-29""#),
        ("Aliases", "Tags + ['c']", r#"["b","a","c"]"#),
    ];
    for (to, cel, expected) in cases {
        assert_eq!(computed(to, cel, RECORD).as_deref(), Ok(expected), "{cel}");
    }
}

#[test]
fn null_missing_and_value_stay_apart_in_formulas() {
    for (cel, expected) in [
        ("Email + 'x'", "null"),
        ("Phone + 'x'", "-"),
        ("null", "null"),
        ("Active || Email == 'x' ? 'y' : 'n'", r#""y""#),
        ("Phone == 'x' || Active ? 'y' : 'n'", r#""y""#),
        ("Phone == 'x' ? 'y' : 'n'", "-"),
        ("has(Email) && !has(Phone) ? 'y' : 'n'", r#""y""#),
        ("default(Phone, default(Email, Name))", r#""Ann Okafor""#),
    ] {
        assert_eq!(computed("Unlimited", cel, RECORD).as_deref(), Ok(expected), "{cel}");
    }
    let rule = json!({"to": "Free", "from": "Amount", "steps": [{"op": "expr", "cel": "value * 2"}]});
    assert_eq!(made(rule.clone(), r#"{"Amount":0.05}"#).as_deref(), Ok(r#"{"Free":0.1}"#));
    assert_eq!(made(rule.clone(), r#"{"Amount":null}"#).as_deref(), Ok(r#"{"Free":null}"#));
    assert_eq!(made(rule, "{}").as_deref(), Ok("{}"));
}

#[test]
fn what_would_lose_something_fails_with_its_reason() {
    for (to, cel, record, why) in [
        ("Free", "Amount / 3", RECORD, "has no end; write div(19.99, 3, places)"),
        ("Free", "Amount / 0", RECORD, "divided by zero"),
        ("Count", "int(Amount)", RECORD, "is no whole number, and nothing is cut off"),
        ("Count", "int(Name)", RECORD, "is no number"),
        ("Free", "Free + 1", r#"{"Free":1e60}"#, "more than the 38 digits"),
        ("Free", "Free * Free", r#"{"Free":12345678901234567890.5}"#, "more than the 38 digits"),
        ("Unlimited", "Tags[2]", RECORD, "the list has no element 2"),
        ("Unlimited", "Name.substring(3, 99)", RECORD, "10 characters"),
        ("Born", "Born + duration('36h')", RECORD, "goes on by whole days"),
        ("Seen", "timestamp('2026-03-29')", RECORD, "is no instant"),
        ("Count", "Seen.getHours('Europe/Nowhere')", RECORD, "there is no zone"),
    ] {
        let told = computed(to, cel, record).expect_err(cel);
        assert!(told.contains(why), "{cel}: {told}");
    }
}

#[test]
fn a_formula_ends_within_its_budget() {
    let many = format!("[{}]", "1,".repeat(300));
    let nested = format!("{many}.map(a, {many}.map(b, {many}.exists(c, a + b + c == 0)))");
    let told = computed("Count", &format!("size({nested})"), RECORD).expect_err("too much");
    assert!(told.contains("takes more than"), "{told}");
    let mut grown = "Name".to_owned();
    for _ in 0..30 {
        grown = format!("{grown}.replace('n', Name + Name + Name)");
    }
    let told = computed("Unlimited", &grown, RECORD).expect_err("too long");
    assert!(told.contains("takes more than"), "{told}");
}

#[test]
fn a_formula_that_cannot_be_right_is_refused_with_its_place() {
    for (to, cel, character, says) in [
        ("Unlimited", "Nmae + 'x'", 1, "the source has no field Nmae"),
        ("Unlimited", "Name + Count", 8, "string(...) makes text of it"),
        ("Unlimited", "'é' + size(Nmae)", 12, "the source has no field Nmae"),
        ("Unlimited", "Name + ", 8, "cannot be read on from the end"),
        ("Unlimited", "Name ? 'a' : 'b'", 1, "here a boolean is wanted"),
        ("Unlimited", "Active ? 'a' : 1", 16, "a whole number, and text stands beside it"),
        ("Unlimited", "Name.lowerAsci()", 1, "did you mean lowerAscii?"),
        ("Unlimited", "lowerAscii(Name)", 1, "write Name.lowerAscii()"),
        ("Unlimited", "Name.size('x')", 1, "size is not called so"),
        ("Unlimited", "Guests.map(g, g.emial).join()", 15, "did you mean email?"),
        ("Unlimited", "Guests[0]", 0, "an object, which no field holds"),
        ("Unlimited", "Name.map(n, n)", 1, "map goes over a list"),
        ("Unlimited", "Photo", 1, "formulas do not look into Photo"),
        ("Unlimited", "Secret", 1, "formulas do not look into Secret"),
        ("Unlimited", "has(Name + 'x')", 5, "takes a field"),
        ("Unlimited", "'\\q'", 2, "there is no escape"),
        ("Unlimited", "param.region", 1, "there is no parameter"),
        ("Count", "7 / 2", 5, "write div(a, b, places)"),
        ("Count", "Born > Seen", 8, "an instant, and a date stands beside it"),
        ("Active", "Tags > ['a']", 8, "has no order"),
        ("Seen", "Seen - Opens", 8, "does not go with"),
    ] {
        let rules = json!([{"to": "@key", "const": "k"},
            {"to": to, "from": "@record", "steps": [{"op": "expr", "cel": cel}]}]);
        let problems = compiled(&document("update", rules)).problems;
        assert_eq!(places(&problems), ["error /fields/1/steps/0/cel"], "{cel}: {problems:#?}");
        let told = &problems[0].message;
        assert!(told.contains(says), "{cel}: {told}");
        let place = format!("(character {character})");
        assert!(character == 0 || told.ends_with(&place), "{cel}: {told}");
    }
    // What comes out has a type like any other value.
    let rules = json!([{"to": "@key", "const": "k"},
        {"to": "Count", "from": "@record", "steps": [{"op": "expr", "cel": "Amount * 2"}]}]);
    assert_eq!(places(&compiled(&document("update", rules)).problems), ["error /fields/1"]);
    let deep = format!("{}1{}", "(".repeat(3000), ")".repeat(3000));
    let rules = json!([{"to": "@key", "const": "k"},
        {"to": "Count", "from": "@record", "steps": [{"op": "expr", "cel": deep}]}]);
    assert!(compiled(&document("update", rules)).problems[0].message.contains("nest deeper"));
}

#[test]
fn the_fields_of_a_formula_are_read_and_nothing_else() {
    let mapping = parsed(&document(
        "create",
        json!([{"to": "a", "from": "@record", "steps": [{"op": "expr",
            "cel": "record.Account.Name + Guests.map(g, g.email + Phone).join() + param.x + string(mark.row)"}]}]),
    ));
    let found = reads(&mapping);
    let paths: Vec<String> = found.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["Account.Name", "Guests", "Phone"]);
    assert!(!found.whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_products_are_those_of_whole_numbers(one in -10_i128.pow(15)..10_i128.pow(15), two in -10_i128.pow(15)..10_i128.pow(15), scale in 0_u32..6) {
        let shown = |number: i128| format!("{number}e-{scale}");
        let record = format!("{{\"Free\":{},\"Amount\":{}}}", shown(one), shown(two));
        let value = |text: String| recordport::record::number::Number::parse(&text).expect("a number");
        let sum = computed("Free", "Free + Amount", &record).expect("exact");
        prop_assert_eq!(value(sum), value(shown(one + two)));
        let product = computed("Free", "Free * Amount", &record).expect("exact");
        prop_assert_eq!(value(product), value(format!("{}e-{}", one * two, 2 * scale)));
        let order = computed("Active", "Free < Amount", &record).expect("ordered");
        prop_assert_eq!(order, (one < two).to_string());
    }

    #[test]
    fn no_text_makes_a_formula_panic(text in "[a-zN0-9 .+*/%!?:<>=&|()\\[\\],'\"\\\\-]{0,60}") {
        let rules = json!([{"to": "@key", "const": "k"},
            {"to": "Unlimited", "from": "@record", "steps": [{"op": "expr", "cel": text}]}]);
        let compiled = compiled(&document("update", rules));
        if let Some(program) = compiled.program {
            let given = recordport::mapping::Given { json: RECORD, key: None, row: 1 };
            let _ = program.apply(given);
        } else {
            prop_assert!(compiled.problems.iter().any(|problem: &recordport::mapping::Problem| problem.pointer.starts_with("/fields/1")));
        }
    }
}

#[test]
fn samples_hold_what_the_formulas_name() {
    let record: Value = serde_json::from_str(RECORD).expect("JSON");
    assert!(record.get("Phone").is_none() && record["Email"].is_null());
}
