//! Rule groups of react-querybuilder, query documents, and the reading of literals as their fields' types.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use recordport::error::{Error, Position};
use recordport::record::record_type::{ListWire, Picklist, TextForm};
use recordport::record::residual::Residual;
use recordport::record::{
    Capability, Field, FieldPath, FieldType, KeyFields, Query, QueryDraft, RecordType, TypeName, rules,
};
use serde_json::{Value, json};

fn contact() -> RecordType {
    let field = |name: &str, field_type: FieldType| Field::new(name, field_type);
    let address = vec![field("City", FieldType::text(40)), field("Zip", FieldType::text(20))];
    RecordType {
        name: TypeName::new("Contact"),
        provider: "test".to_owned(),
        label: "Contact".to_owned(),
        label_plural: "Contacts".to_owned(),
        description: None,
        custom: false,
        fields: vec![
            field("Id", FieldType::Text { max_length: Some(18), form: TextForm::Id }),
            Field { empty_is_null: true, ..field("Name", FieldType::text(80)) },
            field("LastName", FieldType::text(80)),
            field("Age", FieldType::Integer { minimum: None, maximum: None }),
            field("Score", FieldType::Decimal { precision: Some(18), scale: Some(2) }),
            field("Ledger", FieldType::Int64),
            field("Active", FieldType::Boolean),
            field("Born", FieldType::Date),
            field("Seen", FieldType::Instant),
            field("Starts", FieldType::Time),
            field(
                "Tags",
                FieldType::MultiPicklist { picklist: Picklist::default(), wire: ListWire::Semicolon },
            ),
            field("Home", FieldType::Object { fields: address }),
        ],
        key: KeyFields::single("Id"),
        alternate_keys: Vec::new(),
        relationships: Vec::new(),
        capability: Capability::default(),
    }
}

fn now() -> Timestamp {
    "2026-03-10T15:30:00Z".parse().expect("a moment")
}

fn read(document: &Value) -> Result<Query, Error> {
    QueryDraft::from_json(document)?.typed(&contact(), now(), &TimeZone::UTC)
}

fn typed(document: &Value) -> String {
    let query = read(document).unwrap_or_else(|error| panic!("{document}: {error}"));
    query.filter.map_or_else(String::new, |filter| filter.to_string())
}

fn rule(field: &str, operator: &str, value: Value) -> Value {
    json!({"filter": {"combinator": "and", "rules": [{"field": field, "operator": operator, "value": value}]}})
}

fn wheres(text: &str) -> Value {
    json!({"where": text})
}

fn pointer(error: &Error) -> &str {
    match error.position() {
        Some(Position::Pointer(pointer)) => pointer,
        other => panic!("{other:?} of {error}"),
    }
}

#[test]
fn the_query_builders_own_json_is_read_as_it_is() {
    // What formatQuery(query, "json") prints for a query made in the widget.
    let group = json!({
        "id": "57d2fbeb-0afd-4f54-8b2d-8d9f3a1e7d2f",
        "rules": [
            {"id": "a", "path": [0], "field": "LastName", "value": "Vai", "operator": "beginsWith", "valueSource": "value"},
            {"id": "b", "field": "Age", "operator": ">", "value": "28", "disabled": false},
            {
                "id": "c",
                "rules": [
                    {"id": "d", "field": "Active", "operator": "=", "value": true},
                    {"id": "e", "field": "Name", "operator": "in", "value": "Stevie, Vaughan\\, Jr."}
                ],
                "combinator": "or",
                "not": true
            }
        ],
        "combinator": "and",
        "not": false
    });
    assert_eq!(
        typed(&json!({"filter": group})),
        "LastName LIKE 'Vai%' ESCAPE '\\' AND Age > 28 AND NOT (Active = TRUE OR Name IN ('Stevie', 'Vaughan, Jr.'))"
    );
}

