//! Rule groups in the JSON of react-querybuilder, read into a [`FilterDraft`].
//!
//! The shape is what that library's `formatQuery(query, 'json')` gives by default (its documentation, "Export"
//! and "`RuleGroupType`"): `id`, `path` and `disabled` are ignored, `muted` leaves a rule or group out.

use serde_json::{Map, Value as Json};

use super::FieldPath;
use super::draft::{
    ConditionDraft, FilterDraft, Literal, LiteralValue, Moment, MomentBase, Shift, ShiftUnit, TestDraft,
    TextPlace,
};
use super::query::Comparison;
use crate::error::{Error, Position, Result};

/// Most rules in one filter.
pub const MAX_RULES: usize = 1_000;

/// Most groups inside one another.
pub const MAX_NESTING: usize = 32;

/// Every operator of a rule.
pub const OPERATORS: &[&str] = &[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "doesNotContain",
    "beginsWith",
    "doesNotBeginWith",
    "endsWith",
    "doesNotEndWith",
    "null",
    "notNull",
    "in",
    "notIn",
    "between",
    "notBetween",
];

/// A rule group, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The conditions.
    pub filter: FilterDraft,
    /// What was switched off by `muted`, as text.
    pub muted: Vec<String>,
}

/// Reads a rule group. An empty one holds for every record.
///
/// # Errors
/// Invalid with a JSON pointer for unknown keys and operators, missing values, and groups that are too large
/// or nested too deep.
pub fn parse(group: &Json) -> Result<Rules> {
    parse_at(group, "")
}

/// As [`parse`], for a group that stands at a pointer inside a larger document.
///
/// # Errors
/// As [`parse`].
pub fn parse_at(group: &Json, pointer: &str) -> Result<Rules> {
    let mut reader = Reader { rules: 0, muted: Vec::new() };
    let filter = reader.group(group, pointer, 1)?;
    Ok(Rules { filter: filter.unwrap_or(FilterDraft::And(Vec::new())), muted: reader.muted })
}

/// Escapes a member's name for a JSON Pointer (RFC 6901 section 3).
pub(crate) fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Reader {
    rules: usize,
    muted: Vec<String>,
}

impl Reader {
    /// `None` when the group is muted, or when all that it held is.
    fn group(&mut self, value: &Json, pointer: &str, depth: usize) -> Result<Option<FilterDraft>> {
        let Json::Object(members) = value else {
            return Err(at(pointer, "a rule group is a JSON object with \"combinator\" and \"rules\""));
        };
        if depth > MAX_NESTING {
            return Err(at(pointer, format!("groups are nested more than {MAX_NESTING} levels deep")));
        }
        let muted = flag(members, "muted", pointer)?;
        let not = flag(members, "not", pointer)?;
        let mut combinator = None;
        let mut rules = None;
        for (name, value) in members {
            let here = format!("{pointer}/{}", pointer_token(name));
            match name.as_str() {
                "id" | "path" | "disabled" | "muted" | "not" => {}
                "combinator" => match value.as_str() {
                    Some("and") => combinator = Some(true),
                    Some("or") => combinator = Some(false),
                    _ => return Err(at(&here, "\"combinator\" is \"and\" or \"or\"")),
                },
                "rules" => {
                    rules = Some(value.as_array().ok_or_else(|| at(&here, "\"rules\" is a list"))?);
                }
                other => {
                    return Err(at(&here, format!("a rule group has no {other:?}"))
                        .with_advice("A rule group has: combinator, not, rules, muted"));
                }
            }
        }
        let rules = rules.ok_or_else(|| at(pointer, "a rule group needs \"rules\""))?;
        let all = combinator.ok_or_else(|| at(pointer, "a rule group needs \"combinator\""))?;
        let muted_before = self.muted.len();
        let mut parts = Vec::new();
        for (index, item) in rules.iter().enumerate() {
            let here = format!("{pointer}/rules/{index}");
            let part = match item {
                Json::Object(members)
                    if members.contains_key("rules") || members.contains_key("combinator") =>
                {
                    self.group(item, &here, depth + 1)?
                }
                Json::Object(members) => self.rule(members, &here)?,
                _ => {
                    return Err(at(&here, "a rule or a rule group is a JSON object")
                        .with_advice("Combinators between rules are not accepted; nest groups instead"));
                }
            };
            parts.extend(part);
        }
        let all_left_out = parts.is_empty() && !rules.is_empty();
        // An empty group matches everything, whatever its combinator.
        let joined = if all || parts.is_empty() { FilterDraft::And(parts) } else { FilterDraft::Or(parts) };
        let filter = if not { FilterDraft::Not(Box::new(joined)) } else { joined };
        if muted {
            self.muted.truncate(muted_before);
            self.muted.push(filter.to_string());
            return Ok(None);
        }
        Ok((!all_left_out).then_some(filter))
    }

