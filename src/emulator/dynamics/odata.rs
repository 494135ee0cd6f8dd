//! `$filter` text to a syntax tree. The grammar is `odata.pest`; what the words mean for a table is decided in
//! `evaluate.rs`.

use std::collections::HashMap;

use pest::Parser as _;
use pest::iterators::Pair;

use super::errors::{QUERY, Refusal};
use super::guid;
use grammar::{OData, Rule};

#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the derive writes its own items"
)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "emulator/dynamics/odata.pest"]
    pub struct OData;
}

/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
    /// `contains(a,'b')` and whatever else is written so.
    Call {
        name: String,
        arguments: Vec<Operand>,
    },
    /// `Microsoft.Dynamics.CRM.X(...)`.
    Service {
        name: String,
        arguments: Vec<(String, Argument)>,
    },
    /// `collection/any(x:condition)`.
    Lambda {
        path: Vec<String>,
        all: bool,
        inner: Option<(String, Box<Expr>)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Path(Vec<String>),
    Literal(Literal),
    Call { name: String, arguments: Vec<Operand> },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    One(Literal),
    Many(Vec<Literal>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    /// Digits as written.
    Number(String),
    Text(String),
    Guid(u128),
    /// A date or a date-time as written.
    Moment(String),
    Enumeration(String),
}

/// Reads a condition; `aliases` are the parameters whose names begin with `@`.
///
/// # Errors
/// The position of what is wrong.
pub(super) fn filter(text: &str, aliases: &HashMap<String, String>) -> Result<Expr, Refusal> {
    check_quotes(text)?;
    check_depth(text)?;
    let tree = OData::parse(Rule::filter, text).map_err(|error| syntax_error(text, &error))?;
    let any_of = tree.into_iter().next().and_then(|pair| pair.into_inner().next());
    any_of.map_or_else(|| Err(at(text, 0)), |pair| Reader { text, aliases }.any_of(pair))
}

fn at(text: &str, position: usize) -> Refusal {
    Refusal::new(QUERY, format!("Syntax error at position {position} in '{text}'."))
}

fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> Refusal {
    let position = match error.location {
        pest::error::InputLocation::Pos(position) | pest::error::InputLocation::Span((position, _)) => {
            position
        }
    };
    at(text, position)
}

fn check_quotes(text: &str) -> Result<(), Refusal> {
    let mut open = None;
    let mut double = false;
    for (position, letter) in text.char_indices() {
        match letter {
            '"' if open.is_none() => double = !double,
            '\'' if !double => open = if open.is_some() { None } else { Some(position) },
            _ => {}
        }
    }
    match open {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            QUERY,
            format!("There is an unterminated literal at position {} in '{text}'.", text.len()),
        )),
    }
}

fn check_depth(text: &str) -> Result<(), Refusal> {
    let mut depth = 0usize;
    let deepest = text.chars().fold(0, |deepest, letter| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest.max(depth)
    });
    let negations = text.matches("not ").count() + text.matches("not(").count();
    if deepest > DEEPEST || negations > 10 * DEEPEST {
        return Err(Refusal::new(QUERY, "Recursion limit reached."));
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a str,
    aliases: &'a HashMap<String, String>,
}

