//! Computes a checked formula on a record. What touches null is null, what touches a missing field is missing, unless
//! the formula asks (`== null`, `has`, `default`).

use std::borrow::Cow;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Type;
use super::check::{Fold, Node, Order, Sum, Typed};
use super::exact::{Exact, MOST_DIGITS};
use super::functions::Function;
use crate::mapping::program::{Origin, Row};
use crate::mapping::value::{Value, quoted};
use crate::record::pick::members;

/// Steps that one value may take.
const BUDGET: usize = 200_000;
/// Bytes of text that cost one step.
const BYTES_A_STEP: usize = 32;

/// What stops a computation.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mapping) enum Halt {
    /// It touched null.
    Null,
    /// It touched a missing field.
    Missing,
    /// It cannot be.
    Failed(String),
}

/// A value in a formula; null stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mapping) enum Computed {
    Boolean(bool),
    Number(Exact),
    Text(String),
    Instant(Timestamp),
    Date(Date),
    Time(Time),
    Duration(SignedDuration),
    List(Vec<Option<Computed>>),
    /// An object's JSON text.
    Record(String),
}

type Out = Result<Computed, Halt>;

fn failed<T>(why: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Failed(why.into()))
}

/// Computes a formula on a row, with the value so far.
pub(in crate::mapping) fn compute(
    formula: &Typed,
    origins: &[Origin],
    value: &Value<'_>,
    row: &Row<'_>,
) -> Result<Value<'static>, Halt> {
    let mut run = Run { origins, value, row, bound: Vec::new(), left: BUDGET };
    run.node(&formula.0).map(Computed::into_value)
}

struct Run<'r, 'a> {
    origins: &'r [Origin],
    value: &'r Value<'a>,
    row: &'r Row<'a>,
    bound: Vec<Option<Computed>>,
    left: usize,
}

impl Computed {
    fn into_value(self) -> Value<'static> {
        match self {
            Self::Boolean(flag) => Value::Boolean(flag),
            Self::Number(number) => Value::Number(Cow::Owned(number.to_string())),
            Self::List(items) => {
                let items: Vec<String> = items
                    .into_iter()
                    .map(|item| item.map_or("null".to_owned(), |item| item.into_value().json().into_owned()))
                    .collect();
                Value::Raw(Cow::Owned(format!("[{}]", items.join(","))))
            }
            Self::Record(json) => Value::Raw(Cow::Owned(json)),
            other => Value::Text(Cow::Owned(other.written())),
        }
    }

    /// As `string(...)` writes it.
    fn written(&self) -> String {
        match self {
            Self::Boolean(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Instant(instant) => instant.to_string(),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
            Self::Duration(duration) => Exact::whole(duration.as_nanos())
                .over(Exact::whole(1_000_000_000))
                .map_or_else(String::new, |seconds| format!("{seconds}s")),
            Self::List(_) => String::new(),
            Self::Record(json) => json.clone(),
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Text(text) | Self::Record(text) => text.len() / BYTES_A_STEP,
            Self::List(items) => items.iter().flatten().map(Self::cost).sum::<usize>() + items.len(),
            _ => 0,
        }
    }
}

