//! A compiled mapping: pure, shared between threads, and failing on values only.

use std::borrow::Cow;
use std::num::NonZero;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::convert::Cast;
use super::document::{OnInvalid, OnMissing};
use super::lookup::{Answers, Ask, Lookup, LookupKey};
use super::step::Run;
use super::value::{Value, quoted};
use crate::error::{Error, FieldError, Result};
use crate::layer::check;
use crate::provider::WriteOptions;
use crate::record::number::Number;
use crate::record::pick::Picker;
use crate::record::residual::Residual;
use crate::record::{Field, FieldType};

/// A mapping that is ready to run.
#[derive(Debug)]
pub struct Program {
    pub(super) block: Block,
    pub(super) contents: Vec<ContentProgram>,
    pub(super) lookups: Vec<Lookup>,
}

/// One record that is mapped.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its JSON text.
    pub json: &'a str,
    /// Its key's text, when it has one.
    pub key: Option<&'a str>,
    /// Its number, from 1.
    pub row: u64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The row, as JSON text.
    pub json: String,
    /// What was cut or cleared on the way.
    pub warnings: Vec<FieldError>,
    /// Content that goes along with the row.
    pub contents: Vec<Transfer>,
}

/// Content that goes along with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The source's field that has it.
    pub from: String,
    /// The target's field that gets it.
    pub to: String,
    /// Options of writing it.
    #[serde(default, skip_serializing_if = "WriteOptions::is_empty")]
    pub options: WriteOptions,
}

/// Content that goes along with every record.
#[derive(Debug)]
pub(super) struct ContentProgram {
    pub(super) from: String,
    pub(super) to: String,
    /// What gives the options.
    pub(super) options: Option<Block>,
}

impl Program {
    /// Maps a record. A program with lookups needs their answers: [`apply_with`](Self::apply_with).
    ///
    /// # Errors
    /// Invalid, with a reason for each field whose value does not fit.
    pub fn apply(&self, given: Given<'_>) -> Result<Mapped> {
        self.apply_with(given, &Answers::default())
    }

    /// Maps a record, knowing the records that it names.
    ///
    /// # Errors
    /// Invalid, with a reason for each field whose value does not fit; a bug, when an answer is missing.
    pub fn apply_with(&self, given: Given<'_>, answers: &Answers) -> Result<Mapped> {
        let mut asked = Vec::new();
        let row = self.block.run(given.json, &Here::Record(given), answers, &mut asked, false);
        let contents = self.transfers(given, answers, &mut asked);
        if let Some(ask) = asked.first() {
            let lookup = self.lookups.get(ask.lookup).map(|lookup| lookup.said(&ask.key));
            return Err(Error::bug(format!("nobody looked up {}", lookup.unwrap_or_default())));
        }
        let refused = |reasons: Vec<FieldError>| {
            reasons.into_iter().fold(Error::invalid("this record cannot be mapped"), Error::with_field_error)
        };
        let (json, mut warnings) = row.map_err(refused)?;
        let (contents, more) = contents.map_err(refused)?;
        warnings.extend(more);
        Ok(Mapped { json, warnings, contents })
    }

