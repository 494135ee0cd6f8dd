//! SQL WHERE text, read into a [`FilterDraft`].
//!
//! `sqlparser` cuts the text into SQL tokens; the grammar over them is this module's own, because it is small,
//! has to consume the whole text, and must name and place everything that it refuses. (The expression parser of
//! `sqlparser` stops silently at what it does not know, and builds a tree as deep as a chain of ORs is long.)
//!
//! ```text
//! or         = and { OR and }
//! and        = not { AND not }
//! not        = { NOT } ( "(" or ")" | comparison )
//! comparison = operand operator operand | path IS [NOT] NULL | path [NOT] IN "(" literal { "," literal } ")"
//!            | path [NOT] BETWEEN literal AND literal | path [NOT] (LIKE | ILIKE) text [ESCAPE character]
//! operand    = path | literal | "(" operand ")"
//! path       = name { "." name }         a bare word, or a word in double quotes where SQL reserves it
//! literal    = text | [+|-] number | TRUE | FALSE | (now() | today()) { (+|-) INTERVAL number unit }
//! ```

mod operands;
mod words;

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use words::refused_word;

use super::FieldPath;
use super::draft::{ConditionDraft, FilterDraft, Literal, TestDraft};
use super::query::Comparison;
use crate::error::{Error, Position, Result};

/// Longest WHERE text, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Most parentheses inside one another.
pub const MAX_NESTING: usize = 32;

/// Reads a WHERE text, all of it.
///
/// # Errors
/// Invalid with line and column for everything that is not in the accepted grammar.
pub fn parse(text: &str) -> Result<FilterDraft> {
    if text.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "the condition is {} bytes long; at most {MAX_BYTES} are accepted",
            text.len()
        )));
    }
    let tokens = Tokenizer::new(&WhereDialect, text).tokenize_with_location().map_err(|error| {
        Error::invalid(format!("cannot read the condition: {}", error.message))
            .with_position(place(error.location.line, error.location.column))
    })?;
    let mut kept = Vec::with_capacity(tokens.len());
    for token in tokens {
        match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                return Err(
                    Error::invalid("a comment is not accepted in a condition").with_position(start(&token))
                );
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => kept.push(token),
        }
    }
    let end = end_of(text);
    let mut parser = Parser { tokens: kept, at: 0, depth: 0, end };
    if parser.tokens.is_empty() {
        return Err(Error::invalid("the condition is empty").with_position(place(1, 1)));
    }
    let parsed = parser.or()?;
    let filter = parser.as_condition(parsed)?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.unexpected("AND, OR or the end of the condition")),
    }
}

/// SQL's common tokens and nothing of a particular database.
#[derive(Debug)]
struct WhereDialect;

impl Dialect for WhereDialect {
    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || character == '_'
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        character == '"'
    }
}

enum Parsed {
    Filter(FilterDraft),
    /// Something in parentheses that is no condition yet: `(Name) = 'x'`.
    Operand(Operand),
}

enum Operand {
    Path(FieldPath, Position),
    Literal(Literal),
}

impl Operand {
    fn position(&self) -> &Position {
        match self {
            Self::Path(_, position) => position,
            Self::Literal(literal) => &literal.position,
        }
    }
}