fn text(value: Value<'_>) -> Result<Cow<'_, str>, Halt> {
    value.text().map_err(Halt::Failed)
}

/// A value of a record as one of a formula; `None` is null.
fn taken(value: Value<'_>, kind: &Type) -> Result<Option<Computed>, Halt> {
    if value.is_null() {
        return Ok(None);
    }
    let moment = |what: &str, text: &str| Halt::Failed(format!("{} is no {what}", quoted(text)));
    Ok(Some(match kind {
        Type::Boolean => match value.decoded().map_err(Halt::Failed)? {
            Value::Boolean(flag) => Computed::Boolean(flag),
            _ => return failed("is no boolean"),
        },
        Type::Number { .. } => {
            let digits = value.number().map_err(Halt::Failed)?;
            let number = Exact::parse(&digits);
            Computed::Number(number.ok_or_else(|| {
                Halt::Failed(format!(
                    "{digits} has more than the {MOST_DIGITS} digits that are computed with"
                ))
            })?)
        }
        Type::Text | Type::Null | Type::Any | Type::Duration => Computed::Text(text(value)?.into_owned()),
        Type::Instant => {
            let text = text(value)?;
            Computed::Instant(text.parse().map_err(|_| moment("instant", &text))?)
        }
        Type::Date => {
            let text = text(value)?;
            Computed::Date(text.parse().map_err(|_| moment("date", &text))?)
        }
        Type::Time => {
            let text = text(value)?;
            Computed::Time(text.trim_end_matches('Z').parse().map_err(|_| moment("time of day", &text))?)
        }
        Type::List(element) => {
            let items = value.items().map_err(Halt::Failed)?;
            let items: Result<Vec<_>, Halt> =
                items.into_iter().map(|item| taken(Value::raw(item), element)).collect();
            Computed::List(items?)
        }
        Type::Record(_) => Computed::Record(value.json().into_owned()),
    }))
}

impl Run<'_, '_> {
    fn spend(&mut self, steps: usize) -> Result<(), Halt> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => failed(format!("takes more than {BUDGET} steps to compute")),
        }
    }

    /// A part, where null is a value.
    fn nullable(&mut self, node: &Node) -> Result<Option<Computed>, Halt> {
        match self.node(node) {
            Ok(value) => Ok(Some(value)),
            Err(Halt::Null) => Ok(None),
            Err(halt) => Err(halt),
        }
    }

    fn truth(&mut self, node: &Node) -> Result<bool, Halt> {
        match self.node(node)? {
            Computed::Boolean(flag) => Ok(flag),
            _ => failed("is no boolean"),
        }
    }

    fn items(&mut self, node: &Node) -> Result<Vec<Option<Computed>>, Halt> {
        match self.node(node)? {
            Computed::List(items) => Ok(items),
            _ => failed("is no list"),
        }
    }

    fn whole(&mut self, node: &Node) -> Result<i128, Halt> {
        match self.node(node)? {
            Computed::Number(number) => {
                number.as_whole().map_or_else(|| failed(format!("{number} is no whole number")), Ok)
            }
            _ => failed("is no number"),
        }
    }

    fn node(&mut self, node: &Node) -> Out {
        self.spend(1)?;
        match node {
            Node::Null => Err(Halt::Null),
            Node::Boolean(flag) => Ok(Computed::Boolean(*flag)),
            Node::Number(number) => Ok(Computed::Number(*number)),
            Node::Text(text) => Ok(Computed::Text(text.clone())),
            Node::Value(kind) => self.paid(taken(self.value.clone(), kind)?.ok_or(Halt::Null)),
            Node::Path(place, kind) => {
                let origin = self.origins.get(*place).map(|origin| self.row.origin(origin));
                let found = origin.unwrap_or(Ok(None)).map_err(Halt::Failed)?.ok_or(Halt::Missing)?;
                self.paid(taken(found, kind)?.ok_or(Halt::Null))
            }
            Node::Bound(depth) => {
                let bound = self.bound.get(*depth).cloned().flatten();
                self.paid(bound.ok_or(Halt::Null))
            }
            Node::Select(of, name, kind) => {
                let Computed::Record(json) = self.node(of)? else { return failed("is no object") };
                let found =
                    members(&json, &[name]).map_err(|error| Halt::Failed(error.message().to_owned()))?;
                let found = found.first().copied().flatten().ok_or(Halt::Missing)?;
                self.paid(taken(Value::raw(found.get()), kind)?.ok_or(Halt::Null))
            }
            Node::Index(list, place) => {
                let (items, place) = (self.items(list)?, self.whole(place)?);
                let found = usize::try_from(place).ok().and_then(|place| items.get(place).cloned());
                match found {
                    Some(found) => found.ok_or(Halt::Null),
                    None => failed(format!("the list has no element {place}")),
                }
            }
            Node::List(parts) => {
                let items: Result<Vec<_>, Halt> = parts.iter().map(|part| self.nullable(part)).collect();
                Ok(Computed::List(items?))
            }
            Node::Has(of) => match self.node(of) {
                Ok(_) | Err(Halt::Null) => Ok(Computed::Boolean(true)),
                Err(Halt::Missing) => Ok(Computed::Boolean(false)),
                Err(halt) => Err(halt),
            },
            Node::Default(value, otherwise) => match self.node(value) {
                Err(Halt::Null | Halt::Missing) => self.node(otherwise),
                other => other,
            },
            Node::Not(of) => Ok(Computed::Boolean(!self.truth(of)?)),
            Node::Minus(of) => match self.node(of)? {
                Computed::Number(number) => exact(number.negated()),
                Computed::Duration(duration) => match duration.checked_neg() {
                    Some(duration) => Ok(Computed::Duration(duration)),
                    None => failed("a duration is too long"),
                },
                _ => failed("is no number"),
            },
            Node::Both(one, two) => self.both(one, two, false),
            Node::Either(one, two) => self.both(one, two, true),
            Node::If(condition, then, otherwise) => {
                let chosen = if self.truth(condition)? { then } else { otherwise };
                self.node(chosen)
            }
            Node::Same { negated, one, two } => {
                let same = self.nullable(one)? == self.nullable(two)?;
                Ok(Computed::Boolean(same != *negated))
            }
            Node::Order(order, one, two) => {
                let (one, two) = (self.node(one)?, self.node(two)?);
                ordered(*order, &one, &two)
            }
            Node::In(value, list) => {
                let (value, items) = (self.nullable(value)?, self.items(list)?);
                Ok(Computed::Boolean(items.contains(&value)))
            }
            Node::Sum(sum, one, two) => {
                let (one, two) = (self.node(one)?, self.node(two)?);
                self.spend(one.cost() + two.cost())?;
                summed(*sum, one, two)
            }
            Node::Fold { fold, list, condition, of } => self.fold(*fold, list, condition.as_deref(), of),
            Node::Call(function, parts) => {
                let given: Result<Vec<_>, Halt> = parts.iter().map(|part| self.node(part)).collect();
                self.call(*function, &given?)
            }
        }
    }

    /// A value that was copied, paid for.
    fn paid(&mut self, value: Out) -> Out {
        let value = value?;
        self.spend(value.cost())?;
        Ok(value)
    }

    /// `&&` and `||`: the side that decides does, whatever the other one is.
    fn both(&mut self, one: &Node, two: &Node, deciding: bool) -> Out {
        let first = self.truth(one);
        if first == Ok(deciding) {
            return Ok(Computed::Boolean(deciding));
        }
        let second = self.truth(two)?;
        if second == deciding { Ok(Computed::Boolean(deciding)) } else { first.map(Computed::Boolean) }
    }

    fn fold(&mut self, fold: Fold, list: &Node, condition: Option<&Node>, of: &Node) -> Out {
        let items = self.items(list)?;
        let (mut kept, mut count) = (Vec::new(), 0_usize);
        for item in items {
            self.bound.push(item.clone());
            let made = self.element(fold, condition, of);
            self.bound.pop();
            match (fold, made?) {
                (Fold::Map, Some(made)) => kept.push(made),
                (Fold::Filter, Some(Some(Computed::Boolean(true)))) => kept.push(item),
                (Fold::All, Some(Some(Computed::Boolean(false)))) => return Ok(Computed::Boolean(false)),
                (Fold::Exists, Some(Some(Computed::Boolean(true)))) => return Ok(Computed::Boolean(true)),
                (Fold::ExistsOne, Some(Some(Computed::Boolean(true)))) => count += 1,
                _ => {}
            }
        }
        Ok(match fold {
            Fold::Map | Fold::Filter => Computed::List(kept),
            Fold::All => Computed::Boolean(true),
            Fold::Exists => Computed::Boolean(false),
            Fold::ExistsOne => Computed::Boolean(count == 1),
        })
    }

    /// What becomes of the element that was bound last: nothing where the condition does not hold.
    fn element(
        &mut self,
        fold: Fold,
        condition: Option<&Node>,
        of: &Node,
    ) -> Result<Option<Option<Computed>>, Halt> {
        if let Some(condition) = condition
            && !self.truth(condition)?
        {
            return Ok(None);
        }
        if fold == Fold::Map {
            return self.nullable(of).map(Some);
        }
        self.truth(of).map(|truth| Some(Some(Computed::Boolean(truth))))
    }

    fn call(&mut self, function: Function, given: &[Computed]) -> Out {
        use Computed as C;
        use Function as F;
        self.spend(given.iter().map(Computed::cost).sum())?;
        Ok(match (function, given) {
            (F::Size, [C::Text(text)]) => C::Number(Exact::whole(text.chars().count() as i128)),
            (F::Size, [C::List(items)]) => C::Number(Exact::whole(items.len() as i128)),
            (F::Contains, [C::Text(text), C::Text(part)]) => C::Boolean(text.contains(part.as_str())),
            (F::StartsWith, [C::Text(text), C::Text(part)]) => C::Boolean(text.starts_with(part.as_str())),
            (F::EndsWith, [C::Text(text), C::Text(part)]) => C::Boolean(text.ends_with(part.as_str())),
            (F::Lower, [C::Text(text)]) => C::Text(text.to_ascii_lowercase()),
            (F::Upper, [C::Text(text)]) => C::Text(text.to_ascii_uppercase()),
            (F::Trim, [C::Text(text)]) => C::Text(text.trim().to_owned()),
            (F::Replace, [C::Text(text), C::Text(find), C::Text(with)]) => {
                let places = text.matches(find.as_str()).count();
                self.spend(places.saturating_mul(with.len()) / BYTES_A_STEP)?;
                C::Text(text.replace(find.as_str(), with))
            }
            (F::Split, [C::Text(text), C::Text(by)]) => {
                let pieces: Vec<_> = if by.is_empty() {
                    text.chars().map(|letter| Some(C::Text(letter.to_string()))).collect()
                } else {
                    text.split(by.as_str()).map(|piece| Some(C::Text(piece.to_owned()))).collect()
                };
                self.spend(pieces.len())?;
                C::List(pieces)
            }
            (F::Join, [C::List(items), more @ ..]) => {
                let between = match more {
                    [C::Text(between)] => between.as_str(),
                    _ => "",
                };
                self.spend(items.len().saturating_mul(between.len()) / BYTES_A_STEP)?;
                let texts: Vec<String> = items.iter().flatten().map(Computed::written).collect();
                C::Text(texts.join(between))
            }
            (F::Substring, [C::Text(text), C::Number(from), more @ ..]) => {
                let to = match more {
                    [C::Number(to)] => Some(*to),
                    _ => None,
                };
                C::Text(substring(text, *from, to)?)
            }
            (F::IndexOf, [C::Text(text), C::Text(part)]) => {
                let place = text.find(part.as_str()).map_or(-1, |at| text[..at].chars().count() as i128);
                C::Number(Exact::whole(place))
            }
            (F::ToText, [value]) => C::Text(value.written()),
            (F::ToWhole | F::ToNumber, [value]) => return number(function, value),
            (F::ToBoolean, [C::Boolean(flag)]) => C::Boolean(*flag),
            (F::ToBoolean, [C::Text(text)]) => match text.as_str() {
                "true" | "True" | "TRUE" | "t" | "1" => C::Boolean(true),
                "false" | "False" | "FALSE" | "f" | "0" => C::Boolean(false),
                _ => return failed(format!("{} is no boolean", quoted(text))),
            },
            (F::ToInstant, [C::Instant(instant)]) => C::Instant(*instant),
            (F::ToInstant, [C::Text(text)]) => match text.parse() {
                Ok(instant) => C::Instant(instant),
                Err(_) => return failed(format!("{} is no instant with its offset", quoted(text))),
            },
            (F::ToDuration, [C::Text(text)]) => match text.parse() {
                Ok(duration) => C::Duration(duration),
                Err(_) => return failed(format!("{} is no duration such as 1h30m", quoted(text))),
            },
            (F::Divide, [C::Number(one), C::Number(two), C::Number(places)]) => {
                let places = places.as_whole().and_then(|places| u32::try_from(places).ok());
                let Some(places) = places.filter(|places| *places <= 30) else {
                    return failed("a quotient has 0 to 30 digits behind the point");
                };
                if two.is_zero() {
                    return failed("is divided by zero");
                }
                return exact(one.over_at(*two, places));
            }
            (function, [moment, zone @ ..]) => {
                let zone = match zone {
                    [C::Text(zone)] => Some(zone.as_str()),
                    _ => None,
                };
                C::Number(Exact::whole(i128::from(moment_part(function, moment, zone)?)))
            }
            _ => return failed("cannot be computed"),
        })
    }
}

