//! The query functions of the namespace `Microsoft.Dynamics.CRM`. Days are those of UTC, weeks begin on
//! Sunday, the fiscal year is the calendar year.

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::cell::Cell;
use super::describe::{Column, Kind};
use super::errors::{QUERY, Refusal};
use super::evaluate::{Context, Route, Test, end, midnight, route, seconds, value};
use super::odata::{Argument, Literal, Operator};

/// The end and the beginning of all moments.
const EVER: (i64, i64) = (i64::MIN, i64::MAX);

/// Checks a call against a table.
///
/// # Errors
/// Functions that do not exist, missing or wrong arguments.
pub(super) fn check(
    cx: Context<'_>,
    table: usize,
    name: &str,
    arguments: &[(String, Argument)],
) -> Result<Test, Refusal> {
    let bad = |what: &str| {
        Refusal::new(
            QUERY,
            format!("Cannot find a suitable overload for function 'Microsoft.Dynamics.CRM.{name}': {what}."),
        )
    };
    let argument = |wanted: &str| arguments.iter().find(|(own, _)| own == wanted).map(|(_, value)| value);
    let Some(Argument::One(Literal::Text(path))) = argument("PropertyName") else {
        return Err(bad("PropertyName is missing"));
    };
    let path: Vec<String> = path.split('/').map(str::to_owned).collect();
    // A lookup may be named by its attribute too.
    let route = route(cx, table, &path).or_else(|refusal| {
        let lookup = path.last().map(|last| format!("_{last}_value"));
        let mut path = path.clone();
        match (path.pop(), lookup) {
            (Some(_), Some(lookup)) => {
                path.push(lookup);
                route(cx, table, &path).map_err(|_| refusal)
            }
            _ => Err(refusal),
        }
    })?;
    let column = end(cx.store, table, &route);
    let one = || match argument("PropertyValue") {
        Some(Argument::One(literal)) => Ok(literal),
        _ => Err(bad("PropertyValue is missing")),
    };
    let many = || match argument("PropertyValues") {
        Some(Argument::Many(list)) => Ok(list),
        _ => Err(bad("PropertyValues is missing")),
    };
    let read = |literal: &Literal| match literal {
        Literal::Text(text) => {
            typed(column, text).ok_or_else(|| bad(&format!("{text:?} is no value of {}", column.name)))
        }
        _ => Err(bad("values are texts")),
    };
    let not = |test: Test| Test::Not(Box::new(test));
    Ok(match name {
        "In" | "NotIn" => {
            let values = many()?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let among = Test::Among { route, values };
            if name == "In" { among } else { not(among) }
        }
        "Between" | "NotBetween" => {
            let values = many()?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let [low, high] = values.as_slice() else { return Err(bad("two values are needed")) };
            let compare = |operator, wanted: &Cell| Test::Compare {
                route: route.clone(),
                operator,
                wanted: wanted.clone(),
            };
            let between =
                Test::All(vec![compare(Operator::GreaterOrEqual, low), compare(Operator::LessOrEqual, high)]);
            if name == "Between" { between } else { not(between) }
        }
        "ContainValues" | "DoesNotContainValues" => {
            if column.kind != Kind::Multi {
                return Err(bad("the column is no multi-select choice"));
            }
            let numbers = many()?.iter().map(|literal| match literal {
                Literal::Text(text) => text.trim().parse().map_err(|_| bad("values are numbers as texts")),
                _ => Err(bad("values are texts")),
            });
            let values = numbers.collect::<Result<Vec<i64>, _>>()?;
            let contains = Test::Contains { route, values };
            if name == "ContainValues" { contains } else { not(contains) }
        }
        "EqualUserId" | "NotEqualUserId" | "EqualBusinessId" | "NotEqualBusinessId" => {
            let table = if name.ends_with("UserId") { "systemuser" } else { "businessunit" };
            let wanted = cx.store.seeded_ref(table, 0);
            let operator = if name.starts_with("Not") { Operator::NotEqual } else { Operator::Equal };
            Test::Compare { route, operator, wanted }
        }
        "On" | "NotOn" | "OnOrAfter" | "OnOrBefore" => {
            dates_only(column, &bad)?;
            let day = match one()? {
                Literal::Text(text) | Literal::Moment(text) => seconds(text),
                _ => None,
            };
            let day = day.ok_or_else(|| bad("PropertyValue is no date"))?;
            let first = day.div_euclid(86_400) * 86_400;
            let (from, to) = match name {
                "OnOrAfter" => (first, EVER.1),
                "OnOrBefore" => (EVER.0, first + 86_400),
                _ => (first, first + 86_400),
            };
            let span = Test::Span { route, from, to };
            if name == "NotOn" { not(span) } else { span }
        }
        _ => {
            let number = match argument("PropertyValue") {
                Some(Argument::One(Literal::Number(text))) => text.parse::<i64>().ok(),
                Some(_) => return Err(bad("PropertyValue is a number")),
                None => None,
            };
            let (from, to) = relative(name, number, cx.now).ok_or_else(|| {
                Refusal::new(
                    QUERY,
                    format!(
                        "The function 'Microsoft.Dynamics.CRM.{name}' is not supported here, or its \
                    PropertyValue is missing."
                    ),
                )
            })?;
            dates_only(column, &bad)?;
            span(route, from, to)
        }
    })
}

fn span(route: Route, from: i64, to: i64) -> Test {
    Test::Span { route, from, to }
}

fn dates_only(column: &Column, bad: &impl Fn(&str) -> Refusal) -> Result<(), Refusal> {
    match column.kind {
        Kind::Date | Kind::DateTime => Ok(()),
        _ => Err(bad("the column holds no dates")),
    }
}

