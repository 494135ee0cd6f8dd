//! Reads a mapping strictly: everything that is wrong with its form, each with its JSON Pointer.
//!
//! The document is taken apart level by level, so that a fault is told where it stands; below the lists of rules
//! and steps the members are plain and serde reads them.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Visitor, value};
use serde_json::value::RawValue;

use super::{Case, ContentRule, EachStep, FieldRule, Lookup, Mapping, Named, Param, Source, Step, Target};
use crate::mapping::Problem;
use crate::record::nearest::nearest;
use crate::record::pick::each_member;
use crate::record::rules::pointer_token;

/// Deepest nesting of lists within lists.
const DEEPEST: usize = 16;

/// An object's members and where it stands.
pub(super) struct Members<'a> {
    at: String,
    list: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.list.iter().position(|(known, _)| known == name)?;
        Some(self.list.remove(place).1)
    }

    fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(known, _)| known == name)
    }
}

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    depth: usize,
}

pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Problem>> {
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|error| vec![Problem::error("", format!("the document is not JSON: {error}"))])?;
    let mut reader = Reader::default();
    let read = reader.mapping(raw);
    match read {
        Some(mapping) if reader.problems.is_empty() => Ok(mapping),
        _ => Err(reader.problems),
    }
}

/// Reads one step alone.
pub(super) fn step(raw: &RawValue) -> Result<Step, String> {
    let mut reader = Reader::default();
    let step = reader.step(raw, "");
    let told: Vec<String> = reader.problems.iter().map(ToString::to_string).collect();
    step.filter(|_| told.is_empty()).ok_or_else(|| told.join("; "))
}

