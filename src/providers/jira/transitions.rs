//! Changes of status: the step of the workflow that leads there, with what it asks for.

use super::draft::Draft;
use super::metadata::{MetaField, Transition};
use crate::error::{Error, FieldError, Result};

/// A step whose screen a row can fill.
///
/// # Errors
/// Invalid: no step leads to the status, or all that do ask for a field that the row does not give.
pub(super) fn choose<'t>(steps: &'t [Transition], status: &str, draft: &Draft) -> Result<&'t Transition> {
    let there: Vec<&Transition> = steps.iter().filter(|step| step.to.id == status).collect();
    if there.is_empty() {
        return Err(no_way(steps, status));
    }
    let complete = there.iter().find(|step| missing(step, draft).is_empty());
    complete.copied().ok_or_else(|| incomplete(&there, draft))
}

/// The fields that a step asks for and that a row does not give.
fn missing<'t>(step: &'t Transition, draft: &Draft) -> Vec<(&'t str, &'t MetaField)> {
    step.fields
        .iter()
        .filter(|(id, field)| field.required && !field.has_default_value && !draft.sets(id))
        .map(|(id, field)| (id.as_str(), field))
        .collect()
}

fn no_way(steps: &[Transition], status: &str) -> Error {
    let known: Vec<String> = steps.iter().map(|step| format!("{} → {}", step.name, step.to.name)).collect();
    let ways = match known.is_empty() {
        true => "there is no step that this user may take from its present status".to_owned(),
        false => format!("the steps from its present status are {}", known.join(", ")),
    };
    Error::invalid(format!("no step of the workflow leads to the status {status}: {ways}"))
        .with_code("no_transition")
        .with_field_error(FieldError {
            field: "status".to_owned(),
            message: "no step of the workflow leads there from the present status".to_owned(),
            accepted: steps.iter().map(|step| step.to.id.clone()).collect(),
        })
        .with_advice("Change the status step by step, or ask an administrator for a step that leads there")
}

fn incomplete(steps: &[&Transition], draft: &Draft) -> Error {
    let tell = |step: &&Transition| {
        let names: Vec<String> =
            missing(step, draft).into_iter().map(|(id, field)| format!("{} ({id})", field.name)).collect();
        format!("{:?} asks for {}", step.name, names.join(", "))
    };
    let told: Vec<String> = steps.iter().map(tell).collect();
    let error = Error::invalid(format!("the status cannot be changed: {}", told.join("; ")))
        .with_code("transition_fields")
        .with_advice("Give these fields in the same row as the status");
    let wanted = steps.first().map(|step| missing(step, draft)).unwrap_or_default();
    wanted.into_iter().fold(error, |error, (id, field)| {
        let accepted = field.allowed_values.iter().flatten().filter_map(super::metadata::AllowedValue::id);
        error.with_field_error(FieldError {
            field: id.to_owned(),
            message: "is required by the step that leads to this status".to_owned(),
            accepted: accepted.collect(),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_step_is_taken_whose_fields_the_row_has() {
        let steps: Vec<Transition> = serde_json::from_value(json!([
            { "id": "1", "name": "Resolve", "to": { "id": "9", "name": "Done" },
              "fields": { "resolution": { "name": "Resolution", "required": true, "allowedValues": [{ "id": "5" }] } } },
            { "id": "2", "name": "Start", "to": { "id": "8", "name": "In Progress" } },
            { "id": "3", "name": "Close", "to": { "id": "9", "name": "Done" },
              "fields": { "comment": { "name": "Comment", "required": true } } }
        ]))
        .unwrap();
        let mut draft = Draft::default();
        assert_eq!(choose(&steps, "8", &draft).unwrap().id, "2");
        let missing = choose(&steps, "9", &draft).unwrap_err();
        assert_eq!(
            (missing.fields()[0].field.as_str(), &missing.fields()[0].accepted[..]),
            ("resolution", &["5".to_owned()][..])
        );
        assert!(missing.message().contains("\"Close\" asks for Comment"), "{missing}");
        draft.fields.insert("resolution".to_owned(), r#"{"id":"5"}"#.to_owned());
        assert_eq!(choose(&steps, "9", &draft).unwrap().id, "1");
        let nowhere = choose(&steps, "7", &draft).unwrap_err();
        assert!(nowhere.message().contains("Start → In Progress"), "{nowhere}");
    }
}
