//! What the steps do: for each kind, what it makes of a type when a mapping is compiled, and of a value when it
//! runs. No step does input or output, and none loops; a lookup only says what it has to know.

mod choice;
mod date;
mod formula;
mod list;
mod lookup;
mod number;
mod rich;
mod text;
mod whole;

use std::fmt;

use super::compile::Compiler;
use super::document::Step;
use super::problem::Problem;
use super::program::Row;
use super::shape::{Kind, Shape};
use super::value::Value;

pub(super) use choice::likely_map;
pub(super) use lookup::of_rule;

/// A step that is ready to run.
pub(super) trait Run: fmt::Debug + Send + Sync {
    /// What becomes of a value that is neither missing nor null; `None` is missing.
    ///
    /// # Errors
    /// Why the value does not fit, as the end of a sentence about it.
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String>;

    /// What stands in for a value that is missing or null.
    fn instead(&self) -> Option<Value<'static>> {
        None
    }
}

/// A step that is ready to run and the type of what comes out of it.
pub(super) struct Prepared {
    pub(super) shape: Shape,
    pub(super) run: Box<dyn Run>,
}

impl Prepared {
    fn new(shape: Shape, run: impl Run + 'static) -> Option<Self> {
        Some(Self { shape, run: Box::new(run) })
    }
}

/// Where a step is prepared.
pub(super) struct Place<'c, 's> {
    pub(super) compiler: &'c mut Compiler<'s>,
    /// JSON Pointer of the step.
    pub(super) at: String,
    /// What the rule's field takes.
    pub(super) target: &'c Shape,
    /// Whether nothing follows this step.
    pub(super) last: bool,
}

impl Place<'_, '_> {
    fn problem(&mut self, problem: Problem) {
        self.compiler.problems.push(problem);
    }

    fn error(&mut self, member: &str, message: impl Into<String>, fix: impl Into<String>) {
        let pointer = if member.is_empty() { self.at.clone() } else { format!("{}/{member}", self.at) };
        self.problem(Problem::error(pointer, message).with_fix(fix));
    }

    /// Whether the value is text or is silently written as such.
    fn takes_text(&mut self, given: &Shape) -> bool {
        let fits = matches!(
            given.kind(),
            Kind::Text
                | Kind::Html
                | Kind::Markdown
                | Kind::Choice
                | Kind::Reference
                | Kind::Boolean
                | Kind::Integer
                | Kind::LongInteger
                | Kind::Decimal
                | Kind::Date
                | Kind::Instant
                | Kind::ClockTime
                | Kind::Time
                | Kind::Json
        );
        if !fits {
            let fix = match given.kind() {
                Kind::List | Kind::Choices => {
                    "Put {\"op\":\"join\",\"with\":\", \"} or an item step before it"
                }
                Kind::NumberedChoice => "Put {\"op\":\"label\"} before it",
                Kind::Object => "Take one of its parts, as PATH.PART",
                _ => "Leave the step out",
            };
            self.error("op", format!("this step takes text, and here is {}", given.kind().name()), fix);
        }
        fits
    }
}

/// Prepares a step for values of a type; `None` when it cannot be, which has been told.
pub(super) fn prepare(step: &Step, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    match step {
        Step::Trim(step) => text::trim(step, given, place),
        Step::Case(step) => text::case(step, given, place),
        Step::Truncate(step) => text::truncate(step, given, place),
        Step::Replace(step) => text::replace(step, given, place),
        Step::Concat(step) => text::concat(step, given, place),
        Step::Date(step) => date::date(step, given, place),
        Step::Number(step) => number::number(step, given, place),
        Step::NumberFormat(step) => number::number_format(step, given, place),
        Step::Round(step) => number::round(step, given, place),
        Step::Picklist(step) => choice::picklist(step, given, place),
        Step::Label(_) => choice::label(given, place),
        Step::Split(step) => list::split(step, given, place),
        Step::Join(step) => list::join(step, given, place),
        Step::Item(step) => list::item(step, given, place),
        Step::Each(step) => list::each(step, given, place),
        Step::Default(step) => whole::default(step, given, place),
        Step::Expr(step) => formula::expr(step, given, place),
        Step::RichText(step) => rich::rich_text(step, given, place),
        Step::Lookup(step) => lookup::lookup(step, given, place),
        Step::Reference(_) => whole::reference(given, place),
        Step::Json(_) => whole::json(given),
    }
}