    fn rule(&mut self, members: &Map<String, Json>, pointer: &str) -> Result<Option<FilterDraft>> {
        self.rules += 1;
        if self.rules > MAX_RULES {
            return Err(at(pointer, format!("a filter has at most {MAX_RULES} rules")));
        }
        for name in members.keys() {
            match name.as_str() {
                "id" | "path" | "disabled" | "muted" | "field" | "operator" | "value" | "valueSource"
                | "caseSensitive" => {}
                other => {
                    return Err(at(
                        &format!("{pointer}/{}", pointer_token(other)),
                        format!("{other:?} is not accepted in a rule"),
                    )
                    .with_advice("A rule has: field, operator, value, valueSource, caseSensitive, muted"));
                }
            }
        }
        let muted = flag(members, "muted", pointer)?;
        let case_sensitive = match members.get("caseSensitive") {
            None | Some(Json::Null) => true,
            Some(Json::Bool(flag)) => *flag,
            Some(_) => {
                return Err(at(&format!("{pointer}/caseSensitive"), "\"caseSensitive\" is true or false"));
            }
        };
        let path = match members.get("field").and_then(Json::as_str) {
            Some(text) if !text.is_empty() => FieldPath::parse(text),
            _ => return Err(at(&format!("{pointer}/field"), "a rule needs \"field\", a field's name")),
        };
        let operator_at = format!("{pointer}/operator");
        let Some(operator) = members.get("operator").and_then(Json::as_str) else {
            return Err(at(&operator_at, "a rule needs \"operator\""));
        };
        let source = match members.get("valueSource") {
            None | Some(Json::Null) => "value",
            Some(Json::String(source)) if source == "value" || source == "field" => source,
            Some(_) => {
                return Err(at(
                    &format!("{pointer}/valueSource"),
                    "\"valueSource\" is \"value\" or \"field\"",
                ));
            }
        };
        let value =
            Given { value: members.get("value").unwrap_or(&Json::Null), pointer: format!("{pointer}/value") };
        let test = test(operator, source == "field", &value, &operator_at)?;
        let condition = ConditionDraft {
            path,
            position: Position::Pointer(format!("{pointer}/field")),
            case_sensitive,
            test,
        };
        if muted {
            self.muted.push(FilterDraft::Is(condition).to_string());
            return Ok(None);
        }
        Ok(Some(FilterDraft::Is(condition)))
    }
}

struct Given<'a> {
    value: &'a Json,
    pointer: String,
}

impl Given<'_> {
    /// One comparison value.
    fn single(&self) -> Result<Literal> {
        scalar(self.value, &self.pointer)
    }

    /// Several values: an array, or one text split at commas with `\,` for a comma inside a value.
    fn several(&self, operator: &str) -> Result<Vec<Literal>> {
        match self.value {
            Json::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| scalar(item, &format!("{}/{index}", self.pointer)))
                .collect(),
            Json::String(text) => {
                let values: Vec<Literal> = split_commas(text)
                    .into_iter()
                    .map(|text| Literal {
                        value: LiteralValue::Loose(text),
                        position: Position::Pointer(self.pointer.clone()),
                    })
                    .collect();
                if values.is_empty() {
                    return Err(at(&self.pointer, format!("{operator:?} needs at least one value")));
                }
                Ok(values)
            }
            Json::Number(_) | Json::Bool(_) => Ok(vec![self.single()?]),
            Json::Null | Json::Object(_) => Err(at(
                &self.pointer,
                format!("{operator:?} takes a list of values, or one text with commas between them"),
            )),
        }
    }

    fn two(&self, operator: &str) -> Result<[Literal; 2]> {
        <[Literal; 2]>::try_from(self.several(operator)?).map_err(|values| {
            at(&self.pointer, format!("{operator:?} takes two values, and there are {}", values.len()))
        })
    }
}

