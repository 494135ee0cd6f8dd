//! SOQL text to a syntax tree. The grammar is `soql.pest`; what the words mean for a type is decided in
//! `evaluate.rs`.

use jiff::civil::Date;
use pest::Parser as _;
use pest::iterators::Pair;
use rust_decimal::Decimal;

use super::errors::Refusal;
use grammar::{Rule, Soql};

#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the derive writes its own items"
)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "emulator/salesforce/soql.pest"]
    pub struct Soql;
}

/// The longest statement and the longest text in a condition that the service takes, in characters.
const LONGEST_STATEMENT: usize = 100_000;
const LONGEST_TEXT: usize = 4_000;
const LARGEST_OFFSET: u64 = 2_000;
const DEEPEST: usize = 200;

#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) object: Name,
    pub(super) alias: Option<String>,
    pub(super) filter: Option<Expr>,
    pub(super) order: Vec<Order>,
    pub(super) limit: Option<u64>,
    pub(super) offset: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Select {
    Count,
    Items(Vec<Item>),
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Path(Path),
    /// `FIELDS(ALL)` and its like: the word and where it stands.
    Fields(Name),
    Child(Box<Query>),
}

/// A word and its byte offset in the statement.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) parts: Vec<String>,
    pub(super) at: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        path: Path,
        operator: Operator,
        literal: Literal,
    },
    Among {
        path: Path,
        negated: bool,
        list: Vec<Literal>,
    },
    AmongRows {
        path: Path,
        negated: bool,
        query: Box<Query>,
    },
    /// INCLUDES, or EXCLUDES when negated.
    Includes {
        path: Path,
        negated: bool,
        list: Vec<Literal>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
}

#[derive(Debug, Clone)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Number(Decimal),
    Text(Text),
    Date(Date),
    /// Milliseconds since 1970.
    Instant(i64),
    Time(u32),
    /// `LAST_N_DAYS:7`.
    Relative {
        name: String,
        count: Option<i64>,
    },
}

/// A quoted text: what it says, and the same as a LIKE pattern.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) pattern: Vec<Piece>,
    /// `\_` or `\%` stood in it, which only LIKE allows.
    pub(super) like_only: bool,
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Letter(char),
    One,
    Any,
}

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) path: Path,
    pub(super) descending: bool,
    pub(super) nulls_last: bool,
}

/// A statement's text, for messages that point into it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a>(pub(super) &'a str);

impl Source<'_> {
    /// A refusal as the service writes it: the place in the text, row and column, then what is wrong.
    pub(super) fn refuse(self, code: &'static str, at: usize, what: &str) -> Refusal {
        let before = self.0.get(..at).unwrap_or(self.0);
        let row = before.matches('\n').count() + 1;
        let line: Vec<char> = before.rsplit('\n').next().unwrap_or_default().chars().collect();
        let column = line.len() + 1;
        let shown: String = line.iter().skip(line.len().saturating_sub(40)).collect();
        let after: String = self
            .0
            .get(at..)
            .unwrap_or_default()
            .chars()
            .take_while(|letter| *letter != '\n')
            .take(40)
            .collect();
        let caret = " ".repeat(shown.chars().count());
        Refusal::new(code, format!("\n{shown}{after}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{what}"))
    }
}

/// Parses one statement.
///
/// # Errors
/// MALFORMED_QUERY with the place of the first token that does not fit.
pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    let source = Source(text);
    if text.chars().count() > LONGEST_STATEMENT {
        return Err(Refusal::new(
            "MALFORMED_QUERY",
            format!("SOQL statements cannot be longer than {LONGEST_STATEMENT} characters."),
        ));
    }
    // The parser recurses once per bracket or NOT; refuse before the stack could end.
    if nesting(text) > DEEPEST {
        return Err(Refusal::new("MALFORMED_QUERY", "Query is too complicated: it is nested too deep"));
    }
    let mut pairs = Soql::parse(Rule::query, text).map_err(|error| {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        unexpected(source, at)
    })?;
    let Some(query) = pairs.next() else { return Err(unexpected(source, 0)) };
    statement(source, query)
}

/// How deep brackets, and NOTs in a row, go outside quoted text.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut nots) = (0usize, 0usize, 0usize);
    let (mut quoted, mut escaped) = (false, false);
    let mut word = String::new();
    for letter in text.chars() {
        if quoted {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\'' => quoted = false,
                _ => {}
            }
            continue;
        }
        if letter.is_ascii_alphanumeric() || letter == '_' {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            nots = if word.eq_ignore_ascii_case("not") { nots + 1 } else { 0 };
            word.clear();
        }
        match letter {
            '\'' => quoted = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth + nots);
    }
    deepest
}

fn unexpected(source: Source<'_>, at: usize) -> Refusal {
    let rest = source.0.get(at..).unwrap_or_default().trim_start();
    let at = source.0.len() - rest.len();
    if rest.is_empty() {
        return source.refuse("MALFORMED_QUERY", at, "unexpected token: '<EOF>'");
    }
    let word_len = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let token = if word_len == 0 { rest.chars().take(1).collect() } else { rest[..word_len].to_owned() };
    source.refuse("MALFORMED_QUERY", at, &format!("unexpected token: '{token}'"))
}