impl Reader<'_> {
    fn any_of(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let mut parts =
            pair.into_inner().filter(|part| part.as_rule() == Rule::all_of).map(|part| self.all_of(part));
        let parts = parts.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok(single(parts, Expr::Any))
    }

    fn all_of(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let parts = pair.into_inner().filter(|part| part.as_rule() == Rule::term);
        let parts = parts.map(|part| self.term(part)).collect::<Result<Vec<_>, _>>()?;
        Ok(single(parts, Expr::All))
    }

    fn term(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let position = pair.as_span().start();
        let inner = pair.into_inner().next().ok_or_else(|| at(self.text, position))?;
        match inner.as_rule() {
            Rule::negation => {
                let term = inner.into_inner().find(|part| part.as_rule() == Rule::term);
                let term = term.ok_or_else(|| at(self.text, position))?;
                Ok(Expr::Not(Box::new(self.term(term)?)))
            }
            Rule::any_of => self.any_of(inner),
            Rule::comparison => self.comparison(inner),
            Rule::lambda => self.lambda(inner),
            Rule::service_function => self.service(inner),
            _ => {
                let (name, arguments) = self.call(inner)?;
                Ok(Expr::Call { name, arguments })
            }
        }
    }

    fn comparison(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let position = pair.as_span().start();
        let mut parts = pair.into_inner();
        let mut next = || parts.next().ok_or_else(|| at(self.text, position));
        let left = self.operand(next()?)?;
        let operator = next()?;
        let operator = match operator.as_str() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            other => {
                let message = format!("The binary operator '{other}' is not supported.");
                return Err(Refusal::new(QUERY, message));
            }
        };
        let right = self.operand(next()?)?;
        Ok(Expr::Compare { left, operator, right })
    }

    fn operand(&self, pair: Pair<'_, Rule>) -> Result<Operand, Refusal> {
        let position = pair.as_span().start();
        let inner = pair.into_inner().next().ok_or_else(|| at(self.text, position))?;
        Ok(match inner.as_rule() {
            Rule::literal => Operand::Literal(self.literal(inner)?),
            Rule::path => Operand::Path(segments(&inner)),
            _ => {
                let (name, arguments) = self.call(inner)?;
                Operand::Call { name, arguments }
            }
        })
    }

    fn call(&self, pair: Pair<'_, Rule>) -> Result<(String, Vec<Operand>), Refusal> {
        let mut name = String::new();
        let mut arguments = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::word => part.as_str().clone_into(&mut name),
                _ => arguments.push(self.operand(part)?),
            }
        }
        Ok((name, arguments))
    }

    fn lambda(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let (mut path, mut all, mut variable, mut inner) = (Vec::new(), false, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => path = segments(&part),
                Rule::quantifier => all = part.as_str() == "all",
                Rule::variable => variable = Some(part.as_str().to_owned()),
                _ => inner = Some(Box::new(self.any_of(part)?)),
            }
        }
        Ok(Expr::Lambda { path, all, inner: variable.zip(inner) })
    }

    fn service(&self, pair: Pair<'_, Rule>) -> Result<Expr, Refusal> {
        let mut name = String::new();
        let mut arguments = Vec::new();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::word {
                part.as_str().clone_into(&mut name);
                continue;
            }
            let position = part.as_span().start();
            let mut inner = part.into_inner();
            let (Some(key), Some(value)) = (inner.next(), inner.next()) else {
                return Err(at(self.text, position));
            };
            let value = if value.as_rule() == Rule::list {
                Argument::Many(value.into_inner().map(|one| self.value(one)).collect::<Result<_, _>>()?)
            } else {
                Argument::One(self.value(value)?)
            };
            arguments.push((key.as_str().to_owned(), value));
        }
        Ok(Expr::Service { name, arguments })
    }

    fn value(&self, pair: Pair<'_, Rule>) -> Result<Literal, Refusal> {
        if pair.as_rule() == Rule::json_text {
            let position = pair.as_span().start();
            let text = serde_json::from_str(pair.as_str()).map_err(|_| at(self.text, position))?;
            return Ok(Literal::Text(text));
        }
        if pair.as_rule() == Rule::literal {
            return self.literal(pair);
        }
        Err(at(self.text, pair.as_span().start()))
    }

    fn literal(&self, pair: Pair<'_, Rule>) -> Result<Literal, Refusal> {
        let position = pair.as_span().start();
        let inner = pair.into_inner().next().ok_or_else(|| at(self.text, position))?;
        let text = inner.as_str();
        Ok(match inner.as_rule() {
            Rule::null => Literal::Null,
            Rule::boolean => Literal::Boolean(text == "true"),
            Rule::number => Literal::Number(text.to_owned()),
            Rule::text => Literal::Text(unquoted(text)),
            Rule::guid => Literal::Guid(guid::parse(text).ok_or_else(|| at(self.text, position))?),
            Rule::enumeration => {
                let value = text.split_once('\'').map_or("", |(_, value)| value.trim_end_matches('\''));
                Literal::Enumeration(value.to_owned())
            }
            Rule::alias => {
                let value = self.aliases.get(text).ok_or_else(|| at(self.text, position))?;
                literal(value).ok_or_else(|| at(self.text, position))?
            }
            _ => Literal::Moment(text.to_owned()),
        })
    }
}

fn single(mut parts: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, Some(last)) => {
            parts.push(last);
            many(parts)
        }
        (_, None) => many(parts),
    }
}

fn segments(pair: &Pair<'_, Rule>) -> Vec<String> {
    pair.as_str().split('/').map(str::to_owned).collect()
}

/// A quoted text without its quotes.
pub(super) fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text);
    inner.replace("''", "'")
}

/// One literal alone, as aliases and keys in addresses have it.
pub(super) fn literal(text: &str) -> Option<Literal> {
    let tree = OData::parse(Rule::literal, text.trim()).ok()?.next()?;
    if tree.as_span().end() != text.trim().len() {
        return None;
    }
    let none = HashMap::new();
    Reader { text, aliases: &none }.literal(tree).ok()
}

/// Splits a text at a mark that stands outside quotes, parentheses and brackets.
pub(super) fn split(text: &str, mark: char) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut depth, mut quoted, mut from) = (0usize, false, 0);
    for (position, letter) in text.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth = depth.saturating_sub(1),
            letter if letter == mark && depth == 0 && !quoted => {
                out.push(&text[from..position]);
                from = position + letter.len_utf8();
            }
            _ => {}
        }
    }
    out.push(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expr, Refusal> {
        filter(text, &HashMap::from([("@p1".to_owned(), "'x'".to_owned())]))
    }

    #[test]
    fn conditions_of_the_documentation_are_read() {
        for text in [
            "name eq 'O''Brien'",
            "revenue gt 100000 and (statecode eq 0 or not (name eq null))",
            "not contains(name,'x') or startswith(name,@p1)",
            "primarycontactid/fullname eq 'x'",
            "_ownerid_value eq 78914942-34cb-ed11-b596-0022481d68cd",
            "createdon ge 2024-01-01T00:00:00Z and birthdate lt 2024-01-01",
            "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[\"a'b\",'c'])",
            "Microsoft.Dynamics.CRM.Today(PropertyName=@p1)",
            "Account_Tasks/any(t:contains(t/subject,'x')) and contacts/all(c:c/a eq c/b) and x/any()",
            "OwnershipType eq Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned' and CanX/Value eq true",
            "not_a_word eq 1 and andy eq 2",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in
            ["", "name", "name eq", "name eq 'x", "name == 'x'", "name eq 'a' and", "(name eq 1", "a in (1)"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let deep = format!("{}a eq 1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(read(&deep).is_err());
    }
}
