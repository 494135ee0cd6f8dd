//! What stands on either side of an operator: paths, values, lists, patterns.

use sqlparser::tokenizer::Token;

use super::words::RESERVED;
use super::{Operand, Parser};
use crate::error::{Error, Position, Result};
use crate::record::FieldPath;
use crate::record::draft::{Literal, LiteralValue, Moment, MomentBase, Shift, ShiftUnit};
use crate::record::number::Number;
use crate::record::query::{Pattern, PatternPart};

impl Parser {
    pub(super) fn operand(&mut self) -> Result<Operand> {
        if self.peek() == Some(&Token::LParen) {
            return self.parenthesised(|parser| {
                if parser.word().as_deref() == Some("SELECT") {
                    return Err(parser.unexpected("a value"));
                }
                parser.operand()
            });
        }
        if let Some(literal) = self.maybe_literal()? {
            return Ok(Operand::Literal(literal));
        }
        let position = self.here();
        Ok(Operand::Path(self.path()?, position))
    }

    /// A literal where nothing else may stand.
    pub(super) fn literal(&mut self, keyword: &str) -> Result<Literal> {
        if let Some(literal) = self.maybe_literal()? {
            return Ok(literal);
        }
        if self.peek() == Some(&Token::LParen) {
            return Err(self.unexpected("a value"));
        }
        let position = self.here();
        let path = self.path()?;
        Err(Error::invalid(format!("{keyword} takes values, and {path} is a field"))
            .with_position(position)
            .with_advice(format!(
                "Write a text in single quotes ('{path}'), or compare two fields with =, < or >"
            )))
    }

    pub(super) fn list(&mut self) -> Result<Vec<Literal>> {
        self.expect(&Token::LParen, "( and a list of values")?;
        if self.peek() == Some(&Token::RParen) {
            return Err(Error::invalid("IN needs at least one value").with_position(self.here()));
        }
        let mut values = vec![self.literal("IN")?];
        while self.take(&Token::Comma) {
            values.push(self.literal("IN")?);
        }
        self.expect(&Token::RParen, ", or )")?;
        Ok(values)
    }

    pub(super) fn maybe_literal(&mut self) -> Result<Option<Literal>> {
        let position = self.here();
        let value = match self.peek() {
            Some(Token::SingleQuotedString(text)) => {
                let text = text.clone();
                self.at += 1;
                LiteralValue::Text(text)
            }
            Some(Token::Number(..)) => self.number("")?,
            Some(Token::Minus | Token::Plus) if matches!(self.peek_at(1), Some(Token::Number(..))) => {
                let sign = if self.peek() == Some(&Token::Minus) { "-" } else { "" };
                self.at += 1;
                self.number(sign)?
            }
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                match word.value.to_uppercase().as_str() {
                    flag @ ("TRUE" | "FALSE") => {
                        self.at += 1;
                        LiteralValue::Boolean(flag == "TRUE")
                    }
                    "NULL" => {
                        return Err(Error::invalid("a comparison with NULL is never true")
                            .with_position(position)
                            .with_advice("Write IS NULL or IS NOT NULL"));
                    }
                    base @ ("NOW" | "TODAY") if self.peek_at(1) == Some(&Token::LParen) => {
                        let base = if base == "NOW" { MomentBase::Now } else { MomentBase::Today };
                        self.at += 2;
                        self.expect(&Token::RParen, ")")?;
                        LiteralValue::Moment(Moment { base, shifts: self.shifts()? })
                    }
                    "DATE" | "TIME" | "TIMESTAMP" | "DATETIME"
                        if matches!(self.peek_at(1), Some(Token::SingleQuotedString(_))) =>
                    {
                        return Err(Error::invalid("a typed literal is not accepted in a condition")
                            .with_position(position)
                            .with_advice("Write the text alone; it is read as the type of its field"));
                    }
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Literal { value, position }))
    }

    pub(super) fn number(&mut self, sign: &str) -> Result<LiteralValue> {
        let position = self.here();
        let Some(Token::Number(digits, long)) = self.peek() else { return Err(self.unexpected("a number")) };
        let text =
            if digits.starts_with('.') { format!("{sign}0{digits}") } else { format!("{sign}{digits}") };
        if *long || Number::parse(&text).is_none() {
            let suffix = if *long { "L" } else { "" };
            return Err(Error::invalid(format!("{digits}{suffix} is not a number that is accepted here"))
                .with_position(position)
                .with_advice("Write it such as 12, -3.50 or 1e6"));
        }
        self.at += 1;
        Ok(LiteralValue::Number(text))
    }