#[test]
fn every_operator_is_read() {
    let text = |operator: &str, value: Value| typed(&rule("Name", operator, value));
    assert_eq!(text("=", json!("x")), "Name = 'x'");
    assert_eq!(text("contains", json!("50%")), "Name LIKE '%50\\%%' ESCAPE '\\'");
    assert_eq!(text("doesNotContain", json!("x")), "Name NOT LIKE '%x%' ESCAPE '\\'");
    assert_eq!(text("doesNotBeginWith", json!("x")), "Name NOT LIKE 'x%' ESCAPE '\\'");
    assert_eq!(text("endsWith", json!("x")), "Name LIKE '%x' ESCAPE '\\'");
    assert_eq!(text("doesNotEndWith", json!("x")), "Name NOT LIKE '%x' ESCAPE '\\'");
    assert_eq!(text("null", Value::Null), "Name IS NULL");
    assert_eq!(text("notNull", json!("")), "Name IS NOT NULL");
    assert_eq!(text("in", json!(["a ", "b,c"])), "Name IN ('a ', 'b,c')");
    assert_eq!(text("notIn", json!("a,b")), "Name NOT IN ('a', 'b')");
    assert_eq!(text("between", json!("a,b")), "Name BETWEEN 'a' AND 'b'");
    assert_eq!(text("notBetween", json!(["a", "b"])), "Name NOT BETWEEN 'a' AND 'b'");
    assert_eq!(typed(&rule("Tags", "contains", json!("A"))), "Tags CONTAINS 'A'");
    assert_eq!(typed(&rule("Tags", "doesNotContain", json!("A"))), "Tags DOES NOT CONTAIN 'A'");
    assert_eq!(typed(&rule("Tags", "=", json!(["B", "A", "B"]))), "Tags = ('A', 'B')");
    assert_eq!(typed(&rule("Tags", "!=", json!("B,A"))), "Tags != ('A', 'B')");
    assert_eq!(typed(&wheres("Tags = 'A' OR Tags IS NULL")), "Tags = ('A') OR Tags IS NULL");
    for operator in rules::OPERATORS {
        let value = if operator.ends_with("etween") { json!("a,b") } else { json!("a") };
        typed(&rule("Name", operator, value));
    }
}

#[test]
fn values_are_read_as_the_type_of_their_field() {
    let same = |field: &str, value: Value, read_as: &str| {
        assert_eq!(typed(&rule(field, "=", value)), format!("{field} = {read_as}"));
    };
    same("Age", json!(28), "28");
    same("Age", json!(" 28 "), "28");
    same("Score", json!("12345678901234567.89"), "12345678901234567.89");
    same("Ledger", json!("9223372036854775807"), "9223372036854775807");
    same("Active", json!("false"), "FALSE");
    same("Born", json!("2026-02-28"), "'2026-02-28'");
    same("Born", json!("today"), "'2026-03-10'");
    same("Born", json!("today-1M"), "'2026-02-10'");
    same("Seen", json!("2026-02-28T09:00:00+01:00"), "'2026-02-28T08:00:00Z'");
    same("Seen", json!("2026-02-28"), "'2026-02-28T00:00:00Z'");
    same("Seen", json!("2026-02-28T09:30"), "'2026-02-28T09:30:00Z'");
    same("Seen", json!("now-7d"), "'2026-03-03T15:30:00Z'");
    same("Seen", json!("now-90m+1s"), "'2026-03-10T14:00:01Z'");
    same("Seen", json!("today"), "'2026-03-10T00:00:00Z'");
    same("Starts", json!("09:30"), "'09:30:00'");
    same("Name", json!("now-7d"), "'now-7d'");
    assert_eq!(
        typed(&wheres("Seen >= now() - INTERVAL '1' MONTH AND Born < today() + INTERVAL '2' DAY")),
        "Seen >= '2026-02-10T15:30:00Z' AND Born < '2026-03-12'"
    );
}

