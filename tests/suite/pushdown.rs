//! The split of a filter between provider and here keeps its meaning, whatever the provider can do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use recordport::provider::pushdown::{Judged, NativeFilter, negation_normal, split};
use recordport::provider::{At, PlannedCondition};
use recordport::record::FieldPath;
use recordport::record::native::{NativeSyntax, check};
use recordport::record::projection::Projection;
use recordport::record::query::{Comparison, Condition, Filter, Query, Test};
use recordport::record::residual::Residual;
use recordport::record::value::{Value, ValueKind};
use recordport::record::{Key, Record};

/// `field = value` on fields that hold true, false or null.
fn is(field: usize, comparison: Comparison) -> Filter {
    Filter::Is(Condition {
        path: FieldPath::parse(&format!("F{field}")),
        kind: ValueKind::Boolean,
        multi_value: false,
        empty_is_null: false,
        case_sensitive: true,
        test: Test::Compare(comparison, Value::Boolean(true)),
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let leaf = (0..6_usize, prop_oneof![Just(Comparison::Equal), Just(Comparison::NotEqual)])
        .prop_map(|(field, comparison)| is(field, comparison));
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn json(row: &[Option<bool>]) -> String {
    let members: BTreeMap<String, Option<bool>> =
        row.iter().enumerate().map(|(index, value)| (format!("F{index}"), *value)).collect();
    serde_json::to_string(&members).expect("JSON")
}

/// What a provider finds: each leaf is a condition's text, with `+` in front where it is widened by chance.
fn finds(native: &NativeFilter, row: &[Option<bool>]) -> bool {
    match native {
        NativeFilter::All(parts) => parts.iter().all(|part| finds(part, row)),
        NativeFilter::Any(parts) => parts.iter().any(|part| finds(part, row)),
        NativeFilter::Leaf(text) => {
            let (wider, text) = text.strip_prefix('+').map_or((false, text.as_str()), |rest| (true, rest));
            let field: usize = text[1..2].parse().expect("a field");
            let holds = row[field].is_some_and(|value| value != text.contains("!="));
            // Wider also finds records without a value, and those of every other field's whim.
            holds || (wider && (row[field].is_none() || row[(field + 1) % row.len()] == Some(true)))
        }
    }
}

fn leaves(filter: &Filter) -> usize {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(leaves).sum(),
        Filter::Not(inner) => leaves(inner),
        Filter::Is(_) => 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_and_what_is_evaluated_here_are_together_the_filter(
        filter in filters(),
        verdicts in prop::collection::vec(0..3_u8, 12),
        row in prop::collection::vec(prop::option::of(any::<bool>()), 6),
    ) {
        let split = split(Some(&filter), |condition| {
            let text = condition.to_string();
            let field: usize = text[1..2].parse().expect("a field");
            match verdicts[field * 2 + usize::from(text.contains("!="))] {
                0 => Judged::exact(text, "exact"),
                1 => Judged::superset(format!("+{text}"), "superset"),
                _ => Judged::unsupported("here"),
            }
        });
        let record = json(&row);
        let whole = Residual::new(&filter).matches_json(&record).expect("evaluates");
        let normal = Residual::new(&negation_normal(&filter)).matches_json(&record).expect("evaluates");
        let sent = split.native.as_ref().is_none_or(|native| finds(native, &row));
        let here = split.residual.as_ref().is_none_or(|residual| {
            Residual::new(residual).matches_json(&record).expect("evaluates")
        });
        prop_assert_eq!(normal, whole, "normal form");
        prop_assert_eq!(sent && here, whole, "native {:?}, residual {:?}", split.native, split.residual);
        prop_assert_eq!(split.conditions.len(), leaves(&filter), "no condition is missing");
        let all_exact = split.conditions.iter().all(|condition| condition.at == At::Exact);
        if split.residual.is_none() {
            prop_assert!(all_exact);
        }
    }
}

fn planned(filter: &Filter) -> (Option<String>, Option<String>, Vec<PlannedCondition>) {
    let split = split(Some(filter), |condition| match condition.path.leaf() {
        "F0" => Judged::exact("zero", "known exactly"),
        "F1" => Judged::superset("one", "known roughly"),
        _ => Judged::unsupported("not known"),
    });
    (
        split.native.map(|native| native.print(" AND ", " OR ")),
        split.residual.map(|residual| residual.to_string()),
        split.conditions,
    )
}

#[test]
fn explain_says_where_each_condition_is_evaluated() {
    let [zero, one, two] = [0, 1, 2].map(|field| is(field, Comparison::Equal));
    let (native, residual, conditions) = planned(&Filter::And(vec![
        zero.clone(),
        one.clone(),
        two.clone(),
        Filter::Or(vec![zero.clone(), one.clone()]),
    ]));
    assert_eq!(native.as_deref(), Some("zero AND one AND (zero OR one)"));
    assert_eq!(residual.as_deref(), Some("F1 = TRUE AND F2 = TRUE AND (F0 = TRUE OR F1 = TRUE)"));
    let places: Vec<At> = conditions.iter().map(|condition| condition.at).collect();
    assert_eq!(places, [At::Exact, At::Superset, At::Here, At::Superset, At::Superset]);

    let (native, residual, conditions) = planned(&Filter::Or(vec![zero.clone(), two]));
    assert_eq!((native, residual.as_deref()), (None, Some("F0 = TRUE OR F2 = TRUE")));
    assert!(conditions[0].why.contains("another part of its OR"), "{conditions:?}");

    let (native, residual, _) = planned(&Filter::Not(Box::new(Filter::Or(vec![zero, one]))));
    assert_eq!(native.as_deref(), Some("zero AND one"));
    assert_eq!(residual.as_deref(), Some("F1 != TRUE"));
}

#[test]
fn the_hash_of_a_plan_tells_queries_apart() {
    use recordport::provider::pushdown::plan_hash;
    let record_type = crate::support::record_types::everything();
    let query = Query::all(Timestamp::UNIX_EPOCH);
    let with = |change: &dyn Fn(&mut Query)| {
        let mut query = query.clone();
        change(&mut query);
        plan_hash(&query, &record_type)
    };
    let all = [
        with(&|_| {}),
        with(&|query| query.filter = Some(is(0, Comparison::Equal))),
        with(&|query| query.filter = Some(is(0, Comparison::NotEqual))),
        with(&|query| query.limit = Some(5)),
        with(&|query| query.native = Some("x".to_owned())),
        with(&|query| query.select = vec![FieldPath::parse("Name")]),
        with(&|query| query.include_deleted = true),
    ];
    for (index, hash) in all.iter().enumerate() {
        assert!(!all[..index].contains(hash));
    }
    assert_eq!(with(&|query| query.now = Timestamp::MAX), all[0], "the time of day is no part of the query");
}

#[test]
fn what_was_fetched_besides_is_removed() {
    let cut = |select: &[&str], besides: &[&str], record: &str| {
        let paths = |names: &[&str]| names.iter().map(|name| FieldPath::parse(name)).collect::<Vec<_>>();
        let projection = Projection::new(&paths(select), &paths(besides)).expect("something to remove");
        let record = Record { key: Key::text("1"), version: None, json: record.to_owned().into() };
        projection.apply(record).expect("is cut").text().to_owned()
    };
    assert_eq!(cut(&["A"], &["B"], r#"{"A":1.0,"B":2}"#), r#"{"A":1.0}"#);
    assert_eq!(cut(&["A"], &["P.X"], r#"{"A":1,"P":{"X":2}}"#), r#"{"A":1}"#);
    assert_eq!(cut(&["A"], &["P.X"], r#"{"A":1,"P":null}"#), r#"{"A":1}"#);
    assert_eq!(cut(&["A", "P.Y"], &["P.X"], r#"{"P":{"X":2,"Y":[3]},"A":1}"#), r#"{"P":{"Y":[3]},"A":1}"#);
    assert_eq!(cut(&["P.Y"], &["P.X"], r#"{"P":null}"#), r#"{"P":null}"#);
    assert_eq!(
        cut(&["P.Q.A"], &["P.Q.B", "P.R.C"], r#"{"P":{"Q":{"A":1,"B":2},"R":{"C":3}}}"#),
        r#"{"P":{"Q":{"A":1}}}"#
    );
    assert_eq!(cut(&[], &["P.X"], r#"{"A\"":"\u0041","P":{"X":2}}"#), r#"{"A\"":"\u0041"}"#);
    assert!(Projection::new(&[FieldPath::parse("A")], &[]).is_none());
}

#[test]
fn a_native_condition_must_be_one_condition() {
    let soql = NativeSyntax { quotes: &['\''], backslash: true, clauses: &["ORDER", "LIMIT"], name: "SOQL" };
    let odata = NativeSyntax { quotes: &['\''], backslash: false, clauses: &[], name: "OData" };
    for text in [
        "Name = 'x'",
        "(Name LIKE 'a%' OR Tags INCLUDES ('A;B'))",
        "Name = 'a ) ; -- ORDER BY'",
        "Name = 'it\\'s ('",
        "Order__c = 1 AND Limits = 2",
    ] {
        check(text, soql).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    check("name eq 'it''s (' and tags/any(t:t eq ')')", odata).expect("doubled quotes");
    for (text, column) in [
        ("", 1),
        ("  ", 1),
        ("Name = 'x' ORDER BY Name", 12),
        ("Name = 'x' limit 5", 12),
        ("LIMIT", 1),
        ("Name = 'x'; DELETE", 11),
        ("Name = 'x') OR (Name != 'x'", 11),
        ("(Name = 'x'", 1),
        ("Name = 'x", 8),
        ("Name = 'x\\'", 8),
        ("Name = 'x' -- and", 12),
        ("Name = 'x' /* and */", 12),
        ("a IN (1]", 8),
    ] {
        let error = check(text, soql).expect_err(text);
        let place = recordport::error::Position::Text { line: 1, column };
        assert_eq!(error.position(), Some(&place), "{text}: {error}");
    }
}