    /// Maps records side by side on the processor's cores; the results stand in the records' order.
    #[must_use]
    pub fn apply_all(&self, records: &[Given<'_>], answers: &Answers) -> Vec<Result<Mapped>> {
        let each = |share: &[Given<'_>]| -> Vec<Result<Mapped>> {
            share.iter().map(|given| self.apply_with(*given, answers)).collect()
        };
        let threads = cores().min(records.len() / LEAST_A_THREAD);
        if threads < 2 {
            return each(records);
        }
        let mut shares = records.chunks(records.len().div_ceil(threads));
        let own = shares.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = shares.map(|share| scope.spawn(move || each(share))).collect();
            let mut mapped = each(own);
            mapped.reserve_exact(records.len() - mapped.len());
            for other in others {
                match other.join() {
                    Ok(more) => mapped.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            mapped
        })
    }

    /// The contents that go along, with the options of each.
    fn transfers(
        &self,
        given: Given<'_>,
        answers: &Answers,
        asked: &mut Vec<Ask>,
    ) -> Result<(Vec<Transfer>, Vec<FieldError>), Vec<FieldError>> {
        let mut warnings = Vec::new();
        let mut transfers = Vec::with_capacity(self.contents.len());
        for (index, content) in self.contents.iter().enumerate() {
            let mut options = WriteOptions::new();
            if let Some(block) = &content.options {
                let (json, more) = block.run(given.json, &Here::Record(given), answers, asked, false)?;
                options = serde_json::from_str(&json).map_err(|error| {
                    let message = format!("cannot be read: {error}");
                    vec![FieldError {
                        field: format!("/contents/{index}/options"),
                        message,
                        accepted: Vec::new(),
                    }]
                })?;
                // An option without a value is one that is not given.
                options.retain(|_, value| !value.is_null());
                warnings.extend(more);
            }
            transfers.push(Transfer { from: content.from.clone(), to: content.to.clone(), options });
        }
        Ok((transfers, warnings))
    }

    /// Where the program finds records; questions name them by their place here.
    #[must_use]
    pub fn lookups(&self) -> &[Lookup] {
        &self.lookups
    }

    /// What has to be known besides these answers before a record can be mapped. Answers can lead to further
    /// questions: when there are none, the record can be mapped.
    #[must_use]
    pub fn asks(&self, given: Given<'_>, answers: &Answers) -> Vec<Ask> {
        let mut asked = Vec::new();
        if !self.lookups.is_empty() {
            // What does not fit is told when the record is mapped.
            let blocks = self.contents.iter().filter_map(|content| content.options.as_ref());
            for block in std::iter::once(&self.block).chain(blocks) {
                let _ = block.run(given.json, &Here::Record(given), answers, &mut asked, true);
            }
        }
        asked
    }
}

/// Records for which a thread of their own is worth its start.
const LEAST_A_THREAD: usize = 250;

/// The processor's cores that this process may use.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Where a block of rules runs.
#[derive(Debug, Clone, Copy)]
enum Here<'a> {
    /// On a record.
    Record(Given<'a>),
    /// On an element of a list.
    Element { index: usize },
}

/// Rules that run together on one object.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) picker: Picker,
    pub(super) rules: Vec<RuleProgram>,
    /// Where the rules' values stand in the row.
    pub(super) tree: Vec<Node>,
}

/// A member of the row.
#[derive(Debug)]
pub(super) enum Node {
    /// A rule's value.
    Leaf { name: MemberName, rule: usize },
    /// An object of such.
    Object { name: MemberName, members: Vec<Node> },
}

impl Node {
    /// Bytes of the names in it with what stands around them.
    fn length(&self) -> usize {
        match self {
            Self::Leaf { name, .. } => name.0.len() + 1,
            Self::Object { name, members } => {
                name.0.len() + 3 + members.iter().map(Self::length).sum::<usize>()
            }
        }
    }
}

/// The name of a member of the row, as JSON text with its colon.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MemberName(String);

impl MemberName {
    pub(super) fn new(name: &str) -> Self {
        Self(format!("{}:", quoted(name)))
    }
}

/// One rule.
#[derive(Debug)]
pub(super) struct RuleProgram {
    pub(super) to: String,
    pub(super) branches: Vec<Branch>,
    pub(super) on_missing: OnMissing,
    pub(super) on_invalid: OnInvalid,
    /// Whether the field must not be null.
    pub(super) needed: bool,
    /// Whether it looks records up.
    pub(super) looks_up: bool,
}

/// One way to a rule's value.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) condition: Option<Residual>,
    pub(super) origin: Origin,
    pub(super) steps: Vec<Box<dyn Run>>,
    pub(super) cast: Cast,
    pub(super) fit: Fit,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A path of the record, by its place among those picked.
    Slot(usize),
    /// JSON text.
    Fixed(String),
    /// Text with values in it; whether it goes on without a value.
    Template(Vec<(Origin, bool)>),
    /// The number of the row.
    Row,
    /// The record itself.
    Whole,
    /// The record's key.
    Key,
    /// The place in the list.
    Index,
}

/// A record while it is mapped.
#[derive(Debug)]
pub(super) struct Row<'a> {
    here: Here<'a>,
    json: &'a str,
    slots: Vec<Option<&'a str>>,
    answers: &'a Answers,
    asked: Vec<Ask>,
    /// The field that is being made.
    field: &'a str,
    warnings: Vec<FieldError>,
    /// What is wrong inside of a list, by the place below the field: `/2/email`.
    inside: Vec<FieldError>,
}