#[test]
fn a_date_means_midnight_in_the_zone_of_the_query() {
    let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
    let seen = |value: &str| {
        let draft = QueryDraft::from_json(&rule("Seen", ">=", json!(value))).expect("a draft");
        let late = "2026-03-29T22:30:00Z".parse().expect("a moment");
        draft.typed(&contact(), late, &berlin).expect("a query").filter.expect("a filter").to_string()
    };
    assert_eq!(seen("2026-03-29"), "Seen >= '2026-03-28T23:00:00Z'");
    assert_eq!(seen("2026-03-30"), "Seen >= '2026-03-29T22:00:00Z'");
    // It is the 30th there already, and the day before has 23 hours.
    assert_eq!(seen("today"), "Seen >= '2026-03-29T22:00:00Z'");
    assert_eq!(seen("today-1d"), "Seen >= '2026-03-28T23:00:00Z'");
}

#[test]
fn literals_of_another_kind_are_refused_with_the_accepted_form() {
    for (document, place, said) in [
        (rule("Age", "=", json!("old")), "/filter/rules/0/value", "a number such as"),
        (rule("Age", "=", json!(true)), "/filter/rules/0/value", "a number such as"),
        (rule("Age", "=", json!("")), "/filter/rules/0/value", "a number such as"),
        (rule("Active", "=", json!("yes")), "/filter/rules/0/value", "true or false"),
        (rule("Active", "<", json!(true)), "/filter/rules/0/field", "no order"),
        (rule("Born", "=", json!("31.01.2026")), "/filter/rules/0/value", "a date such as"),
        (rule("Born", "=", json!("2026-02-30")), "/filter/rules/0/value", "a date such as"),
        (rule("Born", "=", json!("2026-02-28T00:00:00Z")), "/filter/rules/0/value", "Write the date alone"),
        (rule("Born", "=", json!("now")), "/filter/rules/0/value", "Use today"),
        (rule("Born", "=", json!("today-2h")), "/filter/rules/0/value", "at least a day"),
        (rule("Seen", "=", json!("soon")), "/filter/rules/0/value", "an instant such as"),
        (rule("Starts", "=", json!("9am")), "/filter/rules/0/value", "a time such as"),
        (rule("Name", "=", json!(5)), "/filter/rules/0/value", "'5'"),
        (rule("Name", "=", json!(["a"])), "/filter/rules/0/value", "operator in"),
        (rule("Name", "=", Value::Null), "/filter/rules/0/value", "null and notNull"),
        (rule("Age", "contains", json!("2")), "/filter/rules/0/field", "needs a text field"),
        (rule("Tags", "in", json!("A")), "/filter/rules/0/field", "several values"),
        (rule("Tags", "beginsWith", json!("A")), "/filter/rules/0/field", "several values"),
        (rule("Tags", "<", json!("A")), "/filter/rules/0/field", "several values"),
        (rule("Home", "=", json!("A")), "/filter/rules/0/field", "Home.City"),
        (rule("Name", "between", json!(["a"])), "/filter/rules/0/value", "two values"),
        (rule("Age", "between", json!("1,2,3")), "/filter/rules/0/value", "there are 3"),
        (rule("Name", "in", json!("")), "/filter/rules/0/value", "at least one"),
        (rule("Lastname", "=", json!("A")), "/filter/rules/0/field", "LastName"),
    ] {
        let error = read(&document).expect_err(&document.to_string());
        assert_eq!(pointer(&error), place, "{document}: {error}");
        assert!(error.to_string().contains(said), "{document}: {error}");
    }
    for (text, column, said) in [
        ("Age = '5'", 7, "without quotes"),
        ("Name = 5", 8, "'5'"),
        ("Active = 'true'", 10, "without quotes"),
        ("Tags LIKE 'A%'", 1, "contains"),
        ("Tags IN ('A')", 1, "contains"),
        ("Age LIKE '1%'", 1, "needs a text field"),
        ("Name = Age", 1, "cannot be compared"),
        ("Name = Tags", 1, "cannot be compared"),
        ("Lst_Name = 'x'", 1, "Did you mean"),
        ("Name = 'x' AND Sen > now()", 16, "Seen"),
        ("Seen = now() + INTERVAL '900000000' YEAR", 8, "calendar"),
    ] {
        let error = read(&wheres(text)).expect_err(text);
        assert_eq!(error.position(), Some(&Position::Text { line: 1, column }), "{text}: {error}");
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(!error.fields().is_empty(), "{text} names its field");
    }
}

