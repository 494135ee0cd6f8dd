//! Compiles a mapping against two record types: all that is wrong at once, or a program.
//!
//! What depends on types is decided here; what is left for the run are values. `scope.rs` finds the source's fields,
//! `target.rs` the target's, `rule.rs` goes from one to the other, `contents.rs` sees to bytes beside the fields,
//! `coverage.rs` to what is missing.

mod afterwards;
mod contents;
mod coverage;
mod reads;
mod rule;
mod scope;
mod target;

use std::cell::RefCell;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::{Literal, Mapping, Operation, ParamType};
use super::lookup::Lookup;
use super::problem::{Problem, Severity};
use super::program::{Block, Program};
use super::shape::Shape;
use crate::layer::check;
use crate::record::capability::WriteCapability;
use crate::record::query::FieldSource;
use crate::record::record_type::TextForm;
use crate::record::schema::{SchemaOptions, SchemaPurpose, record_schema};
use crate::record::{Field, FieldPath, FieldType, QueryDraft, RecordType};

pub use reads::{Reads, looked_up, reads};
use scope::Scope;
use target::Targets;
pub(super) use target::purpose;

/// The two types that a mapping is compiled against.
#[derive(Clone, Copy)]
pub struct Types<'a> {
    /// The source's.
    pub source: &'a RecordType,
    /// The source's fields by path, those behind references included.
    pub paths: &'a dyn FieldSource,
    /// The target's.
    pub target: &'a RecordType,
}

impl std::fmt::Debug for Types<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Types")
            .field("source", &self.source.name)
            .field("target", &self.target.name)
            .finish_non_exhaustive()
    }
}

/// What else a mapping is compiled with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The moment that `now()` in conditions means.
    pub now: Timestamp,
    /// The zone in which a date in a condition becomes an instant.
    pub timezone: TimeZone,
    /// Values of parameters, by name.
    pub params: Vec<(String, Literal)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Compiled {
    /// All that is wrong or worth knowing, in the order of the document.
    pub problems: Vec<Problem>,
    /// The program, unless something is wrong.
    pub program: Option<Program>,
}

/// A record type in which a mapping looks records up.
#[derive(Debug, Clone, Copy)]
pub struct LookedUp<'a> {
    /// Its connection.
    pub connection: &'a str,
    /// Its name, as the mapping writes it.
    pub name: &'a str,
    /// The type.
    pub record_type: &'a RecordType,
}

/// What all blocks of a mapping share.
struct Shared<'a> {
    settings: &'a Settings,
    same_connection: bool,
    target_connection: &'a str,
    looked_up: &'a [LookedUp<'a>],
    /// Lookups of the program so far.
    lookups: RefCell<Vec<Lookup>>,
    /// Parameters with their types and their values as JSON text.
    params: Vec<(String, Shape, String)>,
}

/// One block of rules while it is compiled.
pub(super) struct Compiler<'s> {
    shared: &'s Shared<'s>,
    scope: Scope<'s>,
    /// Paths that are picked out of each record.
    paths: Vec<FieldPath>,
    pub(super) problems: Vec<Problem>,
}

/// Compiles a mapping that looks up no records, or tells that it does.
#[must_use]
pub fn compile(mapping: &Mapping, types: Types<'_>, settings: &Settings) -> Compiled {
    compile_with(mapping, types, &[], settings)
}

