//! What fields and values of a query stand for.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::condition::{Context, date};
use super::errors::Refusal;
use super::jql::Operand;
use super::model::{
    CATEGORIES, Field, GROUPS, Kind, Model, PRIORITIES, RESOLUTIONS, SPRINTS, STATUSES, status,
};
use super::moments;
use super::store::{Issue, Store};

/// What a name in a query stands for.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Field(Box<Field>),
    Key,
    Category,
    Comments,
    AllText,
    Watchers,
    Voters,
    /// `issue.property[key].path`.
    Property(String, Vec<String>),
}

impl Column {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Field(field) => Some(field.kind),
            _ => None,
        }
    }

    /// Whether it is searched by words alone.
    pub(super) fn has_words(&self) -> bool {
        matches!(self, Self::Comments | Self::AllText) || matches!(self.kind(), Some(Kind::Text | Kind::Rich))
    }

    pub(super) fn is_version(&self) -> bool {
        matches!(self.kind(), Some(Kind::Version | Kind::Versions))
    }

    pub(super) fn is_ordered(&self) -> bool {
        let numbers = matches!(self, Self::Field(field) if NUMBERS.contains(&field.id.as_str()));
        let kinds = matches!(self.kind(), Some(Kind::Number | Kind::Date | Kind::Moment | Kind::Priority));
        numbers || kinds || self.is_version() || matches!(self, Self::Key | Self::Property(..))
    }

    /// The field, when its changes are kept for queries.
    pub(super) fn with_past(&self) -> Option<&str> {
        let Self::Field(field) = self else { return None };
        let kept = ["status", "assignee", "reporter", "priority", "resolution", "fixVersions"];
        kept.contains(&field.id.as_str()).then_some(field.id.as_str())
    }
}

const NUMBERS: [&str; 5] = ["timeoriginalestimate", "timeestimate", "timespent", "workratio", "votes"];
/// Made by the service as well, and asked for in the ordinary way; no issue here has a security level.
const LEVEL: &str = "security";

/// Everything that a name may stand for; several fields may have one name.
pub(super) fn columns(model: &Model, name: &str) -> Vec<Column> {
    if let Some(rest) = name.strip_prefix("issue.property[") {
        let Some((key, path)) = rest.split_once("].") else { return Vec::new() };
        return vec![Column::Property(key.to_owned(), path.split('.').map(str::to_owned).collect())];
    }
    match name.to_ascii_lowercase().as_str() {
        "key" | "issuekey" | "issue" | "id" => return vec![Column::Key],
        "statuscategory" => return vec![Column::Category],
        "comment" => return vec![Column::Comments],
        "text" => return vec![Column::AllText],
        "watcher" => return vec![Column::Watchers],
        "voter" => return vec![Column::Voters],
        _ => {}
    }
    let same = |own: &str| own.eq_ignore_ascii_case(name);
    let fields = model.fields.iter().filter(|field| {
        let askable =
            field.kind != Kind::Computed || field.id == LEVEL || NUMBERS.contains(&field.id.as_str());
        askable
            && !field.clauses.is_empty()
            && (field.clauses.iter().any(|own| same(own)) || (field.is_custom() && same(&field.id)))
    });
    fields.map(|field| Column::Field(Box::new(field.clone()))).collect()
}

/// The ids that values stand for, as issues store them. What does not exist stands for nothing.
pub(super) fn ids(
    context: Context<'_>,
    column: &Column,
    name: &str,
    values: &[Operand],
) -> Result<HashSet<String>, Refusal> {
    let mut out = HashSet::new();
    for value in values {
        match value {
            Operand::Empty => {}
            Operand::Text(text) => out.extend(of_text(context, column, name, text)?),
            Operand::Function { name: function, arguments } => {
                out.extend(of_function(context, column, name, value, function, arguments)?);
            }
        }
    }
    Ok(out)
}

