//! Finding records: what is asked, and what becomes of the answer. The asking itself is `mapping/lookup`.

use std::borrow::Cow;

use super::{Place, Prepared, Run};
use crate::mapping::compile::fixed_value;
use crate::mapping::convert::{Cast, Conversion, convert};
use crate::mapping::document::{self, Literal, LookupStep, Named, NotFound, Several};
use crate::mapping::lookup::{Answer, Lookup, canonical};
use crate::mapping::problem::Problem;
use crate::mapping::program::{Origin, Row, cast};
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::Value;
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::record_type::TextForm;
use crate::record::rules::pointer_token;
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// A lookup as a rule or a step says it.
struct Wanted<'d> {
    connection: Option<&'d str>,
    record_type: &'d str,
    /// Fields, each with where it stands in the document.
    by: Vec<(&'d str, String)>,
    /// Paths of the values of all fields but the first, each with where it stands.
    of: Vec<(&'d str, String)>,
    give: Option<&'d str>,
    otherwise: NotFound,
    several: Several,
    set: Option<&'d Named<Literal>>,
}

/// The step.
pub(super) fn lookup(step: &LookupStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let at = |list: &str, index: usize| format!("{}/{list}/{index}", place.at);
    let by = step.by.iter().enumerate().map(|(index, field)| (field.as_str(), at("by", index)));
    let of = step.of.iter().flatten().enumerate().map(|(index, path)| (path.as_str(), at("of", index)));
    let wanted = Wanted {
        connection: step.connection.as_deref(),
        record_type: &step.record_type,
        by: by.collect(),
        of: of.collect(),
        give: step.give.as_deref(),
        otherwise: step.otherwise.unwrap_or_default(),
        several: step.several.unwrap_or_default(),
        set: step.set.as_ref(),
    };
    if wanted.by.len() != wanted.of.len() + 1 {
        place.error(
            "of",
            "each field of \"by\" but the first takes its value from one path of \"of\"",
            "Give as many paths as there are further fields",
        );
        return None;
    }
    prepare(&wanted, given, place)
}

/// A rule's lookup: its first value stands where a step finds it.
pub(in crate::mapping) fn of_rule(
    rule: &document::Lookup,
    given: &Shape,
    place: &mut Place<'_, '_>,
) -> Option<Prepared> {
    let at = |field: &str| format!("{}/by/{}", place.at, pointer_token(field));
    let wanted = Wanted {
        connection: rule.connection.as_deref(),
        record_type: &rule.record_type,
        by: rule.by.iter().map(|(field, _)| (field, at(field))).collect(),
        of: rule.by.iter().skip(1).map(|(field, path)| (path.as_str(), at(field))).collect(),
        give: rule.give.as_deref(),
        otherwise: rule.otherwise.unwrap_or_default(),
        several: rule.several.unwrap_or_default(),
        set: rule.set.as_ref(),
    };
    prepare(&wanted, given, place)
}

#[derive(Debug)]
struct LookUp {
    index: usize,
    lookup: Lookup,
    /// How each value becomes one of its field.
    casts: Vec<Cast>,
    of: Vec<Origin>,
}

fn prepare(wanted: &Wanted<'_>, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let connection = wanted.connection.unwrap_or(place.compiler.target_connection()).to_owned();
    let Some(record_type) = place.compiler.looked_up(&connection, wanted.record_type) else {
        place.error(
            "type",
            format!("there is no record type {} on connection {connection}", wanted.record_type),
            format!(
                "`recordport types {connection}` lists them; another connection is named by \"connection\""
            ),
        );
        return None;
    };
    if record_type.capability.search.is_none() {
        place.error("type", format!("{} cannot be searched", record_type.name), "Choose another record type");
        return None;
    }
    let mut complete = true;
    let (mut by, mut casts, mut of) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (name, at)) in wanted.by.iter().enumerate() {
        let Some(field) = field_of(record_type, name, at, place) else {
            complete = false;
            continue;
        };
        let shape = match index.checked_sub(1).and_then(|index| wanted.of.get(index)) {
            None => given.clone(),
            Some((path, at_path)) => match place.compiler.path(path, at_path) {
                Some((shape, origin)) => {
                    of.push(origin);
                    shape
                }
                None => {
                    complete = false;
                    continue;
                }
            },
        };
        match cast_of(&shape, field, at, place) {
            Some(cast) => casts.push(cast),
            None => complete = false,
        }
        by.push(field.clone());
    }
    let give = wanted.give.map(|name| (name, format!("{}/give", place.at)));
    let given_field = match &give {
        Some((name, at)) => Some(field_of(record_type, name, at, place)?),
        None => None,
    };
    if wanted.otherwise == NotFound::Create {
        complete &= creatable(wanted, record_type, place);
    } else if wanted.set.is_some() {
        place.error("set", "nothing is created", "Say {\"else\":\"create\"}, or leave \"set\" out");
        complete = false;
    }
    if !complete || by.is_empty() {
        return None;
    }
    let lookup = Lookup {
        record_type: wanted.record_type.to_owned(),
        by,
        give: wanted.give.map(FieldPath::parse),
        otherwise: wanted.otherwise,
        several: wanted.several,
        set: wanted
            .set
            .iter()
            .flat_map(|set| set.iter())
            .map(|(name, value)| (name.to_owned(), value.text().trim().to_owned()))
            .collect(),
        connection,
    };
    let shape = match given_field {
        Some(field) => Shape::of(field),
        None => {
            let same = lookup.connection == place.compiler.target_connection();
            let key_of = if same { vec![record_type.name.to_string()] } else { Vec::new() };
            let text = FieldType::Text { max_length: None, form: TextForm::Id };
            Shape { key_of, ..Shape::new(text) }
        }
    };
    let index = place.compiler.add_lookup(&lookup);
    Prepared::new(shape, LookUp { index, lookup, casts, of })
}