/// Compiles a mapping, with the types in which it looks records up ([`looked_up`] names them).
#[must_use]
pub fn compile_with(
    mapping: &Mapping,
    types: Types<'_>,
    lookups: &[LookedUp<'_>],
    settings: &Settings,
) -> Compiled {
    let mut problems = Vec::new();
    let shared = Shared {
        settings,
        same_connection: mapping.source.connection == mapping.target.connection,
        target_connection: &mapping.target.connection,
        looked_up: lookups,
        lookups: RefCell::default(),
        params: params(mapping, settings, &mut problems),
    };
    source(mapping, types, settings, &mut problems);
    let capability = operation(mapping, types.target, &mut problems);
    let targets = Targets::Record {
        record_type: types.target,
        operation: mapping.target.operation,
        by: mapping.target.by.as_deref().unwrap_or_default(),
        capability,
    };
    let scope = Scope::Record { record_type: types.source, paths: types.paths };
    let mut compiler = Compiler { shared: &shared, scope, paths: Vec::new(), problems };
    let block = compiler.block(&mapping.fields, &targets, "/fields");
    let contents = compiler.contents(mapping, types);
    let mut problems = compiler.problems;
    coverage::check(mapping, types, &targets, &mut problems);
    afterwards::check(mapping, types.target, &mut problems);
    problems.sort_by_cached_key(|problem| in_document(&problem.pointer));
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    let lookups = shared.lookups.take();
    let program = block.zip(contents).filter(|_| !wrong);
    Compiled { problems, program: program.map(|(block, contents)| Program { block, contents, lookups }) }
}

/// The order of a pointer in the document: sections as they are written, indices as numbers.
fn in_document(pointer: &str) -> (usize, Vec<(usize, String)>) {
    const SECTIONS: [&str; 7] =
        ["params", "source", "target", "on_source_delete", "on_source_update", "fields", "contents"];
    let mut tokens = pointer.split('/').skip(1);
    let section = tokens.next().and_then(|first| SECTIONS.iter().position(|known| *known == first));
    let rest = tokens.map(|token| match token.parse() {
        Ok(index) => (index, String::new()),
        Err(_) => (usize::MAX, token.to_owned()),
    });
    (section.map_or(0, |section| section + 1), rest.collect())
}

fn params(
    mapping: &Mapping,
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> Vec<(String, Shape, String)> {
    let mut out = Vec::new();
    for (name, param) in mapping.params.iter().flat_map(super::document::Named::iter) {
        let at = format!("/params/{}", crate::record::rules::pointer_token(name));
        let field_type = match param.kind {
            ParamType::Text => FieldType::Text { max_length: None, form: TextForm::Multiline },
            ParamType::Boolean => FieldType::Boolean,
            ParamType::Integer => FieldType::Integer { minimum: None, maximum: None },
            ParamType::Decimal => FieldType::Decimal { precision: None, scale: None },
            ParamType::Date => FieldType::Date,
            ParamType::Instant => FieldType::Instant,
            ParamType::Time => FieldType::Time,
        };
        let field = Field::new(name, field_type.clone());
        let given = settings.params.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let text = match (given, &param.default) {
            (Some(value), _) | (None, Some(value)) => value.text().trim().to_owned(),
            (None, None) => {
                problems.push(
                    Problem::note(&at, "it has no default, so that a run must give it")
                        .with_fix("Add a default, or give it when the mapping runs"),
                );
                "null".to_owned()
            }
        };
        if text != "null" {
            for reason in check::value_reasons(&field, &text, check::Purpose::Upsert) {
                problems.push(Problem::error(&at, format!("its value {}", reason.message)));
            }
        }
        out.push((name.to_owned(), Shape::new(field_type), text));
    }
    for (name, _) in &settings.params {
        if !out.iter().any(|(known, ..)| known == name) {
            problems.push(
                Problem::error("/params", format!("there is no parameter {name:?}"))
                    .with_fix("Declare it under params, or leave it out"),
            );
        }
    }
    out
}

fn source(mapping: &Mapping, types: Types<'_>, settings: &Settings, problems: &mut Vec<Problem>) {
    if types.source.capability.search.is_none() && types.source.capability.changes.is_none() {
        problems.push(Problem::warning(
            "/source/type",
            format!("{} cannot be searched, so that rows must be given", types.source.name),
        ));
    }
    if let Some(query) = &mapping.source.query {
        let typed = QueryDraft::from_json(&query.tree())
            .and_then(|draft| draft.typed(types.paths, settings.now, &settings.timezone));
        if let Err(error) = typed {
            let inner = match error.position() {
                Some(crate::error::Position::Pointer(pointer)) => pointer.clone(),
                _ => String::new(),
            };
            let problem = Problem::error(format!("/source/query{inner}"), error.message());
            problems.push(match error.advice() {
                Some(advice) => problem.with_fix(advice),
                None => problem,
            });
        }
    }
    if let Some(hash) = &mapping.source.schema_hash {
        compare_hash("/source/schema_hash", hash, types.source, SchemaPurpose::Read, problems);
    }
}

fn compare_hash(
    pointer: &str,
    hash: &str,
    record_type: &RecordType,
    purpose: SchemaPurpose,
    problems: &mut Vec<Problem>,
) {
    let live = hash_of(record_type, purpose);
    if live != hash {
        problems.push(
            Problem::warning(
                pointer,
                format!("the schema of {} has changed since the mapping was made", record_type.name),
            )
            .with_fix(format!("Look at the other problems, then write {live}")),
        );
    }
}

/// The hash that stands in a type's schema for a purpose.
#[must_use]
pub fn hash_of(record_type: &RecordType, purpose: SchemaPurpose) -> String {
    let schema = record_schema(record_type, purpose, &SchemaOptions::default());
    let hash = schema.pointer("/definitions/record-meta/const/schemaHash");
    hash.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// Checks operation, key and options, and gives the capability behind the operation.
fn operation<'a>(
    mapping: &Mapping,
    target: &'a RecordType,
    problems: &mut Vec<Problem>,
) -> Option<&'a WriteCapability> {
    let wanted = mapping.target.operation;
    let capability = &target.capability;
    let write = match wanted {
        Operation::Create => capability.create.as_ref(),
        Operation::Update => capability.update.as_ref(),
        Operation::Upsert => capability.upsert.as_ref().map(|upsert| &upsert.write),
        Operation::Delete => capability.delete.as_ref(),
    };
    if write.is_none() {
        let can: Vec<&str> = [
            ("create", capability.create.is_some()),
            ("update", capability.update.is_some()),
            ("upsert", capability.upsert.is_some()),
            ("delete", capability.delete.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, can)| can.then_some(name))
        .collect();
        let told = format!("{} has no {}", target.name, wanted.name());
        let fix = if can.is_empty() {
            "Choose another record type".to_owned()
        } else {
            format!("It can: {}", can.join(", "))
        };
        problems.push(Problem::error("/target/operation", told).with_fix(fix));
    }
    upsert_key(mapping, target, problems);
    if let (Some(options), Some(write)) = (&mapping.target.options, write)
        && let Err(error) = check::options_of(options, write)
    {
        let problem = Problem::error("/target/options", error.message());
        problems.push(match error.advice() {
            Some(advice) => problem.with_fix(advice),
            None => problem,
        });
    }
    if let Some(hash) = &mapping.target.schema_hash {
        let purpose = match wanted {
            Operation::Create | Operation::Upsert => SchemaPurpose::Create,
            Operation::Update => SchemaPurpose::Update,
            Operation::Delete => SchemaPurpose::Key,
        };
        compare_hash("/target/schema_hash", hash, target, purpose, problems);
    }
    write
}

fn upsert_key(mapping: &Mapping, target: &RecordType, problems: &mut Vec<Problem>) {
    let by = mapping.target.by.as_deref();
    match (mapping.target.operation, by) {
        (Operation::Upsert, by) => {
            let Some(upsert) = &target.capability.upsert else { return };
            let known: Vec<String> = upsert.by.iter().map(ToString::to_string).collect();
            let fix = format!("Records of {} are found by: {}", target.name, known.join("; "));
            match by {
                None | Some([]) => problems.push(
                    Problem::error("/target", "an upsert goes by a key, and \"by\" is missing").with_fix(fix),
                ),
                Some(by) if !upsert.by.iter().any(|key| key.0 == by) => problems.push(
                    Problem::error("/target/by", format!("{} is no key of {}", by.join(","), target.name))
                        .with_fix(fix),
                ),
                Some(_) => {}
            }
        }
        (operation, Some(_)) => problems.push(
            Problem::error("/target/by", format!("{} goes by the type's own key", operation.name()))
                .with_fix("Leave \"by\" out, or use upsert"),
        ),
        (_, None) => {}
    }
}

/// What is wrong with a fixed value of a field.
pub(super) fn fixed_value(field: &Field, text: &str, may_be_null: bool, at: &str) -> Vec<Problem> {
    if text.trim() == "null" {
        let fits = field.nullable || may_be_null || field.field_type.is_multi_value();
        return if fits { Vec::new() } else { vec![Problem::error(at, "the field cannot be null")] };
    }
    check::value_reasons(field, text, check::Purpose::Upsert)
        .into_iter()
        .map(|reason| {
            let problem = Problem::error(at, format!("the value {}", reason.message));
            if reason.accepted.is_empty() {
                problem
            } else {
                problem.with_fix(format!("It takes: {}", reason.accepted.join(", ")))
            }
        })
        .collect()
}

impl<'s> Compiler<'s> {
    /// The connection that rows go to.
    pub(super) fn target_connection(&self) -> &'s str {
        self.shared.target_connection
    }

    /// A type in which records are looked up, if there is one.
    pub(super) fn looked_up(&self, connection: &str, name: &str) -> Option<&'s RecordType> {
        let found =
            self.shared.looked_up.iter().find(|known| known.connection == connection && known.name == name);
        found.map(|known| known.record_type)
    }

    /// The place of a lookup among those of the program.
    pub(super) fn add_lookup(&self, lookup: &Lookup) -> usize {
        let mut lookups = self.shared.lookups.borrow_mut();
        lookups.iter().position(|known| known == lookup).unwrap_or_else(|| {
            lookups.push(lookup.clone());
            lookups.len() - 1
        })
    }

    /// The rules for elements of a list.
    pub(super) fn elements(
        &mut self,
        rules: &[super::document::FieldRule],
        element: &Shape,
        wanted: &Shape,
        at: &str,
    ) -> Option<Block> {
        let FieldType::Object { fields } = &wanted.field_type else { return None };
        let mut inner = Compiler {
            shared: self.shared,
            scope: Scope::Element { shape: element },
            paths: Vec::new(),
            problems: Vec::new(),
        };
        let block = inner.block(rules, &Targets::Object { fields }, at);
        self.problems.append(&mut inner.problems);
        block
    }
}
