//! How Jira calls the parts of an issue, and what their values look like on the wire.
//!
//! A record type has properties; an issue on the wire has members of `fields`. Usually one property is one
//! member, but a document is two properties (`description` as Markdown, `description_adf` as it is) and so is a
//! cascading select (`customfield_10022` and `customfield_10022_child`). [`Wires`] leads from a property to its
//! [`WireField`]; its [`Kind`] says all that reading, filtering and writing need to know about the value.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metadata::Schema;
use crate::record::transcode::{Conversion, Member, Shape};
use crate::rich_text;

/// Behind a document's property: the document itself, as JSON text.
pub(super) const ADF: &str = "_adf";
/// Behind a cascading select's property: the option of the second list.
pub(super) const CHILD: &str = "_child";
/// Members of time tracking: property name, whether it is a number of seconds, whether it can be written.
pub(super) const TIME_TRACKING: [(&str, bool, bool); 6] = [
    ("originalEstimate", false, true),
    ("remainingEstimate", false, true),
    ("timeSpent", false, false),
    ("originalEstimateSeconds", true, false),
    ("remainingEstimateSeconds", true, false),
    ("timeSpentSeconds", true, false),
];

/// What of the issues of a type Jira needs to be told about besides their record type.
#[derive(Debug, Default)]
pub(super) struct Wires {
    /// By property name; `id` and `key` are among them.
    pub(super) fields: HashMap<String, WireField>,
    /// The project and the issue type that all issues of this type have; `None` for `issue`.
    pub(super) scope: Option<Scope>,
}

/// Project and issue type of a type such as `issue:OPS/Bug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) project_id: String,
    pub(super) project_key: String,
    pub(super) issue_type_id: String,
}

/// One property, as Jira knows it.
#[derive(Debug, Clone)]
pub(super) struct WireField {
    /// Member of `fields`, and name in `fields` and `update` of a write; `id` and `key` stand beside `fields`.
    pub(super) id: String,
    /// Names in JQL, unquoted, the one that can mean no other field first (`cf[10010]`); empty for a field that
    /// JQL cannot ask.
    pub(super) clauses: Vec<String>,
    /// What kind of value it is.
    pub(super) kind: Kind,
    /// What Jira says of the value; empty for the few fields that have none.
    pub(super) schema: Schema,
    /// Verbs that `update` takes (`set`, `add`, `remove`, `edit`), those of the edit screen where an issue showed
    /// it, else those of the create screen; empty where neither has the field.
    pub(super) operations: Vec<String>,
}

/// Kinds of values. Each says how the wire writes it → what the property holds; a write goes the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// The issue's id, a text of digits beside `fields`.
    Id,
    /// The issue's key, such as `OPS-1`, beside `fields`.
    Key,
    /// `"x"` → text. What is no text (an app's own form) → JSON as text.
    Text,
    /// An Atlassian document → Markdown.
    Document,
    /// The same member → the document as JSON text.
    DocumentSource,
    /// A number, digits kept.
    Number,
    /// `"2026-01-31"`.
    Date,
    /// `"2026-09-25T22:42:39.399-0300"` → the same with a colon in the offset.
    Instant,
    /// `{"id","value"}` → id.
    Option,
    /// `[{"id","value"}]` → list of ids.
    Options,
    /// `{"id","value","child"}` → id of the first list's option.
    Cascade,
    /// The same member → id of the second list's option (`child.id`).
    CascadeChild,
    /// `["a"]` → list of texts; empty for null.
    Labels,
    /// `{"accountId"}` → account id.
    User,
    /// `[{"accountId"}]` → list of account ids.
    Users,
    /// `{"name","groupId"}` → name.
    Group,
    /// `[{"name","groupId"}]` → list of names.
    Groups,
    /// `{"id","key","name"}` → id.
    Project,
    /// `{"id","name"}` → id.
    Version,
    /// `[{"id","name"}]` → list of ids.
    Versions,
    /// `[{"id","name"}]` → list of ids.
    Components,
    /// `{"id","name"}` → id.
    Priority,
    /// `{"id","name","subtask"}` → id.
    IssueType,
    /// `{"id","name"}` → id; changed by transitions only.
    Status,
    /// `{"id","key","name"}` → key (`new`, `indeterminate`, `done`); cannot be written.
    StatusCategory,
    /// `{"id","name"}` → id.
    Resolution,
    /// `{"id","name"}` → id.
    SecurityLevel,
    /// `{"id","key","fields"}` → the parent issue's id.
    Parent,
    /// `[{"id","key","fields"}]` → list of issue ids; cannot be written.
    Issues,
    /// `[{"id","type","inwardIssue"}]` → list of ids of links; cannot be written.
    Links,
    /// `[{"id","filename"}]` → list of ids of attachments; cannot be written.
    Attachments,
    /// `{"originalEstimate":"1d",...}` → an object with the members of [`TIME_TRACKING`].
    TimeTracking,
    /// `[{"id":1,"name","state"}]` → list of whole numbers; written as one number.
    Sprint,
    /// `{"votes":1,"hasVoted"}` → the number; cannot be written.
    Votes,
    /// `{"watchCount":1,"isWatching"}` → the number; cannot be written.
    Watches,
    /// Anything else → JSON as text. Written as that JSON where a screen has it.
    Json,
}

