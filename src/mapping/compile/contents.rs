//! Content that goes along with records: whether there is such on both sides, and the options of writing it.

use serde_json::Value as Json;

use super::scope::Scope;
use super::target::Targets;
use super::{Compiler, Types};
use crate::mapping::document::{ContentRule, Mapping, Operation};
use crate::mapping::problem::Problem;
use crate::mapping::program::ContentProgram;
use crate::record::capability::ContentCapability;
use crate::record::record_type::TextForm;
use crate::record::{Field, FieldType};

impl<'s> Compiler<'s> {
    /// The contents that go along; `None` when one of them cannot, which has been told.
    pub(super) fn contents(&mut self, mapping: &Mapping, types: Types<'s>) -> Option<Vec<ContentProgram>> {
        let rules = mapping.contents.as_deref().unwrap_or_default();
        if !rules.is_empty() && mapping.target.operation == Operation::Delete {
            self.problems.push(
                Problem::error("/contents", "a deletion writes no content")
                    .with_fix("Leave \"contents\" out"),
            );
            return None;
        }
        let programs: Vec<Option<ContentProgram>> = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| self.content(rule, types, &format!("/contents/{index}")))
            .collect();
        programs.into_iter().collect()
    }

    fn content(&mut self, rule: &ContentRule, types: Types<'s>, at: &str) -> Option<ContentProgram> {
        let source = types.source.capability.content.as_ref();
        let target = types.target.capability.content.as_ref().filter(|content| content.writable);
        let known =
            self.has(source, &rule.from, &format!("{at}/from"), types.source.name.as_str(), "no content");
        let taken = self.has(
            target,
            &rule.to,
            &format!("{at}/to"),
            types.target.name.as_str(),
            "no content to write",
        );
        let options = match (&rule.options, target) {
            (Some(rules), Some(capability)) => {
                let fields = options(&capability.options);
                let mut inner = Compiler {
                    shared: self.shared,
                    scope: Scope::Record { record_type: types.source, paths: types.paths },
                    paths: Vec::new(),
                    problems: Vec::new(),
                };
                let block =
                    inner.block(rules, &Targets::Object { fields: &fields }, &format!("{at}/options"));
                self.problems.append(&mut inner.problems);
                Some(block?)
            }
            _ => None,
        };
        (known && taken).then(|| ContentProgram { from: rule.from.clone(), to: rule.to.clone(), options })
    }

    fn has(
        &mut self,
        capability: Option<&ContentCapability>,
        field: &str,
        at: &str,
        record_type: &str,
        otherwise: &str,
    ) -> bool {
        let known = capability.map(|content| content.fields.as_slice()).unwrap_or_default();
        if known.iter().any(|name| name == field) {
            return true;
        }
        let problem = Problem::error(at, format!("{field} of {record_type} has {otherwise}"));
        self.problems.push(if known.is_empty() {
            problem.with_fix("Leave it out, or choose another record type")
        } else {
            problem.with_fix(format!("Fields with content: {}", known.join(", ")))
        });
        false
    }
}

/// The options of a schema as fields that rules can set.
fn options(schema: &Json) -> Vec<Field> {
    let each = schema["properties"].as_object();
    each.into_iter()
        .flatten()
        .map(|(name, property)| {
            let is = |kind: &str| match &property["type"] {
                Json::Array(kinds) => kinds.iter().any(|known| known == kind),
                known => known == kind,
            };
            let field_type = if is("boolean") {
                FieldType::Boolean
            } else if is("integer") {
                let bound = |name: &str| property[name].as_i64();
                FieldType::Integer { minimum: bound("minimum"), maximum: bound("maximum") }
            } else {
                FieldType::Text { max_length: property["maxLength"].as_u64(), form: TextForm::Plain }
            };
            Field::new(name, field_type)
        })
        .collect()
}
