//! Fields and screens become record types. Nothing about a site is known beforehand.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use super::metadata::{AllowedValue, FieldDetails, IssueType, MetaField, Named, Schema};
use super::wires::{ADF, CHILD, Kind, Scope, TIME_TRACKING, WireField, Wires};
use super::{Described, attach, changes, judge, writes};
use crate::record::capability::{Capability, GetCapability, SearchCapability};
use crate::record::record_type::{
    AlternateKey, Field, FieldType, ListWire, Picklist, PicklistValue, RecordType, Reference, TextForm,
};
use crate::record::{KeyFields, TypeName};

/// Largest page; Jira gives fewer where many fields are asked for.
pub(super) const PAGE_MAX: u32 = 5_000;
/// The page when none is asked for, which Jira gives whatever the fields.
pub(super) const PAGE_DEFAULT: u32 = 100;
/// Keys that one request can carry ("Bulk fetch issues").
pub(super) const GET_MAX: usize = 100;
/// Longest text of one line, in characters.
const LINE_MAX: u64 = 255;
/// Fields that every issue has a value of.
const NEVER_NULL: [&str; 6] = ["summary", "issuetype", "project", "status", "created", "updated"];

/// All that was asked of a site to describe a type of issues.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Name of the record type, such as `issue:OPS/Bug`.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) label_plural: String,
    pub(super) description: Option<String>,
    pub(super) scope: Option<Scope>,
    pub(super) fields: Vec<FieldDetails>,
    /// Fields of the create screen in its order; for `issue` those of all screens that were read.
    pub(super) create: Vec<MetaField>,
    /// Fields of the edit screen by id, where there is an issue that shows it.
    pub(super) edit: Option<BTreeMap<String, MetaField>>,
    /// Whether the create screens that were read are all there are, so that their values are all there are.
    pub(super) all_screens: bool,
    pub(super) statuses: Vec<Named>,
    pub(super) resolutions: Vec<Named>,
    pub(super) issue_types: Vec<IssueType>,
    /// Whether the connection asks for deletions in feeds of changes.
    pub(super) tells_deletions: bool,
}

/// The record type, and how Jira calls its parts.
pub(super) fn describe(findings: &Findings) -> Described {
    let mut made = Made::default();
    made.add(
        Field {
            label: "Id".to_owned(),
            nullable: false,
            unique: true,
            filterable: true,
            defaulted_on_create: true,
            system: true,
            group: Some("System".to_owned()),
            ..Field::new("id", FieldType::Text { max_length: None, form: TextForm::Id })
        },
        WireField {
            id: "id".to_owned(),
            clauses: vec!["id".to_owned()],
            kind: Kind::Id,
            schema: Schema::default(),
            operations: Vec::new(),
        },
    );
    let create: HashMap<&str, &MetaField> = findings.create.iter().map(|meta| (meta.id(), meta)).collect();
    for details in in_order(findings, &create) {
        let meta = create.get(details.id.as_str()).copied();
        let edit = findings.edit.as_ref().and_then(|edit| edit.get(&details.id));
        add_field(&mut made, findings, &details, meta, edit);
    }
    let name = TypeName::new(findings.name.as_str());
    let record_type = RecordType {
        name,
        provider: "jira".to_owned(),
        label: findings.label.clone(),
        label_plural: findings.label_plural.clone(),
        description: findings.description.clone(),
        custom: false,
        fields: made.fields,
        key: KeyFields::single("id"),
        alternate_keys: vec![AlternateKey { fields: KeyFields::single("key"), insertable: false }],
        relationships: Vec::new(),
        capability: capability(findings.tells_deletions),
    };
    Described {
        record_type: std::sync::Arc::new(record_type),
        wires: Wires { fields: made.wires, scope: findings.scope.clone() },
    }
}

fn capability(tells_deletions: bool) -> Capability {
    let mut capability = Capability {
        search: Some(SearchCapability {
            page_max: PAGE_MAX,
            page_min: 1,
            page_default: PAGE_DEFAULT,
            order: true,
            count: false,
            include_deleted: false,
            native: Some("JQL".to_owned()),
        }),
        get: Some(GetCapability {
            batch_max: GET_MAX,
            by: vec![KeyFields::single("id"), KeyFields::single("key")],
        }),
        changes: Some(changes::capability(tells_deletions)),
        content: Some(attach::capability()),
        ..Capability::default()
    };
    writes::add_capabilities(&mut capability);
    capability
}

