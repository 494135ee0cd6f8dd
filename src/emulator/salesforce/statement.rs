//! The syntax tree of a SOQL statement.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::errors::Refusal;

#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) object: Name,
    pub(super) alias: Option<String>,
    /// `USING SCOPE`.
    pub(super) scope: Option<Name>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Operand>,
    pub(super) having: Option<Expr>,
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
    /// A path or function with the name that its value gets in the answer.
    Selected {
        operand: Operand,
        alias: Option<Name>,
    },
    /// `FIELDS(ALL)` and its like: the word and where it stands.
    Fields(Name),
    Child(Box<Query>),
    TypeOf {
        relation: Path,
        /// Types with the fields that rows of each show.
        cases: Vec<(Name, Vec<Path>)>,
        otherwise: Vec<Path>,
    },
}

/// What a condition, a group or an order looks at.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Path(Path),
    /// A function of one argument, or of none.
    Call {
        function: Name,
        argument: Option<Path>,
    },
}

impl Operand {
    /// Where it stands in the statement.
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Path(path) => path.at,
            Self::Call { function, .. } => function.at,
        }
    }

    /// The path itself, or the function's argument.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Call { argument, .. } => argument.as_ref(),
        }
    }

    /// The path as it was written, for messages.
    pub(super) fn text(&self) -> String {
        self.path().map_or_else(String::new, |path| path.parts.join("."))
    }
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
        operand: Operand,
        operator: Operator,
        literal: Literal,
    },
    Among {
        operand: Operand,
        negated: bool,
        list: Vec<Literal>,
    },
    AmongRows {
        operand: Operand,
        negated: bool,
        query: Box<Query>,
    },
    /// INCLUDES, or EXCLUDES when negated.
    Includes {
        operand: Operand,
        negated: bool,
        list: Vec<Literal>,
    },
}

impl Expr {
    /// Everything that the condition looks at.
    pub(super) fn operands<'a>(&'a self, out: &mut Vec<&'a Operand>) {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().for_each(|expr| expr.operands(out)),
            Self::Not(expr) => expr.operands(out),
            Self::Compare { operand, .. }
            | Self::Among { operand, .. }
            | Self::AmongRows { operand, .. }
            | Self::Includes { operand, .. } => out.push(operand),
        }
    }
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
    pub(super) operand: Operand,
    pub(super) direction: Direction,
}

/// How values are sorted; nulls come first unless told otherwise, also descending.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Direction {
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
