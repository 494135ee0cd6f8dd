//! Picks values out of a record's JSON text without making a tree of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::FieldPath;
use super::names::Names;
use super::scan::Scan;
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
    nodes: Names<Node>,
    slots: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Places in the result that take this value itself.
    slots: Vec<usize>,
    inside: Option<Box<Picker>>,
}

impl Node {
    /// [`Picker::scan`] of one value. Of a name that comes twice the last value counts.
    fn scan<'a>(&self, scan: Scan<'a>, at: usize, nulls: bool, out: &mut [Option<&'a str>]) -> Option<usize> {
        if let Some(inside) = &self.inside {
            self.every_slot(&mut |slot| out[slot] = None);
            if scan.byte(at)? == b'{' {
                let end = inside.scan(scan, at, nulls, out)?;
                let text = scan.text(at..end)?;
                self.slots.iter().for_each(|slot| out[*slot] = Some(text));
                return Some(end);
            }
        }
        let end = scan.value(at, 0)?;
        let text = scan.text(at..end)?;
        if text == "null" {
            self.every_slot(&mut |slot| out[slot] = nulls.then_some(text));
        } else if self.inside.is_some() {
            return None;
        } else {
            self.slots.iter().for_each(|slot| out[*slot] = Some(text));
        }
        Some(end)
    }

    /// Calls `each` with every place that this value or something inside it takes.
    fn every_slot(&self, each: &mut impl FnMut(usize)) {
        self.slots.iter().for_each(|slot| each(*slot));
        for (_, node) in self.inside.iter().flat_map(|inside| inside.nodes.iter()) {
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
        let node = self.nodes.get_or_insert(first, Node::default);
        if rest.is_empty() {
            node.slots.push(slot);
        } else {
            node.inside.get_or_insert_default().add(rest, slot);
        }
    }

    /// The values at the paths, as JSON text; `None` where a value, or an object on the way to it, is absent or null.
    ///
    /// # Errors
    /// `Protocol` when the text, or something that a path goes through, is not a JSON object.
    pub fn pick<'a>(&self, json: &'a str) -> Result<Vec<Option<&'a str>>> {
        self.values(json, false)
    }

    /// The values at the paths, as JSON text; `None` where a value is absent. A null, also of an object on the way, is
    /// there and is `null`.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    pub fn pick_present<'a>(&self, json: &'a str) -> Result<Vec<Option<&'a str>>> {
        self.values(json, true)
    }

    fn values<'a>(&self, json: &'a str, nulls: bool) -> Result<Vec<Option<&'a str>>> {
        let mut out = vec![None; self.slots];
        let scan = Scan::new(json);
        if self.scan(scan, scan.space(0), nulls, &mut out).is_some_and(|end| scan.is_end(end)) {
            return Ok(out);
        }
        out.fill(None);
        self.fill(json, nulls, &mut out)?;
        Ok(out)
    }

    /// The quick way, which gives up at whatever is out of the ordinary; the end of the object.
    fn scan<'a>(&self, scan: Scan<'a>, at: usize, nulls: bool, out: &mut [Option<&'a str>]) -> Option<usize> {
        let mut at = scan.space(scan.after(at, b'{')?);
        if scan.byte(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let (name, value) = scan.name(at)?;
            let end = match self.nodes.get(name) {
                None => scan.value(value, 0)?,
                Some(node) => node.scan(scan, value, nulls, out)?,
            };
            let (after, more) = scan.next(end, b'}')?;
            if !more {
                return Some(after);
            }
            at = after;
        }
    }

    fn fill<'a>(&self, json: &'a str, nulls: bool, out: &mut [Option<&'a str>]) -> Result<()> {
        let names: Vec<&str> = self.nodes.iter().map(|(name, _)| name).collect();
        for ((_, node), found) in self.nodes.iter().zip(members(json, &names)?) {
            let Some(raw) = found.map(RawValue::get) else { continue };
            if raw == "null" {
                if nulls {
                    node.every_slot(&mut |slot| out[slot] = Some(raw));
                }
                continue;
            }
            for slot in &node.slots {
                out[*slot] = Some(raw);
            }
            if let Some(inside) = &node.inside {
                inside.fill(raw, nulls, out)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(paths: &[&str]) -> Picker {
        Picker::new(&paths.iter().map(|path| FieldPath::parse(path)).collect::<Vec<_>>())
    }

    #[test]
    fn both_ways_pick_the_same() {
        let picker = picker(&["a", "b.c", "b", "b.d.e", "a long name", "a", "f.g"]);
        for json in [
            "{}",
            " { } ",
            r#"{"a":1,"b":{"c":"x","d":{"e":[1,2]}},"a long name":true,"z":{"a":2}}"#,
            r#"{"a":null,"b":null,"f":{"g":null}}"#,
            r#"{"b":{"d":null}}"#,
            r#"{"b":{"c":1},"b":{"d":{"e":2}}}"#,
            r#"{"b":{"c":1},"b":null,"a":1,"a":2}"#,
            r#"{"\u0061":1,"b":{"\u0063":"\"}{"}}"#,
            r#"{ "a" : [ {"a":1} , "]" ] , "b" : { "c" : 1e400 } }"#,
            r#"{"b":[1]}"#,
            r#"{"b":"text"}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "[]",
            "",
        ] {
            for nulls in [false, true] {
                let mut slow = vec![None; picker.slots];
                let slow =
                    picker.fill(json, nulls, &mut slow).map(|()| slow).map_err(|error| error.to_string());
                let both = picker.values(json, nulls).map_err(|error| error.to_string());
                assert_eq!(both, slow, "{json}");
            }
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(60), "]".repeat(60));
        assert_eq!(picker.pick(&deep).unwrap()[0].map(str::len), Some(121));
    }

    #[test]
    fn ordinary_records_take_the_quick_way() {
        let picker = picker(&["a", "b.c"]);
        let json = r#"{"x":[{"y":"\n"}],"b":{"z":null,"c":-1.5e3},"a":"text"}"#;
        let mut out = vec![None; 2];
        assert!(picker.scan(Scan::new(json), 0, true, &mut out).is_some());
        assert_eq!(out, [Some("\"text\""), Some("-1.5e3")]);
    }
}
