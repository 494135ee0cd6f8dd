//! What Dataverse can do with single conditions.
//!
//! Conditions have SQL's meaning here and OData's there. Texts compare there without regard to case, and maybe
//! to accents and blanks at the end; what a comparison makes of null is not documented. So each condition that
//! is sent finds at least the records that fulfil it under every reading, and only those that leave nothing
//! open count as exact.

use super::odata;
use crate::provider::Resolved;
use crate::provider::pushdown::{Judged, negation_normal};
use crate::record::query::{Comparison, Condition, Filter, Pattern, PatternPart, Test};
use crate::record::record_type::{Field, FieldType, TextForm};
use crate::record::value::{Value, ValueKind};

/// Values of one list that are sent.
const LIST_MAX: usize = 500;

/// Judges the conditions of one filter.
pub(super) struct Judge<'a> {
    resolved: &'a Resolved,
    longest: usize,
    /// Conditions on parents that stand under an OR: whether a record without that parent is still looked at
    /// for the other branches is not documented.
    parents_under_or: Vec<Condition>,
}

impl<'a> Judge<'a> {
    /// A judge that sends no condition longer than `longest` bytes.
    pub(super) fn new(filter: Option<&Filter>, resolved: &'a Resolved, longest: usize) -> Self {
        let mut parents_under_or = Vec::new();
        if let Some(filter) = filter {
            collect(&negation_normal(filter), false, &mut parents_under_or);
        }
        Self { resolved, longest, parents_under_or }
    }

    /// The verdict on one condition.
    pub(super) fn judge(&self, condition: &Condition) -> Judged {
        let Some(field) = self.resolved.field(&condition.path) else {
            return Judged::unsupported("the path is not known at Dataverse");
        };
        if !field.filterable {
            return Judged::unsupported("Dataverse does not filter by this value");
        }
        if self.longest == 0 {
            return Judged::unsupported("the request would be longer than Dataverse takes");
        }
        if self.parents_under_or.contains(condition) {
            return Judged::unsupported(
                "whether Dataverse looks at records without this parent for the rest of the OR is not documented",
            );
        }
        let place = Place { wire: field.wire(), own: condition.path.is_single() };
        let verdict = match &condition.test {
            Test::IsNull if !place.own => {
                Judged::unsupported("whether a record without parent counts as null is not documented")
            }
            Test::IsNull => Judged::exact(format!("{} eq null", place.wire), "Dataverse tests for null"),
            Test::IsNotNull => Judged::exact(place.not_null(), "Dataverse tests for null"),
            Test::In { values, .. } if values.is_empty() => {
                Judged::unsupported("an empty list needs no help from Dataverse")
            }
            Test::In { values, .. } if values.len() > LIST_MAX => place.any_value(),
            Test::CompareField(comparison, other) => match self.resolved.field(other) {
                Some(other_field) if place.own && other.is_single() => {
                    place.fields(*comparison, field, other_field)
                }
                _ => place.any_value(),
            },
            _ => place.values(condition, field),
        };
        match &verdict {
            Judged::Exact { native, .. } | Judged::Superset { native, .. } if native.len() > self.longest => {
                place.any_value()
            }
            _ => verdict,
        }
    }
}

fn collect(filter: &Filter, under_or: bool, out: &mut Vec<Condition>) {
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| collect(part, under_or, out)),
        Filter::Or(parts) => {
            let several = under_or || parts.len() > 1;
            parts.iter().for_each(|part| collect(part, several, out));
        }
        Filter::Not(inner) => collect(inner, true, out),
        Filter::Is(condition) if under_or && !condition.path.is_single() => out.push(condition.clone()),
        Filter::Is(_) => {}
    }
}

/// A column in an expression.
struct Place<'a> {
    wire: &'a str,
    own: bool,
}

const CASE: &str = "Dataverse ignores case, so each record is checked again here";
const OPEN: &str = "Dataverse leaves out records without a value; the comparison itself is made here";
const SAME: &str = "Dataverse compares such values exactly";