#[test]
fn malformed_groups_are_refused_with_their_place() {
    let name = json!({"field": "Name", "operator": "=", "value": "x"});
    let with = |key: &str, value: Value| {
        let mut rule = name.clone();
        rule[key] = value;
        json!({"combinator": "and", "rules": [rule]})
    };
    for (group, place, said) in [
        (json!([]), "/filter", "object"),
        (json!({"rules": []}), "/filter", "combinator"),
        (json!({"combinator": "and"}), "/filter", "rules"),
        (json!({"combinator": "xor", "rules": []}), "/filter/combinator", "\"and\" or \"or\""),
        (json!({"combinator": "and", "rules": {}}), "/filter/rules", "list"),
        (json!({"combinator": "and", "rules": [], "not": "no"}), "/filter/not", "true or false"),
        (json!({"combinator": "and", "rules": [], "a/b": 1}), "/filter/a~1b", "a/b"),
        (
            json!({"rules": [name.clone(), "and", name.clone()], "combinator": "and"}),
            "/filter/rules/1",
            "nest groups",
        ),
        (with("match", json!({"mode": "all"})), "/filter/rules/0/match", "match"),
        (with("Value", json!("x")), "/filter/rules/0/Value", "Value"),
        (with("operator", json!("like")), "/filter/rules/0/operator", "beginsWith"),
        (with("operator", json!("match")), "/filter/rules/0/operator", "match"),
        (with("field", json!("")), "/filter/rules/0/field", "field"),
        (with("valueSource", json!("parameter")), "/filter/rules/0/valueSource", "valueSource"),
        (with("caseSensitive", json!("no")), "/filter/rules/0/caseSensitive", "true or false"),
        (with("value", json!({"a": 1})), "/filter/rules/0/value", "a value"),
        (
            json!({"combinator": "or", "rules": [{"combinator": "and", "rules": [{"operator": "="}]}]}),
            "/filter/rules/0/rules/0/field",
            "field",
        ),
    ] {
        let error = QueryDraft::from_json(&json!({"filter": group})).expect_err("refused");
        assert_eq!(pointer(&error), place, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn size_and_nesting_of_groups_are_limited() {
    let rule = json!({"field": "Name", "operator": "null"});
    let flat = |count: usize| json!({"combinator": "or", "rules": vec![rule.clone(); count]});
    rules::parse(&flat(1_000)).expect("a thousand rules");
    assert!(rules::parse(&flat(1_001)).expect_err("too many").to_string().contains("1000"));
    let nested =
        |levels: usize| (1..levels).fold(flat(1), |inner, _| json!({"combinator": "and", "rules": [inner]}));
    rules::parse(&nested(32)).expect("32 levels");
    assert!(rules::parse(&nested(33)).expect_err("too deep").to_string().contains("32 levels"));
}

#[test]
fn an_empty_group_matches_everything_and_does_not_narrow() {
    for (group, narrows) in [
        (json!({"combinator": "and", "rules": []}), false),
        (json!({"combinator": "or", "rules": []}), false),
        (json!({"combinator": "and", "rules": [{"combinator": "or", "rules": []}]}), false),
        (
            json!({"combinator": "and", "rules": [{"field": "Name", "operator": "null", "muted": true}]}),
            false,
        ),
        (json!({"combinator": "and", "rules": [{"field": "Name", "operator": "notNull"}]}), true),
    ] {
        let draft = QueryDraft::from_json(&json!({"filter": group})).expect("a draft");
        assert_eq!(draft.narrows(), narrows, "{group}");
        if !narrows {
            let query = draft.typed(&contact(), now(), &TimeZone::UTC).expect("a query");
            let residual = Residual::new(&query.filter.expect("a filter"));
            assert!(residual.matches_json("{\"Name\":null}").expect("evaluates"), "{group}");
        }
    }
    assert!(!QueryDraft::default().narrows());
    assert!(QueryDraft { native: Some("x".to_owned()), ..QueryDraft::default() }.narrows());
}

#[test]
fn muted_rules_and_groups_are_left_out_and_listed() {
    let document = json!({"filter": {"combinator": "or", "rules": [
        {"field": "Name", "operator": "=", "value": "x"},
        {"field": "Age", "operator": ">", "value": "5", "muted": true},
        {"combinator": "and", "muted": true, "rules": [
            {"field": "Name", "operator": "null"},
            {"field": "Age", "operator": "in", "value": [1, 2]}
        ]},
        {"combinator": "and", "rules": [{"field": "Name", "operator": "notNull", "muted": true}]}
    ]}});
    let query = read(&document).expect("a query");
    assert_eq!(query.filter.expect("a filter").to_string(), "Name = 'x'");
    assert_eq!(query.muted, ["Age > '5'", "Name IS NULL AND Age IN (1, 2)", "Name IS NOT NULL"]);
}

#[test]
fn a_query_document_is_read_whole() {
    let document = json!({
        "select": ["Id", "Name"],
        "filter": {"combinator": "and", "rules": [{"field": "LastName", "operator": "=", "value": "Name", "valueSource": "field"}]},
        "where": "Age > 5",
        "native": "Custom = 1",
        "order_by": [{"field": "Name", "direction": "desc"}, {"field": "Id"}],
        "limit": 10,
        "page_size": 50,
        "include_deleted": true
    });
    let draft = QueryDraft::from_json(&document).expect("a draft");
    let paths: Vec<String> = draft.paths().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["Id", "Name", "LastName", "Age"]);
    let query = draft.typed(&contact(), now(), &TimeZone::UTC).expect("a query");
    assert_eq!(query.filter.expect("a filter").to_string(), "(LastName = Name) AND Age > 5");
    assert_eq!((query.limit, query.page_size, query.include_deleted), (Some(10), Some(50), true));
    assert_eq!(query.order_by, QueryDraft::parse_order("Name desc, Id").expect("an order"));

    for (document, place) in [
        (json!({"wher": "A = 1"}), "/wher"),
        (json!({"limit": -1}), "/limit"),
        (json!({"limit": "5"}), "/limit"),
        (json!({"page_size": 0}), "/page_size"),
        (json!({"select": "Id"}), "/select"),
        (json!({"select": ["Id", 5]}), "/select/1"),
        (json!({"order_by": [{"field": "Name", "direction": "up"}]}), "/order_by/0/direction"),
        (json!({"order_by": ["Name"]}), "/order_by/0"),
        (json!({"include_deleted": "yes"}), "/include_deleted"),
        (json!([]), ""),
    ] {
        assert_eq!(pointer(&QueryDraft::from_json(&document).expect_err("refused")), place, "{document}");
    }
    for order in ["", "A sideways", "A desc B", "A,,B"] {
        QueryDraft::parse_order(order).expect_err(order);
    }
    let missing = QueryDraft { select: vec![FieldPath::parse("Nmae")], ..QueryDraft::default() };
    let error = missing.typed(&contact(), now(), &TimeZone::UTC).expect_err("refused");
    assert_eq!(error.fields()[0].accepted[0], "Name");
}

#[test]
fn records_are_judged_with_three_truth_values() {
    let holds = |text: &str, record: &Value| {
        let query = read(&wheres(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
        Residual::new(&query.filter.expect("a filter")).matches_json(&record.to_string()).expect("evaluates")
    };
    let nothing = json!({"Name": null, "LastName": null, "Age": null, "Tags": []});
    for text in
        ["Name = 'x'", "NOT Name = 'x'", "Name != 'x'", "Name IN ('x')", "Name NOT IN ('x')", "Name LIKE '%'"]
    {
        assert!(!holds(text, &nothing), "{text} is unknown");
        assert!(!holds(&format!("NOT ({text})"), &nothing), "NOT {text} is unknown");
    }
    for text in
        ["Name IS NULL", "Name = 'x' OR Age IS NULL", "NOT (Name = 'x' AND Age IS NOT NULL)", "Tags IS NULL"]
    {
        assert!(holds(text, &nothing), "{text}");
    }
    assert!(!holds("Name = LastName", &nothing));
    // Where empty text and null are one, empty text counts as null; elsewhere it is a text.
    assert!(holds("Name IS NULL", &json!({"Name": ""})));
    assert!(!holds("LastName IS NULL", &json!({"LastName": ""})));
    assert!(holds("LastName = ''", &json!({"LastName": ""})));
}

#[test]
fn records_are_compared_exactly() {
    let holds = |document: &Value, record: &str| {
        let query = read(document).unwrap_or_else(|error| panic!("{document}: {error}"));
        Residual::new(&query.filter.expect("a filter")).matches_json(record).expect("evaluates")
    };
    assert!(holds(&wheres("Score = 0.30000000000000004"), "{\"Score\":0.30000000000000004}"));
    assert!(!holds(&wheres("Score = 0.3"), "{\"Score\":0.30000000000000004}"));
    assert!(holds(&wheres("Score < 1e401"), "{\"Score\":1e400}"));
    assert!(holds(&wheres("Ledger > 9007199254740992"), "{\"Ledger\":\"9007199254740993\"}"));
    assert!(holds(&wheres("Age = -0"), "{\"Age\":0.0}"));
    assert!(!holds(&wheres("Name = 'x'"), "{\"Name\":\"x \"}"));
    assert!(holds(&wheres("Name LIKE '_'"), "{\"Name\":\"🙂\"}"));
    assert!(!holds(&wheres("Name LIKE 'a_'"), "{\"Name\":\"e\\u0301\"}"));
    assert!(holds(&wheres("Name LIKE '%a%b%'"), "{\"Name\":\"xaxxbab\"}"));
    assert!(!holds(&wheres("Name LIKE '%a%b'"), "{\"Name\":\"abc\"}"));
    assert!(holds(&wheres("Name ILIKE 'STRASSE%'"), "{\"Name\":\"strasse 5\"}"));
    assert!(!holds(&wheres("Name ILIKE 'STRASSE'"), "{\"Name\":\"straße\"}"));
    assert!(holds(&wheres("Name ILIKE 'ÉTÉ'"), "{\"Name\":\"été\"}"));
    assert!(holds(&wheres("Seen = '2026-01-01T01:00:00+01:00'"), "{\"Seen\":\"2026-01-01T00:00:00.000Z\"}"));
    // Names with escapes, values given twice (the last counts), absent values.
    assert!(holds(&wheres("Name = 'b'"), "{\"Name\":\"a\",\"N\\u0061me\":\"b\"}"));
    assert!(holds(&wheres("Name IS NULL"), "{}"));
    assert!(holds(&rule("Tags", "contains", json!("A")), "{\"Tags\":[\"B\",\"A\"]}"));
    assert!(holds(&rule("Tags", "doesNotContain", json!("A")), "{\"Tags\":[]}"));
    assert!(holds(&rule("Tags", "=", json!(["A", "B"])), "{\"Tags\":[\"B\",\"A\"]}"));
    assert!(!holds(&rule("Tags", "=", json!(["A", "B"])), "{\"Tags\":[\"B\",\"A\",\"C\"]}"));
    let residual = Residual::new(&read(&wheres("Age = 1")).expect("a query").filter.expect("a filter"));
    for broken in ["{\"Age\":\"old\"}", "[]", "{\"Age\":1", ""] {
        residual.matches_json(broken).expect_err(broken);
    }
}
