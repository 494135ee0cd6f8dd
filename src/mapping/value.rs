//! A value on its way through a rule. Numbers are their digits; nothing is decoded before a step needs it.

use std::borrow::Cow;

use crate::record::number::Number;

/// Longest number that is written anew.
const MOST_DIGITS: usize = 1000;

/// A value that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// Null.
    Null,
    /// true or false.
    Boolean(bool),
    /// A number's digits, as JSON writes them.
    Number(Cow<'a, str>),
    /// Text.
    Text(Cow<'a, str>),
    /// JSON text that was not looked into: anything when it comes from a record, else a list or an object.
    Raw(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// JSON text of any value.
    pub(super) fn raw(text: &'a str) -> Self {
        Self::Raw(Cow::Borrowed(text.trim()))
    }

    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Raw(text) => text == "null",
            _ => false,
        }
    }

    /// Whether it is text without a character.
    pub(super) fn is_empty_text(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Raw(text) => text == "\"\"",
            _ => false,
        }
    }

    /// The value, looked into; lists and objects stay JSON text.
    pub(super) fn decoded(self) -> Result<Self, String> {
        let Self::Raw(text) = self else { return Ok(self) };
        Ok(match text.as_bytes().first() {
            Some(b'"') if !text.contains('\\') && text.len() >= 2 => Self::Text(match text {
                Cow::Borrowed(text) => Cow::Borrowed(&text[1..text.len() - 1]),
                Cow::Owned(text) => Cow::Owned(text[1..text.len() - 1].to_owned()),
            }),
            Some(b'"') => Self::Text(Cow::Owned(
                serde_json::from_str(&text).map_err(|_| "is not valid Unicode text".to_owned())?,
            )),
            Some(b'{' | b'[') => Self::Raw(text),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text),
        })
    }

    /// The text that it is, or that a number or boolean is written as.
    pub(super) fn text(self) -> Result<Cow<'a, str>, String> {
        match self.decoded()? {
            Self::Text(text) | Self::Number(text) => Ok(text),
            Self::Boolean(flag) => Ok(Cow::Borrowed(if flag { "true" } else { "false" })),
            other => Err(format!("must be text, and is {}", other.called())),
        }
    }

    /// The digits of a number, or of the text of a long integer.
    pub(super) fn number(self) -> Result<Cow<'a, str>, String> {
        match self.decoded()? {
            Self::Number(text) => Ok(text),
            Self::Text(text) => match Number::parse(&text) {
                // JSON writes no sign and no zeros in front.
                Some(number) if !is_json_number(&text) => number
                    .plain(MOST_DIGITS)
                    .map(Cow::Owned)
                    .ok_or_else(|| format!("has more than {MOST_DIGITS} digits")),
                Some(_) => Ok(text),
                None => Err("must be a number, and is text".to_owned()),
            },
            other => Err(format!("must be a number, and is {}", other.called())),
        }
    }

    /// The elements of a list, as JSON texts.
    pub(super) fn items(&self) -> Result<Vec<&str>, String> {
        let read = match self {
            Self::Raw(text) => serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text).ok(),
            _ => None,
        };
        match read {
            Some(items) => Ok(items.into_iter().map(serde_json::value::RawValue::get).collect()),
            None => Err(format!("must be a list, and is {}", self.called())),
        }
    }

    /// What it is, in a message.
    fn called(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Raw(text) => match text.as_bytes().first() {
                Some(b'[') => "a list",
                Some(b'{') => "an object",
                Some(b'"') => "text",
                Some(b't' | b'f') => "a boolean",
                Some(b'n') => "null",
                _ => "a number",
            },
        }
    }

    /// Its JSON text.
    pub(super) fn json(self) -> Cow<'a, str> {
        match self {
            Self::Null => Cow::Borrowed("null"),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Number(text) | Self::Raw(text) => text,
            Self::Text(text) => Cow::Owned(quoted(&text)),
        }
    }

    /// Bytes of its JSON text, unless it has escapes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) => 5,
            Self::Number(text) | Self::Raw(text) => text.len(),
            Self::Text(text) => text.len() + 2,
        }
    }

    /// Writes its JSON text.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::Number(text) | Self::Raw(text) => out.push_str(text),
            Self::Text(text) => quote(text, out),
        }
    }

    /// The same, borrowed from nothing.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(flag) => Value::Boolean(flag),
            Self::Number(text) => Value::Number(Cow::Owned(text.into_owned())),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Raw(text) => Value::Raw(Cow::Owned(text.into_owned())),
        }
    }
}

/// Whether a number is written as JSON writes it.
fn is_json_number(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
    digits.first() != Some(&b'+') && !matches!(digits, [b'0', b'0'..=b'9', ..])
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// Writes a text as JSON.
fn quote(text: &str, out: &mut String) {
    // Looks at every byte, so that many are looked at in one step.
    let escapes =
        text.bytes().fold(false, |any, byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if escapes {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}