impl Place<'_> {
    fn not_null(&self) -> String {
        format!("{} ne null", self.wire)
    }

    /// The weakest help: records without a value cannot fulfil any comparison.
    fn any_value(&self) -> Judged {
        Judged::superset(self.not_null(), OPEN)
    }

    fn values(&self, condition: &Condition, field: &Field) -> Judged {
        let number = |write: fn(&crate::record::number::Number) -> Option<String>| {
            move |value: &Value| match value {
                Value::Number(number) => write(number),
                _ => None,
            }
        };
        match &field.field_type {
            FieldType::Text { form: TextForm::Id, .. } | FieldType::Reference(_) => self.id(condition),
            FieldType::Text { .. } => self.text(condition),
            FieldType::Picklist(_) | FieldType::Integer { .. } => {
                self.ordered(condition, number(odata::int32))
            }
            FieldType::Int64 => self.ordered(condition, number(odata::int64)),
            FieldType::Decimal { precision: None, scale } => self.double(condition, scale.unwrap_or(5)),
            FieldType::Decimal { .. } => self.ordered(condition, number(odata::number)),
            FieldType::Date => self.ordered(condition, |value| match value {
                Value::Date(date) => odata::date(*date),
                _ => None,
            }),
            FieldType::Instant => self.instant(condition),
            FieldType::Boolean => self.boolean(condition),
            FieldType::MultiPicklist { .. } => self.multi(condition),
            FieldType::Time
            | FieldType::Binary { .. }
            | FieldType::Object { .. }
            | FieldType::List { .. }
            | FieldType::Json => Judged::unsupported("values of this type are not compared at Dataverse"),
        }
    }

    fn text(&self, condition: &Condition) -> Judged {
        let folded = !condition.case_sensitive;
        let equal = |value: &Value| match value {
            Value::Text(text) if odata::is_plain(text) && (!folded || odata::folds_within_ascii(text)) => {
                Some(format!("{} eq {}", self.wire, odata::quoted(text)))
            }
            _ => None,
        };
        let native = match &condition.test {
            Test::Compare(Comparison::Equal, value) => equal(value),
            Test::In { values, negated: false } => values
                .iter()
                .map(equal)
                .collect::<Option<Vec<String>>>()
                .map(|each| format!("({})", each.join(" or "))),
            Test::Like { pattern, negated: false } => self.like(pattern, folded),
            _ => None,
        };
        native.map_or_else(|| self.any_value(), |native| Judged::superset(native, CASE))
    }

    /// Conditions that every text of a pattern fulfils.
    fn like(&self, pattern: &Pattern, folded: bool) -> Option<String> {
        let last = pattern.0.len().checked_sub(1)?;
        let mut parts: Vec<String> = Vec::new();
        for (at, part) in pattern.0.iter().enumerate() {
            let PatternPart::Literal(text) = part else { continue };
            if folded && !odata::folds_within_ascii(text) {
                continue;
            }
            if at == 0 && at == last {
                if odata::is_plain(text) {
                    parts.push(format!("{} eq {}", self.wire, odata::quoted(text)));
                }
                continue;
            }
            let Some(literal) = odata::searchable(text) else { continue };
            // What was left out in front or behind makes the weaker function the right one.
            let whole = literal == odata::quoted(text);
            let starts = !text.starts_with(char::is_whitespace) && !text.starts_with(['%', '_', '[', ']']);
            let function = match () {
                () if at == 0 && starts => "startswith",
                () if at == last && whole => "endswith",
                () => "contains",
            };
            parts.push(format!("{function}({},{literal})", self.wire));
        }
        match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ => Some(format!("({})", parts.join(" and "))),
        }
    }

    fn id(&self, condition: &Condition) -> Judged {
        let wire = self.wire;
        if !condition.case_sensitive {
            return self.any_value();
        }
        let known = |value: &Value| match value {
            Value::Text(text) if odata::is_guid(text) => Some(text.clone()),
            _ => None,
        };
        let why = "record ids are exact at Dataverse";
        match &condition.test {
            Test::Compare(Comparison::Equal, value) => match known(value) {
                Some(id) => Judged::exact(format!("{wire} eq {id}"), why),
                None => self.any_value(),
            },
            Test::Compare(Comparison::NotEqual, value) => match known(value) {
                Some(id) => Judged::exact(format!("({wire} ne {id} and {})", self.not_null()), why),
                None => self.any_value(),
            },
            Test::In { values, negated } => {
                // A text that is no id equals none; Dataverse would refuse the request for it.
                let ids: Vec<String> = values.iter().filter_map(known).collect();
                if ids.is_empty() {
                    return self.any_value();
                }
                self.list(&ids, *negated, why)
            }
            _ => self.any_value(),
        }
    }

    /// One of some values that need no quotes, or none of them.
    fn list(&self, literals: &[String], negated: bool, why: &str) -> Judged {
        let wire = self.wire;
        let native = match (literals, negated) {
            ([only], false) => format!("{wire} eq {only}"),
            (_, false) if self.own => {
                let values: Vec<String> = literals.iter().map(|literal| odata::quoted(literal)).collect();
                format!(
                    "Microsoft.Dynamics.CRM.In(PropertyName={},PropertyValues=[{}])",
                    odata::quoted(wire),
                    values.join(",")
                )
            }
            (_, false) => {
                let each: Vec<String> =
                    literals.iter().map(|literal| format!("{wire} eq {literal}")).collect();
                format!("({})", each.join(" or "))
            }
            (_, true) => {
                let each: Vec<String> =
                    literals.iter().map(|literal| format!("{wire} ne {literal}")).collect();
                format!("({} and {})", each.join(" and "), self.not_null())
            }
        };
        Judged::exact(native, why)
    }

    fn multi(&self, condition: &Condition) -> Judged {
        let one = |value: &Value| match value {
            Value::Number(number) if self.own => odata::int32(number).map(|number| {
                format!(
                    "Microsoft.Dynamics.CRM.ContainValues(PropertyName={},PropertyValues=[{}])",
                    odata::quoted(self.wire),
                    odata::quoted(&number)
                )
            }),
            _ => None,
        };
        match &condition.test {
            Test::Contains { value, negated: false } => match one(value) {
                Some(native) => {
                    Judged::superset(native, "Dataverse looks the value up; it is checked again here")
                }
                None => self.any_value(),
            },
            Test::SameSet { values, negated: false } if values.is_empty() => {
                Judged::exact(format!("{} eq null", self.wire), "Dataverse tests for null")
            }
            Test::SameSet { values, negated: false } => {
                match values.iter().map(one).collect::<Option<Vec<String>>>() {
                    Some(each) => Judged::superset(
                        format!("({})", each.join(" and ")),
                        "Dataverse finds the records that have all of them; others are left out here",
                    ),
                    None => self.any_value(),
                }
            }
            _ => Judged::unsupported("an empty list fulfils it too, which Dataverse leaves open"),
        }
    }

    fn boolean(&self, condition: &Condition) -> Judged {
        let wanted = match &condition.test {
            Test::Compare(Comparison::Equal, Value::Boolean(flag)) => *flag,
            Test::Compare(Comparison::NotEqual, Value::Boolean(flag)) => !*flag,
            _ => return self.any_value(),
        };
        Judged::exact(format!("{} eq {wanted}", self.wire), SAME)
    }

    /// Instants are kept to the second.
    fn instant(&self, condition: &Condition) -> Judged {
        let second = |value: &Value| match value {
            Value::Instant(instant) => odata::second(*instant),
            _ => None,
        };
        let (wire, not_null) = (self.wire, self.not_null());
        let bounded = |comparison: Comparison, value: &Value| {
            let (literal, whole) = second(value)?;
            // What lies after a second's beginning and before the next cannot be told apart from its beginning.
            let word = match (comparison, whole) {
                (Comparison::Less, true) => "lt",
                (Comparison::Less, false) | (Comparison::LessOrEqual, _) => "le",
                (Comparison::Greater, _) | (Comparison::GreaterOrEqual, false) => "gt",
                (Comparison::GreaterOrEqual, true) => "ge",
                _ => return None,
            };
            Some(format!("{wire} {word} {literal}"))
        };
        let native = match &condition.test {
            Test::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual), value) => {
                second(value).filter(|(_, whole)| *whole).map(|(literal, _)| match comparison {
                    Comparison::Equal => format!("{wire} eq {literal}"),
                    _ => format!("({wire} ne {literal} and {not_null})"),
                })
            }
            Test::Compare(comparison, value) => {
                bounded(*comparison, value).map(|native| format!("({native} and {not_null})"))
            }
            Test::Between { low, high, negated: false } => bounded(Comparison::GreaterOrEqual, low)
                .zip(bounded(Comparison::LessOrEqual, high))
                .map(|(low, high)| format!("({low} and {high} and {not_null})")),
            Test::Between { low, high, negated: true } => bounded(Comparison::Less, low)
                .zip(bounded(Comparison::Greater, high))
                .map(|(low, high)| format!("(({low} or {high}) and {not_null})")),
            Test::In { values, negated } => values
                .iter()
                .map(|value| second(value).filter(|(_, whole)| *whole).map(|(literal, _)| literal))
                .collect::<Option<Vec<String>>>()
                .map(|literals| {
                    let (word, joint) = if *negated { ("ne", " and ") } else { ("eq", " or ") };
                    let each: Vec<String> =
                        literals.iter().map(|literal| format!("{wire} {word} {literal}")).collect();
                    format!("(({}) and {not_null})", each.join(joint))
                }),
            _ => None,
        };
        native.map_or_else(|| self.any_value(), |native| Judged::exact(native, SAME))
    }

    /// Floating numbers are looked for with some air around them.
    fn double(&self, condition: &Condition, scale: u32) -> Judged {
        let air = 10_f64.powi(-i32::try_from(scale.min(15)).unwrap_or(0)) * 2.0;
        let shifted = |value: &Value, by: f64| match value {
            Value::Number(number) => {
                let near = odata::number(number)?.parse::<f64>().ok()? + by;
                (near.abs() < 1e12).then(|| format!("{near:.10}"))
            }
            _ => None,
        };
        let (wire, not_null) = (self.wire, self.not_null());
        let around = |low: &Value, high: &Value| {
            let (low, high) = (shifted(low, -air)?, shifted(high, air)?);
            Some(format!("({wire} ge {low} and {wire} le {high} and {not_null})"))
        };
        let native = match &condition.test {
            Test::Compare(Comparison::Equal, value) => around(value, value),
            Test::Compare(Comparison::Less | Comparison::LessOrEqual, value) => {
                shifted(value, air).map(|high| format!("({wire} le {high} and {not_null})"))
            }
            Test::Compare(Comparison::Greater | Comparison::GreaterOrEqual, value) => {
                shifted(value, -air).map(|low| format!("({wire} ge {low} and {not_null})"))
            }
            Test::Between { low, high, negated: false } => around(low, high),
            Test::In { values, negated: false } => values
                .iter()
                .map(|value| around(value, value))
                .collect::<Option<Vec<String>>>()
                .map(|each| format!("({})", each.join(" or "))),
            _ => None,
        };
        let why =
            "a floating column may hold more digits than it shows, so each record is checked again here";
        native.map_or_else(|| self.any_value(), |native| Judged::superset(native, why))
    }

    /// Values that have an order and are compared exactly: numbers, choices, dates.
    fn ordered(&self, condition: &Condition, literal: impl Fn(&Value) -> Option<String>) -> Judged {
        let (wire, not_null) = (self.wire, self.not_null());
        let number = condition.kind == ValueKind::Number;
        let native = match &condition.test {
            Test::Compare(Comparison::Equal, value) => {
                literal(value).map(|literal| format!("{wire} eq {literal}"))
            }
            Test::Compare(comparison, value) => literal(value)
                .map(|literal| format!("({wire} {} {literal} and {not_null})", word(*comparison))),
            Test::In { values, negated } => {
                let literals: Option<Vec<String>> = values.iter().map(&literal).collect();
                match literals {
                    // The function takes texts; what it makes of fractions and dates is not documented.
                    Some(literals)
                        if *negated || (number && literals.iter().all(|text| !text.contains('.'))) =>
                    {
                        return self.list(&literals, *negated, SAME);
                    }
                    Some(literals) => {
                        let each: Vec<String> =
                            literals.iter().map(|literal| format!("{wire} eq {literal}")).collect();
                        Some(format!("({})", each.join(" or ")))
                    }
                    None => None,
                }
            }
            Test::Between { low, high, negated } => literal(low).zip(literal(high)).map(|(low, high)| {
                if *negated {
                    format!("(({wire} lt {low} or {wire} gt {high}) and {not_null})")
                } else {
                    format!("({wire} ge {low} and {wire} le {high} and {not_null})")
                }
            }),
            _ => None,
        };
        native.map_or_else(|| self.any_value(), |native| Judged::exact(native, SAME))
    }

    /// Two columns of one record.
    fn fields(&self, comparison: Comparison, field: &Field, other: &Field) -> Judged {
        let both = format!("({} and {} ne null)", self.not_null(), other.wire());
        let comparable = |field: &Field| {
            matches!(
                field.field_type,
                FieldType::Integer { .. } | FieldType::Int64 | FieldType::Date | FieldType::Instant
            )
        };
        let same = std::mem::discriminant(&field.field_type) == std::mem::discriminant(&other.field_type);
        if same && comparable(field) && field.floating == other.floating {
            let native = format!(
                "({} {} {} and {} and {} ne null)",
                self.wire,
                word(comparison),
                other.wire(),
                self.not_null(),
                other.wire()
            );
            return Judged::exact(native, SAME);
        }
        Judged::superset(both, OPEN)
    }
}