/// A value given as text, as a column's values are kept.
fn typed(column: &Column, text: &str) -> Option<Cell> {
    let literal = match column.kind {
        Kind::Text | Kind::Memo | Kind::Multi => Literal::Text(text.to_owned()),
        Kind::Id | Kind::Guid | Kind::Lookup => Literal::Guid(super::guid::parse(text)?),
        Kind::Boolean => Literal::Boolean(match text {
            "true" | "True" | "1" => true,
            "false" | "False" | "0" => false,
            _ => return None,
        }),
        Kind::Date => Literal::Moment(text.split('T').next()?.to_owned()),
        Kind::DateTime => Literal::Moment(text.to_owned()),
        _ => Literal::Number(text.trim().to_owned()),
    };
    value(column, &literal)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// The seconds from which and before which a relative function holds.
fn relative(name: &str, number: Option<i64>, now: Timestamp) -> Option<(i64, i64)> {
    let today = jiff::tz::Offset::UTC.to_datetime(now).date();
    let seconds = now.as_second();
    let whole =
        |unit, turn| Some((midnight(start(unit, turn, today)?), midnight(start(unit, turn + 1, today)?)));
    match name {
        "Today" => return whole(Unit::Day, 0),
        "Yesterday" => return whole(Unit::Day, -1),
        "Tomorrow" => return whole(Unit::Day, 1),
        "Last7Days" => return Some((midnight(shift(today, Unit::Day, -7)?), seconds)),
        "Next7Days" => return Some((seconds, midnight(shift(today, Unit::Day, 8)?))),
        _ => {}
    }
    for (prefix, turn) in [("Last", -1), ("This", 0), ("Next", 1)] {
        if let Some(unit) = name.strip_prefix(prefix).and_then(unit) {
            return whole(unit, turn);
        }
    }
    let number = number?;
    if let Some(units) = name.strip_prefix("OlderThanX") {
        let until = match units {
            "Minutes" => seconds.checked_sub(number.checked_mul(60)?)?,
            "Hours" => seconds.checked_sub(number.checked_mul(3_600)?)?,
            _ => midnight(shift(today, plural(units)?, number.checked_neg()?)?),
        };
        return Some((EVER.0, until));
    }
    if let Some(units) = name.strip_prefix("LastX") {
        let from = match units {
            "Hours" => seconds.checked_sub(number.checked_mul(3_600)?)?,
            _ => midnight(shift(today, plural(units)?, number.checked_neg()?)?),
        };
        return Some((from, seconds));
    }
    let units = name.strip_prefix("NextX")?;
    let to = match units {
        "Hours" => seconds.checked_add(number.checked_mul(3_600)?)?,
        _ => midnight(shift(shift(today, plural(units)?, number)?, Unit::Day, 1)?),
    };
    Some((seconds, to))
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "Week" => Unit::Week,
        "Month" => Unit::Month,
        "Year" | "FiscalYear" => Unit::Year,
        "FiscalPeriod" => Unit::Quarter,
        _ => return None,
    })
}

fn plural(words: &str) -> Option<Unit> {
    match words {
        "Days" => Some(Unit::Day),
        words => unit(words.strip_suffix('s')?),
    }
}

fn shift(day: Date, unit: Unit, turn: i64) -> Option<Date> {
    let span = match unit {
        Unit::Day => Span::new().try_days(turn),
        Unit::Week => Span::new().try_weeks(turn),
        Unit::Month => Span::new().try_months(turn),
        Unit::Quarter => Span::new().try_months(turn.checked_mul(3)?),
        Unit::Year => Span::new().try_years(turn),
    };
    day.checked_add(span.ok()?).ok()
}

/// The first day of the unit that lies `turn` units from today's.
fn start(unit: Unit, turn: i64, today: Date) -> Option<Date> {
    let first = match unit {
        Unit::Day => today,
        Unit::Week => shift(today, Unit::Day, -i64::from(today.weekday().to_sunday_zero_offset()))?,
        Unit::Month => today.first_of_month(),
        Unit::Quarter => Date::new(today.year(), (today.month() - 1) / 3 * 3 + 1, 1).ok()?,
        Unit::Year => today.first_of_year(),
    };
    shift(first, unit, turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_functions_are_spans_of_time() {
        let now: Timestamp = "2025-05-14T12:30:00Z".parse().unwrap();
        for (name, number, from, to) in [
            ("Today", None, "2025-05-14T00:00:00Z", "2025-05-15T00:00:00Z"),
            ("Yesterday", None, "2025-05-13T00:00:00Z", "2025-05-14T00:00:00Z"),
            ("ThisWeek", None, "2025-05-11T00:00:00Z", "2025-05-18T00:00:00Z"),
            ("LastMonth", None, "2025-04-01T00:00:00Z", "2025-05-01T00:00:00Z"),
            ("NextYear", None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("LastXDays", Some(3), "2025-05-11T00:00:00Z", "2025-05-14T12:30:00Z"),
            ("LastXHours", Some(2), "2025-05-14T10:30:00Z", "2025-05-14T12:30:00Z"),
            ("NextXDays", Some(1), "2025-05-14T12:30:00Z", "2025-05-16T00:00:00Z"),
        ] {
            let moment = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
            assert_eq!(relative(name, number, now), Some((moment(from), moment(to))), "{name}");
        }
        for (name, number) in [("LastXDays", None), ("Soon", None), ("LastXFortnights", Some(1))] {
            assert_eq!(relative(name, number, now), None, "{name}");
        }
    }
}
