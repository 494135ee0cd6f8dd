//! What a mapping does to records that it has made, when their sources are deleted or change.

use super::fixed_value;
use crate::mapping::document::{Mapping, OnSourceDelete, OnSourceUpdate, Operation};
use crate::mapping::problem::Problem;
use crate::record::rules::pointer_token;
use crate::record::{FieldPath, RecordType};

/// Finds what the target cannot do.
pub(super) fn check(mapping: &Mapping, target: &RecordType, problems: &mut Vec<Problem>) {
    on_source_delete(mapping, target, problems);
    on_source_update(mapping, target, problems);
}

fn unable(at: &str, target: &RecordType, what: &str) -> Problem {
    Problem::error(at, format!("{} cannot be {what}", target.name)).with_fix("Say \"ignore\"")
}

fn on_source_delete(mapping: &Mapping, target: &RecordType, problems: &mut Vec<Problem>) {
    let at = "/on_source_delete";
    match &mapping.on_source_delete {
        None | Some(OnSourceDelete::Ignore) => {}
        Some(OnSourceDelete::Delete) => {
            if target.capability.delete.is_none() {
                problems.push(unable(at, target, "deleted"));
            }
        }
        Some(OnSourceDelete::Set(fields)) => {
            if target.capability.update.is_none() {
                problems.push(unable(at, target, "updated"));
            }
            for (name, value) in fields.iter() {
                let at = format!("{at}/set/{}", pointer_token(name));
                match target.field(name).filter(|field| field.updatable) {
                    None => problems.push(Problem::error(&at, "this field cannot be set on update")),
                    Some(field) => problems.extend(fixed_value(field, value.text(), true, &at)),
                }
            }
        }
    }
}

fn on_source_update(mapping: &Mapping, target: &RecordType, problems: &mut Vec<Problem>) {
    let at = "/on_source_update";
    if mapping.on_source_update != Some(OnSourceUpdate::Update) {
        return;
    }
    let operation = mapping.target.operation;
    if operation != Operation::Create {
        let told = format!("is of no use beside the operation {}", operation.name());
        problems.push(Problem::note(at, told).with_fix("Leave it out: only what was created needs it"));
        return;
    }
    if target.capability.update.is_none() {
        problems.push(unable(at, target, "updated"));
        return;
    }
    let mut carried = false;
    for (place, rule) in mapping.fields.iter().enumerate() {
        let path = FieldPath::parse(&rule.to);
        if path.segments().first().is_some_and(|name| target.sets_on_update(name)) {
            carried = true;
            continue;
        }
        let told = format!("{path} cannot be updated, so that a change at the source leaves it as it is");
        problems.push(Problem::note(format!("/fields/{place}"), told));
    }
    if !carried {
        let told = "none of the fields can be set on update";
        problems.push(Problem::error(at, told).with_fix("Say \"ignore\""));
    }
    if mapping.contents.is_some() {
        let told = "content is copied when a record is created, and not again when its source changes";
        problems.push(Problem::note("/contents", told));
    }
}