fn exact(number: Option<Exact>) -> Out {
    match number {
        Some(number) => Ok(Computed::Number(number)),
        None => failed(format!("needs more than the {MOST_DIGITS} digits that are computed with")),
    }
}

fn ordered(order: Order, one: &Computed, two: &Computed) -> Out {
    use Computed as C;
    let compared = match (one, two) {
        (C::Number(one), C::Number(two)) => one.partial_cmp(two),
        (C::Text(one), C::Text(two)) => Some(one.cmp(two)),
        (C::Boolean(one), C::Boolean(two)) => Some(one.cmp(two)),
        (C::Instant(one), C::Instant(two)) => Some(one.cmp(two)),
        (C::Date(one), C::Date(two)) => Some(one.cmp(two)),
        (C::Time(one), C::Time(two)) => Some(one.cmp(two)),
        (C::Duration(one), C::Duration(two)) => Some(one.cmp(two)),
        _ => None,
    };
    let Some(compared) = compared else { return failed("cannot be compared") };
    Ok(C::Boolean(match order {
        Order::Less => compared.is_lt(),
        Order::AtMost => compared.is_le(),
        Order::More => compared.is_gt(),
        Order::AtLeast => compared.is_ge(),
    }))
}

/// A date some whole days later or earlier; hours have no place in it.
fn days(date: Date, duration: SignedDuration, sign: i64) -> Out {
    const DAY: i64 = 24 * 60 * 60;
    if duration.as_secs() % DAY != 0 || duration.subsec_nanos() != 0 {
        return failed("a date goes on by whole days, such as duration('24h')");
    }
    jiff::Span::new()
        .try_days(sign * (duration.as_secs() / DAY))
        .and_then(|span| date.checked_add(span))
        .map(Computed::Date)
        .map_err(|_| Halt::Failed("is beyond the dates that there are".to_owned()))
}