impl Block {
    /// Runs the rules, or those alone that look records up; what is not known goes to `asked`.
    fn run(
        &self,
        json: &str,
        here: &Here<'_>,
        answers: &Answers,
        asked: &mut Vec<Ask>,
        only_lookups: bool,
    ) -> Result<(String, Vec<FieldError>), Vec<FieldError>> {
        // An element that is no object has nothing to pick: rules take it whole.
        let slots = if matches!(here, Here::Element { .. }) && self.picker.is_empty() {
            Ok(Vec::new())
        } else {
            self.picker.pick_present(json)
        };
        let slots = slots.map_err(|error| {
            vec![FieldError {
                field: String::new(),
                message: error.message().to_owned(),
                accepted: Vec::new(),
            }]
        })?;
        let mut row = Row {
            here: *here,
            json,
            slots,
            answers,
            asked: Vec::new(),
            field: "",
            warnings: Vec::new(),
            inside: Vec::new(),
        };
        let mut values: Vec<Option<Value<'_>>> = Vec::with_capacity(self.rules.len());
        let mut reasons = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.looks_up || !only_lookups) {
            row.field = &rule.to;
            match rule.value(&mut row) {
                Ok(value) => values.push(value),
                Err(why) => {
                    reasons.extend(why);
                    values.push(None);
                }
            }
        }
        asked.append(&mut row.asked);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        if only_lookups {
            return Ok((String::from("{}"), Vec::new()));
        }
        // As much as is needed: a row is often a small part of its record.
        let texts: usize = values.iter().flatten().map(Value::length).sum();
        let mut out = String::with_capacity(texts + self.tree.iter().map(Node::length).sum::<usize>() + 2);
        out.push('{');
        write_members(&self.tree, &values, &mut out);
        out.push('}');
        Ok((out, row.warnings))
    }
}

/// Writes the members that have values; says whether there were any.
fn write_members(tree: &[Node], values: &[Option<Value<'_>>], out: &mut String) -> bool {
    let mut any = false;
    for node in tree {
        let start = out.len();
        let (name, written) = match node {
            Node::Leaf { name, rule } => (name, values.get(*rule).and_then(Option::as_ref)),
            Node::Object { name, .. } => (name, Some(&Value::Null)),
        };
        let Some(value) = written else { continue };
        if any {
            out.push(',');
        }
        out.push_str(&name.0);
        let filled = match node {
            Node::Leaf { .. } => {
                value.write(out);
                true
            }
            Node::Object { members, .. } => {
                out.push('{');
                let filled = write_members(members, values, out);
                out.push('}');
                filled
            }
        };
        if filled {
            any = true;
        } else {
            out.truncate(start);
        }
    }
    any
}

impl RuleProgram {
    /// The rule's value; `None` leaves the field out.
    fn value<'a>(&'a self, row: &mut Row<'a>) -> Result<Option<Value<'a>>, Vec<FieldError>> {
        let reason =
            |message: String| vec![FieldError { field: self.to.clone(), message, accepted: Vec::new() }];
        let mut chosen = None;
        for branch in &self.branches {
            let holds = match &branch.condition {
                None => true,
                Some(condition) => {
                    condition.matches_json(row.json).map_err(|error| reason(error.message().to_owned()))?
                }
            };
            if holds {
                chosen = Some(branch);
                break;
            }
        }
        let made = chosen.map_or(Ok(None), |branch| branch.value(row));
        match made {
            Ok(Some(value)) if self.needed && value.is_null() => {
                Err(reason("is null, and the field must have a value".to_owned()))
            }
            Ok(Some(value)) => Ok(Some(value)),
            Ok(None) => match self.on_missing {
                OnMissing::Skip => Ok(None),
                OnMissing::Null => Ok(Some(Value::Null)),
                OnMissing::Error => Err(reason("there is no value for it".to_owned())),
            },
            Err(reasons) if self.on_invalid == OnInvalid::Null && !self.needed => {
                let why: Vec<String> = reasons
                    .iter()
                    .map(|reason| match reason.field.as_str() {
                        "" => format!("it {}", reason.message),
                        place => format!("{}{place} {}", self.to, reason.message),
                    })
                    .collect();
                row.warn(format!("was cleared, because {}", why.join("; ")));
                Ok(Some(Value::Null))
            }
            Err(mut reasons) => {
                for reason in &mut reasons {
                    reason.field.insert_str(0, &self.to);
                }
                Err(reasons)
            }
        }
    }
}

impl Branch {
    fn value<'a>(&'a self, row: &mut Row<'a>) -> Result<Option<Value<'a>>, Vec<FieldError>> {
        if let (Origin::Slot(slot), [], Cast::Copy) = (&self.origin, self.steps.as_slice(), &self.cast) {
            let Some(raw) = row.slots.get(*slot).copied().flatten() else { return Ok(None) };
            let value = Value::Raw(Cow::Borrowed(raw));
            if raw != "null" {
                self.fit.check(&value)?;
            }
            return Ok(Some(value));
        }
        let plain =
            |message: String| vec![FieldError { field: String::new(), message, accepted: Vec::new() }];
        let value = row.origin(&self.origin).map_err(plain)?;
        let stepped = row.steps(&self.steps, value).map_err(|message| {
            let inside = std::mem::take(&mut row.inside);
            if inside.is_empty() { plain(message) } else { inside }
        });
        let Some(value) = stepped? else { return Ok(None) };
        if value.is_null() {
            return Ok(Some(Value::Null));
        }
        let value = cast(&self.cast, value).map_err(plain)?;
        self.fit.check(&value)?;
        Ok(Some(value))
    }
}

pub(super) fn cast<'a>(how: &Cast, value: Value<'a>) -> Result<Value<'a>, String> {
    match how {
        Cast::Copy => Ok(value),
        Cast::ToText => value.text().map(Value::Text),
        Cast::ToNumber => value.number().map(Value::Number),
        Cast::One(inner) => {
            let one = cast(inner, value)?.json().into_owned();
            Ok(Value::Raw(Cow::Owned(format!("[{one}]"))))
        }
        Cast::Each(inner) => {
            let mut out = Vec::new();
            for item in value.items()? {
                out.push(cast(inner, Value::raw(item))?.json().into_owned());
            }
            Ok(Value::Raw(Cow::Owned(format!("[{}]", out.join(",")))))
        }
    }
}