fn test(operator: &str, other_field: bool, value: &Given<'_>, operator_at: &str) -> Result<TestDraft> {
    let comparison = match operator {
        "=" => Some(Comparison::Equal),
        "!=" => Some(Comparison::NotEqual),
        "<" => Some(Comparison::Less),
        "<=" => Some(Comparison::LessOrEqual),
        ">" => Some(Comparison::Greater),
        ">=" => Some(Comparison::GreaterOrEqual),
        _ => None,
    };
    if other_field {
        return match (comparison, value.value) {
            (Some(comparison), Json::String(text)) if !text.is_empty() => {
                Ok(TestDraft::CompareField(comparison, FieldPath::parse(text)))
            }
            (Some(_), _) => Err(at(&value.pointer, "with valueSource \"field\" the value is a field's name")),
            (None, _) => Err(at(operator_at, format!("{operator:?} cannot compare two fields"))
                .with_advice("Between two fields there are: =, !=, <, <=, >, >=")),
        };
    }
    if let Some(comparison) = comparison {
        return Ok(TestDraft::Compare(comparison, compared(value)?));
    }
    let holds =
        |place: TextPlace, negated: bool| Ok(TestDraft::Holds { place, value: value.single()?, negated });
    match operator {
        "null" => Ok(TestDraft::IsNull { negated: false }),
        "notNull" => Ok(TestDraft::IsNull { negated: true }),
        "contains" => holds(TextPlace::Anywhere, false),
        "doesNotContain" => holds(TextPlace::Anywhere, true),
        "beginsWith" => holds(TextPlace::Beginning, false),
        "doesNotBeginWith" => holds(TextPlace::Beginning, true),
        "endsWith" => holds(TextPlace::End, false),
        "doesNotEndWith" => holds(TextPlace::End, true),
        "in" | "notIn" => {
            Ok(TestDraft::In { values: value.several(operator)?, negated: operator == "notIn" })
        }
        "between" | "notBetween" => {
            let [low, high] = value.two(operator)?;
            Ok(TestDraft::Between { low, high, negated: operator == "notBetween" })
        }
        other => Err(at(operator_at, format!("there is no operator {other:?}"))
            .with_advice(format!("The operators are: {}", OPERATORS.join(" ")))),
    }
}

/// The value of `=` and its like; an array is a set, for fields of several values.
fn compared(value: &Given<'_>) -> Result<Literal> {
    match value.value {
        Json::Array(_) => Ok(Literal {
            value: LiteralValue::List(value.several("=")?),
            position: Position::Pointer(value.pointer.clone()),
        }),
        _ => value.single(),
    }
}

fn scalar(value: &Json, pointer: &str) -> Result<Literal> {
    let value = match value {
        Json::String(text) => LiteralValue::Loose(text.clone()),
        Json::Number(number) => LiteralValue::Number(number.to_string()),
        Json::Bool(flag) => LiteralValue::Boolean(*flag),
        Json::Null => {
            return Err(at(pointer, "a comparison with null is never true")
                .with_advice("Use the operators null and notNull"));
        }
        Json::Array(_) | Json::Object(_) => {
            return Err(at(pointer, "a value here is a text, a number, true or false"));
        }
    };
    Ok(Literal { value, position: Position::Pointer(pointer.to_owned()) })
}

/// Splits at commas; `\,` is a comma. Blanks around a value do not count and blank values are left out, as in
/// the query builder itself; values that need them are written as an array.
pub(crate) fn split_commas(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&',') => {
                characters.next();
                if let Some(last) = out.last_mut() {
                    last.push(',');
                }
            }
            ',' => out.push(String::new()),
            other => {
                if let Some(last) = out.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    out.into_iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

/// Reads `now`, `today`, and these moved by signed counts of `s m h d w M y`: `now-7d`, `today+1M`.
pub(crate) fn relative_moment(text: &str) -> Option<Moment> {
    let (base, mut rest) = match (text.strip_prefix("now"), text.strip_prefix("today")) {
        (Some(rest), _) => (MomentBase::Now, rest),
        (_, Some(rest)) => (MomentBase::Today, rest),
        _ => return None,
    };
    let mut shifts = Vec::new();
    while !rest.is_empty() {
        let sign = match rest.as_bytes()[0] {
            b'-' => -1,
            b'+' => 1,
            _ => return None,
        };
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest[1..=digits].parse().ok().filter(|count| *count <= 1_000_000_000)?;
        let unit = match rest.as_bytes().get(1 + digits)? {
            b's' => ShiftUnit::Second,
            b'm' => ShiftUnit::Minute,
            b'h' => ShiftUnit::Hour,
            b'd' => ShiftUnit::Day,
            b'w' => ShiftUnit::Week,
            b'M' => ShiftUnit::Month,
            b'y' => ShiftUnit::Year,
            _ => return None,
        };
        shifts.push(Shift { count: sign * count, unit });
        rest = &rest[digits + 2..];
    }
    Some(Moment { base, shifts })
}

fn flag(members: &Map<String, Json>, name: &str, pointer: &str) -> Result<bool> {
    match members.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(_) => Err(at(&format!("{pointer}/{name}"), format!("{name:?} is true or false"))),
    }
}

fn at(pointer: &str, message: impl Into<String>) -> Error {
    Error::invalid(message).with_position(Position::Pointer(pointer.to_owned()))
}
