//! What a site is made of besides issues: projects, types, statuses, people, fields and screens.

use serde_json::{Map, Value, json};

/// What a field holds, which decides how it is stored, shown, written and queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Url,
    Rich,
    Number,
    Date,
    Moment,
    Choice,
    Choices,
    Cascade,
    Labels,
    User,
    Users,
    Group,
    Groups,
    Project,
    Version,
    Versions,
    Components,
    Priority,
    IssueType,
    Status,
    Resolution,
    Parent,
    TimeTracking,
    Sprint,
    /// Made from the rest of the issue.
    Computed,
    /// Stored and shown as it is.
    Opaque,
}

impl Kind {
    /// The kind that a schema describes.
    pub(super) fn of_schema(schema: &Value) -> Self {
        let text = |name: &str| schema[name].as_str().unwrap_or_default();
        let custom = text("custom").rsplit(':').next().unwrap_or_default();
        let rich = custom == "textarea" || matches!(text("system"), "description" | "environment");
        match (text("type"), text("items")) {
            ("string", _) if rich => Self::Rich,
            ("string", _) if custom == "url" => Self::Url,
            ("string", _) => Self::Text,
            ("number", _) => Self::Number,
            ("date", _) => Self::Date,
            ("datetime", _) => Self::Moment,
            ("option", _) => Self::Choice,
            ("array", "option") => Self::Choices,
            ("option-with-child", _) => Self::Cascade,
            ("array", "string") => Self::Labels,
            ("user", _) => Self::User,
            ("array", "user") => Self::Users,
            ("group", _) => Self::Group,
            ("array", "group") => Self::Groups,
            ("project", _) => Self::Project,
            ("version", _) => Self::Version,
            ("array", "version") => Self::Versions,
            ("array", "component") => Self::Components,
            ("priority", _) => Self::Priority,
            ("issuetype", _) => Self::IssueType,
            ("status", _) => Self::Status,
            ("resolution", _) => Self::Resolution,
            ("issuelink", _) => Self::Parent,
            ("timetracking", _) => Self::TimeTracking,
            ("array", "json") if custom == "gh-sprint" => Self::Sprint,
            _ => Self::Opaque,
        }
    }

    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Choices | Self::Labels | Self::Users | Self::Groups | Self::Versions | Self::Components
        ) || self == Self::Sprint
    }

    /// The verbs of `update`.
    pub(super) fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Computed | Self::Status => &[],
            Self::TimeTracking => &["set", "edit"],
            Self::Sprint => &["set"],
            kind if kind.is_list() => &["add", "set", "remove"],
            _ => &["set"],
        }
    }
}

/// One option of a field, with those that depend on it.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) value: String,
    pub(super) children: Vec<Choice>,
}

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As answers carry it; null for the few fields without one.
    pub(super) schema: Value,
    pub(super) clauses: Vec<String>,
    pub(super) choices: Vec<Choice>,
    /// Whether `*navigable` includes it.
    pub(super) navigable: bool,
}

impl Field {
    pub(super) fn is_custom(&self) -> bool {
        self.id.starts_with("customfield_")
    }

    pub(super) fn choice(&self, id: &str) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.id == id)
    }
}

/// A field on a screen.
#[derive(Debug, Clone)]
pub(super) struct OnScreen {
    pub(super) field: String,
    pub(super) required: bool,
    /// What an imported description says of it.
    pub(super) described: Option<Value>,
}

/// A type of issue within a project, with its screen.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pub(super) issue_type: String,
    pub(super) fields: Vec<OnScreen>,
}

impl Screen {
    pub(super) fn get(&self, field: &str) -> Option<&OnScreen> {
        self.fields.iter().find(|own| own.field == field)
    }
}

/// Something with an id and a name that belongs to a project: a version or a component.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) released: bool,
    /// What else was said of it, as it was sent.
    pub(super) more: Map<String, Value>,
}

#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) screens: Vec<Screen>,
    pub(super) versions: Vec<Part>,
    pub(super) components: Vec<Part>,
}

impl Project {
    pub(super) fn screen(&self, issue_type: &str) -> Option<&Screen> {
        self.screens.iter().find(|screen| screen.issue_type == issue_type)
    }
}

#[derive(Debug, Clone)]
pub(super) struct IssueType {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) level: i64,
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) account: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) active: bool,
}

/// A status: id, name, and the category's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) category: u8,
}

/// A step of a workflow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transition {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// Statuses it starts from; from anywhere when empty.
    pub(super) from: &'static [&'static str],
    pub(super) to: &'static str,
    /// Fields of its screen that must be given.
    pub(super) required: &'static [&'static str],
}