impl Kind {
    /// The kind of a field.
    pub(super) fn of(id: &str, schema: &Schema) -> Self {
        let custom = schema.custom.as_deref().unwrap_or_default();
        let plugin = custom.rsplit(':').next().unwrap_or_default();
        match (schema.kind.as_str(), schema.items.as_deref().unwrap_or_default()) {
            ("", _) => match id {
                "issuekey" => Self::Key,
                "parent" => Self::Parent,
                _ => Self::Json,
            },
            ("string", _) if plugin == "textarea" || matches!(id, "description" | "environment") => {
                Self::Document
            }
            ("string", _) => Self::Text,
            ("any", _) if plugin == "gh-epic-link" => Self::Text,
            ("number", _) => Self::Number,
            ("date", _) => Self::Date,
            ("datetime", _) => Self::Instant,
            ("option", _) => Self::Option,
            ("option-with-child", _) => Self::Cascade,
            ("user", _) => Self::User,
            ("group", _) => Self::Group,
            ("project", _) => Self::Project,
            ("version", _) => Self::Version,
            ("priority", _) => Self::Priority,
            ("issuetype", _) => Self::IssueType,
            ("status", _) => Self::Status,
            ("statusCategory", _) => Self::StatusCategory,
            ("resolution", _) => Self::Resolution,
            ("securitylevel", _) => Self::SecurityLevel,
            ("issuelink", _) if id == "parent" => Self::Parent,
            ("timetracking", _) => Self::TimeTracking,
            ("votes", _) => Self::Votes,
            ("watches", _) => Self::Watches,
            ("array", "option") => Self::Options,
            ("array", "string") => Self::Labels,
            ("array", "user") => Self::Users,
            ("array", "group") => Self::Groups,
            ("array", "version") => Self::Versions,
            ("array", "component") => Self::Components,
            ("array", "json") if plugin == "gh-sprint" => Self::Sprint,
            ("array", "attachment") => Self::Attachments,
            ("array", "issuelinks") if id == "subtasks" => Self::Issues,
            ("array", "issuelinks") => Self::Links,
            _ => Self::Json,
        }
    }

    /// Whether a screen that has the field lets it be set.
    pub(super) fn is_writable(self) -> bool {
        !matches!(
            self,
            Self::Id
                | Self::Key
                | Self::StatusCategory
                | Self::Issues
                | Self::Links
                | Self::Attachments
                | Self::Votes
                | Self::Watches
        )
    }