/// Properties and how Jira calls them.
#[derive(Debug, Default)]
struct Made {
    fields: Vec<Field>,
    wires: HashMap<String, WireField>,
}

impl Made {
    /// Adds a property, unless there is one of this name.
    fn add(&mut self, field: Field, wire: WireField) {
        if !self.wires.contains_key(&field.name) {
            self.wires.insert(field.name.clone(), wire);
            self.fields.push(field);
        }
    }
}

/// The fields that the type has: for one project and issue type those of its screens first, then what every
/// issue has; for `issue` all. Fields of other projects are left out.
fn in_order(findings: &Findings, create: &HashMap<&str, &MetaField>) -> Vec<FieldDetails> {
    let known: HashMap<&str, &FieldDetails> =
        findings.fields.iter().map(|details| (details.id.as_str(), details)).collect();
    let Some(scope) = &findings.scope else {
        // The list of fields comes in no order that means anything: system fields go first.
        let (custom, system): (Vec<&FieldDetails>, Vec<&FieldDetails>) =
            findings.fields.iter().partition(|details| details.custom);
        // The key stands behind the id, where rows have it.
        let (key, system): (Vec<&FieldDetails>, Vec<&FieldDetails>) =
            system.into_iter().partition(|details| details.id == "issuekey");
        return key.into_iter().chain(system).chain(custom).cloned().collect();
    };
    let key = findings.fields.iter().filter(|details| details.id == "issuekey").cloned();
    let mut out: Vec<FieldDetails> = key.collect();
    let on_screens = findings
        .create
        .iter()
        .map(|meta| (meta.id(), meta))
        .chain(findings.edit.iter().flatten().map(|(id, meta)| (id.as_str(), meta)));
    for (id, meta) in on_screens {
        if out.iter().any(|details| details.id == id) {
            continue;
        }
        out.push(match known.get(id) {
            Some(details) => (*details).clone(),
            // A field of an app may stand on the screen only.
            None => FieldDetails {
                id: id.to_owned(),
                name: meta.name.clone(),
                custom: true,
                schema: meta.schema.clone(),
                ..FieldDetails::default()
            },
        });
    }
    for details in &findings.fields {
        let elsewhere = details.scope.as_ref().and_then(|scope| scope.project.as_ref());
        let elsewhere = elsewhere.is_some_and(|project| project.id != scope.project_id);
        let shown = create.contains_key(details.id.as_str()) || out.iter().any(|own| own.id == details.id);
        if !details.custom && !elsewhere && !shown {
            out.push(details.clone());
        }
    }
    out
}

/// A property name: letters, digits and underscores, not beginning with a digit.
fn property_name(id: &str) -> String {
    let mut name: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert(0, '_');
    }
    name
}

fn add_field(
    made: &mut Made,
    findings: &Findings,
    details: &FieldDetails,
    create: Option<&MetaField>,
    edit: Option<&MetaField>,
) {
    // `parent` has a schema on screens only.
    let schema = details
        .schema
        .clone()
        .or_else(|| create.or(edit).and_then(|meta| meta.schema.clone()))
        .unwrap_or_default();
    let kind = Kind::of(&details.id, &schema);
    let name = if kind == Kind::Key { "key".to_owned() } else { property_name(&details.id) };
    let operations = match (&findings.edit, edit, create) {
        (_, Some(edit), _) => edit.operations.clone(),
        (Some(_), None, _) | (None, None, None) => Vec::new(),
        (None, None, Some(create)) => create.operations.clone(),
    };
    let wire = WireField {
        id: if kind == Kind::Key { "key".to_owned() } else { details.id.clone() },
        clauses: if details.searchable { clauses(details, &schema) } else { Vec::new() },
        kind,
        schema: schema.clone(),
        operations,
    };
    let (field_type, note) = type_of(findings, kind, &schema, create.or(edit), &details.id);
    let settable = |meta: &MetaField| meta.operations.iter().any(|verb| verb == "set");
    let by_step = is_set_by_steps(kind, edit);
    let updatable = match (&findings.edit, &findings.scope) {
        _ if by_step => true,
        (Some(_), _) => edit.is_some_and(settable),
        (None, Some(_)) => create.is_some_and(settable) && !matches!(kind, Kind::Project),
        (None, None) => (details.orderable || create.is_some_and(settable)) && !matches!(kind, Kind::Project),
    };
    // Of all issues together it is only known what can stand on a screen.
    let createable = match &findings.scope {
        Some(_) => create.is_some_and(settable),
        None => (details.orderable && !by_step) || create.is_some_and(settable),
    };
    let known = known_default(kind, create);
    let writable = kind.is_writable() && !is_read_only(&schema);
    let textual = matches!(kind, Kind::Text | Kind::Document | Kind::DocumentSource);
    let system = !details.custom && !(writable && (createable || updatable));
    let base = Field {
        label: details.name.clone(),
        help: help(details, &name),
        wire_name: (name != details.id && kind != Kind::Key).then(|| details.id.clone()),
        nullable: !NEVER_NULL.contains(&details.id.as_str()) && kind != Kind::Key,
        required_on_create: create.is_some_and(|meta| meta.required),
        createable: createable && writable,
        updatable: updatable && writable,
        filterable: judge::is_asked(&wire) && field_type.value_kind().is_some(),
        sortable: !wire.clauses.is_empty() && is_sortable(kind, &details.id),
        unique: kind == Kind::Key,
        case_sensitive: textual.then_some(false),
        empty_is_null: textual,
        calculated: kind == Kind::Key,
        defaulted_on_create: create.is_some_and(|meta| meta.has_default_value) || known.is_some(),
        default: known,
        system,
        group: system.then(|| "System".to_owned()),
        controlled_by: (by_step && kind != Kind::Status).then(|| "status".to_owned()),
        note,
        ..Field::new(name.clone(), field_type)
    };
    let second = second_property(findings, &base, &wire, create.or(edit));
    made.add(base, wire);
    if let Some((field, wire)) = second {
        made.add(field, wire);
    }
}

