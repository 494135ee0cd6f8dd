//! A formula as a step: its names are the source's fields.

use super::{Place, Prepared, Run};
use crate::mapping::document::ExprStep;
use crate::mapping::expr::{Halt, Names, Type, Typed, check, compute};
use crate::mapping::problem::Problem;
use crate::mapping::program::{Origin, Row};
use crate::mapping::shape::Shape;
use crate::mapping::value::Value;

/// The names of a formula at its place.
struct Source<'n, 'c, 's> {
    given: &'n Shape,
    place: &'n mut Place<'c, 's>,
    origins: Vec<Origin>,
}

impl Names for Source<'_, '_, '_> {
    fn value(&self) -> Option<Type> {
        Type::of(self.given)
    }

    fn path(&mut self, path: &str, character: usize) -> Option<(usize, Type)> {
        let at = format!("{}/cel", self.place.at);
        let Some((shape, origin)) = self.place.compiler.path(path, &at) else {
            if let Some(problem) = self.place.compiler.problems.last_mut() {
                problem.message = format!("{} (character {character})", problem.message);
            }
            return None;
        };
        let Some(kind) = Type::of(&shape) else {
            self.place.problem(
                Problem::error(
                    at,
                    format!(
                        "formulas do not look into {path}, which holds {} (character {character})",
                        shape.kind().name()
                    ),
                )
                .with_fix("Choose another field"),
            );
            return None;
        };
        self.origins.push(origin);
        Some((self.origins.len() - 1, kind))
    }
}

#[derive(Debug)]
struct Formula {
    typed: Typed,
    origins: Vec<Origin>,
}

pub(super) fn expr(step: &ExprStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let mut source = Source { given, place, origins: Vec::new() };
    let checked = check(&step.cel, &mut source);
    let origins = source.origins;
    let checked = match checked {
        Ok(checked) => checked,
        Err(told) => {
            if let Some(fault) = told {
                place.error(
                    "cel",
                    format!("{} (character {})", fault.message, fault.character),
                    "The formulas are those of CEL, see docs/mapping.md",
                );
            }
            return None;
        }
    };
    let Some(shape) = checked.kind.shape() else {
        place.error(
            "cel",
            format!("the formula gives {}, which no field holds", checked.kind.name()),
            "Take a part of it, such as getSeconds() of a duration",
        );
        return None;
    };
    Prepared::new(shape, Formula { typed: checked.typed, origins })
}

impl Run for Formula {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        match compute(&self.typed, &self.origins, &value, row) {
            Ok(value) => Ok(Some(value)),
            Err(Halt::Null) => Ok(Some(Value::Null)),
            Err(Halt::Missing) => Ok(None),
            Err(Halt::Failed(why)) => Err(format!("cannot be computed: {why}")),
        }
    }
}