fn summed(sum: Sum, one: Computed, two: Computed) -> Out {
    use Computed as C;
    let too_far = || Halt::Failed("is beyond the instants that there are".to_owned());
    match (sum, one, two) {
        (Sum::Plus, C::Text(one), C::Text(two)) => Ok(C::Text(one + &two)),
        (Sum::Plus, C::List(mut one), C::List(two)) => {
            one.extend(two);
            Ok(C::List(one))
        }
        (Sum::Plus, C::Instant(instant), C::Duration(duration))
        | (Sum::Plus, C::Duration(duration), C::Instant(instant)) => {
            instant.checked_add(duration).map(C::Instant).map_err(|_| too_far())
        }
        (Sum::Minus, C::Instant(instant), C::Duration(duration)) => {
            instant.checked_sub(duration).map(C::Instant).map_err(|_| too_far())
        }
        (Sum::Plus, C::Date(date), C::Duration(duration))
        | (Sum::Plus, C::Duration(duration), C::Date(date)) => days(date, duration, 1),
        (Sum::Minus, C::Date(date), C::Duration(duration)) => days(date, duration, -1),
        (Sum::Minus, C::Instant(one), C::Instant(two)) => Ok(C::Duration(one.duration_since(two))),
        (Sum::Plus, C::Duration(one), C::Duration(two)) => {
            one.checked_add(two).map(C::Duration).ok_or_else(too_far)
        }
        (Sum::Minus, C::Duration(one), C::Duration(two)) => {
            one.checked_sub(two).map(C::Duration).ok_or_else(too_far)
        }
        (Sum::Over | Sum::Rest, C::Number(_), C::Number(two)) if two.is_zero() => {
            failed("is divided by zero")
        }
        (Sum::Over, C::Number(one), C::Number(two)) => match one.over(two) {
            Some(quotient) => Ok(C::Number(quotient)),
            None => failed(format!("{one} / {two} has no end; write div({one}, {two}, places)")),
        },
        (sum, C::Number(one), C::Number(two)) => exact(match sum {
            Sum::Plus => one.plus(two),
            Sum::Minus => one.minus(two),
            Sum::Times => one.times(two),
            Sum::Over | Sum::Rest => one.remainder(two),
        }),
        _ => failed("cannot be computed"),
    }
}