fn word(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "eq",
        Comparison::NotEqual => "ne",
        Comparison::Less => "lt",
        Comparison::LessOrEqual => "le",
        Comparison::Greater => "gt",
        Comparison::GreaterOrEqual => "ge",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::provider::At;
    use crate::provider::pushdown::split;
    use crate::record::record_type::{ListWire, Picklist, Reference, ResolvedField};
    use crate::record::{Capability, FieldPath, KeyFields, QueryDraft, RecordType, TypeName, where_text};

    fn field(name: &str, field_type: FieldType) -> Field {
        Field { filterable: true, ..Field::new(name, field_type) }
    }

    fn resolved() -> Resolved {
        let numbers = || Picklist { integer: true, restricted: true, values: Vec::new() };
        let lookup = Reference {
            targets: vec!["contact".into()],
            relationship: None,
            type_field: None,
            id_field: "contactid".into(),
            label_field: None,
            max_length: None,
        };
        let record_type = RecordType {
            name: TypeName::new("account"),
            provider: "dynamics".into(),
            label: "Account".into(),
            label_plural: "Accounts".into(),
            description: None,
            custom: false,
            fields: vec![
                Field {
                    case_sensitive: Some(false),
                    empty_is_null: true,
                    ..field("name", FieldType::text(160))
                },
                field("revenue", FieldType::Decimal { precision: Some(17), scale: Some(2) }),
                field("latitude", FieldType::Decimal { precision: None, scale: Some(5) }),
                field("kind", FieldType::Picklist(numbers())),
                field("tags", FieldType::MultiPicklist { picklist: numbers(), wire: ListWire::Comma }),
                field("due", FieldType::Date),
                field("createdon", FieldType::Instant),
                field("modifiedon", FieldType::Instant),
                field("hold", FieldType::Boolean),
                Field {
                    wire_name: Some("_primarycontactid_value".into()),
                    ..field("primarycontactid", FieldType::Reference(lookup))
                },
            ],
            key: KeyFields::single("accountid"),
            alternate_keys: Vec::new(),
            relationships: Vec::new(),
            capability: Capability::default(),
        };
        let path = FieldPath::parse("primarycontactid_contact.fullname");
        let parent = Field {
            wire_name: Some("primarycontactid/fullname".into()),
            ..field("fullname", FieldType::text(160))
        };
        let resolved = ResolvedField { path: path.clone(), field: parent, owner: TypeName::new("contact") };
        Resolved { record_type: Arc::new(record_type), fields: BTreeMap::from([(path, resolved)]) }
    }

    /// What is sent for a condition, and how exact it is.
    fn sent(text: &str) -> (String, At) {
        let resolved = resolved();
        let draft =
            QueryDraft { where_text: Some(where_text::parse(text).unwrap()), ..QueryDraft::default() };
        let query = draft.typed(&resolved, Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap();
        let judge = Judge::new(query.filter.as_ref(), &resolved, usize::MAX);
        let split = split(query.filter.as_ref(), |condition| judge.judge(condition));
        let worst = split.conditions.iter().map(|condition| condition.at).max().unwrap();
        (split.native.map(|native| native.print(" and ", " or ")).unwrap_or_default(), worst)
    }

    #[test]
    fn each_kind_of_condition_is_sent_as_far_as_it_is_right() {
        use At::{Exact, Here, Superset};
        let id = "78914942-34cb-ed11-b596-0022481d68cd";
        for (text, native, at) in [
            ("name = 'O''Neil'", "name eq 'O''Neil'", Superset),
            ("name != 'a'", "name ne null", Superset),
            ("name = ' a'", "name ne null", Superset),
            ("name IS NULL", "name eq null", Exact),
            ("name LIKE 'a[b]%'", "startswith(name,'a_b_')", Superset),
            ("name LIKE '%a!%b' ESCAPE '!'", "endswith(name,'a%b')", Superset),
            (
                "name LIKE 'ab%cd%e'",
                "(startswith(name,'ab') and contains(name,'cd') and endswith(name,'e'))",
                Superset,
            ),
            ("name LIKE '%'", "name ne null", Superset),
            ("name NOT LIKE 'a%'", "name ne null", Superset),
            ("name ILIKE 'abc%'", "startswith(name,'abc')", Superset),
            ("name ILIKE 'task%'", "name ne null", Superset),
            ("name IN ('a', 'b')", "(name eq 'a' or name eq 'b')", Superset),
            ("revenue >= 12.50", "(revenue ge 12.5 and revenue ne null)", Exact),
            ("revenue = 1e400", "revenue ne null", Superset),
            ("kind != 2", "(kind ne 2 and kind ne null)", Exact),
            (
                "kind IN (1, 2)",
                "Microsoft.Dynamics.CRM.In(PropertyName='kind',PropertyValues=['1','2'])",
                Exact,
            ),
            ("kind NOT IN (1, 2)", "(kind ne 1 and kind ne 2 and kind ne null)", Exact),
            ("kind = 9999999999", "kind ne null", Superset),
            (
                "tags = 2",
                "(Microsoft.Dynamics.CRM.ContainValues(PropertyName='tags',PropertyValues=['2']))",
                Superset,
            ),
            ("tags != 2", "", Here),
            ("due = '2026-01-31'", "due eq 2026-01-31", Exact),
            ("due < '1700-01-01'", "due ne null", Superset),
            (
                "createdon < '2026-01-31T09:30:00.5Z'",
                "(createdon le 2026-01-31T09:30:00Z and createdon ne null)",
                Exact,
            ),
            ("createdon = '2026-01-31T09:30:00.5Z'", "createdon ne null", Superset),
            (
                "createdon < modifiedon",
                "(createdon lt modifiedon and createdon ne null and modifiedon ne null)",
                Exact,
            ),
            ("hold != TRUE", "hold eq false", Exact),
            ("primarycontactid IS NULL", "_primarycontactid_value eq null", Exact),
            ("primarycontactid = 'no id'", "_primarycontactid_value ne null", Superset),
            ("primarycontactid_contact.fullname IS NULL", "", Here),
            ("primarycontactid_contact.fullname = 'a'", "primarycontactid/fullname eq 'a'", Superset),
            ("primarycontactid_contact.fullname = 'a' OR kind = 1", "", Here),
        ] {
            let (found, verdict) = sent(text);
            assert_eq!((found.as_str(), verdict), (native, at), "{text}");
        }
        assert_eq!(
            sent(&format!("primarycontactid = '{id}'")),
            (format!("_primarycontactid_value eq {id}"), Exact)
        );
        let (native, at) = sent("latitude = 47.63958");
        assert!(native.starts_with("(latitude ge 47.63956") && at == Superset, "{native}");
    }
}
