//! What Jira says about fields, screens and workflow steps, as it says it. Members that the documentation
//! promises but that recorded answers lack are optional here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

/// One field of the site (`GET /field`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FieldDetails {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) custom: bool,
    /// Whether it can stand on screens.
    pub(super) orderable: bool,
    pub(super) searchable: bool,
    /// Names in JQL; several fields may share one.
    pub(super) clause_names: Vec<String>,
    /// Absent for the few fields that are no values (`thumbnail`) or stand outside `fields` (`issuekey`).
    pub(super) schema: Option<Schema>,
    /// The project that it belongs to, when it is no field of the whole site.
    pub(super) scope: Option<Scope>,
}

/// What a field holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Schema {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) items: Option<String>,
    pub(super) system: Option<String>,
    /// The plugin that made the field's type.
    pub(super) custom: Option<String>,
    pub(super) custom_id: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scope {
    pub(super) project: Option<ScopeProject>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ScopeProject {
    pub(super) id: String,
}

/// One field of a screen: of create metadata (with `fieldId`), of edit metadata and of transitions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MetaField {
    /// In create metadata; elsewhere the field's id is the member's name.
    pub(super) field_id: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) has_default_value: bool,
    pub(super) default_value: Json,
    pub(super) schema: Option<Schema>,
    /// Verbs of `update`: `set`, `add`, `remove`, `edit`, `copy`.
    pub(super) operations: Vec<String>,
    pub(super) allowed_values: Option<Vec<AllowedValue>>,
}

impl MetaField {
    /// The field's id, whichever member has it.
    pub(super) fn id(&self) -> &str {
        if self.field_id.is_empty() { &self.key } else { &self.field_id }
    }
}

/// A value that a field may have: an option, a version, a priority, an issue type, a sprint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AllowedValue {
    /// A text, but a number for sprints.
    pub(super) id: Json,
    /// The label of an option.
    pub(super) value: Option<String>,
    /// The label of everything else.
    pub(super) name: Option<String>,
    pub(super) disabled: bool,
    pub(super) archived: bool,
    /// The options of the second list of a cascading field.
    pub(super) children: Vec<AllowedValue>,
}

impl AllowedValue {
    pub(super) fn id(&self) -> Option<String> {
        match &self.id {
            Json::String(id) if !id.is_empty() => Some(id.clone()),
            Json::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }

    pub(super) fn label(&self) -> String {
        self.value.clone().or_else(|| self.name.clone()).or_else(|| self.id()).unwrap_or_default()
    }
}

/// Something with an id and a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
}

/// A project, with its issue types where they were asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) issue_types: Option<Vec<IssueType>>,
}

/// A type of issue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IssueType {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) subtask: bool,
}

/// A step of the workflow (`GET /issue/{key}/transitions?expand=transitions.fields`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Transition {
    pub(super) id: String,
    pub(super) name: String,
    /// The status that it leads to.
    pub(super) to: Named,
    pub(super) has_screen: bool,
    /// Fields of its screen by id.
    pub(super) fields: BTreeMap<String, MetaField>,
}

/// A page by number. The name of the list differs from resource to resource, and between versions of Jira.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NumberedPage<T> {
    #[serde(
        alias = "issueTypes",
        alias = "createMetaIssueType",
        alias = "fields",
        alias = "results",
        default = "Vec::new"
    )]
    pub(super) values: Vec<T>,
    #[serde(default)]
    pub(super) start_at: u64,
    pub(super) total: Option<u64>,
    pub(super) is_last: Option<bool>,
}

impl<T> NumberedPage<T> {
    /// Where the next page starts, when there is one.
    pub(super) fn next(&self) -> Option<u64> {
        let behind = self.start_at + self.values.len() as u64;
        let more = match (self.is_last, self.total) {
            (Some(last), _) => !last,
            (None, Some(total)) => behind < total,
            (None, None) => false,
        };
        (more && !self.values.is_empty()).then_some(behind)
    }
}

/// A page of issues of which only the edit metadata counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sample {
    pub(super) issues: Vec<SampleIssue>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SampleIssue {
    pub(super) editmeta: Option<EditMeta>,
}

/// What can be edited of an issue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EditMeta {
    pub(super) fields: BTreeMap<String, MetaField>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_whatever_their_list_is_called() {
        for (text, next) in [
            (r#"{"issueTypes":[{"id":"1"}],"startAt":0,"maxResults":1,"total":2}"#, Some(1)),
            (r#"{"values":[{"id":"1"}],"startAt":1,"isLast":true}"#, None),
            (r#"{"values":[{"id":"1"}],"startAt":1,"isLast":false}"#, Some(2)),
            (r#"{"createMetaIssueType":[],"total":5}"#, None),
            (r#"{"results":[{"id":"1"}]}"#, None),
        ] {
            let page: NumberedPage<IssueType> = serde_json::from_str(text).unwrap();
            assert_eq!(page.next(), next, "{text}");
        }
    }
}