/// Whether a field is set by steps of the workflow alone: the status, and the resolution where the edit screen does
/// not have it.
fn is_set_by_steps(kind: Kind, edit: Option<&MetaField>) -> bool {
    match kind {
        Kind::Status => true,
        Kind::Resolution => edit.is_none(),
        _ => false,
    }
}

/// Jira fills these by itself, though its metadata lists them as ordinary fields.
fn is_read_only(schema: &Schema) -> bool {
    let plugin = schema.custom.as_deref().and_then(|custom| custom.rsplit(':').next()).unwrap_or_default();
    let system = schema.system.as_deref().unwrap_or_default();
    matches!(plugin, "readonlyfield" | "importid" | "jpo-custom-field-parent")
        || matches!(system, "comment" | "worklog" | "progress" | "aggregateprogress" | "thumbnail")
}

fn help(details: &FieldDetails, name: &str) -> Option<String> {
    (name != details.id && details.id != "issuekey")
        .then(|| format!("Jira's id of this field is {}", details.id))
}

/// Names in JQL, the one that can mean no other field first.
fn clauses(details: &FieldDetails, schema: &Schema) -> Vec<String> {
    let exact = schema.custom_id.map(|id| format!("cf[{id}]"));
    let mut names = details.clause_names.clone();
    names.sort_by_key(|name| {
        let own = Some(name) == exact.as_ref() || name.eq_ignore_ascii_case(&details.id);
        (!own, name.contains(|c: char| !c.is_ascii_alphanumeric()))
    });
    names
}

/// Jira puts issues without a value at an end of its own choice, so that only fields that are never empty will do.
fn is_sortable(kind: Kind, id: &str) -> bool {
    kind == Kind::Instant && NEVER_NULL.contains(&id)
}

/// The second property of a value that has two sides.
fn second_property(
    findings: &Findings,
    base: &Field,
    wire: &WireField,
    meta: Option<&MetaField>,
) -> Option<(Field, WireField)> {
    match wire.kind {
        Kind::Document => {
            let field = Field {
                name: format!("{}{ADF}", base.name),
                label: format!("{} (Atlassian document)", base.label),
                help: Some(
                    "The document itself, nothing lost; set either this or the Markdown, not both".to_owned(),
                ),
                field_type: FieldType::Text { max_length: None, form: TextForm::Adf },
                required_on_create: false,
                default: None,
                note: None,
                ..base.clone()
            };
            Some((field, WireField { kind: Kind::DocumentSource, ..wire.clone() }))
        }
        Kind::Cascade => {
            let allowed = meta.and_then(|meta| meta.allowed_values.as_deref());
            let mut picklist =
                Picklist { restricted: allowed.is_some() && findings.all_screens, ..Picklist::default() };
            for parent in allowed.unwrap_or_default() {
                let Some(id) = parent.id() else { continue };
                let children = parent.children.iter().filter_map(|child| {
                    let valid_for = Some(vec![Json::from(id.as_str())]);
                    Some(PicklistValue { valid_for, ..choice(child)? })
                });
                picklist.values.extend(children);
            }
            let field = Field {
                name: format!("{}{CHILD}", base.name),
                label: format!("{} (second list)", base.label),
                field_type: FieldType::Picklist(picklist),
                required_on_create: false,
                controlled_by: Some(base.name.clone()),
                default: None,
                note: None,
                ..base.clone()
            };
            Some((field, WireField { kind: Kind::CascadeChild, ..wire.clone() }))
        }
        _ => None,
    }
}

