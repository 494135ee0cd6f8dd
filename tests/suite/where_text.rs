//! WHERE text: what is read, and what is refused by name and place.

use recordport::error::{Error, ErrorKind, Position};
use recordport::record::where_text::{MAX_BYTES, parse};

fn refusal(text: &str) -> Error {
    match parse(text) {
        Ok(filter) => panic!("{text:?} was read as {filter}"),
        Err(error) => error,
    }
}

/// Text, the column (and line, where it is not the first) that is named, and a piece of the message.
const REFUSED: &[(&str, (u64, u64), &str)] = &[
    // Tails that an expression parser alone leaves unread.
    ("A = 1 B = 2", (1, 7), "word B"),
    ("A = 1; AND B = 2", (1, 6), "semicolon"),
    ("A = 1;", (1, 6), "semicolon"),
    ("A = 1)", (1, 6), ")"),
    ("(A = 1)) AND B = 2", (1, 8), ")"),
    ("Tags INCLUDES ('A') AND B = 1", (1, 6), "provider's own language"),
    ("Tags EXCLUDES ('A')", (1, 6), "provider's own language"),
    ("A = 1 ORDER BY B", (1, 7), "clause"),
    ("A = 1 LIMIT 5", (1, 7), "clause"),
    ("A = 1 GROUP BY B", (1, 7), "clause"),
    ("A = 1 UNION SELECT B", (1, 7), "clause"),
    ("A = 1 'x'", (1, 7), "text 'x'"),
    ("A = 'x' 'y'", (1, 9), "text 'y'"),
    ("A = 1 2", (1, 7), "2"),
    ("A = 5abc", (1, 6), "abc"),
    ("A = 1_000", (1, 6), "_000"),
    ("A = 1,", (1, 6), ","),
    ("A = 1, B = 2", (1, 6), ","),
    ("A IS NULL B", (1, 11), "word B"),
    ("A LIKE 'x' COLLATE nocase", (1, 12), "COLLATE"),
    ("A = 1 AS x", (1, 7), "AS"),
    ("A = 1 -- and so on", (1, 7), "comment"),
    ("A = 1 /* and */ AND B = 2", (1, 7), "comment"),
    ("A = 1\nAND B = 2\nC = 3", (3, 1), "word C"),
    ("A BETWEEN 1 AND 2 3", (1, 19), "3"),
    ("A IN (1) (2)", (1, 10), "("),
    ("A = 1 FOR UPDATE", (1, 7), "clause"),
    ("A = 1 [0]", (1, 7), "brackets"),
    ("A = 1::int", (1, 6), "cast"),
    ("A = 1 XOR B = 2", (1, 7), "XOR"),
    ("A = 1 && B = 2", (1, 7), "bit or set operator"),
    // Incomplete.
    ("", (1, 1), "empty"),
    ("   ", (1, 1), "empty"),
    ("A", (1, 1), "alone is not a condition"),
    ("A =", (1, 4), "ends"),
    ("A = 1 AND", (1, 10), "ends"),
    ("AND A = 1", (1, 1), "unexpected word AND"),
    ("A = 1 OR OR B = 2", (1, 10), "OR"),
    ("NOT", (1, 4), "ends"),
    ("(A = 1", (1, 7), "ends"),
    ("()", (1, 2), ")"),
    ("A IN ()", (1, 7), "at least one"),
    ("A IN (1,)", (1, 9), ")"),
    ("A IN 1", (1, 6), "1"),
    ("A BETWEEN 1", (1, 12), "ends"),
    ("A BETWEEN 1 OR 2", (1, 13), "OR"),
    ("A LIKE", (1, 7), "ends"),
    ("A LIKE 'x' ESCAPE", (1, 18), "one character"),
    ("A LIKE 'x' ESCAPE 'ab'", (1, 19), "one character"),
    ("A LIKE 'x!' ESCAPE '!'", (1, 8), "escape"),
    ("A LIKE 'x!y' ESCAPE '!'", (1, 8), "escape"),
    ("A = 'open", (1, 5), "cannot read"),
    ("A. = 1", (1, 4), "="),
    (".A = 1", (1, 1), "."),
    ("\"\" = 1", (1, 1), "name"),
    ("\"A.B\" = 1", (1, 1), "name"),
    // Comparisons that are not accepted.
    ("A = NULL", (1, 5), "NULL"),
    ("A != NULL", (1, 6), "NULL"),
    ("NULL = A", (1, 1), "NULL"),
    ("A IN ('x', NULL)", (1, 12), "NULL"),
    ("A IS TRUE", (1, 6), "IS TRUE"),
    ("A IS NOT FALSE", (1, 10), "IS NOT FALSE"),
    ("A IS UNKNOWN", (1, 6), "UNKNOWN"),
    ("A IS DISTINCT FROM B", (1, 6), "DISTINCT"),
    ("A ISNULL", (1, 3), "ISNULL"),
    ("A NOTNULL", (1, 3), "NOTNULL"),
    ("1 = 1", (1, 1), "two values"),
    ("'a' = 'a'", (1, 1), "two values"),
    ("TRUE", (1, 1), "alone"),
    ("A == 1", (1, 3), "=="),
    ("A <=> 1", (1, 3), "<=>"),
    ("A = B = C", (1, 7), "second operator"),
    ("A < 1 < 2", (1, 7), "second operator"),
    ("1 < A < 3", (1, 7), "second operator"),
    ("A IS NULL IS NULL", (1, 11), "second operator"),
    ("A NOT = 1", (1, 7), "="),
    ("A = NOT B", (1, 5), "NOT"),
    ("(A = 1) = TRUE", (1, 9), "compared"),
    ("(A, B) = (1, 2)", (1, 3), "row"),
    ("ROW(A, B) = ROW(1, 2)", (1, 1), "row"),
    ("'x' LIKE A", (1, 1), "needs a field"),
    ("A LIKE B", (1, 8), "B is a field"),
    ("A LIKE 5", (1, 8), "text"),
    ("A LIKE ANY ('x', 'y')", (1, 8), "ANY"),
    ("A = ANY ('x')", (1, 5), "ANY"),
    ("A IN (B, C)", (1, 7), "B is a field"),
    ("'x' IN (A)", (1, 1), "needs a field"),
    ("A BETWEEN B AND C", (1, 11), "B is a field"),
    ("A BETWEEN SYMMETRIC 1 AND 2", (1, 11), "SYMMETRIC"),
    ("A SIMILAR TO 'x'", (1, 3), "regular expression"),
    ("A REGEXP 'x'", (1, 3), "regular expression"),
    ("A RLIKE 'x'", (1, 3), "regular expression"),
    ("A GLOB 'x*'", (1, 3), "regular expression"),
    ("A ~ 'x'", (1, 3), "pattern operator"),
    ("A -> 'x' = 1", (1, 3), "JSON"),
    // Computed values.
    ("A = 1 + 1", (1, 7), "arithmetic"),
    ("A + 1 = 2", (1, 3), "arithmetic"),
    ("A = B * 2", (1, 7), "arithmetic"),
    ("A % 2 = 0", (1, 3), "arithmetic"),
    ("A = -B", (1, 5), "arithmetic"),
    ("A = - - 1", (1, 5), "arithmetic"),
    ("A || 'x' = 'yx'", (1, 3), "concatenation"),
    ("upper(A) = 'X'", (1, 1), "function upper"),
    ("A = lower('X')", (1, 5), "function lower"),
    ("length(A) > 3", (1, 1), "function length"),
    ("A = now(3)", (1, 9), "3"),
    ("A > now() - 7", (1, 11), "arithmetic"),
    ("A > now() - INTERVAL 'soon' DAY", (1, 22), "interval"),
    ("A > now() - INTERVAL '7' FORTNIGHT", (1, 26), "interval"),
    ("A > now() - INTERVAL '7'", (1, 25), "interval"),
    ("A > INTERVAL '7' DAY", (1, 5), "INTERVAL"),
    ("A > CURRENT_DATE", (1, 5), "CURRENT_DATE"),
    ("A > CURRENT_TIMESTAMP", (1, 5), "present moment"),
    ("A = DATE '2026-01-01'", (1, 5), "typed literal"),
    ("A = TIMESTAMP '2026-01-01 00:00:00'", (1, 5), "typed literal"),
    ("A AT TIME ZONE 'UTC' = 1", (1, 3), "AT TIME ZONE"),
    ("CAST(A AS int) = 1", (1, 1), "cast"),
    ("CASE WHEN A = 1 THEN 1 ELSE 2 END = 1", (1, 1), "CASE"),
    ("EXISTS (SELECT 1)", (1, 1), "EXISTS"),
    ("A IN (SELECT B FROM C)", (1, 7), "subquery"),
    ("A = (SELECT B FROM C)", (1, 6), "subquery"),
    ("(SELECT 1) = A", (1, 2), "subquery"),
    ("EXTRACT(YEAR FROM A) = 2026", (1, 1), "function"),
    ("Select = 1", (1, 1), "subquery"),
    // Literals of other dialects.
    ("A = 0x1F", (1, 5), "hexadecimal"),
    ("A = X'1F'", (1, 5), "hexadecimal"),
    ("A = N'x'", (1, 5), "prefixed"),
    ("A = ?", (1, 5), "parameter"),
    ("A = :name", (1, 5), "parameter"),
    ("A = $1", (1, 5), "parameter"),
    ("A = @name", (1, 5), "parameter"),
    ("A = `B`", (1, 5), ""),
    ("A = [1, 2]", (1, 5), "brackets"),
    ("A = 5.", (1, 5), "number"),
];

