//! The site as it starts: two projects with different screens, and a custom field of every kind.

use serde_json::{Value, json};

use super::model::{Choice, Field, IssueType, Kind, Model, OnScreen, Part, Person, Project, SUBTASK, Screen};
use crate::emulator::chance::mix;
use crate::emulator::vocabulary::{FAMILY, GIVEN};

const CUSTOM: &str = "com.atlassian.jira.plugin.system.customfieldtypes:";
const PEOPLE: u64 = 12;

/// System fields: id, name, schema type, items, words for queries (none: the id).
const SYSTEM: [(&str, &str, &str, &str, &str); 41] = [
    ("summary", "Summary", "string", "", "summary"),
    ("description", "Description", "string", "", "description"),
    ("environment", "Environment", "string", "", "environment"),
    ("issuetype", "Issue Type", "issuetype", "", "issuetype type"),
    ("project", "Project", "project", "", "project"),
    ("status", "Status", "status", "", "status"),
    ("statusCategory", "Status Category", "statusCategory", "", "statusCategory"),
    ("statuscategorychangedate", "Status Category Changed", "datetime", "", "statusCategoryChangedDate"),
    ("priority", "Priority", "priority", "", "priority"),
    ("resolution", "Resolution", "resolution", "", "resolution"),
    ("resolutiondate", "Resolved", "datetime", "", "resolutiondate resolved"),
    ("assignee", "Assignee", "user", "", "assignee"),
    ("reporter", "Reporter", "user", "", "reporter"),
    ("creator", "Creator", "user", "", "creator"),
    ("labels", "Labels", "array", "string", "labels"),
    ("components", "Components", "array", "component", "component"),
    ("versions", "Affects versions", "array", "version", "affectedVersion"),
    ("fixVersions", "Fix versions", "array", "version", "fixVersion"),
    ("created", "Created", "datetime", "", "created createdDate"),
    ("updated", "Updated", "datetime", "", "updated updatedDate"),
    ("lastViewed", "Last Viewed", "datetime", "", "lastViewed"),
    ("duedate", "Due date", "date", "", "due duedate"),
    ("parent", "Parent", "issuelink", "", "parent"),
    ("subtasks", "Sub-tasks", "array", "issuelinks", "subtasks"),
    ("timetracking", "Time tracking", "timetracking", "", "-"),
    ("timeoriginalestimate", "Original estimate", "number", "", "originalEstimate timeoriginalestimate"),
    ("timeestimate", "Remaining Estimate", "number", "", "remainingEstimate timeestimate"),
    ("timespent", "Time Spent", "number", "", "timespent"),
    ("aggregatetimespent", "Σ Time Spent", "number", "", "-"),
    ("workratio", "Work Ratio", "number", "", "workratio"),
    ("progress", "Progress", "progress", "", "progress"),
    ("aggregateprogress", "Σ Progress", "progress", "", "-"),
    ("votes", "Votes", "votes", "", "votes"),
    ("watches", "Watchers", "watches", "", "watchers"),
    ("comment", "Comment", "comments-page", "", "comment"),
    ("worklog", "Log Work", "array", "worklog", "-"),
    ("attachment", "Attachment", "array", "attachment", "attachments"),
    ("issuelinks", "Linked Issues", "array", "issuelinks", "-"),
    ("security", "Security Level", "securitylevel", "", "level"),
    ("issuekey", "Key", "", "", "id issue issuekey key"),
    ("thumbnail", "Images", "", "", "-"),
];

/// Fields that nobody sets: the service makes them.
const COMPUTED: [&str; 20] = [
    "statusCategory",
    "statuscategorychangedate",
    "lastViewed",
    "subtasks",
    "timeoriginalestimate",
    "timeestimate",
    "timespent",
    "aggregatetimespent",
    "workratio",
    "progress",
    "aggregateprogress",
    "votes",
    "watches",
    "comment",
    "worklog",
    "attachment",
    "issuelinks",
    "security",
    "issuekey",
    "thumbnail",
];