fn field_of<'t>(
    record_type: &'t RecordType,
    name: &str,
    at: &str,
    place: &mut Place<'_, '_>,
) -> Option<&'t Field> {
    let found = record_type.field(name);
    if found.is_none() {
        let known = record_type.fields.iter().map(|field| (field.name.as_str(), field.label.as_str()));
        let near = nearest_few(name, known);
        let problem = Problem::error(at, format!("{} has no field {name}", record_type.name));
        place.problem(
            problem.with_fix(
                did_you_mean(&near)
                    .unwrap_or_else(|| format!("Choose one of the fields of {}", record_type.name)),
            ),
        );
    }
    found
}

/// How a value becomes one that the field can be compared with; a text that no record has is no fault.
fn cast_of(shape: &Shape, field: &Field, at: &str, place: &mut Place<'_, '_>) -> Option<Cast> {
    if field.field_type.value_kind().is_none() || field.field_type.is_multi_value() {
        place.problem(
            Problem::error(
                at,
                format!("records are not found by {}, which holds no single value", field.name),
            )
            .with_fix("Choose another field"),
        );
        return None;
    }
    if !field.filterable {
        place.problem(
            Problem::warning(
                at,
                format!("the provider does not filter by {}: every record is read to find one", field.name),
            )
            .with_fix("Choose a field that it filters by"),
        );
    }
    let wanted = Shape::of(field);
    let textual = |shape: &Shape| matches!(shape.kind(), Kind::Text | Kind::Choice | Kind::Reference);
    match convert(shape, &wanted) {
        Conversion::Silent(cast) => Some(cast),
        Conversion::Needs { .. } if textual(shape) && textual(&wanted) => Some(Cast::ToText),
        Conversion::Needs { why, .. } | Conversion::Refused(why) => {
            place.problem(
                Problem::error(at, format!("the value cannot be compared with {}: {why}", field.name))
                    .with_fix(format!("Make it {} first", wanted.kind().name())),
            );
            None
        }
    }
}