fn of_text(context: Context<'_>, column: &Column, name: &str, text: &str) -> Result<Vec<String>, Refusal> {
    let store = context.store;
    let same = |own: &str| own.to_lowercase() == text.to_lowercase();
    let pairs = |list: &[(&str, &str)]| -> Vec<String> {
        list.iter().filter(|own| own.0 == text || same(own.1)).map(|own| own.0.to_owned()).collect()
    };
    let field = match column {
        Column::Key => return Ok(store.find(text).map(|issue| issue.id.to_string()).into_iter().collect()),
        Column::Category => {
            let fits =
                |own: &&(u8, &str, &str, &str)| own.0.to_string() == text || same(own.1) || same(own.3);
            return Ok(CATEGORIES.iter().filter(fits).map(|own| own.0.to_string()).collect());
        }
        Column::Watchers | Column::Voters => return Ok(people(store, text)),
        Column::Comments | Column::AllText => return Ok(Vec::new()),
        Column::Property(..) => return Ok(vec![text.to_lowercase()]),
        Column::Field(field) => field,
    };
    Ok(match field.kind {
        Kind::User | Kind::Users => people(store, text),
        Kind::Project => {
            let fits = |own: &&super::model::Project| own.id == text || same(&own.key) || same(&own.name);
            store.model.projects.iter().filter(fits).map(|own| own.id.clone()).collect()
        }
        Kind::IssueType => {
            let types = store.model.types.iter().filter(|own| own.id == text || same(&own.name));
            types.map(|own| own.id.clone()).collect()
        }
        Kind::Status => STATUSES
            .iter()
            .filter(|own| own.id == text || same(own.name))
            .map(|own| own.id.to_owned())
            .collect(),
        Kind::Priority => pairs(&PRIORITIES),
        Kind::Resolution if same("unresolved") => Vec::new(),
        Kind::Resolution => pairs(&RESOLUTIONS),
        Kind::Version | Kind::Versions | Kind::Components => {
            let parts =
                store.model.projects.iter().flat_map(|own| {
                    if field.kind == Kind::Components { &own.components } else { &own.versions }
                });
            parts.filter(|own| own.id == text || same(&own.name)).map(|own| own.id.clone()).collect()
        }
        Kind::Choice | Kind::Choices | Kind::Cascade => {
            let own = field.choices.iter().filter(|own| own.id == text || same(&own.value));
            own.map(|own| own.id.clone()).collect()
        }
        Kind::Group | Kind::Groups => {
            GROUPS.iter().filter(|own| same(own)).map(|own| (*own).to_owned()).collect()
        }
        Kind::Parent => store.find(text).map(|issue| issue.id.to_string()).into_iter().collect(),
        Kind::Sprint => {
            let fits = |own: &&(u64, &str, &str)| own.0.to_string() == text || same(own.1);
            SPRINTS.iter().filter(fits).map(|own| own.0.to_string()).collect()
        }
        Kind::Number | Kind::Computed => vec![number(name, text)?.to_string()],
        Kind::Moment | Kind::Date => {
            vec![date(context, name, &Operand::Text(text.to_owned()))?.to_string()]
        }
        _ => vec![text.to_owned()],
    })
}

fn number(name: &str, text: &str) -> Result<f64, Refusal> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
        Refusal::query(format!("The value '{text}' for the field '{name}' is not a valid number."))
    })
}

fn people(store: &Store, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let fits = |own: &&super::model::Person| {
        own.account == text || own.email.to_lowercase() == lower || own.name.to_lowercase() == lower
    };
    store.model.people.iter().filter(fits).map(|own| own.account.clone()).collect()
}