/// The default that the metadata names, in the form of the property.
fn known_default(kind: Kind, meta: Option<&MetaField>) -> Option<Json> {
    let meta = meta?;
    let single = |meta: &MetaField| match meta.allowed_values.as_deref() {
        Some([only]) => only.id().map(Json::String),
        _ => None,
    };
    match kind {
        Kind::Text => meta.default_value.as_str().map(Json::from),
        // A screen belongs to one project and one issue type.
        Kind::Project | Kind::IssueType if meta.required => single(meta),
        Kind::Option | Kind::Cascade | Kind::Version | Kind::Priority | Kind::SecurityLevel => {
            meta.default_value.get("id").and_then(Json::as_str).map(Json::from)
        }
        _ => None,
    }
}

fn choice(allowed: &AllowedValue) -> Option<PicklistValue> {
    Some(PicklistValue {
        value: Json::String(allowed.id()?),
        label: allowed.label(),
        active: !allowed.disabled && !allowed.archived,
        default: false,
        valid_for: None,
    })
}

fn named(list: &[Named]) -> Vec<PicklistValue> {
    let each = list.iter().map(|own| PicklistValue {
        value: Json::from(own.id.as_str()),
        label: own.name.clone(),
        active: true,
        default: false,
        valid_for: None,
    });
    each.collect()
}

/// Text without a length.
fn text(form: TextForm) -> FieldType {
    FieldType::Text { max_length: None, form }
}

fn user() -> FieldType {
    FieldType::Reference(Reference {
        targets: vec!["user".to_owned()],
        relationship: None,
        type_field: None,
        id_field: "accountId".to_owned(),
        label_field: Some("displayName".to_owned()),
        max_length: Some(128),
    })
}

/// A reference to records with an `id`.
fn by_id(target: &str, label_field: &str) -> FieldType {
    FieldType::Reference(Reference {
        targets: vec![target.to_owned()],
        relationship: None,
        type_field: None,
        id_field: "id".to_owned(),
        label_field: Some(label_field.to_owned()),
        max_length: None,
    })
}

fn list_of(label: &str, field_type: FieldType) -> FieldType {
    FieldType::List {
        element: Box::new(Field {
            label: label.to_owned(),
            nullable: false,
            createable: true,
            updatable: true,
            ..Field::new("element", field_type)
        }),
    }
}

/// What a field holds, and a remark where something about it is not obvious.
fn type_of(
    findings: &Findings,
    kind: Kind,
    schema: &Schema,
    meta: Option<&MetaField>,
    id: &str,
) -> (FieldType, Option<String>) {
    let allowed = meta.and_then(|meta| meta.allowed_values.as_deref());
    let choices = || Picklist {
        values: allowed.unwrap_or_default().iter().filter_map(choice).collect(),
        restricted: allowed.is_some() && findings.all_screens,
        integer: false,
    };
    let several = || FieldType::MultiPicklist { picklist: choices(), wire: ListWire::Array };
    let of = |values: Vec<PicklistValue>, restricted| {
        FieldType::Picklist(Picklist { values, restricted, integer: false })
    };
    let field_type = match kind {
        Kind::Id => text(TextForm::Id),
        Kind::Key => text(TextForm::Plain),
        Kind::Text => line(schema, id),
        Kind::Document => text(TextForm::Markdown),
        Kind::DocumentSource => text(TextForm::Adf),
        Kind::Number => FieldType::Decimal { precision: None, scale: None },
        Kind::Date => FieldType::Date,
        Kind::Instant => FieldType::Instant,
        Kind::Option
        | Kind::Cascade
        | Kind::CascadeChild
        | Kind::Version
        | Kind::Priority
        | Kind::SecurityLevel => FieldType::Picklist(choices()),
        Kind::Options | Kind::Versions | Kind::Components => several(),
        Kind::Labels => list_of("Label", text(TextForm::Plain)),
        Kind::User => user(),
        Kind::Users => list_of("User", user()),
        Kind::Group => text(TextForm::Plain),
        Kind::Groups => list_of("Group", text(TextForm::Plain)),
        Kind::Project if findings.scope.is_some() && id == "project" => FieldType::Picklist(choices()),
        Kind::Project => by_id("project", "name"),
        Kind::IssueType if findings.scope.is_some() => FieldType::Picklist(choices()),
        Kind::IssueType => of(issue_types(&findings.issue_types), !findings.issue_types.is_empty()),
        Kind::Status => of(named(&findings.statuses), !findings.statuses.is_empty()),
        Kind::Resolution => of(named(&findings.resolutions), !findings.resolutions.is_empty()),
        Kind::StatusCategory => of(status_categories(), false),
        Kind::Parent => by_id("issue", "key"),
        Kind::Issues => list_of("Issue", by_id("issue", "key")),
        Kind::Links => list_of("Link", text(TextForm::Id)),
        Kind::Attachments => list_of("Attachment", text(TextForm::Id)),
        Kind::TimeTracking => FieldType::Object { fields: time_tracking() },
        Kind::Sprint => list_of("Sprint", FieldType::Integer { minimum: Some(0), maximum: None }),
        Kind::Votes | Kind::Watches => FieldType::Integer { minimum: Some(0), maximum: None },
        Kind::Json => FieldType::Json,
    };
    (field_type, note(kind, schema))
}

