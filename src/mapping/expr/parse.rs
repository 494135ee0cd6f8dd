//! A formula's text to its syntax tree, each part with its place.

use pest::Parser as _;
use pest::iterators::Pair;

use grammar::{Cel, Rule};

#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the derive writes its own items"
)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "mapping/expr/cel.pest"]
    pub struct Cel;
}

/// Longest formula, in bytes.
const LONGEST: usize = 8 * 1024;
/// How deep brackets and conditions may nest.
const DEEPEST: usize = 40;

/// What is wrong with a formula, and where: the number of a character, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mapping) struct Fault {
    pub(in crate::mapping) character: usize,
    pub(in crate::mapping) message: String,
}

/// A part of a formula and where it begins, as an offset in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) expr: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Number(String),
    Text(String),
    Boolean(bool),
    Null,
    Name(String),
    List(Vec<Part>),
    Select(Box<Part>, String),
    Index(Box<Part>, Box<Part>),
    Call {
        on: Option<Box<Part>>,
        name: String,
        arguments: Vec<Part>,
    },
    Not(Box<Part>),
    Minus(Box<Part>),
    /// `+ - * / % == != < <= > >= in && ||`
    Binary(String, Box<Part>, Box<Part>),
    If(Box<Part>, Box<Part>, Box<Part>),
}

/// Reads a formula.
pub(super) fn parse(text: &str) -> Result<Part, Fault> {
    let fault = |at: usize, message: String| Fault { character: character(text, at), message };
    if text.len() > LONGEST {
        return Err(fault(0, format!("the formula is longer than {LONGEST} bytes")));
    }
    if let Some(at) = too_deep(text) {
        return Err(fault(at, format!("brackets and conditions nest deeper than {DEEPEST} levels")));
    }
    let mut pairs = Cel::parse(Rule::whole, text).map_err(|error| {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        let found = text[at..].chars().next().map_or("the end".to_owned(), |found| format!("{found:?}"));
        fault(at, format!("the formula cannot be read on from {found}"))
    })?;
    let whole = pairs.next().and_then(|whole| whole.into_inner().next());
    let read = whole.ok_or((0, "the formula is empty".to_owned())).and_then(part);
    read.map_err(|(at, message)| fault(at, message))
}

/// The number of the character at an offset, from 1.
pub(super) fn character(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.chars().count()) + 1
}

/// Where brackets or conditions nest too deep. Those in texts count too, which only makes it stricter.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut conditions, mut signs) = (0_usize, 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '?' => conditions += 1,
            _ => {}
        }
        signs = if matches!(letter, '!' | '-') { signs + 1 } else { 0 };
        if depth > DEEPEST || conditions > DEEPEST || signs > DEEPEST {
            return Some(at);
        }
    }
    None
}

type Read = Result<Part, (usize, String)>;

fn part(pair: Pair<'_, Rule>) -> Read {
    let at = pair.as_span().start();
    let text = pair.as_str();
    let leaf = |expr| Ok(Part { at, expr });
    match pair.as_rule() {
        Rule::expr => {
            let mut inner = pair.into_inner();
            let condition = next(&mut inner, at)?;
            let (Some(then), Some(otherwise)) = (inner.next(), inner.next()) else { return Ok(condition) };
            leaf(Expr::If(Box::new(condition), Box::new(part(then)?), Box::new(part(otherwise)?)))
        }
        Rule::any_of => chain(pair, Some("||")),
        Rule::all_of => chain(pair, Some("&&")),
        Rule::relation | Rule::sum | Rule::product => chain(pair, None),
        Rule::unary => {
            let mut inner: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
            let last = inner.pop().ok_or((at, "a value is missing".to_owned()))?;
            let mut made = part(last)?;
            for sign in inner.into_iter().rev() {
                let at = sign.as_span().start();
                let inside = Box::new(made);
                let expr = if sign.as_str() == "!" { Expr::Not(inside) } else { Expr::Minus(inside) };
                made = Part { at, expr };
            }
            Ok(made)
        }
        Rule::member => {
            let mut inner = pair.into_inner();
            let mut made = next(&mut inner, at)?;
            for step in inner {
                made = member(made, step)?;
            }
            Ok(made)
        }
        Rule::group => next(&mut pair.into_inner(), at),
        Rule::list => leaf(Expr::List(pair.into_inner().map(part).collect::<Result<_, _>>()?)),
        Rule::call => {
            let mut inner = pair.into_inner();
            let name = inner.next().map_or("", |name| name.as_str()).to_owned();
            leaf(Expr::Call { on: None, name, arguments: arguments(inner.next())? })
        }
        Rule::name => leaf(Expr::Name(text.to_owned())),
        Rule::number => leaf(Expr::Number(text.to_owned())),
        Rule::truth => leaf(Expr::Boolean(text == "true")),
        Rule::nothing => leaf(Expr::Null),
        Rule::text => {
            let inner = pair.into_inner().next().ok_or((at, "a text is missing".to_owned()))?;
            let given = inner.as_str();
            leaf(Expr::Text(match inner.as_rule() {
                Rule::raw_text => given[2..given.len() - 1].to_owned(),
                _ => unescaped(given).map_err(|why| (inner.as_span().start(), why))?,
            }))
        }
        _ => Err((at, "a value is missing".to_owned())),
    }
}

