//! The functions of formulas: their names, what they take and what they give.

use super::Type;

/// A function that is computed from its arguments alone; a method's object is the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Lower,
    Upper,
    Trim,
    Replace,
    Split,
    Join,
    Substring,
    IndexOf,
    ToText,
    ToWhole,
    ToNumber,
    ToBoolean,
    ToInstant,
    ToDuration,
    Divide,
    Year,
    Month,
    DayOfMonth,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
}

/// How a function is called.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) method: bool,
    pub(super) function: Function,
    pub(super) example: &'static str,
}

/// All functions that are no macros.
pub(super) const FUNCTIONS: &[Signature] = &[
    at("size", false, Function::Size, "size(Name)"),
    at("size", true, Function::Size, "Name.size()"),
    at("contains", true, Function::Contains, "Name.contains('x')"),
    at("startsWith", true, Function::StartsWith, "Name.startsWith('x')"),
    at("endsWith", true, Function::EndsWith, "Name.endsWith('x')"),
    at("lowerAscii", true, Function::Lower, "Name.lowerAscii()"),
    at("upperAscii", true, Function::Upper, "Name.upperAscii()"),
    at("trim", true, Function::Trim, "Name.trim()"),
    at("replace", true, Function::Replace, "Name.replace('a', 'b')"),
    at("split", true, Function::Split, "Name.split(',')"),
    at("join", true, Function::Join, "Names.join(', ')"),
    at("substring", true, Function::Substring, "Name.substring(0, 3)"),
    at("indexOf", true, Function::IndexOf, "Name.indexOf('x')"),
    at("string", false, Function::ToText, "string(Amount)"),
    at("int", false, Function::ToWhole, "int('12')"),
    at("double", false, Function::ToNumber, "double('1.5')"),
    at("bool", false, Function::ToBoolean, "bool('true')"),
    at("timestamp", false, Function::ToInstant, "timestamp('2026-01-31T09:30:00Z')"),
    at("duration", false, Function::ToDuration, "duration('1h30m')"),
    at("div", false, Function::Divide, "div(Amount, 3, 2)"),
    at("getFullYear", true, Function::Year, "Born.getFullYear()"),
    at("getMonth", true, Function::Month, "Born.getMonth()"),
    at("getDayOfMonth", true, Function::DayOfMonth, "Born.getDayOfMonth()"),
    at("getDayOfWeek", true, Function::DayOfWeek, "Born.getDayOfWeek()"),
    at("getHours", true, Function::Hours, "Seen.getHours('Europe/Prague')"),
    at("getMinutes", true, Function::Minutes, "Seen.getMinutes()"),
    at("getSeconds", true, Function::Seconds, "Seen.getSeconds()"),
];

const fn at(name: &'static str, method: bool, function: Function, example: &'static str) -> Signature {
    Signature { name, method, function, example }
}

/// What a function gives for arguments of these types; `None` when it does not take them.
pub(super) fn result(function: Function, given: &[Type]) -> Option<Type> {
    use Function as F;
    // Null alone is no argument, but a value that may be null is: it makes the whole null.
    let moment = |kind: &Type| matches!(kind, Type::Instant | Type::Date);
    Some(match (function, given) {
        (F::Size, [Type::Text | Type::List(_)]) | (F::IndexOf, [Type::Text, Type::Text]) => Type::WHOLE,
        (F::Contains | F::StartsWith | F::EndsWith, [Type::Text, Type::Text])
        | (F::ToBoolean, [Type::Text | Type::Boolean]) => Type::Boolean,
        (F::Lower | F::Upper | F::Trim, [Type::Text])
        | (F::Replace, [Type::Text, Type::Text, Type::Text])
        | (F::Substring, [Type::Text, Type::Number { whole: true }])
        | (F::Substring, [Type::Text, Type::Number { whole: true }, Type::Number { whole: true }]) => {
            Type::Text
        }
        (F::Split, [Type::Text, Type::Text]) => Type::List(Box::new(Type::Text)),
        (F::Join, [Type::List(element)] | [Type::List(element), Type::Text])
            if matches!(**element, Type::Text | Type::Any) =>
        {
            Type::Text
        }
        (F::ToText, [kind]) if !matches!(kind, Type::List(_) | Type::Record(_) | Type::Null | Type::Any) => {
            Type::Text
        }
        (F::ToWhole, [Type::Text | Type::Number { .. }]) => Type::WHOLE,
        (F::ToNumber, [Type::Text | Type::Number { .. }]) => Type::NUMBER,
        (F::ToInstant, [Type::Text | Type::Instant]) => Type::Instant,
        (F::ToDuration, [Type::Text]) => Type::Duration,
        (F::Divide, [Type::Number { .. }, Type::Number { .. }, Type::Number { whole: true }]) => Type::NUMBER,
        (F::Year | F::Month | F::DayOfMonth | F::DayOfWeek, [kind]) if moment(kind) => Type::WHOLE,
        (F::Year | F::Month | F::DayOfMonth | F::DayOfWeek, [Type::Instant, Type::Text]) => Type::WHOLE,
        (F::Hours | F::Minutes | F::Seconds, [Type::Instant | Type::Time | Type::Duration])
        | (F::Hours | F::Minutes | F::Seconds, [Type::Instant, Type::Text]) => Type::WHOLE,
        _ => return None,
    })
}
