//! The small types as a table: what each one's rows look like, where they are listed, and where one is read,
//! created, changed and deleted. Everything else about them is the same.

/// One of the small types.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) plural: &'static str,
    pub(super) about: &'static str,
    pub(super) home: Home,
    /// Names of the key's fields; addresses name them in braces.
    pub(super) key: &'static [&'static str],
    pub(super) members: &'static [Member],
    /// Address of one; without it, one is looked for in the list of its issue.
    pub(super) one: Option<&'static str>,
    pub(super) create: Option<&'static str>,
    pub(super) update: Option<&'static str>,
    pub(super) delete: Option<&'static str>,
    /// Address of its content, and the field that has it.
    pub(super) content: Option<(&'static str, &'static str)>,
}

/// Where the rows of a type are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// A list of each issue: its resource, the member that has the rows, and the most rows of a page; 0 when the
    /// list has no pages.
    Issue { resource: &'static str, rows: &'static str, size: u64 },
    /// A field of each issue.
    IssueField(&'static str),
    /// A paged list of each project.
    Project(&'static str),
    /// A paged list of the site, with the parameters it needs.
    Site { resource: &'static str, with: &'static str },
    /// A list of the site that is an array and does not tell its end.
    Array(&'static str),
}

/// One property and its member on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) form: Form,
    pub(super) wire: &'static str,
    /// The way to the value within the member.
    pub(super) way: &'static [&'static str],
    /// Where a write puts it; empty where it is part of the address or not written.
    pub(super) sent: &'static [&'static str],
    pub(super) on_create: Need,
    pub(super) on_update: bool,
}

/// Whether a create takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    No,
    May,
    /// It may, and Jira fills in a value otherwise.
    Filled,
    Must,
}

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Id,
    Line,
    Lines,
    Address,
    Email,
    Markdown,
    Document,
    Flag,
    Whole,
    /// A number on the wire that is an id of another record.
    ProjectNumber,
    Instant,
    Date,
    User,
    Issue,
    Status,
    /// One of these values, with their labels.
    Choice(&'static [(&'static str, &'static str)]),
    Json,
    Content,
}

/// Member of a row of an issue's list under which the issue's id is put.
pub(super) const ISSUE: &str = "@issue";

const fn member(name: &'static str, label: &'static str, form: Form) -> Member {
    Member { name, label, form, wire: name, way: &[], sent: &[], on_create: Need::No, on_update: false }
}

const fn within(
    name: &'static str,
    label: &'static str,
    form: Form,
    wire: &'static str,
    way: &'static [&'static str],
) -> Member {
    Member { wire, way, ..member(name, label, form) }
}

impl Member {
    const fn written(self, sent: &'static [&'static str], on_create: Need, on_update: bool) -> Self {
        Self { sent, on_create, on_update, ..self }
    }
}

const OF_ISSUE: Member = within("issueId", "Issue", Form::Issue, ISSUE, &[]);
const AUTHOR: Member = within("author", "Author", Form::User, "author", &["accountId"]);
const UPDATE_AUTHOR: Member =
    within("updateAuthor", "Changed by", Form::User, "updateAuthor", &["accountId"]);
const CREATED: Member = member("created", "Created", Form::Instant);
const UPDATED: Member = member("updated", "Updated", Form::Instant);
const SEEN_BY: Member = within(
    "visibilityType",
    "Visible to",
    Form::Choice(&[("group", "A group"), ("role", "A role")]),
    "visibility",
    &["type"],
)
.written(&["visibility", "type"], Need::Filled, true);
const SEEN_BY_WHOM: Member =
    within("visibilityValue", "Visible to group or role", Form::Line, "visibility", &["value"]).written(
        &["visibility", "value"],
        Need::Filled,
        true,
    );

