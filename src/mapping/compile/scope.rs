//! What paths of the source mean: fields of the record or of a list's element, and what begins with `@`.

use super::Compiler;
use crate::mapping::problem::Problem;
use crate::mapping::program::Origin;
use crate::mapping::shape::Shape;
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::query::FieldSource;
use crate::record::record_type::TextForm;
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// Where paths begin.
#[derive(Clone, Copy)]
pub(super) enum Scope<'s> {
    /// At a record.
    Record { record_type: &'s RecordType, paths: &'s dyn FieldSource },
    /// At an element of a list.
    Element { shape: &'s Shape },
}

impl FieldSource for Scope<'_> {
    fn field(&self, path: &FieldPath) -> Option<&Field> {
        match self {
            Self::Record { record_type, paths } => {
                paths.field(path).or_else(|| part(&record_type.fields, path.segments()))
            }
            Self::Element { shape } => match &shape.field_type {
                FieldType::Object { fields } => part(fields, path.segments()),
                _ => None,
            },
        }
    }

    fn known_paths(&self) -> Vec<String> {
        match self {
            Self::Record { paths, .. } => paths.known_paths(),
            Self::Element { shape } => match &shape.field_type {
                FieldType::Object { fields } => fields.iter().map(|field| field.name.clone()).collect(),
                _ => Vec::new(),
            },
        }
    }
}

/// A field by names through objects.
pub(super) fn part<'f>(fields: &'f [Field], names: &[String]) -> Option<&'f Field> {
    let (first, rest) = names.split_first()?;
    let field = fields.iter().find(|field| field.name == *first)?;
    match (&field.field_type, rest) {
        (_, []) => Some(field),
        (FieldType::Object { fields }, rest) => part(fields, rest),
        _ => None,
    }
}

impl Compiler<'_> {
    /// The type of a path's value and where it comes from; what it does not mean is told.
    pub(in crate::mapping) fn path(&mut self, text: &str, at: &str) -> Option<(Shape, Origin)> {
        if let Some(name) = text.strip_prefix("@param.") {
            let known = self.shared.params.iter().find(|(known, ..)| known == name);
            let Some((_, shape, value)) = known else {
                let names = self.shared.params.iter().map(|(name, ..)| (name.as_str(), name.as_str()));
                let near = nearest_few(name, names);
                let fix = did_you_mean(&near).unwrap_or_else(|| "Declare it under params".to_owned());
                self.problems
                    .push(Problem::error(at, format!("there is no parameter {name:?}")).with_fix(fix));
                return None;
            };
            return Some((shape.clone(), Origin::Fixed(value.clone())));
        }
        if text.starts_with('@') {
            return self.mark(text, at);
        }
        let path = FieldPath::parse(text);
        let Some(field) = self.scope.field(&path) else {
            let known = self.scope.known_paths();
            let near = nearest_few(text, known.iter().map(|name| (name.as_str(), name.as_str())));
            let problem = Problem::error(at, format!("the source has no field {text}"));
            self.problems.push(match did_you_mean(&near) {
                Some(question) => problem.with_fix(question),
                None => problem.with_fix("Choose one of the source's fields"),
            });
            return None;
        };
        let shape = Shape { key_of: self.key_of(&path, field), ..Shape::of(field) };
        let slot = self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        });
        Some((shape, Origin::Slot(slot)))
    }

    /// Types of records whose key a field's value is on the target's connection.
    fn key_of(&self, path: &FieldPath, field: &Field) -> Vec<String> {
        if !self.shared.same_connection {
            return Vec::new();
        }
        match (&field.field_type, &self.scope) {
            (FieldType::Reference(reference), _) => reference.targets.clone(),
            (_, Scope::Record { record_type, .. })
                if path.is_single() && record_type.key.0.as_slice() == path.segments() =>
            {
                vec![record_type.name.to_string()]
            }
            _ => Vec::new(),
        }
    }

    /// What begins with `@`.
    fn mark(&mut self, text: &str, at: &str) -> Option<(Shape, Origin)> {
        let number = || Shape::new(FieldType::Integer { minimum: Some(0), maximum: None });
        let found = match (text, &self.scope) {
            ("@row", Scope::Record { .. }) => Some((number(), Origin::Row)),
            ("@record", Scope::Record { record_type, .. }) => {
                let fields = record_type.fields.clone();
                Some((Shape::new(FieldType::Object { fields }), Origin::Whole))
            }
            ("@key", Scope::Record { record_type, .. }) => {
                let single = self.shared.same_connection && record_type.key.0.len() == 1;
                let key_of = if single { vec![record_type.name.to_string()] } else { Vec::new() };
                let text = FieldType::Text { max_length: None, form: TextForm::Id };
                Some((Shape { key_of, ..Shape::new(text) }, Origin::Key))
            }
            ("@item", Scope::Element { shape }) => Some(((*shape).clone(), Origin::Whole)),
            ("@index", Scope::Element { .. }) => Some((number(), Origin::Index)),
            _ => None,
        };
        if found.is_none() {
            let fix = match self.scope {
                Scope::Record { .. } => "There are @row, @record, @key and @param.NAME",
                Scope::Element { .. } => "There are @item, @index and @param.NAME",
            };
            self.problems.push(Problem::error(at, format!("{text} means nothing here")).with_fix(fix));
        }
        found
    }
}