/// Custom fields: number, name, type, items, plugin key (without the usual front), options.
const CUSTOMS: [(u64, &str, &str, &str, &str, &str); 26] = [
    (10_010, "Story Points", "number", "", "float", ""),
    (10_011, "Sprint", "array", "json", "com.pyxis.greenhopper.jira:gh-sprint", ""),
    (10_013, "Team", "team", "", "com.atlassian.jira.plugin.system.customfieldtypes:atlassian-team", ""),
    (10_020, "Severity", "option", "", "select", "Critical,Major,Minor,It's \"odd\" \\ here"),
    (10_021, "Affected Areas", "array", "option", "multiselect", "Network,Storage,Billing,Sign-in"),
    (
        10_022,
        "Location",
        "option-with-child",
        "",
        "cascadingselect",
        "Europe:Berlin:Lyon:Oslo,America:Chicago:Toronto,Asia",
    ),
    (10_023, "Impact", "option", "", "radiobuttons", "One user,One team,Everybody"),
    (10_024, "Checks", "array", "option", "multicheckboxes", "Backup taken,Customer told,Rollback plan"),
    (10_025, "Approver", "user", "", "userpicker", ""),
    (10_026, "Reviewers", "array", "user", "multiuserpicker", ""),
    (10_027, "Maintenance Window", "datetime", "", "datetime", ""),
    (10_028, "Go-live", "date", "", "datepicker", ""),
    (10_029, "Cost", "number", "", "float", ""),
    (10_030, "Reference Code", "string", "", "textfield", ""),
    (10_031, "Root Cause", "string", "", "textarea", ""),
    (10_032, "Runbook", "string", "", "url", ""),
    (10_033, "Keywords", "array", "string", "labels", ""),
    (10_034, "Support Group", "group", "", "grouppicker", ""),
    (10_035, "Groups Informed", "array", "group", "multigrouppicker", ""),
    (10_036, "Found In", "version", "", "version", ""),
    (10_037, "Verified In", "array", "version", "multiversion", ""),
    (10_038, "Related Project", "project", "", "project", ""),
    (10_039, "Impact", "string", "", "textfield", ""),
    (10_040, "External Status", "string", "", "readonlyfield", ""),
    (10_041, "Customer Health", "any", "", "com.example.health:score", ""),
    (
        10_042,
        "Design",
        "design.field.name",
        "",
        "com.atlassian.jira.plugins.jira-development-integration-plugin:designcf",
        "",
    ),
];

/// What an app calls its own field, besides the id.
const APP_KEYS: [(u64, &str); 1] = [(10_041, "com.example.health__score")];

/// Screens: project, issue types, fields in order; `!` marks a required one.
const SCREENS: [(&str, &str, &str); 6] = [
    (
        "OPS",
        "10003",
        "summary! issuetype! project! description reporter assignee priority labels components versions fixVersions duedate \
         environment timetracking parent issuelinks attachment customfield_10020! customfield_10021 customfield_10022 \
         customfield_10023 customfield_10024 customfield_10025 customfield_10026 customfield_10027 customfield_10028 \
         customfield_10029 customfield_10030 customfield_10031 customfield_10032 customfield_10033 customfield_10034 \
         customfield_10035 customfield_10036 customfield_10037 customfield_10038 customfield_10039 customfield_10041",
    ),
    (
        "OPS",
        "10004",
        "summary! issuetype! project! description reporter assignee priority labels components duedate timetracking parent \
         issuelinks attachment customfield_10022 customfield_10025 customfield_10028 customfield_10030!",
    ),
    (
        "OPS",
        SUBTASK,
        "summary! issuetype! project! parent! description reporter assignee priority labels duedate timetracking",
    ),
    (
        "WEB",
        "10001",
        "summary! issuetype! project! description reporter assignee priority labels duedate customfield_10028",
    ),
    (
        "WEB",
        "10002",
        "summary! issuetype! project! description! reporter assignee priority labels fixVersions parent issuelinks attachment \
         customfield_10010 customfield_10011 customfield_10013 customfield_10042",
    ),
    (
        "WEB",
        "10003",
        "summary! issuetype! project! description reporter assignee priority labels versions! fixVersions parent issuelinks \
         attachment customfield_10010 customfield_10011 customfield_10030",
    ),
];

