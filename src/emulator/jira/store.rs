//! The issues of a site: made from the seed when asked for, kept once they are changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::model::{Kind, Model, SUBTASK};
use super::seed;

/// The id of the first issue.
pub(super) const FIRST: u64 = 10_000;
/// Projects that have rows at the start, taken in turn.
pub(super) const SEEDED: u64 = 2;

/// Issues as the seed made them that are kept at most; made anew when they are asked for again.
const MOST_KEPT: usize = 20_000;

/// A comment, or a record of work.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) id: u64,
    pub(super) author: String,
    pub(super) body: Value,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) visibility: Value,
    /// When the work began and how many seconds it took; zero for a comment.
    pub(super) started: i64,
    pub(super) seconds: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) media: String,
    pub(super) author: String,
    pub(super) created: i64,
    pub(super) content: Bytes,
}

/// One field of one change: values as stored.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) from: Value,
    pub(super) to: Value,
}

#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) id: u64,
    pub(super) author: String,
    pub(super) at: i64,
    pub(super) differences: Vec<Difference>,
}

/// One issue. Times are milliseconds; options, people and the like are stored by their ids.
#[derive(Debug, Clone)]
pub(super) struct Issue {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) fields: Map<String, Value>,
    pub(super) comments: Vec<Note>,
    pub(super) work: Vec<Note>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) properties: Map<String, Value>,
    pub(super) watchers: Vec<String>,
    pub(super) voters: Vec<String>,
    pub(super) history: Vec<Change>,
}

impl Issue {
    pub(super) fn get(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.get(field).as_str().unwrap_or_default()
    }

    pub(super) fn project(&self) -> &str {
        self.text("project")
    }

    pub(super) fn is_subtask(&self) -> bool {
        self.text("issuetype") == SUBTASK
    }

    pub(super) fn parent(&self) -> Option<u64> {
        self.text("parent").parse().ok()
    }

    pub(super) fn spent(&self) -> i64 {
        self.work.iter().map(|note| note.seconds).sum()
    }
}

/// A link between two issues, by the id of its type.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) kind: &'static str,
    pub(super) inward: u64,
    pub(super) outward: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) model: Model,
    pub(super) links: BTreeMap<u64, Link>,
    seed: u64,
    /// How many issues the seed makes.
    count: u64,
    /// Issues as the seed made them, for the next time they are asked for.
    seeded: Mutex<HashMap<u64, Arc<Issue>>>,
    /// Issues that are no longer as the seed made them; `None` when deleted.
    changed: BTreeMap<u64, Option<Arc<Issue>>>,
    /// Parents and children among the changed ones.
    families: BTreeSet<(u64, u64)>,
    /// Ids of issues made by requests, by project and number.
    made: HashMap<(String, u64), u64>,
    next_issue: u64,
    next_number: HashMap<String, u64>,
    next_part: u64,
    index: Index,
}

/// What an issue was until an instant, in microseconds; `None`: not there.
type Former = (i64, Option<Arc<Issue>>);

/// How far searches lag behind.
#[derive(Debug, Default)]
struct Index {
    lag: i64,
    now: i64,
    /// When issues changed while there was a lag, and what they were before; `None` for one that was not there.
    before: BTreeMap<u64, Vec<Former>>,
}

impl Store {
    pub(super) fn new(seed: u64, model: Model, count: u64) -> Self {
        Self {
            model,
            links: BTreeMap::new(),
            seed,
            count,
            seeded: Mutex::default(),
            changed: BTreeMap::new(),
            families: BTreeSet::new(),
            made: HashMap::new(),
            next_issue: FIRST + count,
            next_number: HashMap::new(),
            next_part: 20_000,
            index: Index::default(),
        }
    }

    /// Tells the time, which changes and searches happen at.
    pub(super) fn at(&mut self, now: i64) {
        self.index.now = now;
    }

    /// From now on searches know of changes only after so many milliseconds.
    pub(super) fn lag(&mut self, millis: i64) {
        self.index.lag = millis;
        self.index.before.clear();
    }

    fn remember(&mut self, id: u64) {
        if self.index.lag > 0 {
            let before = self.get(id);
            self.index.before.entry(id).or_default().push((self.index.now, before));
        }
    }

    /// An issue as searches know it, or as it is when they are asked to look again.
    fn known(&self, id: u64, anew: &[u64]) -> Option<Arc<Issue>> {
        let before = self.index.before.get(&id).filter(|_| !anew.contains(&id));
        let unseen = |change: &&(i64, Option<Arc<Issue>>)| change.0 + self.index.lag > self.index.now;
        match before.and_then(|changes| changes.iter().find(unseen)) {
            Some((_, before)) => before.clone(),
            None => self.get(id),
        }
    }

    /// The issues as searches know them, the newest first.
    pub(super) fn indexed<'a>(&'a self, anew: &'a [u64]) -> impl Iterator<Item = Arc<Issue>> + 'a {
        let all = (FIRST..self.next_issue).rev();
        all.filter_map(|id| {
            let gone = matches!(self.changed.get(&id), Some(None)) && !self.index.before.contains_key(&id);
            if gone { None } else { self.known(id, anew) }
        })
    }

