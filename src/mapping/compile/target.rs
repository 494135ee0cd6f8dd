//! What a rule writes to.

use super::scope::part;
use crate::layer::check::Purpose;
use crate::mapping::document::Operation;
use crate::mapping::problem::Problem;
use crate::mapping::shape::Shape;
use crate::record::capability::{VersionSupport, WriteCapability};
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::record_type::TextForm;
use crate::record::schema::polymorphic_type_field;
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// What can be written.
#[derive(Clone, Copy)]
pub(super) enum Targets<'a> {
    /// Fields of a record.
    Record {
        record_type: &'a RecordType,
        operation: Operation,
        by: &'a [String],
        capability: Option<&'a WriteCapability>,
    },
    /// Parts of an object in a list.
    Object { fields: &'a [Field] },
}

/// One field that is written.
pub(super) struct Target {
    pub(super) shape: Shape,
    /// The field itself; none for what only says which record is meant.
    pub(super) field: Option<Field>,
    /// Whether it must not be null.
    pub(super) needed: bool,
}

impl Target {
    fn of(field: Field, needed: bool) -> Self {
        Self { shape: Shape::of(&field), field: Some(field), needed }
    }

    /// Text that says which record is meant, of whatever length.
    fn mark(needed: bool) -> Self {
        let text = FieldType::Text { max_length: None, form: TextForm::Id };
        Self { shape: Shape::new(text), field: None, needed }
    }
}

/// What rows of an operation may set.
pub(in crate::mapping) fn purpose(operation: Operation) -> Purpose {
    match operation {
        Operation::Create => Purpose::Create,
        Operation::Update | Operation::Delete => Purpose::Update,
        Operation::Upsert => Purpose::Upsert,
    }
}

impl Targets<'_> {
    /// The field at a path, if it can be written.
    pub(super) fn find(&self, path: &FieldPath, at: &str) -> Result<Target, Problem> {
        match self {
            Self::Record { record_type, operation, by, capability } => {
                record_target(record_type, *operation, by, *capability, path, at)
            }
            Self::Object { fields } => match part(fields, path.segments()) {
                Some(field) => {
                    let needed = field.required_on_create && !field.nullable;
                    Ok(Target::of(field.clone(), needed))
                }
                None => Err(no_field(path, fields.iter().map(|field| field.name.as_str()), at)),
            },
        }
    }
}

fn no_field<'n>(path: &FieldPath, known: impl Iterator<Item = &'n str>, at: &str) -> Problem {
    let name = path.to_string();
    let near = nearest_few(&name, known.map(|name| (name, name)));
    let problem = Problem::error(at, format!("the target has no field {name}"));
    match did_you_mean(&near) {
        Some(question) => problem.with_fix(question),
        None => problem.with_fix("Choose one of the target's fields"),
    }
}

fn record_target(
    record_type: &RecordType,
    operation: Operation,
    by: &[String],
    capability: Option<&WriteCapability>,
    path: &FieldPath,
    at: &str,
) -> Result<Target, Problem> {
    let name = path.to_string();
    if name.starts_with('@') {
        return mark(&name, operation, capability, at);
    }
    let first = path.segments().first().map_or("", String::as_str);
    let key: &[String] = match operation {
        Operation::Create => &[],
        Operation::Update | Operation::Delete => &record_type.key.0,
        Operation::Upsert => by,
    };
    let is_key = path.is_single() && key.iter().any(|field| field == first);
    let field = match part(&record_type.fields, path.segments()) {
        Some(field) => field.clone(),
        None => match polymorphic_type_field(record_type, &name) {
            Some(field) => field,
            None => return parent(record_type, capability, path, at),
        },
    };
    if is_key {
        return Ok(Target::of(field, true));
    }
    if operation == Operation::Delete {
        return Err(Problem::error(at, "a deletion sets no fields").with_fix("Leave this rule out"));
    }
    let purpose = purpose(operation);
    let top = record_type.field(first);
    let settable = purpose.settable(&field) && top.is_none_or(|top| purpose.settable(top));
    if !settable {
        return Err(not_settable(&field, operation, at));
    }
    let required = field.required_on_create && operation != Operation::Update;
    let needed =
        !field.nullable && !field.field_type.is_multi_value() && (required || operation == Operation::Update);
    Ok(Target::of(field, needed || required))
}

fn mark(
    name: &str,
    operation: Operation,
    capability: Option<&WriteCapability>,
    at: &str,
) -> Result<Target, Problem> {
    match (name, operation) {
        ("@key" | "@version", Operation::Create) => {
            Err(Problem::error(at, "a new record has no key and no version to give")
                .with_fix("Leave this rule out"))
        }
        ("@key", _) => Ok(Target::mark(true)),
        ("@version", _) if capability.is_some_and(|write| write.version == VersionSupport::None) => {
            Err(Problem::error(at, "this operation checks no version").with_fix("Leave this rule out"))
        }
        ("@version", _) => Ok(Target::mark(false)),
        _ => Err(Problem::error(at, format!("{name} means nothing in a row"))
            .with_fix("Beside its fields a row has @key and @version")),
    }
}

/// A parent named by a key of its own: `Account.Erp_Id__c`.
fn parent(
    record_type: &RecordType,
    capability: Option<&WriteCapability>,
    path: &FieldPath,
    at: &str,
) -> Result<Target, Problem> {
    let known = record_type.fields.iter().map(|field| field.name.as_str());
    if let ([relationship, _], Some(write)) = (path.segments(), capability)
        && write.parents_by_key
        && record_type.relationship(relationship).is_some()
    {
        return Ok(Target::mark(false));
    }
    Err(no_field(path, known, at))
}

fn not_settable(field: &Field, operation: Operation, at: &str) -> Problem {
    let why = if field.calculated {
        ": the provider calculates it"
    } else if field.auto_number {
        ": the provider numbers it"
    } else if matches!(field.field_type, FieldType::Object { .. }) {
        ": set its parts"
    } else if field.createable && operation == Operation::Update {
        " on update, only when the record is created"
    } else if field.updatable && operation == Operation::Create {
        " on create, only once the record exists"
    } else {
        ""
    };
    Problem::error(at, format!("{} cannot be set{why}", field.name)).with_fix("Leave this rule out")
}