impl<'a> Row<'a> {
    /// Tells what was done to a value besides what was asked.
    pub(super) fn warn(&mut self, message: String) {
        self.warnings.push(FieldError { field: self.field.to_owned(), message, accepted: Vec::new() });
    }

    /// What is known of other records.
    pub(super) fn answers(&self) -> &'a Answers {
        self.answers
    }

    /// Says that a record has to be known; what becomes of this row meanwhile does not count.
    pub(super) fn ask(&mut self, lookup: usize, key: LookupKey) {
        self.asked.push(Ask { lookup, key });
    }

    /// A value where it comes from; `None` when it is missing.
    pub(super) fn origin<'o>(&self, origin: &'o Origin) -> Result<Option<Value<'o>>, String>
    where
        'a: 'o,
    {
        Ok(match origin {
            Origin::Slot(slot) => {
                self.slots.get(*slot).copied().flatten().map(|raw| Value::Raw(Cow::Borrowed(raw)))
            }
            Origin::Fixed(text) => Some(Value::Raw(Cow::Borrowed(text))),
            Origin::Whole => Some(Value::raw(self.json)),
            Origin::Row => match self.here {
                Here::Record(given) => Some(Value::Number(Cow::Owned(given.row.to_string()))),
                Here::Element { .. } => None,
            },
            Origin::Index => match self.here {
                Here::Element { index } => Some(Value::Number(Cow::Owned(index.to_string()))),
                Here::Record(_) => None,
            },
            Origin::Key => match self.here {
                Here::Record(given) => given.key.map(|key| Value::Text(Cow::Borrowed(key))),
                Here::Element { .. } => None,
            },
            Origin::Template(pieces) => {
                let mut text = String::with_capacity(64);
                for (piece, optional) in pieces {
                    match self.origin(piece)?.filter(|value| !value.is_null()) {
                        Some(value) => text.push_str(&value.text()?),
                        None if *optional => {}
                        None => return Ok(None),
                    }
                }
                Some(Value::Text(Cow::Owned(text)))
            }
        })
    }

    /// A value through steps.
    pub(super) fn steps(
        &mut self,
        steps: &'a [Box<dyn Run>],
        mut value: Option<Value<'a>>,
    ) -> Result<Option<Value<'a>>, String> {
        for step in steps {
            value = match value {
                Some(present) if !present.is_null() => step.run(present, self)?,
                absent => step.instead().or(absent),
            };
        }
        Ok(value)
    }

    /// An element of a list through rules of its own.
    pub(super) fn element(&mut self, block: &Block, json: &str, index: usize) -> Result<String, String> {
        let mut asked = Vec::new();
        let made = block.run(json, &Here::Element { index }, self.answers, &mut asked, false);
        if !asked.is_empty() {
            self.asked.append(&mut asked);
            return Ok(String::from("{}"));
        }
        match made {
            Ok((text, warnings)) => {
                let field = self.field;
                self.warnings.extend(warnings.into_iter().map(|warning| FieldError {
                    field: format!("{field}/{index}/{}", warning.field),
                    ..warning
                }));
                Ok(text)
            }
            Err(reasons) => {
                self.inside = reasons;
                for reason in self.inside.iter_mut().filter(|reason| !reason.field.is_empty()) {
                    reason.field.insert(0, '/');
                }
                Err(self.within(index, String::new()))
            }
        }
    }

    /// Notes that something is wrong with an element of a list; gives the message back.
    pub(super) fn within(&mut self, index: usize, message: String) -> String {
        if self.inside.is_empty() {
            self.inside.push(FieldError {
                field: String::new(),
                message: message.clone(),
                accepted: Vec::new(),
            });
        }
        for reason in &mut self.inside {
            reason.field.insert_str(0, &format!("/{index}"));
        }
        message
    }
}