pub(super) fn catalogue(seed: u64) -> Model {
    let types = [("10001", "Epic", 1), ("10002", "Story", 0), ("10003", "Bug", 0), ("10004", "Task", 0)];
    let mut types: Vec<IssueType> =
        types.map(|(id, name, level)| IssueType { id: id.to_owned(), name: name.to_owned(), level }).into();
    types.push(IssueType { id: SUBTASK.to_owned(), name: "Sub-task".to_owned(), level: -1 });
    let projects = [("10000", "OPS", "Operations"), ("10001", "WEB", "Website")];
    let projects = projects.map(|(id, key, name)| Project {
        id: id.to_owned(),
        key: key.to_owned(),
        name: name.to_owned(),
        screens: SCREENS
            .iter()
            .filter(|screen| screen.0 == key)
            .map(|screen| read(screen.1, screen.2))
            .collect(),
        versions: parts(id, 100, &["1.0", "1.1", "2.0"]),
        components: parts(id, 200, &["API", "Web, mobile", "Back office"]),
    });
    Model { fields: fields(), projects: projects.into(), types, people: people(seed) }
}

fn read(issue_type: &str, list: &str) -> Screen {
    let fields = list.split_whitespace().map(|word| OnScreen {
        field: word.trim_end_matches('!').to_owned(),
        required: word.ends_with('!'),
        described: None,
    });
    Screen { issue_type: issue_type.to_owned(), fields: fields.collect() }
}

fn parts(project: &str, base: u64, names: &[&str]) -> Vec<Part> {
    let project: u64 = project.parse().unwrap_or(0);
    let part = |(index, name): (usize, &&str)| Part {
        id: (project + base + 10 * (project % 10) + index as u64).to_string(),
        name: (*name).to_owned(),
        released: index == 0,
        more: serde_json::Map::new(),
    };
    names.iter().enumerate().map(part).collect()
}

fn people(seed: u64) -> Vec<Person> {
    (0..PEOPLE)
        .map(|index| {
            let hash = mix(seed ^ mix(index ^ 0x9E0_91E));
            let given = GIVEN[(hash % 48) as usize];
            let family = FAMILY[(mix(hash) % 48) as usize];
            let id = uuid::Uuid::from_u128(u128::from(mix(hash ^ 1)) << 64 | u128::from(mix(hash ^ 2)));
            Person {
                account: format!("712020:{id}"),
                name: format!("{given} {family}"),
                email: if index == 0 {
                    "admin@emulated.example".to_owned()
                } else {
                    format!("user{index}@emulated.example")
                },
                active: index + 1 != PEOPLE,
            }
        })
        .collect()
}

fn fields() -> Vec<Field> {
    let system = SYSTEM.iter().map(|&(id, name, kind, items, clauses)| {
        let mut schema = json!({ "type": kind, "system": id });
        if !items.is_empty() {
            schema["items"] = json!(items);
        }
        let schema = if kind.is_empty() { Value::Null } else { schema };
        Field {
            id: id.to_owned(),
            key: id.to_owned(),
            name: name.to_owned(),
            kind: if COMPUTED.contains(&id) { Kind::Computed } else { Kind::of_schema(&schema) },
            // Recorded: this field has no schema.
            schema: if id == "parent" { Value::Null } else { schema },
            clauses: clauses.split_whitespace().filter(|word| *word != "-").map(str::to_owned).collect(),
            choices: Vec::new(),
            navigable: !matches!(id, "comment" | "worklog" | "attachment" | "timetracking"),
        }
    });
    system.chain(CUSTOMS.iter().map(custom)).collect()
}

fn custom(&(number, name, kind, items, plugin, options): &(u64, &str, &str, &str, &str, &str)) -> Field {
    let plugin = if plugin.contains(':') { plugin.to_owned() } else { format!("{CUSTOM}{plugin}") };
    let mut schema = json!({ "type": kind, "custom": plugin, "customId": number });
    if !items.is_empty() {
        schema["items"] = json!(items);
    }
    let id = format!("customfield_{number}");
    let mut next = number * 10;
    let mut choice = |value: &str| {
        next += 1;
        Choice { id: next.to_string(), value: value.to_owned(), children: Vec::new() }
    };
    let mut choices = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let mut words = option.split(':');
        let mut parent = choice(words.next().unwrap_or_default());
        parent.children = words.map(&mut choice).collect();
        choices.push(parent);
    }
    let read_only = plugin.ends_with(":readonlyfield");
    let key = APP_KEYS.iter().find(|own| own.0 == number).map_or(id.clone(), |own| own.1.to_owned());
    Field {
        key,
        name: name.to_owned(),
        kind: if read_only { Kind::Computed } else { Kind::of_schema(&schema) },
        schema,
        clauses: vec![format!("cf[{number}]"), name.to_owned()],
        choices,
        navigable: true,
        id,
    }
}
