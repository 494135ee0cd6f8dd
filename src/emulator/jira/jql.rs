//! JQL text to a syntax tree. The grammar is `jql.pest`; what fields and values mean is decided in `condition.rs`.

use pest::Parser as _;
use pest::iterators::Pair;

use super::errors::Refusal;
use grammar::{Jql, Rule};

#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the derive writes its own items"
)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "emulator/jira/jql.pest"]
    pub struct Jql;
}

/// How deep parentheses and NOT may nest.
const DEEPEST: usize = 100;
/// Fields that rows may be ordered by.
const MOST_SORTED: usize = 7;
/// Words that need quotes as fields and values (JQL reserved words).
const RESERVED: &str = " abort access add after alias alter and any as asc audit avg before begin between boolean break by \
byte catch cf changed char character check checkpoint collate collation column commit connect continue count create \
current date decimal declare decrement default defaults define delete delimiter desc difference distinct divide do double \
drop during else encoding end equals escape exclusive exec execute exists explain false fetch field file first float for \
from function go goto grant greater group having identified if immediate in increment index initial inner inout input \
insert int integer intersect intersection into is isempty isnull join last left less like limit lock long max min minus \
mode modify modulo more multiply next noaudit not notin nowait number object of on option or order outer output power \
previous prior privileges public raise raw remainder rename resource return returns revoke right row rowid rownum rows \
select session set share size sqrt start strict string subtract sum synonym table then to trans transaction trigger true \
uid union unique update user validate values view was when whenever where while with ";

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) condition: Option<Expr>,
    /// Fields, and whether descending.
    pub(super) order: Vec<(String, bool)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Clause(Clause),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) field: String,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// `=`, `!=`, `~`, `!~`, `<`, `<=`, `>`, `>=`.
    Compare(String, Operand),
    In {
        not: bool,
        values: Vec<Operand>,
    },
    Empty {
        not: bool,
    },
    Was {
        not: bool,
        values: Vec<Operand>,
        when: Vec<Predicate>,
    },
    Changed(Vec<Predicate>),
}

/// `after "2026-01-01"`, `by currentUser()` and the like: the word in lower case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predicate {
    pub(super) word: String,
    pub(super) values: Vec<Operand>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Text(String),
    Empty,
    Function { name: String, arguments: Vec<String> },
}

/// Reads a query.
///
/// # Errors
/// Where it is wrong.
pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    check_depth(text)?;
    let tree = Jql::parse(Rule::query, text).map_err(|error| syntax_error(text, &error))?;
    let mut query = Query { condition: None, order: Vec::new() };
    for pair in tree.into_iter().next().into_iter().flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::any_of => query.condition = Some(any_of(pair)?),
            Rule::order => {
                for sort in pair.into_inner().filter(|pair| pair.as_rule() == Rule::sort) {
                    let mut parts = sort.into_inner();
                    let Some(named) = parts.next() else { continue };
                    let down = parts.next().is_some_and(|pair| pair.as_str().eq_ignore_ascii_case("desc"));
                    query.order.push((field(named)?, down));
                }
            }
            _ => {}
        }
    }
    if query.order.len() > MOST_SORTED {
        return Err(Refusal::query(format!("The maximum number of ORDER BY fields is {MOST_SORTED}.")));
    }
    Ok(query)
}

fn check_depth(text: &str) -> Result<(), Refusal> {
    let (mut depth, mut deepest, mut quote) = (0_usize, 0, None);
    let mut escaped = false;
    for letter in text.chars() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '!') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let negations = text.to_ascii_lowercase().matches("not").count();
    if deepest > DEEPEST || negations > 10 * DEEPEST {
        return Err(Refusal::query("Error in the JQL Query: the query is nested too deeply."));
    }
    Ok(())
}

fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> Refusal {
    let (line, column) = match error.line_col {
        pest::error::LineColLocation::Pos(at) | pest::error::LineColLocation::Span(at, _) => at,
    };
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    };
    let rest = text.get(at..).unwrap_or_default();
    let near: String = rest.chars().take_while(|letter| !letter.is_whitespace()).take(40).collect();
    let message = if near.is_empty() {
        format!("Error in the JQL Query: Unexpected end of the query. (line {line}, character {column})")
    } else {
        format!(
            "Error in the JQL Query: The input '{near}' is not expected here. (line {line}, character {column})"
        )
    };
    Refusal::query(message)
}

fn any_of(pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    let parts = pair.into_inner().filter(|pair| pair.as_rule() == Rule::all_of);
    let mut list = parts.map(all_of).collect::<Result<Vec<_>, _>>()?;
    Ok(if list.len() == 1 { list.remove(0) } else { Expr::Any(list) })
}

fn all_of(pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    let parts = pair.into_inner().filter(|pair| pair.as_rule() == Rule::term);
    let mut list = parts.map(term).collect::<Result<Vec<_>, _>>()?;
    Ok(if list.len() == 1 { list.remove(0) } else { Expr::All(list) })
}

fn term(pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    let nothing = || Refusal::query("Error in the JQL Query: a condition is missing.");
    let inner = pair.into_inner().next().ok_or_else(nothing)?;
    match inner.as_rule() {
        Rule::negation => {
            let term = inner.into_inner().find(|pair| pair.as_rule() == Rule::term).ok_or_else(nothing)?;
            Ok(Expr::Not(Box::new(self::term(term)?)))
        }
        Rule::any_of => any_of(inner),
        _ => clause(inner).map(Expr::Clause),
    }
}