/// Whether a value fits its field.
#[derive(Debug)]
pub(super) enum Fit {
    /// Whatever it is.
    Any,
    /// As the whole check says, which is not asked where a quick look is enough.
    Field { field: Box<Field>, quick: Quick },
}

/// What tells at a glance that a value fits.
#[derive(Debug)]
pub(super) enum Quick {
    /// Nothing does.
    Never,
    /// It is text of this many characters at most.
    Text(usize),
    /// It is one of these JSON texts, in order.
    OneOf(Vec<String>),
    /// It is written plainly, with this many digits at most before and behind the point.
    Digits { whole: usize, fraction: usize },
    /// It is true or false.
    Boolean,
}

impl Fit {
    /// The check of a field's values.
    pub(super) fn of(field: &Field) -> Self {
        Self::Field { field: Box::new(field.clone()), quick: Quick::of(field) }
    }

    fn check(&self, value: &Value<'_>) -> Result<(), Vec<FieldError>> {
        let Self::Field { field, quick } = self else { return Ok(()) };
        if quick.fits(value) {
            return Ok(());
        }
        let text = value.clone().json();
        let text = text.as_ref();
        let mut reasons = check::value_reasons(field, text, check::Purpose::Upsert);
        if reasons.is_empty() {
            reasons.extend(too_fine(field, text));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        for reason in &mut reasons {
            // Told under the rule's own path.
            let inner = reason.field.strip_prefix(field.name.as_str()).unwrap_or_default();
            let inner = inner.strip_prefix('.').unwrap_or_default();
            if !inner.is_empty() {
                reason.message = format!("{inner} {}", reason.message);
            }
            reason.field = String::new();
        }
        Err(reasons)
    }
}

impl Quick {
    fn of(field: &Field) -> Self {
        let most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        match &field.field_type {
            FieldType::Text { max_length, .. } => Self::Text(max_length.map_or(usize::MAX, most)),
            FieldType::Picklist(picklist) if picklist.restricted => {
                let active = picklist.values.iter().filter(|choice| choice.active);
                let mut known: Vec<String> = active.map(|choice| choice.value.to_string()).collect();
                known.sort_unstable();
                Self::OneOf(known)
            }
            FieldType::Decimal { precision, scale } if field.minimum.is_none() && field.maximum.is_none() => {
                let digits = |count: Option<u32>| count.map_or(usize::MAX, |count| most(count.into()));
                let whole = precision.map(|precision| precision.saturating_sub(scale.unwrap_or(0)));
                Self::Digits { whole: digits(whole), fraction: digits(*scale) }
            }
            FieldType::Boolean => Self::Boolean,
            _ => Self::Never,
        }
    }

    fn fits(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            // Characters are no more than bytes, and escapes only make a text longer than what it says.
            (Self::Text(most), Value::Text(text)) => text.len() <= *most,
            (Self::Text(most), Value::Raw(text)) => {
                text.starts_with('"') && text.len().saturating_sub(2) <= *most
            }
            (Self::OneOf(known), Value::Raw(text) | Value::Number(text)) => {
                known.binary_search_by(|one| one.as_str().cmp(text)).is_ok()
            }
            (Self::Digits { whole, fraction }, Value::Raw(text) | Value::Number(text)) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
                let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
                before.len() <= *whole
                    && behind.len() <= *fraction
                    && !before.is_empty()
                    && plain(before)
                    && plain(behind)
            }
            (Self::Boolean, Value::Boolean(_)) => true,
            (Self::Boolean, Value::Raw(text)) => text == "true" || text == "false",
            _ => false,
        }
    }
}

/// Digits behind the point that the provider would round away unasked.
fn too_fine(field: &Field, text: &str) -> Option<FieldError> {
    let FieldType::Decimal { scale: Some(scale), .. } = &field.field_type else { return None };
    let plain = Number::parse(text)?.plain(1000)?;
    let decimals = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    (decimals > usize::try_from(*scale).ok()?).then(|| FieldError {
        field: String::new(),
        message: format!("has {decimals} digits behind the point; {scale} are kept, so add a round step"),
        accepted: Vec::new(),
    })
}