fn of_function(
    context: Context<'_>,
    column: &Column,
    field: &str,
    value: &Operand,
    function: &str,
    arguments: &[String],
) -> Result<Vec<String>, Refusal> {
    let store = context.store;
    let sprints = |state: &str| -> Vec<String> {
        SPRINTS.iter().filter(|own| own.2 == state).map(|own| own.0.to_string()).collect()
    };
    let versions = |released: bool| -> Vec<String> {
        let all = store.model.projects.iter().flat_map(|own| &own.versions);
        all.filter(|own| own.released == released).map(|own| own.id.clone()).collect()
    };
    let types = |subtask: bool| -> Vec<String> {
        let all = store.model.types.iter().filter(|own| (own.level < 0) == subtask);
        all.map(|own| own.id.clone()).collect()
    };
    Ok(match function.to_ascii_lowercase().as_str() {
        "currentuser" => context.account.map(str::to_owned).into_iter().collect(),
        // Everybody is in every group.
        "membersof" if arguments.first().is_some_and(|group| GROUPS.contains(&group.as_str())) => {
            store.model.people.iter().map(|own| own.account.clone()).collect()
        }
        "membersof" => Vec::new(),
        "opensprints" => sprints("active"),
        "closedsprints" => sprints("closed"),
        "futuresprints" => sprints("future"),
        "releasedversions" => versions(true),
        "unreleasedversions" => versions(false),
        "standardissuetypes" => types(false),
        "subtaskissuetypes" => types(true),
        "linkedissues" => {
            let from = arguments.first().and_then(|key| store.find(key)).map(|issue| issue.id);
            let other = |link: &super::store::Link| match from {
                Some(id) if link.inward == id => Some(link.outward),
                Some(id) if link.outward == id => Some(link.inward),
                _ => None,
            };
            store.links.values().filter_map(other).map(|id| id.to_string()).collect()
        }
        "cascadeoption" => cascade(column, arguments),
        _ if matches!(column, Column::Field(own) if matches!(own.kind, Kind::Moment | Kind::Date)) => {
            vec![date(context, field, value)?.to_string()]
        }
        _ => {
            return Err(Refusal::query(format!(
                "Unable to find JQL function '{function}({})'.",
                arguments.join(", ")
            )));
        }
    })
}

/// `cascadeOption("A", "B")`, or `none` for no child.
fn cascade(column: &Column, arguments: &[String]) -> Vec<String> {
    let Column::Field(field) = column else { return Vec::new() };
    let named = |own: &&super::model::Choice, name: &str| {
        own.id == name || own.value.to_lowercase() == name.to_lowercase()
    };
    let Some(parent) = arguments.first().and_then(|name| field.choices.iter().find(|own| named(own, name)))
    else {
        return Vec::new();
    };
    match arguments.get(1) {
        None => vec![parent.id.clone()],
        Some(none) if none.eq_ignore_ascii_case("none") => vec![format!("{}/", parent.id)],
        Some(name) => {
            let child = parent.children.iter().find(|own| named(own, name));
            child.map(|child| format!("{}/{}", parent.id, child.id)).into_iter().collect()
        }
    }
}

/// What an issue has in a column, in the form that [`ids`] gives.
pub(super) fn atoms(store: &Store, issue: &Issue, column: &Column) -> Vec<String> {
    let stored = match column {
        Column::Key => return vec![issue.id.to_string()],
        Column::Category => {
            return status(issue.text("status")).map(|own| own.category.to_string()).into_iter().collect();
        }
        Column::Watchers => return issue.watchers.clone(),
        Column::Voters => return issue.voters.clone(),
        Column::Comments | Column::AllText => return Vec::new(),
        Column::Property(key, path) => {
            let mut value = issue.properties.get(key).unwrap_or(&Value::Null);
            for step in path {
                value = &value[step.as_str()];
            }
            value
        }
        Column::Field(field) => match field.kind {
            Kind::Number | Kind::Moment | Kind::Date | Kind::Computed => {
                return ordinals(store, issue, column).into_iter().map(|own| own.to_string()).collect();
            }
            Kind::Cascade => {
                let Some(path) = issue.get(&field.id).as_array() else { return Vec::new() };
                let step = |at: usize| path.get(at).and_then(Value::as_str).unwrap_or_default();
                return vec![step(0).to_owned(), format!("{}/{}", step(0), step(1))];
            }
            _ => issue.get(&field.id),
        },
    };
    let one = |value: &Value| match (value, column) {
        (Value::Null, _) => None,
        (Value::String(text), Column::Property(..)) => Some(text.to_lowercase()),
        (Value::String(text), _) => Some(text.clone()),
        (other, _) => Some(other.to_string()),
    };
    match stored {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        single => one(single).into_iter().collect(),
    }
}