/// Every small type.
pub(super) static PARTS: [Part; 10] = [
    Part {
        name: "comment",
        label: "Comment",
        plural: "Comments",
        about: "Comments on issues",
        home: Home::Issue { resource: "comment", rows: "comments", size: 100 },
        key: &["issueId", "id"],
        members: &[
            OF_ISSUE.written(&[], Need::Must, false),
            member("id", "Id", Form::Id),
            member("body", "Text", Form::Markdown).written(&["body"], Need::Must, true),
            within("body_adf", "Text as document", Form::Document, "body", &[]).written(
                &["body"],
                Need::May,
                true,
            ),
            AUTHOR,
            UPDATE_AUTHOR,
            CREATED,
            UPDATED,
            SEEN_BY,
            SEEN_BY_WHOM,
        ],
        one: Some("issue/{issueId}/comment/{id}"),
        create: Some("issue/{issueId}/comment"),
        update: Some("issue/{issueId}/comment/{id}"),
        delete: Some("issue/{issueId}/comment/{id}"),
        content: None,
    },
    Part {
        name: "worklog",
        label: "Work log",
        plural: "Work logs",
        about: "Work that was logged on issues",
        home: Home::Issue { resource: "worklog", rows: "worklogs", size: 5_000 },
        key: &["issueId", "id"],
        members: &[
            OF_ISSUE.written(&[], Need::Must, false),
            member("id", "Id", Form::Id),
            member("timeSpentSeconds", "Time spent in seconds", Form::Whole).written(
                &["timeSpentSeconds"],
                Need::Must,
                true,
            ),
            member("timeSpent", "Time spent", Form::Line),
            member("started", "Started", Form::Instant).written(&["started"], Need::Filled, true),
            member("comment", "Text", Form::Markdown).written(&["comment"], Need::May, true),
            within("comment_adf", "Text as document", Form::Document, "comment", &[]).written(
                &["comment"],
                Need::May,
                true,
            ),
            AUTHOR,
            UPDATE_AUTHOR,
            CREATED,
            UPDATED,
            SEEN_BY,
            SEEN_BY_WHOM,
        ],
        one: Some("issue/{issueId}/worklog/{id}"),
        create: Some("issue/{issueId}/worklog"),
        update: Some("issue/{issueId}/worklog/{id}"),
        delete: Some("issue/{issueId}/worklog/{id}"),
        content: None,
    },
    Part {
        name: "attachment",
        label: "Attachment",
        plural: "Attachments",
        about: "Files attached to issues",
        home: Home::IssueField("attachment"),
        key: &["issueId", "id"],
        members: &[
            OF_ISSUE,
            member("id", "Id", Form::Id),
            member("filename", "File name", Form::Line),
            member("mimeType", "Media type", Form::Line),
            member("size", "Bytes", Form::Whole),
            AUTHOR,
            CREATED,
            member("content", "Content", Form::Content),
        ],
        one: None,
        create: None,
        update: None,
        delete: Some("attachment/{id}"),
        content: Some(("content", "attachment/content/{id}?redirect=false")),
    },
    Part {
        name: "issue_link",
        label: "Issue link",
        plural: "Issue links",
        about: "Links between issues: the inward issue has the outward name of the type (it blocks), the outward issue the inward one (it is blocked by)",
        home: Home::IssueField("issuelinks"),
        key: &["id"],
        members: &[
            member("id", "Id", Form::Id),
            within("type", "Type", Form::Line, "type", &["name"]).written(
                &["type", "name"],
                Need::Must,
                false,
            ),
            within("typeId", "Type id", Form::Id, "type", &["id"]),
            within("inwardIssueId", "Inward issue", Form::Issue, "inwardIssue", &["id"]).written(
                &["inwardIssue", "id"],
                Need::Must,
                false,
            ),
            within("inwardIssueKey", "Key of the inward issue", Form::Id, "inwardIssue", &["key"]),
            within("outwardIssueId", "Outward issue", Form::Issue, "outwardIssue", &["id"]).written(
                &["outwardIssue", "id"],
                Need::Must,
                false,
            ),
            within("outwardIssueKey", "Key of the outward issue", Form::Id, "outwardIssue", &["key"]),
        ],
        one: Some("issueLink/{id}"),
        create: Some("issueLink"),
        update: None,
        delete: Some("issueLink/{id}"),
        content: None,
    },
    Part {
        name: "changelog",
        label: "Change of an issue",
        plural: "Changes of issues",
        about: "What was changed of issues, when and by whom",
        home: Home::Issue { resource: "changelog", rows: "values", size: 100 },
        key: &["issueId", "id"],
        members: &[
            OF_ISSUE,
            member("id", "Id", Form::Id),
            AUTHOR,
            CREATED,
            member("items", "Changed fields", Form::Json),
        ],
        one: None,
        create: None,
        update: None,
        delete: None,
        content: None,
    },
    Part {
        name: "transition",
        label: "Transition",
        plural: "Transitions",
        about: "Steps of the workflow that issues can take now",
        home: Home::Issue { resource: "transitions", rows: "transitions", size: 0 },
        key: &["issueId", "id"],
        members: &[
            OF_ISSUE,
            member("id", "Id", Form::Id),
            member("name", "Name", Form::Line),
            within("to", "Status that it leads to", Form::Status, "to", &["id"]),
            within("toName", "Name of that status", Form::Line, "to", &["name"]),
            member("hasScreen", "Asks for fields", Form::Flag),
            member("isGlobal", "From every status", Form::Flag),
            member("isInitial", "First step", Form::Flag),
            member("isConditional", "Has conditions", Form::Flag),
        ],
        one: None,
        create: None,
        update: None,
        delete: None,
        content: None,
    },
    Part {
        name: "project",
        label: "Project",
        plural: "Projects",
        about: "Projects that the user sees",
        home: Home::Site { resource: "project/search", with: "&expand=description,lead,url" },
        key: &["id"],
        members: &[
            member("id", "Id", Form::Id),
            member("key", "Key", Form::Id),
            member("name", "Name", Form::Line),
            member("description", "Description", Form::Lines),
            within("lead", "Lead", Form::User, "lead", &["accountId"]),
            member("projectTypeKey", "Kind", Form::Line),
            member("style", "Managed by company or team", Form::Line),
            member("simplified", "Managed by its team", Form::Flag),
            member("isPrivate", "Private", Form::Flag),
            member("archived", "Archived", Form::Flag),
            member("url", "Address", Form::Address),
            within("category", "Category", Form::Line, "projectCategory", &["name"]),
        ],
        one: Some("project/{id}"),
        create: None,
        update: None,
        delete: None,
        content: None,
    },
    Part {
        name: "version",
        label: "Version",
        plural: "Versions",
        about: "Versions of projects",
        home: Home::Project("version"),
        key: &["id"],
        members: &[
            member("id", "Id", Form::Id),
            member("projectId", "Project", Form::ProjectNumber).written(&["projectId"], Need::Must, false),
            member("name", "Name", Form::Line).written(&["name"], Need::Must, true),
            member("description", "Description", Form::Lines).written(&["description"], Need::May, true),
            member("startDate", "Start", Form::Date).written(&["startDate"], Need::May, true),
            member("releaseDate", "Release", Form::Date).written(&["releaseDate"], Need::May, true),
            member("released", "Released", Form::Flag).written(&["released"], Need::Filled, true),
            member("archived", "Archived", Form::Flag).written(&["archived"], Need::Filled, true),
            member("overdue", "Overdue", Form::Flag),
        ],
        one: Some("version/{id}"),
        create: Some("version"),
        update: Some("version/{id}"),
        delete: Some("version/{id}"),
        content: None,
    },
    Part {
        name: "component",
        label: "Component",
        plural: "Components",
        about: "Components of projects",
        home: Home::Project("component"),
        key: &["id"],
        members: &[
            member("id", "Id", Form::Id),
            member("project", "Key of the project", Form::Id).written(&["project"], Need::Must, false),
            member("name", "Name", Form::Line).written(&["name"], Need::Must, true),
            member("description", "Description", Form::Lines).written(&["description"], Need::May, true),
            within("lead", "Lead", Form::User, "lead", &["accountId"]).written(
                &["leadAccountId"],
                Need::May,
                true,
            ),
            member(
                "assigneeType",
                "Who gets its issues",
                Form::Choice(&[
                    ("PROJECT_DEFAULT", "Default of the project"),
                    ("COMPONENT_LEAD", "Lead of the component"),
                    ("PROJECT_LEAD", "Lead of the project"),
                    ("UNASSIGNED", "Nobody"),
                ]),
            )
            .written(&["assigneeType"], Need::Filled, true),
        ],
        one: Some("component/{id}"),
        create: Some("component"),
        update: Some("component/{id}"),
        delete: Some("component/{id}"),
        content: None,
    },
    Part {
        name: "user",
        label: "User",
        plural: "Users",
        about: "Users that the site knows",
        home: Home::Array("users/search"),
        key: &["accountId"],
        members: &[
            member("accountId", "Account id", Form::Id),
            member("displayName", "Name", Form::Line),
            member("emailAddress", "E-mail address", Form::Email),
            member("active", "Active", Form::Flag),
            member("accountType", "Kind of account", Form::Line),
            member("timeZone", "Time zone", Form::Line),
            member("locale", "Language", Form::Line),
        ],
        one: Some("user?accountId={accountId}"),
        create: None,
        update: None,
        delete: None,
        content: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_key_among_its_members_and_its_addresses() {
        for part in &PARTS {
            for name in part.key {
                assert!(part.members.iter().any(|member| member.name == *name), "{} of {}", name, part.name);
            }
            for address in [part.one, part.update, part.delete].into_iter().flatten() {
                assert!(address.contains(&format!("{{{}}}", part.key[part.key.len() - 1])), "{address}");
            }
            let written = part.members.iter().any(|member| member.on_update);
            assert_eq!(written, part.update.is_some(), "{}", part.name);
        }
    }
}
