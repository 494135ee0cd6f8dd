//! The syntax tree of a SOQL statement.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::errors::Refusal;

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