/// The number that a value of an ordered field stands for.
pub(super) fn ordinal(
    context: Context<'_>,
    column: &Column,
    name: &str,
    value: &Operand,
) -> Result<Option<f64>, Refusal> {
    let kind = column.kind();
    if matches!(kind, Some(Kind::Moment | Kind::Date)) {
        return date(context, name, value).map(|millis| Some(millis as f64));
    }
    let Operand::Text(text) = value else {
        return Err(Refusal::query(format!("A value is expected for the field '{name}'.")));
    };
    if matches!(kind, Some(Kind::Number | Kind::Computed)) {
        return number(name, text).map(Some);
    }
    if matches!(column, Column::Property(..)) {
        return Ok(text.parse().ok());
    }
    let found = of_text(context, column, name, text)?;
    Ok(found.first().and_then(|id| rank(kind, id)))
}

/// A higher priority is more; a later version is more.
fn rank(kind: Option<Kind>, id: &str) -> Option<f64> {
    let number: f64 = id.parse().ok()?;
    Some(if kind == Some(Kind::Priority) { -number } else { number })
}

/// The numbers that an issue has in an ordered column.
pub(super) fn ordinals(store: &Store, issue: &Issue, column: &Column) -> Vec<f64> {
    let Column::Field(field) = column else {
        return atoms(store, issue, column).iter().filter_map(|own| own.parse().ok()).collect();
    };
    let stored = issue.get(&field.id);
    let estimate = issue.get("timetracking");
    match (field.kind, field.id.as_str()) {
        (Kind::Number | Kind::Moment, _) => stored.as_f64().into_iter().collect(),
        (Kind::Date, _) => {
            stored.as_str().and_then(moments::of_day).map(|own| own as f64).into_iter().collect()
        }
        (_, "timeoriginalestimate") => estimate["original"].as_f64().into_iter().collect(),
        (_, "timeestimate") => estimate["remaining"].as_f64().into_iter().collect(),
        (_, "timespent") => Some(issue.spent() as f64).filter(|own| *own > 0.0).into_iter().collect(),
        (_, "votes") => vec![issue.voters.len() as f64],
        (Kind::Computed, _) => Vec::new(),
        (kind, _) => {
            let list = stored.as_array().map_or_else(|| std::slice::from_ref(stored), Vec::as_slice);
            list.iter().filter_map(|own| rank(Some(kind), own.as_str()?)).collect()
        }
    }
}

/// How two issues stand to each other in a column; what is empty comes last.
pub(super) fn order(store: &Store, column: &Column, left: &Issue, right: &Issue) -> Ordering {
    if matches!(column, Column::Key) {
        let place =
            |own: &Issue| (store.key(own).rsplit_once('-').map(|parts| parts.0.to_owned()), own.number);
        return place(left).cmp(&place(right));
    }
    if column.is_ordered() {
        let first = |own: &Issue| ordinals(store, own, column).into_iter().next();
        return match (first(left), first(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (left, right) => right.is_some().cmp(&left.is_some()),
        };
    }
    let shown = |own: &Issue| {
        let id = atoms(store, own, column).into_iter().next()?;
        let name = match column {
            Column::Field(field) => super::render::name_of(store, &field.id, field.kind, &id),
            _ => None,
        };
        Some(name.unwrap_or(id).to_lowercase())
    };
    match (shown(left), shown(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}