    /// How a value is read.
    pub(super) fn conversion(self) -> Conversion {
        let way = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        match self {
            Self::Id | Self::Key | Self::Number | Self::Date => Conversion::Raw,
            Self::Text => Conversion::AnyText,
            Self::Document => Conversion::Text(markdown),
            Self::DocumentSource | Self::Json => Conversion::JsonText,
            Self::Instant => Conversion::Instant,
            Self::Option
            | Self::Cascade
            | Self::Project
            | Self::Version
            | Self::Priority
            | Self::IssueType
            | Self::Status
            | Self::Resolution
            | Self::SecurityLevel
            | Self::Parent => Conversion::Pluck(way(&["id"])),
            Self::CascadeChild => Conversion::Pluck(way(&["child", "id"])),
            Self::User => Conversion::Pluck(way(&["accountId"])),
            Self::Group => Conversion::Pluck(way(&["name"])),
            Self::StatusCategory => Conversion::Pluck(way(&["key"])),
            Self::Votes => Conversion::Pluck(way(&["votes"])),
            Self::Watches => Conversion::Pluck(way(&["watchCount"])),
            Self::Options
            | Self::Versions
            | Self::Components
            | Self::Sprint
            | Self::Issues
            | Self::Links
            | Self::Attachments => Conversion::PluckEach(way(&["id"])),
            Self::Users => Conversion::PluckEach(way(&["accountId"])),
            Self::Groups => Conversion::PluckEach(way(&["name"])),
            Self::Labels => Conversion::ListOrEmpty,
            Self::TimeTracking => {
                let names = TIME_TRACKING.iter().map(|(name, ..)| (*name).to_owned());
                Conversion::Nested(Box::new(time_tracking(names)))
            }
        }
    }
}

/// Members of time tracking, null where there is none.
pub(super) fn time_tracking(names: impl Iterator<Item = String>) -> Shape {
    let members = names.map(|name| Member { wire: name.clone(), out: name, conversion: Conversion::Raw });
    Shape::new(members).complete()
}

/// A document as Markdown.
fn markdown(document: &str) -> Result<String, String> {
    let document: Value = serde_json::from_str(document).map_err(|reason| reason.to_string())?;
    Ok(rich_text::adf_to_markdown(&document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(id: &str, kind: &str, items: &str, custom: &str) -> Kind {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Kind::of(
            id,
            &Schema {
                kind: kind.to_owned(),
                items: given(items),
                custom: given(custom),
                ..Schema::default()
            },
        )
    }

    #[test]
    fn documents_are_told_from_texts_by_the_field() {
        assert_eq!(kind("description", "string", "", ""), Kind::Document);
        assert_eq!(kind("environment", "string", "", ""), Kind::Document);
        let textarea = "com.atlassian.jira.plugin.system.customfieldtypes:textarea";
        assert_eq!(kind("customfield_1", "string", "", textarea), Kind::Document);
        let line = "com.atlassian.jira.plugin.system.customfieldtypes:textfield";
        assert_eq!(kind("customfield_2", "string", "", line), Kind::Text);
        assert_eq!(kind("summary", "string", "", ""), Kind::Text);
    }

    #[test]
    fn kinds_that_are_not_known_are_json() {
        for (type_name, items) in [
            ("team", ""),
            ("issuerestriction", ""),
            ("comments-page", ""),
            ("sd-customerrequesttype", ""),
            ("design.field.name", ""),
            ("Focus Areas", ""),
            ("any", ""),
            ("array", "worklog"),
            ("array", "json"),
            ("array", "sd-customerorganization"),
            ("never seen", "nor this"),
        ] {
            assert_eq!(kind("customfield_1", type_name, items, "com.example:x"), Kind::Json, "{type_name}");
        }
        assert_eq!(kind("thumbnail", "", "", ""), Kind::Json);
        assert_eq!(kind("issuekey", "", "", ""), Kind::Key);
        assert_eq!(kind("parent", "", "", ""), Kind::Parent);
        assert_eq!(
            kind("customfield_1", "array", "json", "com.pyxis.greenhopper.jira:gh-sprint"),
            Kind::Sprint
        );
        assert_eq!(kind("customfield_1", "any", "", "com.pyxis.greenhopper.jira:gh-epic-link"), Kind::Text);
    }
}