    /// An issue by its id.
    pub(super) fn get(&self, id: u64) -> Option<Arc<Issue>> {
        match self.changed.get(&id) {
            Some(changed) => changed.clone(),
            None => self.is_seeded(id).then(|| self.as_seeded(id)),
        }
    }

    fn as_seeded(&self, id: u64) -> Arc<Issue> {
        let mut kept = self.seeded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(issue) = kept.get(&id) {
            return Arc::clone(issue);
        }
        let issue = Arc::new(seed::issue(&self.model, self.seed, id));
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&issue));
        issue
    }

    /// Forgets issues as the seed made them, since they depend on the screens.
    pub(super) fn screens_changed(&self) {
        self.seeded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn is_seeded(&self, id: u64) -> bool {
        (FIRST..FIRST + self.count).contains(&id)
    }

    /// An issue by id, or by key in any case.
    pub(super) fn find(&self, named: &str) -> Option<Arc<Issue>> {
        if let Ok(id) = named.parse() {
            return self.get(id);
        }
        let (key, number) = named.rsplit_once('-')?;
        let project = self.model.project(key).filter(|project| project.key.eq_ignore_ascii_case(key))?;
        let number: u64 = number.parse().ok()?;
        if let Some(id) = self.made.get(&(project.id.clone(), number)) {
            return self.get(*id);
        }
        let place = self.model.projects.iter().position(|own| own.id == project.id)? as u64;
        if place >= SEEDED {
            return None;
        }
        let id = number.checked_sub(1)?.checked_mul(SEEDED)?.checked_add(place)?.checked_add(FIRST)?;
        if self.is_seeded(id) { self.get(id) } else { None }
    }

    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        (FIRST..self.next_issue).filter(|id| !matches!(self.changed.get(id), Some(None)))
    }

    pub(super) fn issues(&self) -> impl DoubleEndedIterator<Item = Arc<Issue>> + '_ {
        self.ids().filter_map(|id| self.get(id))
    }

    pub(super) fn key(&self, issue: &Issue) -> String {
        let key = self.model.project(issue.project()).map_or("", |project| project.key.as_str());
        format!("{key}-{}", issue.number)
    }

    /// The id and number that the next issue of a project gets.
    pub(super) fn claim(&mut self, project: &str) -> (u64, u64) {
        let id = self.next_issue;
        self.next_issue += 1;
        let place = self.model.projects.iter().position(|own| own.id == project).unwrap_or(0) as u64;
        let seeded = if place < SEEDED { (self.count + SEEDED - 1 - place) / SEEDED } else { 0 };
        let number = self.next_number.entry(project.to_owned()).or_insert(seeded + 1);
        let own = *number;
        *number += 1;
        self.made.insert((project.to_owned(), own), id);
        (id, own)
    }

    /// A number for a comment, a record of work, an attachment, a link or a change.
    pub(super) fn claim_part(&mut self) -> u64 {
        self.next_part += 1;
        self.next_part
    }

    pub(super) fn keep(&mut self, issue: Issue) {
        self.remember(issue.id);
        self.leave_family(issue.id);
        self.families.extend(issue.parent().map(|parent| (parent, issue.id)));
        self.changed.insert(issue.id, Some(Arc::new(issue)));
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.remember(id);
        self.leave_family(id);
        self.changed.insert(id, None);
        self.links.retain(|_, link| link.inward != id && link.outward != id);
    }

    fn leave_family(&mut self, id: u64) {
        let before = self.changed.get(&id).and_then(Option::as_ref);
        if let Some(parent) = before.and_then(|issue| issue.parent()) {
            self.families.remove(&(parent, id));
        }
    }

    /// Issues that name this one as their parent.
    pub(super) fn children(&self, id: u64) -> Vec<Arc<Issue>> {
        // The seed puts children right behind their parents, and only some can be parents.
        let reach = if self.is_seeded(id) && seed::is_head(id) { SEEDED * seed::FAMILY } else { 0 };
        let near = (id + 1..=id + reach).filter(|near| !self.changed.contains_key(near));
        let changed = self.families.range((id, 0)..=(id, u64::MAX)).map(|(_, child)| *child);
        let mut ids: Vec<u64> = near.chain(changed).collect();
        ids.sort_unstable();
        ids.into_iter()
            .filter_map(|child| self.get(child))
            .filter(|child| child.parent() == Some(id))
            .collect()
    }

    pub(super) fn subtasks(&self, id: u64) -> Vec<Arc<Issue>> {
        self.children(id).into_iter().filter(|child| child.is_subtask()).collect()
    }

    /// How a stored value reads in histories: the id, and the name of what it stands for.
    pub(super) fn shown(&self, field: &str, value: &Value) -> (Option<String>, Option<String>) {
        let kind = self.model.field(field).map_or(Kind::Opaque, |field| field.kind);
        let one = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let id = one(value);
        let name = |id: &Value| {
            let id = one(id)?;
            super::render::name_of(self, field, kind, &id).or(Some(id))
        };
        match value {
            Value::Array(list) => {
                let names: Vec<String> = list.iter().filter_map(name).collect();
                (None, (!names.is_empty()).then(|| names.join(", ")))
            }
            Value::Object(_) if kind == Kind::Rich => (None, Some(super::adf::to_text(value))),
            single => (id, name(single)),
        }
    }
}