struct Parser {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    depth: usize,
    end: Position,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.peek_at(0)
    }

    fn peek_at(&self, offset: usize) -> Option<&Token> {
        self.tokens.get(self.at + offset).map(|token| &token.token)
    }

    fn here(&self) -> Position {
        self.tokens.get(self.at).map_or_else(|| self.end.clone(), start)
    }

    /// The keyword at this place: an unquoted word in upper case.
    fn word(&self) -> Option<String> {
        self.word_at(0)
    }

    fn word_at(&self, offset: usize) -> Option<String> {
        match self.peek_at(offset)? {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.word().is_some_and(|word| word == wanted);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &Token, name: &str) -> Result<()> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(name)) }
    }

    /// What stands here is not what the grammar wants. Constructs that people know are refused by their name.
    fn unexpected(&self, wanted: &str) -> Error {
        let Some(token) = self.peek() else {
            return Error::invalid(format!("the condition ends where {wanted} is expected"))
                .with_position(self.here());
        };
        let known: Option<(&str, &str)> = match token {
            Token::DoubleEq => Some(("the operator ==", "Write a single =")),
            Token::Spaceship => Some(("the operator <=>", "Test for null with IS NULL")),
            Token::SemiColon => Some(("a semicolon", "Write one condition only")),
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::DuckIntDiv => Some((
                "arithmetic",
                "Only now() and today() can be moved, with + or - INTERVAL '7' DAY; compute other values beforehand",
            )),
            Token::StringConcat => Some(("text concatenation (||)", "Write the whole text as one literal")),
            Token::DoubleColon => Some(("a cast (::)", "Values are read as the type of their field")),
            Token::Placeholder(_) | Token::Question | Token::AtSign | Token::AtAt | Token::Colon => {
                Some(("a parameter", "Write the value itself"))
            }
            Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_) => {
                Some(("a hexadecimal or byte literal", "Write the number or the text itself"))
            }
            Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::DollarQuotedString(_) => Some(("a prefixed text literal", "Write 'text'")),
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk => {
                Some(("a pattern operator", "Write LIKE or ILIKE"))
            }
            Token::Ampersand
            | Token::Pipe
            | Token::Caret
            | Token::ShiftLeft
            | Token::ShiftRight
            | Token::Overlap => Some(("a bit or set operator", "Write AND or OR between conditions")),
            Token::ExclamationMark => Some(("the operator !", "Write NOT")),
            Token::LBracket | Token::LBrace => Some(("a list in brackets", "Write IN ('a', 'b')")),
            Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow => {
                Some(("access into JSON", "Write a path with dots"))
            }
            Token::Word(word) if word.quote_style.is_none() => refused_word(&word.value.to_uppercase()),
            _ => None,
        };
        let error = match known {
            Some((name, advice)) => {
                Error::invalid(format!("{name} is not accepted in a condition")).with_advice(advice)
            }
            None => Error::invalid(format!("unexpected {}", described(token)))
                .with_advice(format!("Expected here: {wanted}")),
        };
        error.with_position(self.here())
    }

    fn or(&mut self) -> Result<Parsed> {
        self.chain("OR", Self::and, FilterDraft::Or)
    }

    fn and(&mut self) -> Result<Parsed> {
        self.chain("AND", Self::not, FilterDraft::And)
    }

    fn chain(
        &mut self,
        word: &str,
        mut part: impl FnMut(&mut Self) -> Result<Parsed>,
        combine: impl Fn(Vec<FilterDraft>) -> FilterDraft,
    ) -> Result<Parsed> {
        let first = part(self)?;
        if self.word().is_none_or(|found| found != word) {
            return Ok(first);
        }
        let mut parts = vec![self.as_condition(first)?];
        while self.take_word(word) {
            let next = part(self)?;
            parts.push(self.as_condition(next)?);
        }
        Ok(Parsed::Filter(combine(parts)))
    }

    fn not(&mut self) -> Result<Parsed> {
        let mut times = 0_usize;
        while self.take_word("NOT") {
            times += 1;
        }
        let inner = self.primary()?;
        if times == 0 {
            return Ok(inner);
        }
        let inner = self.as_condition(inner)?;
        // NOT NOT x is x where unknown is a third truth value, too.
        Ok(Parsed::Filter(if times % 2 == 1 { FilterDraft::Not(Box::new(inner)) } else { inner }))
    }

    fn as_condition(&self, parsed: Parsed) -> Result<FilterDraft> {
        match parsed {
            Parsed::Filter(filter) => Ok(filter),
            Parsed::Operand(Operand::Path(path, position)) => {
                if self.peek().is_some() && !self.at_boundary() {
                    return Err(self.unexpected("a comparison"));
                }
                Err(Error::invalid(format!("{path} alone is not a condition"))
                    .with_position(position)
                    .with_advice(format!("Compare it, for example {path} = TRUE")))
            }
            Parsed::Operand(Operand::Literal(literal)) => {
                if self.peek().is_some() && !self.at_boundary() {
                    return Err(self.unexpected("a comparison"));
                }
                Err(Error::invalid(format!("{} alone is not a condition", literal.value))
                    .with_position(literal.position)
                    .with_advice("Compare a field with it"))
            }
        }
    }

    /// Whether a condition can end here.
    fn at_boundary(&self) -> bool {
        matches!(self.peek(), None | Some(Token::RParen))
            || self.word().is_some_and(|word| matches!(word.as_str(), "AND" | "OR"))
    }

    fn primary(&mut self) -> Result<Parsed> {
        if self.peek() != Some(&Token::LParen) {
            let operand = self.operand()?;
            return self.comparison(operand);
        }
        let inside = self.parenthesised(Self::or)?;
        match inside {
            Parsed::Filter(filter) => match self.peek() {
                Some(Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq) => {
                    Err(Error::invalid("a condition cannot be compared with something")
                        .with_position(self.here())
                        .with_advice("Join conditions with AND, OR and NOT"))
                }
                _ => Ok(Parsed::Filter(filter)),
            },
            Parsed::Operand(operand) => self.comparison(operand),
        }
    }

    fn parenthesised<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_NESTING {
            return Err(Error::invalid(format!(
                "parentheses are nested more than {MAX_NESTING} levels deep"
            ))
            .with_position(self.here()));
        }
        self.expect(&Token::LParen, "(")?;
        self.depth += 1;
        let out = inner(self)?;
        self.depth -= 1;
        if self.peek() == Some(&Token::Comma) {
            return Err(Error::invalid("a row of values is not accepted in a condition")
                .with_position(self.here())
                .with_advice("Compare each field by itself"));
        }
        self.expect(&Token::RParen, ")")?;
        Ok(out)
    }

    /// What follows an operand; nothing leaves it an operand.
    fn comparison(&mut self, left: Operand) -> Result<Parsed> {
        let operator = match self.peek() {
            Some(Token::Eq) => Some(Comparison::Equal),
            Some(Token::Neq) => Some(Comparison::NotEqual),
            Some(Token::Lt) => Some(Comparison::Less),
            Some(Token::LtEq) => Some(Comparison::LessOrEqual),
            Some(Token::Gt) => Some(Comparison::Greater),
            Some(Token::GtEq) => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(operator) = operator {
            self.at += 1;
            return self.compared(left, operator);
        }
        let word = self.word();
        let after_not = word.as_deref() == Some("NOT");
        let keyword = if after_not { self.word_at(1) } else { word };
        let keyword = match keyword.as_deref() {
            Some(keyword @ ("IN" | "BETWEEN" | "LIKE" | "ILIKE")) => keyword.to_owned(),
            Some("IS") if !after_not => "IS".to_owned(),
            _ if after_not => {
                self.at += 1;
                return Err(self.unexpected("IN, BETWEEN, LIKE or ILIKE"));
            }
            _ => return Ok(Parsed::Operand(left)),
        };
        let (path, position) = match left {
            Operand::Path(path, position) => (path, position),
            Operand::Literal(literal) => {
                return Err(Error::invalid(format!("{keyword} needs a field on its left, not a value"))
                    .with_position(literal.position)
                    .with_advice(
                        "To ask whether a field of several values holds one, use a rule with the operator contains",
                    ));
            }
        };
        self.at += 1 + usize::from(after_not);
        let negated = after_not;
        let mut case_sensitive = true;
        let test = match keyword.as_str() {
            "IS" => {
                let negated = self.take_word("NOT");
                if !self.take_word("NULL") {
                    return Err(self.after_is(&path, negated));
                }
                TestDraft::IsNull { negated }
            }
            "IN" => TestDraft::In { values: self.list()?, negated },
            "BETWEEN" => {
                let low = self.literal("BETWEEN")?;
                if !self.take_word("AND") {
                    return Err(self.unexpected("AND and the upper end of BETWEEN"));
                }
                TestDraft::Between { low, high: self.literal("BETWEEN")?, negated }
            }
            like => {
                case_sensitive = like == "LIKE";
                TestDraft::Like { pattern: self.pattern(like)?, negated }
            }
        };
        self.no_second_operator()?;
        Ok(Parsed::Filter(FilterDraft::Is(ConditionDraft { path, position, case_sensitive, test })))
    }

    fn after_is(&self, path: &FieldPath, negated: bool) -> Error {
        let not = if negated { "NOT " } else { "" };
        match self.word().as_deref() {
            Some(word @ ("TRUE" | "FALSE")) => {
                Error::invalid(format!("IS {not}{word} is not accepted in a condition"))
                    .with_advice(format!(
                        "Write {path} = {word}, with OR {path} IS NULL where null counts too"
                    ))
                    .with_position(self.here())
            }
            Some(word @ ("UNKNOWN" | "DISTINCT" | "JSON" | "NORMALIZED")) => {
                Error::invalid(format!("IS {not}{word} is not accepted in a condition"))
                    .with_advice("IS NULL and IS NOT NULL are")
                    .with_position(self.here())
            }
            _ => self.unexpected("NULL or NOT NULL"),
        }
    }

    fn compared(&mut self, left: Operand, operator: Comparison) -> Result<Parsed> {
        if let Some(word @ ("ANY" | "ALL" | "SOME")) = self.word().as_deref() {
            return Err(Error::invalid(format!("{word} is not accepted in a condition"))
                .with_position(self.here())
                .with_advice("Write IN ('a', 'b')"));
        }
        let right = self.operand()?;
        self.no_second_operator()?;
        let condition = match (left, right) {
            (Operand::Path(path, position), Operand::Literal(literal)) => ConditionDraft {
                path,
                position,
                case_sensitive: true,
                test: TestDraft::Compare(operator, literal),
            },
            (Operand::Literal(literal), Operand::Path(path, position)) => ConditionDraft {
                path,
                position,
                case_sensitive: true,
                test: TestDraft::Compare(operator.flipped(), literal),
            },
            (Operand::Path(path, position), Operand::Path(other, _)) => ConditionDraft {
                path,
                position,
                case_sensitive: true,
                test: TestDraft::CompareField(operator, other),
            },
            (left @ Operand::Literal(_), Operand::Literal(_)) => {
                return Err(Error::invalid("a comparison of two values is not accepted in a condition")
                    .with_position(left.position().clone())
                    .with_advice("One side must be a field; a field's name is bare or in double quotes"));
            }
        };
        Ok(Parsed::Filter(FilterDraft::Is(condition)))
    }

    fn no_second_operator(&self) -> Result<()> {
        let symbol = matches!(
            self.peek(),
            Some(Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq)
        );
        let word = self
            .word()
            .is_some_and(|word| matches!(word.as_str(), "IS" | "IN" | "BETWEEN" | "LIKE" | "ILIKE" | "NOT"));
        if symbol || word {
            return Err(Error::invalid("a second operator in one comparison is not accepted")
                .with_position(self.here())
                .with_advice("Join comparisons with AND or OR"));
        }
        Ok(())
    }
}

fn described(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("word {}", word.value),
        Token::SingleQuotedString(text) => {
            let cut: String = text.chars().take(40).collect();
            format!("text '{cut}'")
        }
        other => format!("{other}"),
    }
}

fn start(token: &TokenWithSpan) -> Position {
    place(token.span.start.line, token.span.start.column)
}

fn place(line: u64, column: u64) -> Position {
    Position::Text { line, column }
}

fn end_of(text: &str) -> Position {
    let (line, column) =
        text.chars().fold(
            (1, 1),
            |(line, column), character| {
                if character == '\n' { (line + 1, 1) } else { (line, column + 1) }
            },
        );
    place(line, column)
}