fn statement(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Query, Refusal> {
    let mut query = Query {
        select: Select::Count,
        object: Name { text: String::new(), at: 0 },
        alias: None,
        filter: None,
        order: Vec::new(),
        limit: None,
        offset: 0,
    };
    let mut items = Vec::new();
    for part in pair.into_inner() {
        let at = part.as_span().start();
        match part.as_rule() {
            Rule::path | Rule::fields | Rule::child => items.push(item(source, part)?),
            Rule::object => {
                for word in part.into_inner() {
                    match word.as_rule() {
                        Rule::name => {
                            query.object = Name { text: word.as_str().to_owned(), at: word.as_span().start() }
                        }
                        Rule::alias => query.alias = Some(word.as_str().trim().to_owned()),
                        _ => {}
                    }
                }
            }
            Rule::where_ => {
                for inner in part.into_inner().filter(|inner| inner.as_rule() == Rule::expression) {
                    query.filter = Some(expression(source, inner)?);
                }
            }
            Rule::order_by => {
                for inner in part.into_inner().filter(|inner| inner.as_rule() == Rule::order) {
                    query.order.push(order(inner));
                }
            }
            Rule::limit => query.limit = Some(counted(source, part)?),
            Rule::offset => {
                query.offset = counted(source, part)?;
                if query.offset > LARGEST_OFFSET {
                    return Err(source.refuse(
                        "NUMBER_OUTSIDE_VALID_RANGE",
                        at,
                        &format!("Maximum SOQL offset allowed is {LARGEST_OFFSET}"),
                    ));
                }
            }
            _ => {}
        }
    }
    if !items.is_empty() {
        query.select = Select::Items(items);
    }
    Ok(query)
}

fn counted(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<u64, Refusal> {
    let at = pair.as_span().start();
    let text =
        pair.into_inner().find(|inner| inner.as_rule() == Rule::count_of).map_or("", |inner| inner.as_str());
    text.parse().map_err(|_| source.refuse("MALFORMED_QUERY", at, &format!("invalid number: {text}")))
}

fn path(pair: &Pair<'_, Rule>) -> Path {
    Path { parts: pair.as_str().split('.').map(str::to_owned).collect(), at: pair.as_span().start() }
}

fn item(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Item, Refusal> {
    Ok(match pair.as_rule() {
        Rule::child => Item::Child(Box::new(statement(source, pair)?)),
        Rule::fields => {
            let at = pair.as_span().start();
            let word = pair.into_inner().find(|word| word.as_rule() == Rule::word);
            Item::Fields(Name { text: word.map_or_else(String::new, |word| word.as_str().to_owned()), at })
        }
        _ => Item::Path(path(&pair)),
    })
}

fn order(pair: Pair<'_, Rule>) -> Order {
    let mut out = Order { path: Path { parts: Vec::new(), at: 0 }, descending: false, nulls_last: false };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::path => out.path = path(&part),
            Rule::direction => out.descending = part.as_str().trim().eq_ignore_ascii_case("desc"),
            Rule::nulls => out.nulls_last = part.as_str().trim().eq_ignore_ascii_case("last"),
            _ => {}
        }
    }
    out
}

fn expression(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    let mut terms = Vec::new();
    let mut any = false;
    for part in pair.into_inner() {
        match part.as_rule() {
            rule @ (Rule::all_of | Rule::any_of) => {
                any = rule == Rule::any_of;
                for inner in part.into_inner() {
                    if !matches!(inner.as_rule(), Rule::kw_and | Rule::kw_or) {
                        terms.push(term(source, inner)?);
                    }
                }
            }
            _ => terms.push(term(source, part)?),
        }
    }
    Ok(match (terms.len(), any) {
        (1, _) => terms.remove(0),
        (_, true) => Expr::Any(terms),
        (_, false) => Expr::All(terms),
    })
}

fn term(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    match pair.as_rule() {
        Rule::expression => expression(source, pair),
        Rule::negation => {
            let at = pair.as_span().start();
            let inner = pair.into_inner().find(|inner| inner.as_rule() != Rule::kw_not);
            let inner = inner.ok_or_else(|| unexpected(source, at))?;
            Ok(Expr::Not(Box::new(term(source, inner)?)))
        }
        _ => comparison(source, pair),
    }
}

fn comparison(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
    let start = pair.as_span().start();
    let mut parts = pair.into_inner();
    let (Some(left), Some(test)) = (parts.next(), parts.next()) else {
        return Err(unexpected(source, start));
    };
    let path = path(&left);
    let kind = test.as_rule();
    let mut negated = false;
    let mut operator = Operator::Equal;
    let mut list = Vec::new();
    for part in test.into_inner() {
        match part.as_rule() {
            Rule::membership => {
                negated = part.as_str().get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"))
            }
            Rule::kw_excludes => negated = true,
            Rule::kw_includes => {}
            Rule::operator => operator = read_operator(part.as_str()),
            Rule::subquery => {
                let query = Box::new(statement(source, part)?);
                return Ok(Expr::AmongRows { path, negated, query });
            }
            Rule::list => {
                for inner in part.into_inner() {
                    list.push(literal(source, &inner)?);
                }
            }
            _ => list.push(literal(source, &part)?),
        }
    }
    match kind {
        Rule::among => Ok(Expr::Among { path, negated, list }),
        Rule::multi => Ok(Expr::Includes { path, negated, list }),
        _ => {
            let literal = list.pop().ok_or_else(|| unexpected(source, start))?;
            Ok(Expr::Compare { path, operator, literal })
        }
    }
}

fn read_operator(text: &str) -> Operator {
    match text.trim() {
        "=" => Operator::Equal,
        "!=" | "<>" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => Operator::Like,
    }
}

fn literal(source: Source<'_>, pair: &Pair<'_, Rule>) -> Result<Literal, Refusal> {
    let at = pair.as_span().start();
    let text = pair.as_str();
    let bad = |what: &str| source.refuse("MALFORMED_QUERY", at, what);
    Ok(match pair.as_rule() {
        Rule::text => Literal::Text(quoted(source, at, text)?),
        Rule::null => Literal::Null,
        Rule::boolean => Literal::Boolean(text.eq_ignore_ascii_case("true")),
        Rule::number => Literal::Number(number(text).ok_or_else(|| bad(&format!("invalid number: {text}")))?),
        Rule::date => Literal::Date(text.parse().map_err(|_| bad(&format!("Invalid date: {text}")))?),
        Rule::datetime => {
            // jiff reads RFC 3339; the letters may be in lower case here.
            let stamp: jiff::Timestamp =
                text.to_uppercase().parse().map_err(|_| bad(&format!("Invalid datetime: {text}")))?;
            Literal::Instant(stamp.as_millisecond())
        }
        Rule::time => Literal::Time(time_of_day(text).ok_or_else(|| bad(&format!("Invalid time: {text}")))?),
        _ => {
            let (name, count) =
                text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
            let count =
                count.map(|count| count.parse::<i64>().map_err(|_| bad("invalid number"))).transpose()?;
            let name = name.to_uppercase();
            if super::dates::range(&name, count, Date::constant(2024, 1, 1)).is_none() {
                return Err(unexpected(source, at));
            }
            Literal::Relative { name, count }
        }
    })
}

fn number(text: &str) -> Option<Decimal> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// `10:30:00.000Z` as milliseconds since midnight.
pub(super) fn time_of_day(text: &str) -> Option<u32> {
    let body = text.strip_suffix(['Z', 'z'])?;
    let time: jiff::civil::Time = body.parse().ok()?;
    let (hour, minute, second) = (
        u32::from(time.hour().unsigned_abs()),
        u32::from(time.minute().unsigned_abs()),
        u32::from(time.second().unsigned_abs()),
    );
    Some(((hour * 60 + minute) * 60 + second) * 1000 + u32::from(time.millisecond().unsigned_abs()))
}

fn quoted(source: Source<'_>, at: usize, text: &str) -> Result<Text, Refusal> {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let mut out = Text { value: String::new(), pattern: Vec::new(), like_only: false, at };
    let mut letters = inner.char_indices();
    while let Some((place, letter)) = letters.next() {
        if letter != '\\' {
            out.value.push(letter);
            out.pattern.push(match letter {
                '%' => Piece::Any,
                '_' => Piece::One,
                letter => Piece::Letter(letter),
            });
            continue;
        }
        let Some((_, escaped)) = letters.next() else { break };
        let plain = match escaped {
            'n' | 'N' => '\n',
            'r' | 'R' => '\r',
            't' | 'T' => '\t',
            'b' | 'B' => '\u{8}',
            'f' | 'F' => '\u{c}',
            '"' | '\'' | '\\' => escaped,
            '_' | '%' => {
                out.like_only = true;
                escaped
            }
            'u' | 'U' => {
                let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                let code = (digits.len() == 4).then(|| u32::from_str_radix(&digits, 16).ok()).flatten();
                match code.and_then(char::from_u32) {
                    Some(letter) => letter,
                    None => {
                        return Err(bad_escape(
                            source,
                            at + 1 + place,
                            text,
                            &format!("\\{escaped}{digits}"),
                        ));
                    }
                }
            }
            other => return Err(bad_escape(source, at + 1 + place, text, &format!("\\{other}"))),
        };
        out.value.push(plain);
        out.pattern.push(Piece::Letter(plain));
    }
    if out.value.chars().count() > LONGEST_TEXT {
        return Err(source.refuse(
            "MALFORMED_QUERY",
            at,
            &format!(
                "Bind variables and text in a condition cannot be longer than {LONGEST_TEXT} characters"
            ),
        ));
    }
    Ok(out)
}

pub(super) fn bad_escape(source: Source<'_>, at: usize, text: &str, sequence: &str) -> Refusal {
    source.refuse(
        "MALFORMED_QUERY",
        at,
        &format!("Invalid string literal {text}. Illegal character sequence '{sequence}' in string literal."),
    )
}