pub(super) const STATUSES: [Status; 4] = [
    Status { id: "10000", name: "To Do", category: 2 },
    Status { id: "10001", name: "In Progress", category: 4 },
    Status { id: "10002", name: "In Review", category: 4 },
    Status { id: "10003", name: "Done", category: 3 },
];
/// Number, key, colour and name.
pub(super) const CATEGORIES: [(u8, &str, &str, &str); 4] = [
    (1, "undefined", "medium-gray", "No Category"),
    (2, "new", "blue-gray", "To Do"),
    (4, "indeterminate", "yellow", "In Progress"),
    (3, "done", "green", "Done"),
];
pub(super) const PRIORITIES: [(&str, &str); 5] =
    [("1", "Highest"), ("2", "High"), ("3", "Medium"), ("4", "Low"), ("5", "Lowest")];
pub(super) const RESOLUTIONS: [(&str, &str); 4] =
    [("10000", "Done"), ("10001", "Won't Do"), ("10002", "Duplicate"), ("10003", "Cannot Reproduce")];
pub(super) const GROUPS: [&str; 4] = ["jira-administrators", "jira-users", "operations", "support"];
/// Number, name and state.
pub(super) const SPRINTS: [(u64, &str, &str); 3] =
    [(1, "WEB Sprint 1", "closed"), (2, "WEB Sprint 2", "active"), (3, "WEB Sprint 3", "future")];
/// Id, name, inward and outward words.
pub(super) const LINK_TYPES: [(&str, &str, &str, &str); 3] = [
    ("10000", "Blocks", "is blocked by", "blocks"),
    ("10001", "Duplicate", "is duplicated by", "duplicates"),
    ("10002", "Relates", "relates to", "relates to"),
];

/// The workflow of the first project, which leads step by step.
pub(super) const STEPS: [Transition; 5] = [
    Transition { id: "11", name: "Start", from: &["10000"], to: "10001", required: &[] },
    Transition { id: "21", name: "Review", from: &["10001"], to: "10002", required: &[] },
    Transition {
        id: "31",
        name: "Resolve",
        from: &["10001", "10002"],
        to: "10003",
        required: &["resolution"],
    },
    Transition { id: "41", name: "Back to work", from: &["10002"], to: "10001", required: &[] },
    Transition { id: "51", name: "Reopen", from: &["10003"], to: "10000", required: &[] },
];
/// The workflow of all other projects: every status from everywhere.
pub(super) const ANYWHERE: [Transition; 3] = [
    Transition { id: "11", name: "To Do", from: &[], to: "10000", required: &[] },
    Transition { id: "21", name: "In Progress", from: &[], to: "10001", required: &[] },
    Transition { id: "31", name: "Done", from: &[], to: "10003", required: &[] },
];
pub(super) const DONE: &str = "10003";
pub(super) const SUBTASK: &str = "10005";

/// All that requests only read, apart from what imports and controls change.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) fields: Vec<Field>,
    pub(super) projects: Vec<Project>,
    pub(super) types: Vec<IssueType>,
    pub(super) people: Vec<Person>,
}

impl Model {
    pub(super) fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    pub(super) fn person(&self, account: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.account == account)
    }

    /// A project by id, or by key in any case.
    pub(super) fn project(&self, named: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == named || project.key.eq_ignore_ascii_case(named))
    }

    pub(super) fn issue_type(&self, id: &str) -> Option<&IssueType> {
        self.types.iter().find(|own| own.id == id)
    }

    /// A version or component of any project.
    pub(super) fn part(&self, id: &str, components: bool) -> Option<(&Project, &Part)> {
        self.projects.iter().find_map(|project| {
            let parts = if components { &project.components } else { &project.versions };
            parts.iter().find(|part| part.id == id).map(|part| (project, part))
        })
    }

    /// The workflow of a project.
    pub(super) fn workflow(&self, project: &str) -> &'static [Transition] {
        if self.projects.first().is_some_and(|first| first.id == project) { &STEPS } else { &ANYWHERE }
    }
}

pub(super) fn status(id: &str) -> Option<&'static Status> {
    STATUSES.iter().find(|status| status.id == id)
}

/// A status category as answers show it.
pub(super) fn category(number: u8) -> Value {
    let (number, key, color, name) =
        CATEGORIES.iter().copied().find(|own| own.0 == number).unwrap_or(CATEGORIES[0]);
    json!({ "id": number, "key": key, "colorName": color, "name": name })
}
