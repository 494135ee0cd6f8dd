//! Literals of SOQL: numbers, dates, times, quoted texts with their escapes.

use jiff::civil::Date;
use pest::iterators::Pair;
use rust_decimal::Decimal;

use super::errors::Refusal;
use super::soql::{Rule, unexpected};
use super::statement::{Literal, Piece, Source, Text};

const LONGEST_TEXT: usize = 4_000;

pub(super) fn literal(source: Source<'_>, pair: &Pair<'_, Rule>) -> Result<Literal, Refusal> {
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