fn number(function: Function, value: &Computed) -> Out {
    let number = match value {
        Computed::Number(number) => Some(*number),
        Computed::Text(text) => Exact::parse(text.trim()),
        _ => None,
    };
    match number {
        None => failed(format!("{} is no number", quoted(&value.written()))),
        Some(number) if function == Function::ToWhole && number.as_whole().is_none() => failed(format!(
            "{number} is no whole number, and nothing is cut off; round it with div({number}, 1, 0)"
        )),
        Some(number) => Ok(Computed::Number(number)),
    }
}

fn substring(text: &str, from: Exact, to: Option<Exact>) -> Result<String, Halt> {
    let length = text.chars().count();
    let place = |number: Exact| {
        let place = number.as_whole().and_then(|place| usize::try_from(place).ok());
        place.filter(|place| *place <= length)
    };
    match (place(from), to.map_or(Some(length), place)) {
        (Some(from), Some(to)) if from <= to => Ok(text.chars().skip(from).take(to - from).collect()),
        _ => failed(format!("the text has {length} characters, and others are asked for")),
    }
}

/// A part of a moment; days of months and weeks and months count from 0, as in CEL.
fn moment_part(function: Function, moment: &Computed, zone: Option<&str>) -> Result<i64, Halt> {
    use Function as F;
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| Halt::Failed(format!("there is no zone {}", quoted(name))))?
        }
    };
    if let Computed::Duration(duration) = moment {
        return Ok(match function {
            F::Hours => duration.as_hours(),
            F::Minutes => duration.as_mins(),
            _ => duration.as_secs(),
        });
    }
    let (date, time) = match moment {
        Computed::Instant(instant) => {
            let local = instant.to_zoned(zone).datetime();
            (local.date(), local.time())
        }
        Computed::Date(date) => (*date, Time::midnight()),
        Computed::Time(time) => (Date::ZERO, *time),
        _ => return failed("is no moment"),
    };
    Ok(i64::from(match function {
        F::Year => date.year(),
        F::Month => i16::from(date.month()) - 1,
        F::DayOfMonth => i16::from(date.day()) - 1,
        F::DayOfWeek => i16::from(date.weekday().to_sunday_zero_offset()),
        F::Hours => i16::from(time.hour()),
        F::Minutes => i16::from(time.minute()),
        _ => i16::from(time.second()),
    }))
}