/// Text of one line; addresses are longer.
fn line(schema: &Schema, id: &str) -> FieldType {
    let plugin = schema.custom.as_deref().and_then(|custom| custom.rsplit(':').next()).unwrap_or_default();
    match plugin {
        "url" => text(TextForm::Url),
        "textfield" => FieldType::text(LINE_MAX),
        _ if id == "summary" => FieldType::text(LINE_MAX),
        _ => text(TextForm::Plain),
    }
}

fn note(kind: Kind, schema: &Schema) -> Option<String> {
    match kind {
        Kind::Json => {
            let items = schema.items.as_deref().map(|items| format!(" of {items}")).unwrap_or_default();
            Some(match schema.kind.as_str() {
                "" => {
                    "Jira does not say what this field holds; the value is passed on as JSON text".to_owned()
                }
                kind => format!(
                    "Jira calls this type {kind:?}{items}, which has no simpler form; the value is passed on as JSON text"
                ),
            })
        }
        Kind::Sprint => Some(
            "Reads as the ids of all sprints that the issue was in; written as one sprint, or none"
                .to_owned(),
        ),
        Kind::Status => Some(
            "Changed by the step of the workflow that leads there from the present status; what the step asks for is \
             given in the same row"
                .to_owned(),
        ),
        Kind::Group | Kind::Groups => Some("Groups are known by their names".to_owned()),
        _ => None,
    }
}

fn issue_types(types: &[IssueType]) -> Vec<PicklistValue> {
    let named_alike = |name: &str| types.iter().filter(|own| own.name == name).count() > 1;
    let each = types.iter().map(|own| PicklistValue {
        value: Json::from(own.id.as_str()),
        label: if named_alike(&own.name) { format!("{} ({})", own.name, own.id) } else { own.name.clone() },
        active: true,
        default: false,
        valid_for: None,
    });
    each.collect()
}

/// Jira has these four and lets nobody make others.
fn status_categories() -> Vec<PicklistValue> {
    let all =
        [("new", "To Do"), ("indeterminate", "In Progress"), ("done", "Done"), ("undefined", "No Category")];
    let each = all.map(|(value, label)| PicklistValue {
        value: json!(value),
        label: label.to_owned(),
        active: true,
        default: false,
        valid_for: None,
    });
    each.into()
}

fn time_tracking() -> Vec<Field> {
    let each = TIME_TRACKING.iter().map(|&(name, is_number, writable)| {
        let field_type = if is_number {
            FieldType::Integer { minimum: None, maximum: None }
        } else {
            text(TextForm::Plain)
        };
        let label = match name {
            "originalEstimate" => "Original estimate",
            "remainingEstimate" => "Remaining estimate",
            "timeSpent" => "Time spent",
            "originalEstimateSeconds" => "Original estimate in seconds",
            "remainingEstimateSeconds" => "Remaining estimate in seconds",
            _ => "Time spent in seconds",
        };
        Field {
            label: label.to_owned(),
            help: writable.then(|| "Weeks, days, hours and minutes such as 1w 2d 3h 4m".to_owned()),
            createable: writable,
            updatable: writable,
            ..Field::new(name, field_type)
        }
    });
    each.collect()
}