    pub(super) fn shifts(&mut self) -> Result<Vec<Shift>> {
        let mut shifts = Vec::new();
        loop {
            let back = match self.peek() {
                Some(Token::Minus) => true,
                Some(Token::Plus) => false,
                _ => return Ok(shifts),
            };
            if self.word_at(1).as_deref() != Some("INTERVAL") {
                return Err(self.unexpected("AND, OR or the end of the condition"));
            }
            self.at += 2;
            let position = self.here();
            let wrong = |position: Position| {
                Error::invalid("cannot read the interval")
                    .with_position(position)
                    .with_advice("Write a whole number and a unit, such as INTERVAL '7' DAY")
            };
            let count = match self.peek() {
                Some(Token::SingleQuotedString(text)) => text.trim().parse::<i64>().ok(),
                Some(Token::Number(text, false)) => text.parse::<i64>().ok(),
                _ => None,
            };
            let count =
                count.filter(|count| (0..=1_000_000_000).contains(count)).ok_or_else(|| wrong(position))?;
            self.at += 1;
            let unit = match self.word().as_deref() {
                Some("SECOND" | "SECONDS") => ShiftUnit::Second,
                Some("MINUTE" | "MINUTES") => ShiftUnit::Minute,
                Some("HOUR" | "HOURS") => ShiftUnit::Hour,
                Some("DAY" | "DAYS") => ShiftUnit::Day,
                Some("WEEK" | "WEEKS") => ShiftUnit::Week,
                Some("MONTH" | "MONTHS") => ShiftUnit::Month,
                Some("QUARTER" | "QUARTERS") => ShiftUnit::Quarter,
                Some("YEAR" | "YEARS") => ShiftUnit::Year,
                _ => return Err(wrong(self.here())),
            };
            self.at += 1;
            shifts.push(Shift { count: if back { -count } else { count }, unit });
        }
    }

    pub(super) fn path(&mut self) -> Result<FieldPath> {
        let first = self.here();
        let mut segments = Vec::new();
        loop {
            match self.peek() {
                Some(Token::Word(word)) => {
                    let reserved =
                        word.quote_style.is_none() && RESERVED.contains(&word.value.to_uppercase().as_str());
                    if reserved && segments.is_empty() {
                        return Err(self.unexpected("a field or a value"));
                    }
                    if word.value.is_empty() || word.value.contains('.') {
                        return Err(Error::invalid(format!("{:?} cannot be a field's name", word.value))
                            .with_position(self.here())
                            .with_advice("Quote each name of a path by itself: \"Account\".\"Name\""));
                    }
                    segments.push(word.value.clone());
                    self.at += 1;
                }
                _ => return Err(self.unexpected("a field or a value")),
            }
            if !self.take(&Token::Period) {
                break;
            }
        }
        if self.peek() == Some(&Token::LParen) {
            return Err(Error::invalid(format!(
                "the function {} is not accepted in a condition",
                segments.join(".")
            ))
            .with_position(first)
            .with_advice("The functions are now() and today()"));
        }
        Ok(FieldPath::of(segments))
    }

    pub(super) fn pattern(&mut self, keyword: &str) -> Result<Pattern> {
        if let Some(word @ ("ANY" | "ALL" | "SOME")) = self.word().as_deref() {
            return Err(Error::invalid(format!("{keyword} {word} is not accepted in a condition"))
                .with_position(self.here())
                .with_advice("Join several LIKE conditions with OR or AND"));
        }
        let position = self.here();
        let literal = self.literal(keyword)?;
        let LiteralValue::Text(text) = literal.value else {
            return Err(
                Error::invalid(format!("{keyword} takes a text in single quotes")).with_position(position)
            );
        };
        if !self.take_word("ESCAPE") {
            return like_pattern(&text, None, &position);
        }
        let place = self.here();
        let escape = match self.peek() {
            Some(Token::SingleQuotedString(escape)) => {
                let mut characters = escape.chars();
                characters.next().filter(|_| characters.next().is_none())
            }
            _ => None,
        };
        let escape = escape.ok_or_else(|| {
            Error::invalid("ESCAPE takes one character in single quotes").with_position(place)
        })?;
        self.at += 1;
        like_pattern(&text, Some(escape), &position)
    }
}

/// Reads a LIKE pattern. There is no escape character unless one is given; after one stands `%`, `_` or itself.
pub(super) fn like_pattern(text: &str, escape: Option<char>, position: &Position) -> Result<Pattern> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let wildcard = match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                    literal.push(next);
                    continue;
                }
                _ => {
                    return Err(Error::invalid(format!(
                        "after the escape character {character} the pattern must have %, _ or {character}"
                    ))
                    .with_position(position.clone()));
                }
            },
            '%' => PatternPart::AnyRun,
            '_' => PatternPart::AnyOne,
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(PatternPart::Literal(std::mem::take(&mut literal)));
        }
        parts.push(wildcard);
    }
    if !literal.is_empty() {
        parts.push(PatternPart::Literal(literal));
    }
    Ok(Pattern(parts))
}
