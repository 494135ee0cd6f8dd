//! Picks values out of a record's JSON text without making a tree of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::FieldPath;
use crate::error::{Error, Result};

/// Raw JSON of the named members of an object, in the order of `names`; `None` for those that are absent. Of a
/// name that occurs more than once the last value counts.
///
/// # Errors
/// `Protocol` when the text is not a JSON object.
pub fn members<'a>(json: &'a str, names: &[&str]) -> Result<Vec<Option<&'a RawValue>>> {
    struct Pick<'n> {
        names: &'n [&'n str],
    }
    impl<'de> Visitor<'de> for Pick<'_> {
        type Value = Vec<Option<&'de RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = vec![None; self.names.len()];
            while let Some(name) = map.next_key::<Name<'de>>()? {
                match self.names.iter().position(|wanted| *wanted == name.0) {
                    Some(index) => found[index] = Some(map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_map(Pick { names })
        .map_err(|source| Error::protocol("a record cannot be read").with_source(source))
}

/// Calls `each` with the name and raw value of every member of an object, in order.
///
/// # Errors
/// `Protocol` when the text is not a JSON object.
pub fn each_member<'a>(json: &'a str, each: impl FnMut(&str, &'a RawValue)) -> Result<()> {
    struct Walk<F>(F);
    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Walk<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<Name<'de>>()? {
                (self.0)(&name.0, map.next_value()?);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_map(Walk(each))
        .map_err(|source| Error::protocol("a record cannot be read").with_source(source))
}

/// A member's name; borrowed unless it is written with escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Which values to pick, arranged by first name so that each object on the way is read once.
#[derive(Debug, Clone, Default)]
pub struct Picker {
    names: Vec<String>,
    nodes: Vec<Node>,
    slots: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Places in the result that take this value itself.
    slots: Vec<usize>,
    inside: Option<Box<Picker>>,
}

impl Node {
    /// Calls `each` with every place that this value or something inside it takes.
    fn every_slot(&self, each: &mut impl FnMut(usize)) {
        self.slots.iter().for_each(|slot| each(*slot));
        for node in self.inside.iter().flat_map(|inside| &inside.nodes) {
            node.every_slot(each);
        }
    }
}

impl Picker {
    /// Picks these paths; results come in their order.
    #[must_use]
    pub fn new(paths: &[FieldPath]) -> Self {
        let mut picker = Self { slots: paths.len(), ..Self::default() };
        for (slot, path) in paths.iter().enumerate() {
            picker.add(path.segments(), slot);
        }
        picker
    }

    /// Whether it picks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots == 0
    }

    fn add(&mut self, segments: &[String], slot: usize) {
        let Some((first, rest)) = segments.split_first() else { return };
        let index = self.names.iter().position(|name| name == first).unwrap_or_else(|| {
            self.names.push(first.clone());
            self.nodes.push(Node::default());
            self.names.len() - 1
        });
        let node = &mut self.nodes[index];
        if rest.is_empty() {
            node.slots.push(slot);
        } else {
            node.inside.get_or_insert_default().add(rest, slot);
        }
    }

    /// The raw values at the paths; `None` where a value, or an object on the way to it, is absent or null.
    ///
    /// # Errors
    /// `Protocol` when the text, or something that a path goes through, is not a JSON object.
    pub fn pick<'a>(&self, json: &'a str) -> Result<Vec<Option<&'a RawValue>>> {
        let mut out = vec![None; self.slots];
        self.fill(json, false, &mut out)?;
        Ok(out)
    }

    /// The raw values at the paths; `None` where a value is absent. A null, also of an object on the way, is there
    /// and is `null`.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    pub fn pick_present<'a>(&self, json: &'a str) -> Result<Vec<Option<&'a RawValue>>> {
        let mut out = vec![None; self.slots];
        self.fill(json, true, &mut out)?;
        Ok(out)
    }

    fn fill<'a>(&self, json: &'a str, nulls: bool, out: &mut [Option<&'a RawValue>]) -> Result<()> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        for (node, found) in self.nodes.iter().zip(members(json, &names)?) {
            let Some(raw) = found else { continue };
            if raw.get() == "null" {
                if nulls {
                    node.every_slot(&mut |slot| out[slot] = Some(raw));
                }
                continue;
            }
            for slot in &node.slots {
                out[*slot] = Some(raw);
            }
            if let Some(inside) = &node.inside {
                inside.fill(raw.get(), nulls, out)?;
            }
        }
        Ok(())
    }
}