fn clause(pair: Pair<'_, Rule>) -> Result<Clause, Refusal> {
    let mut parts = pair.into_inner();
    let nothing = || Refusal::query("Error in the JQL Query: a condition is missing.");
    let field = field(parts.next().ok_or_else(nothing)?)?;
    let tested = parts.next().ok_or_else(nothing)?;
    let rule = tested.as_rule();
    let mut not = false;
    let mut operator = String::new();
    let (mut values, mut when) = (Vec::new(), Vec::new());
    for part in tested.into_inner() {
        match part.as_rule() {
            Rule::kw_not => not = true,
            Rule::operator => operator = part.as_str().to_owned(),
            Rule::operand | Rule::list | Rule::function => operands(part, &mut values)?,
            Rule::predicate => when.push(predicate(part)?),
            _ => {}
        }
    }
    let test = match rule {
        Rule::comparison => Test::Compare(operator, values.into_iter().next().ok_or_else(nothing)?),
        Rule::membership => Test::In { not, values },
        Rule::emptiness if values == [Operand::Empty] => Test::Empty { not },
        Rule::emptiness => {
            return Err(Refusal::query(format!(
                "The operator 'is' for the field '{field}' can only be used with EMPTY or NULL."
            )));
        }
        Rule::was => Test::Was { not, values, when },
        _ => Test::Changed(when),
    };
    Ok(Clause { field, test })
}

fn predicate(pair: Pair<'_, Rule>) -> Result<Predicate, Refusal> {
    let mut out = Predicate { word: String::new(), values: Vec::new() };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::moment => out.word = part.as_str().to_ascii_lowercase(),
            _ => operands(part, &mut out.values)?,
        }
    }
    Ok(out)
}

fn operands(pair: Pair<'_, Rule>, out: &mut Vec<Operand>) -> Result<(), Refusal> {
    match pair.as_rule() {
        Rule::list => {
            for part in pair.into_inner() {
                operands(part, out)?;
            }
        }
        Rule::operand => {
            for part in pair.into_inner() {
                operands(part, out)?;
            }
        }
        Rule::function => {
            let mut parts = pair.into_inner();
            let name = parts.next().map(text).unwrap_or_default();
            let arguments = parts.flat_map(Pair::into_inner).map(text).collect();
            out.push(Operand::Function { name, arguments });
        }
        Rule::quoted => out.push(Operand::Text(text(pair))),
        _ => {
            let word = pair.as_str();
            out.push(if word.eq_ignore_ascii_case("empty") || word.eq_ignore_ascii_case("null") {
                Operand::Empty
            } else {
                Operand::Text(unreserved(&pair)?)
            });
        }
    }
    Ok(())
}

fn field(pair: Pair<'_, Rule>) -> Result<String, Refusal> {
    match pair.into_inner().next() {
        Some(inner) if inner.as_rule() == Rule::bare => unreserved(&inner),
        Some(inner) => Ok(text(inner)),
        None => Err(Refusal::query("Error in the JQL Query: a field is missing.")),
    }
}

fn unreserved(pair: &Pair<'_, Rule>) -> Result<String, Refusal> {
    let word = pair.as_str();
    let reserved = RESERVED.contains(&format!(" {} ", word.to_ascii_lowercase()));
    if reserved || word.eq_ignore_ascii_case("empty") || word.eq_ignore_ascii_case("null") {
        let (line, column) = pair.line_col();
        return Err(Refusal::query(format!(
            "Error in the JQL Query: '{word}' is a reserved JQL word. You must surround it in quotation marks to use it \
             in a query. (line {line}, character {column})"
        )));
    }
    Ok(word.to_owned())
}

/// The text that a word or a quoted text stands for.
fn text(pair: Pair<'_, Rule>) -> String {
    let raw = pair.as_str();
    if pair.as_rule() != Rule::quoted {
        return raw.to_owned();
    }
    let mut out = String::with_capacity(raw.len());
    let mut letters = raw[1..raw.len() - 1].chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Clause {
        match parse(text).expect(text).condition {
            Some(Expr::Clause(clause)) => clause,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_quotes_and_escapes_are_read() {
        let value = |text: &str| match one(text).test {
            Test::Compare(_, Operand::Text(value)) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value("summary ~ \"a \\\"b\\\" \\\\ c\""), "a \"b\" \\ c");
        assert_eq!(value("labels = follow-up"), "follow-up");
        assert_eq!(value("cf[10010] = '\\u00e9'"), "é");
        assert_eq!(one("cf[10010] = 1").field, "cf[10010]");
        assert_eq!(one("\"My Field\" is not EMPTY").test, Test::Empty { not: true });
        for wrong in [
            "summary ~ \"\\+\"",
            "labels = a b",
            "labels = a/b",
            "project = order",
            "user = 1",
            "summary ~ \"a\tb\"",
            "a = (",
            "a is b",
            "and",
            "x = 1 order by",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn and_binds_more_than_or_and_order_follows() {
        let query =
            parse("a = 1 or b = 2 AND not c in (3, EMPTY) ORDER BY a DESC, \"b c\"").expect("a query");
        assert_eq!(query.order, [("a".to_owned(), true), ("b c".to_owned(), false)]);
        let Some(Expr::Any(parts)) = query.condition else { panic!("no or") };
        assert!(matches!(&parts[1], Expr::All(list) if matches!(list[1], Expr::Not(_))));
        assert_eq!(parse("order by created").expect("a query").condition, None);
        assert!(matches!(
            one("status was not in (a, b) before \"-1d\" by x()").test,
            Test::Was { not: true, .. }
        ));
    }
}