/// Whether a record with these values can be created.
fn creatable(wanted: &Wanted<'_>, record_type: &RecordType, place: &mut Place<'_, '_>) -> bool {
    let known = place.compiler.problems.len();
    if record_type.capability.create.is_none() {
        place.error(
            "else",
            format!("{} has no create", record_type.name),
            "Say \"error\", \"null\" or \"skip\"",
        );
        return false;
    }
    if wanted.give.is_some() {
        place.error("give", "of a record that is created only the key is known", "Leave \"give\" out");
    }
    for (name, at) in &wanted.by {
        if record_type.field(name).is_some_and(|field| !field.createable) {
            place.problem(
                Problem::error(at, format!("{name} cannot be set on create"))
                    .with_fix("Say another \"else\""),
            );
        }
    }
    for (name, value) in wanted.set.iter().flat_map(|set| set.iter()) {
        let at = format!("{}/set/{}", place.at, pointer_token(name));
        match record_type.field(name) {
            Some(field) if field.createable => {
                place.compiler.problems.extend(fixed_value(field, value.text(), false, &at));
            }
            _ => place.problem(
                Problem::error(at, format!("{name} cannot be set on create")).with_fix("Leave it out"),
            ),
        }
    }
    let is_set = |name: &str| {
        wanted.by.iter().any(|(field, _)| *field == name)
            || wanted.set.is_some_and(|set| set.get(name).is_some())
    };
    let open: Vec<&str> = record_type
        .fields
        .iter()
        .filter(|field| field.required_on_create && !is_set(&field.name))
        .map(|field| field.name.as_str())
        .collect();
    if !open.is_empty() {
        place.error(
            "else",
            format!("a new {} also needs {}", record_type.name, open.join(", ")),
            "Give it under \"set\"",
        );
    }
    !place.compiler.problems[known..]
        .iter()
        .any(|problem| problem.severity == crate::mapping::Severity::Error)
}

impl Run for LookUp {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let mut key = Vec::with_capacity(self.lookup.by.len());
        let mut values = vec![value];
        for origin in &self.of {
            match row.origin(origin)?.filter(|value| !value.is_null()) {
                Some(value) => values.push(value),
                // A key of which a part is missing means no record.
                None => return Ok(None),
            }
        }
        for ((value, how), field) in values.into_iter().zip(&self.casts).zip(&self.lookup.by) {
            key.push(canonical(field, cast(how, value)?)?);
        }
        let said = |key: &[String]| self.lookup.said(key);
        let answer = if key.iter().any(|value| value == "\"\"") {
            Some(&Answer::None)
        } else {
            row.answers().get(self.index, &key)
        };
        match answer {
            None => {
                row.ask(self.index, key);
                Ok(None)
            }
            Some(Answer::Found(value)) => Ok(Some(Value::Raw(Cow::Owned(value.to_string())))),
            Some(Answer::None) => match self.lookup.otherwise {
                NotFound::Error => Err(format!("cannot be found: there is no {}", said(&key))),
                NotFound::Null => Ok(Some(Value::Null)),
                NotFound::Skip => Ok(None),
                NotFound::Create => {
                    Err(format!("cannot be found: there is no {}, and only a run creates one", said(&key)))
                }
            },
            Some(Answer::Several(count)) => match self.lookup.several {
                Several::Error => Err(format!("is ambiguous: there are {count} records {}", said(&key))),
                Several::Null => {
                    row.warn(format!("was cleared, because there are {count} records {}", said(&key)));
                    Ok(Some(Value::Null))
                }
            },
            Some(Answer::WouldCreate) => {
                row.warn(format!("will be the key of a new {}, which a run creates", said(&key)));
                Ok(None)
            }
            Some(Answer::Failed(why)) => Err(format!("{}: {why}", said(&key))),
        }
    }
}