#[test]
fn what_is_not_accepted_is_refused_by_name_and_place() {
    assert!(REFUSED.len() >= 60);
    let mut wrong = Vec::new();
    for (text, (line, column), name) in REFUSED {
        let error = match parse(text) {
            Ok(filter) => {
                wrong.push(format!("{text:?} was read as {filter}"));
                continue;
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        let said = error.to_string();
        if error.position() != Some(&Position::Text { line: *line, column: *column }) || !said.contains(name)
        {
            wrong.push(format!("{text:?}: wanted {name:?} at {line}:{column}, got {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text, and how it is printed back.
const ACCEPTED: &[(&str, &str)] = &[
    ("A = 1", "A = 1"),
    ("A <> 1", "A != 1"),
    ("A != 1", "A != 1"),
    ("A < 1", "A < 1"),
    ("A <= 1", "A <= 1"),
    ("A > 1", "A > 1"),
    ("A >= 1", "A >= 1"),
    ("1 = A", "A = 1"),
    ("1 < A", "A > 1"),
    ("1 <= A", "A >= 1"),
    ("1 > A", "A < 1"),
    ("'x' >= A", "A <= 'x'"),
    ("A = B", "A = B"),
    ("A < B.C", "A < B.C"),
    ("A = 'x'", "A = 'x'"),
    ("A = ''", "A = ''"),
    ("A = 'it''s'", "A = 'it''s'"),
    ("A = 'back\\slash'", "A = 'back\\slash'"),
    ("A = 'trail '", "A = 'trail '"),
    ("A = '🙂 %_'", "A = '🙂 %_'"),
    ("A = -1", "A = -1"),
    ("A = +1", "A = 1"),
    ("A = 1.50", "A = 1.50"),
    ("A = .5", "A = 0.5"),
    ("A = -.5", "A = -0.5"),
    ("A = 1e6", "A = 1e6"),
    ("A = 12345678901234567890.123456789", "A = 12345678901234567890.123456789"),
    ("A = TRUE", "A = TRUE"),
    ("A = false", "A = FALSE"),
    ("A IS NULL", "A IS NULL"),
    ("A is not null", "A IS NOT NULL"),
    ("A IN (1)", "A IN (1)"),
    ("A IN ('a', 'b')", "A IN ('a', 'b')"),
    ("A NOT IN ('a', 'b')", "A NOT IN ('a', 'b')"),
    ("A BETWEEN 1 AND 2", "A BETWEEN 1 AND 2"),
    ("A NOT BETWEEN 1 AND 2", "A NOT BETWEEN 1 AND 2"),
    ("A BETWEEN 1 AND 2 AND B = 3", "A BETWEEN 1 AND 2 AND B = 3"),
    ("A LIKE 'x%'", "A LIKE 'x%' ESCAPE '\\'"),
    ("A NOT LIKE '%x_'", "A NOT LIKE '%x_' ESCAPE '\\'"),
    ("A ILIKE 'X%'", "A ILIKE 'X%' ESCAPE '\\'"),
    ("A NOT ILIKE 'X'", "A NOT ILIKE 'X' ESCAPE '\\'"),
    ("A LIKE '50!%' ESCAPE '!'", "A LIKE '50\\%' ESCAPE '\\'"),
    ("A LIKE 'a!!b!_%' ESCAPE '!'", "A LIKE 'a!b\\_%' ESCAPE '\\'"),
    ("A LIKE 'a\\b'", "A LIKE 'a\\\\b' ESCAPE '\\'"),
    ("A = 1 AND B = 2", "A = 1 AND B = 2"),
    ("A = 1 OR B = 2", "A = 1 OR B = 2"),
    ("A = 1 OR B = 2 AND C = 3", "A = 1 OR (B = 2 AND C = 3)"),
    ("(A = 1 OR B = 2) AND C = 3", "(A = 1 OR B = 2) AND C = 3"),
    ("NOT A = 1", "NOT (A = 1)"),
    ("NOT NOT A = 1", "A = 1"),
    ("NOT (A = 1 OR NOT B = 2)", "NOT (A = 1 OR NOT (B = 2))"),
    ("NOT A = 1 AND B = 2", "NOT (A = 1) AND B = 2"),
    ("((A = 1))", "A = 1"),
    ("(A) = (1)", "A = 1"),
    ("\"Order\" = 1", "Order = 1"),
    ("\"Select\".\"From\" = 'x'", "Select.From = 'x'"),
    ("Account.Name = 'x'", "Account.Name = 'x'"),
    ("Account . Owner . Name = 'x'", "Account.Owner.Name = 'x'"),
    ("a\n=\t1", "a = 1"),
    ("B = 1 or c is null and 1=d", "B = 1 OR (c IS NULL AND d = 1)"),
    ("Custom_Field__c = 'x'", "Custom_Field__c = 'x'"),
    ("Größe = 1", "Größe = 1"),
    ("A > now()", "A > now()"),
    ("A > NOW() - INTERVAL '7' DAY", "A > now() - INTERVAL '7' DAY"),
    ("A > now() - INTERVAL 12 HOURS", "A > now() - INTERVAL '12' HOUR"),
    ("A >= today() + INTERVAL '1' MONTH", "A >= today() + INTERVAL '1' MONTH"),
    ("today() - INTERVAL '2' WEEK < A", "A > today() - INTERVAL '2' WEEK"),
    (
        "A BETWEEN today() - INTERVAL '1' YEAR AND today()",
        "A BETWEEN today() - INTERVAL '1' YEAR AND today()",
    ),
    (
        "A = today() + INTERVAL '1' YEAR - INTERVAL '1' DAY",
        "A = today() + INTERVAL '1' YEAR - INTERVAL '1' DAY",
    ),
    ("Date = '2026-01-01'", "Date = '2026-01-01'"),
];

#[test]
fn the_grammar_is_read_whole() {
    assert!(ACCEPTED.len() >= 60);
    for (text, printed) in ACCEPTED {
        match parse(text) {
            Ok(filter) => assert_eq!(filter.to_string(), *printed, "{text:?}"),
            Err(error) => panic!("{text:?}: {error}"),
        }
    }
}

#[test]
fn a_comparison_with_null_says_how_to_ask_for_it() {
    assert!(refusal("Name = NULL").to_string().contains("IS NULL"));
}

#[test]
fn size_and_nesting_are_limited_before_they_can_hurt() {
    let nested = |levels: usize| format!("{}A = 1{}", "(".repeat(levels), ")".repeat(levels));
    parse(&nested(32)).expect("32 levels are accepted");
    assert!(refusal(&nested(33)).to_string().contains("32 levels"));
    assert!(refusal(&nested(30_000)).to_string().contains("32 levels"));
    assert!(refusal(&"(".repeat(MAX_BYTES)).to_string().contains("32 levels"));
    assert!(refusal(&format!("A = {}1", "(".repeat(20_000))).to_string().contains("32 levels"));

    let chain = |terms: usize| vec!["a=1"; terms].join(" or ");
    let long = chain(9_000);
    assert!(long.len() < MAX_BYTES);
    parse(&long).expect("a long chain is one level");
    assert!(refusal(&chain(40_000)).to_string().contains("bytes"));
    parse(&format!("{}A = 1", "NOT ".repeat(16_000))).expect("a chain of NOT is no nesting");
    refusal(&vec!["a"; 20_000].join(" = "));
    refusal(&vec!["a"; 20_000].join("||"));
    refusal(&format!("a = {}1", "- ".repeat(30_000)));
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "A", "\"B\"", "=", "<>", "(", ")", "'x'", "1", ".", ",", "AND", "OR", "NOT", "IN", "IS", "NULL",
        "LIKE", "ESCAPE", "BETWEEN", "now()", "-", "INTERVAL", "DAY", "🙂", "'", "\"", "\\", ";", "--", "/*",
        "$$", "e'", "\n",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            if state & 1 == 0 {
                text.push(' ');
            }
        }
        let Ok(filter) = parse(&text) else { continue };
        // Names that need quotes are printed without them.
        if !text.contains('"') {
            let printed = filter.to_string();
            let again = parse(&printed).unwrap_or_else(|error| panic!("{text:?} → {printed:?}: {error}"));
            assert_eq!(again.to_string(), printed);
        }
    }
}
