//! SOQL text to a syntax tree. The grammar is `soql.pest`; what the words mean for a type is decided in
//! `conditions.rs`.

use pest::Parser as _;
use pest::iterators::Pair;

use super::errors::Refusal;
use super::literals::literal;
use super::statement::{Direction, Expr, Item, Name, Operand, Operator, Order, Path, Query, Select, Source};
pub(super) use grammar::Rule;
use grammar::Soql;

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

/// The longest statement that the service takes, in characters.
const LONGEST_STATEMENT: usize = 100_000;
const LARGEST_OFFSET: u64 = 2_000;
const DEEPEST: usize = 200;

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

pub(super) fn unexpected(source: Source<'_>, at: usize) -> Refusal {
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
        scope: None,
        filter: None,
        group: Vec::new(),
        having: None,
        order: Vec::new(),
        limit: None,
        offset: 0,
    };
    let mut items = Vec::new();
    for part in pair.into_inner() {
        let at = part.as_span().start();
        match part.as_rule() {
            Rule::selected | Rule::fields | Rule::child | Rule::type_of => items.push(item(source, part)?),
            Rule::object => {
                for word in part.into_inner() {
                    match word.as_rule() {
                        Rule::name => query.object = name(&word),
                        Rule::alias => query.alias = Some(word.as_str().trim().to_owned()),
                        _ => {}
                    }
                }
            }
            Rule::scope => {
                let word = part.into_inner().find(|inner| inner.as_rule() == Rule::word);
                query.scope = word.as_ref().map(name);
            }
            Rule::group_by => {
                for inner in part.into_inner() {
                    match inner.as_rule() {
                        Rule::call | Rule::path => query.group.push(operand(source, inner)?),
                        Rule::totals => {
                            return Err(source.refuse(
                                "MALFORMED_QUERY",
                                inner.as_span().start(),
                                "GROUP BY ROLLUP and CUBE are not emulated",
                            ));
                        }
                        _ => {}
                    }
                }
            }
            Rule::having => {
                for inner in part.into_inner().filter(|inner| inner.as_rule() == Rule::expression) {
                    query.having = Some(expression(source, inner)?);
                }
            }
            Rule::where_ => {
                for inner in part.into_inner().filter(|inner| inner.as_rule() == Rule::expression) {
                    query.filter = Some(expression(source, inner)?);
                }
            }
            Rule::order_by => {
                for inner in part.into_inner().filter(|inner| inner.as_rule() == Rule::order) {
                    query.order.push(order(source, inner)?);
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

fn name(pair: &Pair<'_, Rule>) -> Name {
    Name { text: pair.as_str().trim().to_owned(), at: pair.as_span().start() }
}

fn operand(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Operand, Refusal> {
    if pair.as_rule() != Rule::call {
        return Ok(Operand::Path(path(&pair)));
    }
    let mut function = name(&pair);
    let mut argument = None;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::function => function = name(&part),
            Rule::path => argument = Some(path(&part)),
            _ => return Err(unexpected(source, part.as_span().start())),
        }
    }
    Ok(Operand::Call { function, argument })
}

fn type_of(pair: Pair<'_, Rule>) -> Item {
    let mut relation = Path { parts: Vec::new(), at: pair.as_span().start() };
    let (mut cases, mut otherwise) = (Vec::new(), Vec::new());
    let fields = |pair: Pair<'_, Rule>| {
        pair.into_inner().filter(|part| part.as_rule() == Rule::path).map(|part| path(&part)).collect()
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::path => relation = path(&part),
            Rule::when => {
                let kind = part.clone().into_inner().find(|inner| inner.as_rule() == Rule::name);
                cases.extend(kind.map(|kind| (name(&kind), fields(part))));
            }
            Rule::otherwise => otherwise = fields(part),
            _ => {}
        }
    }
    Item::TypeOf { relation, cases, otherwise }
}

fn item(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Item, Refusal> {
    Ok(match pair.as_rule() {
        Rule::type_of => type_of(pair),
        Rule::child => Item::Child(Box::new(statement(source, pair)?)),
        Rule::fields => {
            let at = pair.as_span().start();
            let word = pair.into_inner().find(|word| word.as_rule() == Rule::word);
            Item::Fields(Name { text: word.map_or_else(String::new, |word| word.as_str().to_owned()), at })
        }
        _ => {
            let at = pair.as_span().start();
            let (mut selected, mut alias) = (None, None);
            for part in pair.into_inner() {
                match part.as_rule() {
                    Rule::column_alias => alias = Some(name(&part)),
                    _ => selected = Some(operand(source, part)?),
                }
            }
            Item::Selected { operand: selected.ok_or_else(|| unexpected(source, at))?, alias }
        }
    })
}

fn order(source: Source<'_>, pair: Pair<'_, Rule>) -> Result<Order, Refusal> {
    let nowhere = Operand::Path(Path { parts: Vec::new(), at: pair.as_span().start() });
    let mut out = Order { operand: nowhere, direction: Direction::default() };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::path | Rule::call => out.operand = operand(source, part)?,
            Rule::direction => out.direction.descending = part.as_str().trim().eq_ignore_ascii_case("desc"),
            Rule::nulls => out.direction.nulls_last = part.as_str().trim().eq_ignore_ascii_case("last"),
            _ => {}
        }
    }
    Ok(out)
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
    let operand = operand(source, left)?;
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
                return Ok(Expr::AmongRows { operand, negated, query });
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
        Rule::among => Ok(Expr::Among { operand, negated, list }),
        Rule::multi => Ok(Expr::Includes { operand, negated, list }),
        _ => {
            let literal = list.pop().ok_or_else(|| unexpected(source, start))?;
            Ok(Expr::Compare { operand, operator, literal })
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