fn next<'p>(pairs: &mut impl Iterator<Item = Pair<'p, Rule>>, at: usize) -> Read {
    pairs.next().map_or(Err((at, "a value is missing".to_owned())), part)
}

/// Operands with the same sign between them, or with signs of one rank; from left to right.
fn chain(pair: Pair<'_, Rule>, sign: Option<&str>) -> Read {
    let at = pair.as_span().start();
    let mut inner = pair.into_inner();
    let mut made = next(&mut inner, at)?;
    loop {
        let sign_here = match sign {
            Some(sign) => sign.to_owned(),
            None => match inner.next() {
                Some(sign) => sign.as_str().to_owned(),
                None => return Ok(made),
            },
        };
        let Some(operand) = inner.next() else { return Ok(made) };
        let expr = Expr::Binary(sign_here, Box::new(made), Box::new(part(operand)?));
        made = Part { at, expr };
    }
}

fn member(of: Part, step: Pair<'_, Rule>) -> Read {
    let at = of.at;
    let is_index = step.as_rule() == Rule::index;
    let mut inner = step.into_inner();
    if is_index {
        return Ok(Part { at, expr: Expr::Index(Box::new(of), Box::new(next(&mut inner, at)?)) });
    }
    let name = inner.next().map_or("", |name| name.as_str()).to_owned();
    let expr = match inner.next() {
        None => Expr::Select(Box::new(of), name),
        given => Expr::Call { on: Some(Box::new(of)), name, arguments: arguments(given)? },
    };
    Ok(Part { at, expr })
}

fn arguments(given: Option<Pair<'_, Rule>>) -> Result<Vec<Part>, (usize, String)> {
    given.into_iter().flat_map(Pair::into_inner).map(part).collect()
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        let escape = letters.next().unwrap_or('\\');
        let hex = match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '\\' | '\'' | '"' | '`' | '?' => escape,
            'x' | 'u' | 'U' => {
                let count = match escape {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = letters.by_ref().take(count).collect();
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == count)
                    .and_then(char::from_u32)
                    .ok_or_else(|| format!("\\{escape}{digits} names no character"))?
            }
            _ => return Err(format!("there is no escape \\{escape}; a backslash is written \\\\")),
        };
        out.push(hex);
    }
    Ok(out)
}

/// Paths of the source that a formula names, from its text alone: `A.b`, also as `record.A.b`. What cannot be read has
/// none.
pub(in crate::mapping) fn paths(text: &str) -> Vec<String> {
    names(text).into_iter().filter(|name| !name.starts_with('@')).collect()
}

/// Whether a formula names the value so far.
pub(in crate::mapping) fn names_value(text: &str) -> bool {
    names(text).iter().any(|name| name == "@value")
}

fn names(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(formula) = parse(text) {
        collect(&formula, &mut Vec::new(), &mut found);
    }
    found
}

fn collect(part: &Part, bound: &mut Vec<String>, found: &mut Vec<String>) {
    if let Some(names) = chain_of(part) {
        let first = names.first().map_or("", String::as_str);
        if !bound.iter().any(|known| known == first) {
            match first {
                "record" if names.len() > 1 => found.push(names[1..].join(".")),
                "value" | "param" | "mark" | "item" => found.push(format!("@{first}")),
                "record" => {}
                _ => found.push(names.join(".")),
            }
        }
        return;
    }
    match &part.expr {
        Expr::List(parts) => parts.iter().for_each(|part| collect(part, bound, found)),
        Expr::Select(of, _) | Expr::Not(of) | Expr::Minus(of) => collect(of, bound, found),
        Expr::Index(one, two) | Expr::Binary(_, one, two) => {
            collect(one, bound, found);
            collect(two, bound, found);
        }
        Expr::If(one, two, three) => {
            [one, two, three].into_iter().for_each(|part| collect(part, bound, found))
        }
        Expr::Call { on, name, arguments } => {
            if let Some(on) = on {
                collect(on, bound, found);
            }
            match (is_macro(name) && on.is_some(), arguments.split_first()) {
                (true, Some((Part { expr: Expr::Name(name), .. }, rest))) => {
                    bound.push(name.clone());
                    rest.iter().for_each(|part| collect(part, bound, found));
                    bound.pop();
                }
                _ => arguments.iter().for_each(|part| collect(part, bound, found)),
            }
        }
        Expr::Name(_) | Expr::Number(_) | Expr::Text(_) | Expr::Boolean(_) | Expr::Null => {}
    }
}

/// Whether a method binds a name for each element of a list.
pub(super) fn is_macro(name: &str) -> bool {
    matches!(name, "all" | "exists" | "exists_one" | "map" | "filter")
}

/// Names joined by dots, if that is all that the part is.
pub(super) fn chain_of(part: &Part) -> Option<Vec<String>> {
    match &part.expr {
        Expr::Name(name) => Some(vec![name.clone()]),
        Expr::Select(of, name) => {
            let mut names = chain_of(of)?;
            names.push(name.clone());
            Some(names)
        }
        _ => None,
    }
}