impl Reader {
    fn mapping(&mut self, raw: &RawValue) -> Option<Mapping> {
        /// What of the document has no inner structure.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Head {
            recordport: super::Version,
            name: String,
            #[serde(default)]
            on_source_delete: Option<super::OnSourceDelete>,
            #[serde(default)]
            on_source_update: Option<super::OnSourceUpdate>,
        }
        let mut members = self.members(raw, "")?;
        let params = match members.take("params") {
            Some(params) => self.params(params).map(Some),
            None => Some(None),
        };
        let source = self.required(&mut members, "source");
        let source = source.and_then(|(raw, at)| self.object::<Source>(raw, &at));
        let target = self.required(&mut members, "target");
        let target = target.and_then(|(raw, at)| self.object::<Target>(raw, &at));
        let fields = self.required(&mut members, "fields");
        let fields = fields.and_then(|(raw, at)| self.rules(raw, &at));
        let contents =
            self.optional(&mut members, "contents", |reader, raw, at| reader.list(raw, at, Self::content));
        let query = source.as_ref().and_then(|source| source.query.as_ref());
        if query.is_some_and(|query| !query.text().starts_with('{')) {
            self.problems
                .push(Problem::error("/source/query", "takes an object such as {\"where\":\"...\"}"));
        }
        let head =
            self.flat_beside::<Head>(members, &["params", "source", "target", "fields", "contents"])?;
        Some(Mapping {
            recordport: head.recordport,
            name: head.name,
            params: params?,
            source: source?,
            target: target?,
            on_source_delete: head.on_source_delete,
            on_source_update: head.on_source_update,
            fields: fields?,
            contents: contents?,
        })
    }

    fn content(&mut self, raw: &RawValue, at: &str) -> Option<ContentRule> {
        let mut members = self.members(raw, at)?;
        let options = self.optional(&mut members, "options", Self::rules);
        let rule = self.flat_beside::<ContentRule>(members, &["options"])?;
        Some(ContentRule { options: options?, ..rule })
    }

    fn params(&mut self, raw: &RawValue) -> Option<Named<Param>> {
        let members = self.members(raw, "/params")?;
        let read: Vec<Option<(String, Param)>> = members
            .list
            .into_iter()
            .map(|(name, raw)| {
                let at = child("/params", &name);
                if name.is_empty() || name.contains(['.', '{', '}', '?', '@']) {
                    let fix = "Use letters, digits and _";
                    self.problems.push(Problem::error(&at, "a parameter cannot be called so").with_fix(fix));
                }
                self.object::<Param>(raw, &at).map(|param| (name, param))
            })
            .collect();
        read.into_iter().collect::<Option<Vec<_>>>().map(Named)
    }

    fn rules(&mut self, raw: &RawValue, at: &str) -> Option<Vec<FieldRule>> {
        self.list(raw, at, Self::rule)
    }

    fn rule(&mut self, raw: &RawValue, at: &str) -> Option<FieldRule> {
        let mut members = self.members(raw, at)?;
        let steps = self.optional(&mut members, "steps", Self::steps);
        let cases = self.optional(&mut members, "cases", Self::cases);
        let origins = ["from", "const", "template"].into_iter().filter(|name| members.has(name)).count();
        let lookup = self.optional(&mut members, "lookup", Self::object::<Lookup>);
        let others = [!matches!(cases, Some(None)), !matches!(lookup, Some(None))];
        let origins = origins + others.into_iter().filter(|given| *given).count();
        if origins != 1 {
            let told =
                if origins == 0 { "says not where the value comes from" } else { "has several sources" };
            self.problems.push(
                Problem::error(at, told)
                    .with_fix("Give exactly one of: from, const, template, lookup, cases"),
            );
        }
        let rule = self.flat_beside::<FieldRule>(members, &["steps", "cases", "lookup"])?;
        Some(FieldRule { steps: steps?, cases: cases?, lookup: lookup?, ..rule })
    }

    fn cases(&mut self, raw: &RawValue, at: &str) -> Option<Vec<Case>> {
        let cases = self.list(raw, at, |reader, raw, at| reader.object::<Case>(raw, at))?;
        if cases.is_empty() {
            self.problems.push(Problem::error(at, "there is no case"));
        }
        for (index, case) in cases.iter().enumerate() {
            let here = format!("{at}/{index}");
            let origins = [case.from.is_some(), case.constant.is_some(), case.template.is_some()];
            if origins.into_iter().filter(|given| *given).count() != 1 {
                self.problems.push(
                    Problem::error(&here, "a case has one value")
                        .with_fix("Give exactly one of: from, const, template"),
                );
            }
            match (case.where_text.is_some(), case.filter.is_some()) {
                (true, true) => self.problems.push(
                    Problem::error(&here, "a case has one condition").with_fix("Leave out where or filter"),
                ),
                (false, false) if index + 1 < cases.len() => self.problems.push(
                    Problem::error(&here, "only the last case goes without a condition")
                        .with_fix("Add a where, or move it to the end"),
                ),
                _ => {}
            }
        }
        Some(cases)
    }

    fn steps(&mut self, raw: &RawValue, at: &str) -> Option<Vec<Step>> {
        self.list(raw, at, Self::step)
    }

    fn step(&mut self, raw: &RawValue, at: &str) -> Option<Step> {
        let mut members = self.members(raw, at)?;
        let names = || Step::ALL.iter().map(|entry| entry.op);
        let op = members.take("op").and_then(|op| serde_json::from_str::<String>(op.get()).ok());
        let Some(op) = op else {
            let known: Vec<&str> = names().collect();
            self.problems.push(
                Problem::error(child(at, "op"), "a step names what it does, as text")
                    .with_fix(format!("One of: {}", known.join(", "))),
            );
            return None;
        };
        if !names().any(|known| known == op) {
            let fix = match nearest(&op, names()) {
                Some(near) => format!("Did you mean {near}?"),
                None => format!("One of: {}", names().collect::<Vec<_>>().join(", ")),
            };
            self.problems
                .push(Problem::error(child(at, "op"), format!("there is no step {op:?}")).with_fix(fix));
            return None;
        }
        if op == "each" {
            return self.each(members, at);
        }
        Step::read(&op, members, self)
    }

    fn each(&mut self, mut members: Members<'_>, at: &str) -> Option<Step> {
        if members.has("fields") == members.has("steps") {
            let fix = "Give fields for elements that are objects, or steps for others";
            self.problems.push(Problem::error(at, "each takes either fields or steps").with_fix(fix));
        }
        if self.depth >= DEEPEST {
            self.problems.push(Problem::error(at, format!("lists are nested deeper than {DEEPEST} levels")));
            return None;
        }
        self.depth += 1;
        let fields = self.optional(&mut members, "fields", Self::rules);
        let steps = self.optional(&mut members, "steps", Self::steps);
        self.depth -= 1;
        self.flat_beside::<EachStep>(members, &["fields", "steps"])?;
        Some(Step::Each(EachStep { fields: fields?, steps: steps? }))
    }

    /// A list's elements, each read on its own.
    fn list<T>(
        &mut self,
        raw: &RawValue,
        at: &str,
        mut each: impl FnMut(&mut Self, &RawValue, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            self.problems.push(Problem::error(at, "takes a list"));
            return None;
        };
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| each(self, item, &format!("{at}/{index}")))
            .collect();
        read.into_iter().collect()
    }

    /// A member that may be absent, with its own reading: `None` is a fault, `Some(None)` absent.
    fn optional<T>(
        &mut self,
        members: &mut Members<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &RawValue, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(raw) = members.take(name) else { return Some(None) };
        read(self, raw, &child(&members.at, name)).map(Some)
    }

    fn required<'a>(&mut self, members: &mut Members<'a>, name: &str) -> Option<(&'a RawValue, String)> {
        let at = child(&members.at, name);
        let found = members.take(name);
        if found.is_none() {
            self.problems.push(Problem::error(&members.at, format!("{name} is missing")));
        }
        found.map(|raw| (raw, at))
    }

    fn members<'a>(&mut self, raw: &'a RawValue, at: &str) -> Option<Members<'a>> {
        let mut list: Vec<(String, &'a RawValue)> = Vec::new();
        let mut twice = Vec::new();
        let read = each_member(raw.get(), |name, value| {
            if list.iter().any(|(known, _)| known == name) {
                twice.push(name.to_owned());
            } else {
                list.push((name.to_owned(), value));
            }
        });
        if read.is_err() {
            self.problems.push(Problem::error(at, "takes an object such as {...}"));
            return None;
        }
        for name in twice {
            self.problems.push(Problem::error(child(at, &name), "this name stands twice"));
        }
        Some(Members { at: at.to_owned(), list })
    }

    /// A plain object.
    fn object<T: DeserializeOwned>(&mut self, raw: &RawValue, at: &str) -> Option<T> {
        let members = self.members(raw, at)?;
        self.flat(members)
    }

    /// A plain object that has been taken apart.
    pub(super) fn flat<T: DeserializeOwned>(&mut self, members: Members<'_>) -> Option<T> {
        self.flat_beside(members, &[])
    }

    /// A plain object of which some members have been read already.
    fn flat_beside<T: DeserializeOwned>(&mut self, members: Members<'_>, read: &[&str]) -> Option<T> {
        let known = names_of::<T>();
        let mut text = String::from("{");
        let mut ends = Vec::new();
        for (name, raw) in &members.list {
            if !known.contains(&name.as_str()) {
                self.unknown(&members.at, name, known, read);
                continue;
            }
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
            text.push(':');
            text.push_str(raw.get());
            ends.push((text.len(), name));
        }
        text.push('}');
        match serde_json::from_str(&text) {
            Ok(read) => Some(read),
            Err(error) => {
                let offset = offset(&text, error.line(), error.column());
                let inside = ends.iter().find(|(end, _)| offset <= *end).map(|(_, name)| *name);
                let pointer = match inside {
                    Some(name) => child(&members.at, name),
                    None => members.at.clone(),
                };
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                self.problems.push(Problem::error(pointer, message.replace('`', "\"")));
                None
            }
        }
    }

    fn unknown(&mut self, at: &str, name: &str, known: &[&str], read: &[&str]) {
        let mut all: Vec<&str> = read.to_vec();
        all.extend(known.iter().filter(|name| !read.contains(name)));
        let fix = match nearest(name, all.iter().copied()) {
            Some(near) => format!("Did you mean {near}?"),
            None if all.is_empty() => "It takes nothing more".to_owned(),
            None => format!("There may be: {}", all.join(", ")),
        };
        self.problems
            .push(Problem::error(child(at, name), format!("{name:?} means nothing here")).with_fix(fix));
    }
}

fn child(at: &str, name: &str) -> String {
    format!("{at}/{}", pointer_token(name))
}

/// Where a line and column lie in a text; both count from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column
}

/// The names that a struct is read from. Serde tells them to whatever the struct is read from, so this asks for
/// the struct and reads nothing.
fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Asked<'n>(&'n mut &'static [&'static str]);
    impl<'de> serde::Deserializer<'de> for Asked<'_> {
        type Error = value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only names are asked for"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            names: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = names;
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names: &'static [&'static str] = &[];
    // It always fails, having told the names.
    let _ = T::deserialize(Asked(&mut names));
    names
}
