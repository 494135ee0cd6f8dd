//! What feeds of changes share: the loop over change pages, and the memory that a checkpoint carries, of the
//! keys that were reported ([`KeySet`], with marks [`MarkedKeys`]) and of the rows that were seen lately ([`Recent`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{ChangePage, Context, Records};
use crate::error::{Error, Result};
use crate::record::{Checkpoint, FieldPath};

/// Most keys that a checkpoint carries.
pub const KEYS_MAX: usize = 200_000;
/// Rows that [`Recent`] remembers, the latest first, beyond which older ones are reported again.
pub const RECENT_MAX: usize = 10_000;

/// A feed of changes: asks for page after page and keeps the place.
#[derive(Debug)]
pub struct Feed {
    records: Arc<dyn Records>,
    cx: Context,
    select: Vec<FieldPath>,
    at: Option<Checkpoint>,
}

impl Feed {
    /// A feed that goes on at a checkpoint, or begins with what changes from now on.
    #[must_use]
    pub fn new(
        records: Arc<dyn Records>,
        cx: Context,
        select: Vec<FieldPath>,
        since: Option<Checkpoint>,
    ) -> Self {
        Self { records, cx, select, at: since }
    }

    /// The next page. After an error the feed stands where it stood.
    ///
    /// # Errors
    /// What the provider refuses, a checkpoint that is not this feed's, a provider that makes no progress.
    pub async fn next_page(&mut self) -> Result<ChangePage> {
        let page = self.records.changes(&self.cx, self.at.as_ref(), &self.select).await?;
        if page.more && page.changes.is_empty() && self.at.as_ref() == Some(&page.checkpoint) {
            let record_type = self.records.record_type();
            return Err(Error::protocol("the provider promises more changes and gives none")
                .with_code("repeated_checkpoint")
                .with_operation("changes")
                .with_provider(record_type.provider.as_str())
                .with_connection(self.cx.connection.as_str())
                .with_record_type(record_type.name.as_str()));
        }
        self.at = Some(page.checkpoint.clone());
        Ok(page)
    }

    /// Waits until it is polite to look again.
    pub async fn pause(&self, span: Duration) {
        match &self.at {
            Some(at) => self.records.await_changes(&self.cx, at, span).await,
            None => self.cx.clock.sleep(span).await,
        }
    }
}

/// Keys as a checkpoint keeps them: sorted, each written as what differs from the one before, so that keys
/// given out in sequence cost a byte or two once the checkpoint is compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct KeySet(BTreeSet<String>);

/// The digit that means "nothing in common with the key before".
const NONE_COMMON: u32 = 0x30;
/// Most characters that are said to be in common.
const MOST_COMMON: u32 = 60;

impl KeySet {
    /// Adds a key; false when it was there.
    pub fn insert(&mut self, key: String) -> bool {
        self.0.insert(key)
    }

    /// Takes a key away; false when it was not there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key)
    }

    /// Whether a key is there.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that are not in another set, in order.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        self.0.difference(&other.0).map(String::as_str)
    }
}

impl KeySet {
    /// The keys themselves, in order.
    pub fn into_keys(self) -> impl Iterator<Item = String> {
        self.0.into_iter()
    }
}

impl FromIterator<String> for KeySet {
    fn from_iter<T: IntoIterator<Item = String>>(keys: T) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl From<KeySet> for Vec<String> {
    fn from(keys: KeySet) -> Self {
        let mut before = "";
        let mut out = Self::with_capacity(keys.0.len());
        for key in &keys.0 {
            let most = MOST_COMMON as usize;
            let common: usize = before
                .chars()
                .zip(key.chars())
                .take(most)
                .take_while(|(one, other)| one == other)
                .map(|(one, _)| one.len_utf8())
                .sum();
            let (front, rest) = key.split_at(common);
            let count = u32::try_from(front.chars().count()).unwrap_or_default();
            let digit = char::from_u32(NONE_COMMON + count).unwrap_or('0');
            out.push(format!("{digit}{rest}"));
            before = key;
        }
        out
    }
}

impl TryFrom<Vec<String>> for KeySet {
    type Error = String;

    fn try_from(written: Vec<String>) -> Result<Self, String> {
        let mut keys: Vec<String> = Vec::with_capacity(written.len());
        for text in written {
            let wrong = || format!("{text:?} does not continue the keys");
            let digit = text.chars().next().ok_or_else(wrong)?;
            let count = u32::from(digit).checked_sub(NONE_COMMON).filter(|count| *count <= MOST_COMMON);
            let count = count.ok_or_else(wrong)? as usize;
            let before = keys.last().map_or("", String::as_str);
            let mut ends = before.char_indices().map(|(at, _)| at).chain([before.len()]);
            let front = ends.nth(count).and_then(|end| before.get(..end)).ok_or_else(wrong)?;
            let key = format!("{front}{}", &text[digit.len_utf8()..]);
            if !keys.is_empty() && key.as_str() <= before {
                return Err(wrong());
            }
            keys.push(key);
        }
        Ok(Self(keys.into_iter().collect()))
    }
}

/// Keys, each with a mark of the content. They are written as one list of texts that grows slowly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeySet", into = "KeySet")]
pub struct MarkedKeys(BTreeMap<String, u32>);

impl MarkedKeys {
    /// Remembers a key with a mark; the mark that it had.
    pub fn insert(&mut self, key: String, mark: u32) -> Option<u32> {
        self.0.insert(key, mark)
    }

    /// Forgets a key; false when it was not there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<MarkedKeys> for KeySet {
    fn from(known: MarkedKeys) -> Self {
        known.0.into_iter().map(|(key, mark)| format!("{key} {mark:08x}")).collect()
    }
}

impl TryFrom<KeySet> for MarkedKeys {
    type Error = String;

    fn try_from(written: KeySet) -> Result<Self, String> {
        let read = |text: String| {
            let (key, mark) = text.rsplit_once(' ').ok_or("a key has no mark")?;
            Ok((key.to_owned(), u32::from_str_radix(mark, 16).map_err(|wrong| wrong.to_string())?))
        };
        written.into_keys().map(read).collect::<Result<_, String>>().map(Self)
    }
}

/// A number that stands for some texts: the same on every machine and in every version.
#[must_use]
pub fn mark(parts: &[&[u8]]) -> u64 {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    let hash = digest(&SHA256, &joined);
    hash.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Rows that were seen lately, by a mark of what identifies the sight of them (key, moment of change), each
/// with a mark of its content. What a feed reads again, to miss nothing that was committed late, is told from
/// news by it; two changes within the grain of the service's clock differ in content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recent(HashMap<u64, Sight>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    /// Moment of the change, in seconds.
    second: i64,
    content: u64,
}

/// Bytes of one entry.
const ENTRY: usize = 24;

impl Recent {
    /// The content that was seen under a mark.
    #[must_use]
    pub fn content(&self, mark: u64) -> Option<u64> {
        self.0.get(&mark).map(|sight| sight.content)
    }

    /// Remembers a sight.
    pub fn put(&mut self, mark: u64, second: i64, content: u64) {
        self.0.insert(mark, Sight { second, content });
    }

    /// Forgets a sight.
    pub fn remove(&mut self, mark: u64) {
        self.0.remove(&mark);
    }

    /// Forgets everything that changed before a moment, and the oldest of what is too much.
    pub fn forget_before(&mut self, second: i64) {
        self.0.retain(|_, sight| sight.second >= second);
        let surplus = self.0.len().saturating_sub(RECENT_MAX);
        if surplus > 0 {
            let mut oldest: Vec<(i64, u64)> =
                self.0.iter().map(|(mark, sight)| (sight.second, *mark)).collect();
            oldest.sort_unstable();
            for (_, mark) in oldest.into_iter().take(surplus) {
                self.0.remove(&mark);
            }
        }
    }
}

impl From<Recent> for String {
    fn from(recent: Recent) -> Self {
        let mut entries: Vec<(u64, Sight)> = recent.0.into_iter().collect();
        entries.sort_unstable_by_key(|(mark, sight)| (sight.second, *mark));
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY);
        for (mark, sight) in entries {
            bytes.extend_from_slice(&sight.second.to_be_bytes());
            bytes.extend_from_slice(&mark.to_be_bytes());
            bytes.extend_from_slice(&sight.content.to_be_bytes());
        }
        STANDARD_NO_PAD.encode(bytes)
    }
}

impl TryFrom<String> for Recent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|error| error.to_string())?;
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Err("the memory of recent rows is cut".to_owned());
        }
        let number = |entry: &[u8; ENTRY], at: usize| {
            entry[at..at + 8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let read = |entry: &[u8; ENTRY]| {
            let sight = Sight { second: number(entry, 0).cast_signed(), content: number(entry, 16) };
            (number(entry, 8), sight)
        };
        Ok(Self(entries.iter().map(read).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn keys_read_back_as_they_were_written(keys in proptest::collection::btree_set(".{0,12}", 0..40)) {
            let keys = KeySet(keys);
            let written = serde_json::to_value(&keys).unwrap();
            prop_assert_eq!(serde_json::from_value::<KeySet>(written).unwrap(), keys);
        }

        #[test]
        fn damaged_keys_are_refused_and_never_panic(keys in proptest::collection::vec(".{0,6}", 0..10)) {
            if let Ok(read) = KeySet::try_from(keys.clone()) {
                prop_assert_eq!(read.len(), keys.len());
            }
        }

        #[test]
        fn sights_read_back_as_they_were_written(
            sights in proptest::collection::hash_map(any::<u64>(), (any::<i64>(), any::<u64>()), 0..40)
        ) {
            let mut recent = Recent::default();
            for (mark, (second, content)) in sights {
                recent.put(mark, second, content);
            }
            let written = serde_json::to_value(&recent).unwrap();
            prop_assert_eq!(serde_json::from_value::<Recent>(written).unwrap(), recent);
        }
    }

    #[test]
    fn keys_with_marks_read_back_as_they_were_written() {
        let mut known = MarkedKeys::default();
        for (key, mark) in [("abc", 7), ("abc_20260101T000000Z", 0), ("!abd", u32::MAX), ("x y", 1)] {
            assert_eq!(known.insert(key.to_owned(), mark), None);
        }
        let written = serde_json::to_value(&known).unwrap();
        assert_eq!(serde_json::from_value::<MarkedKeys>(written).unwrap(), known);
        assert!(serde_json::from_value::<MarkedKeys>(json!(["0abc"])).is_err());
    }

    #[test]
    fn keys_given_out_in_sequence_cost_less_than_three_bytes() {
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let key = |mut number: usize| {
            let mut text = *b"001Wd0000000000";
            for place in text.iter_mut().skip(6).rev() {
                *place = digits[number % 62];
                number /= 62;
            }
            String::from_utf8(text.to_vec()).unwrap()
        };
        let size = |keys: KeySet| {
            let position = json!({ "known": keys });
            let checkpoint =
                Checkpoint { provider: "salesforce".into(), record_type: "Account".into(), position };
            assert_eq!(Checkpoint::parse(&checkpoint.to_text()).unwrap(), checkpoint);
            checkpoint.to_text().len()
        };
        let count = 20_000;
        let dense = size((0..count).map(|number| key(90_000_000 + number)).collect());
        assert!(dense < count * 2, "{dense} bytes");
        let sparse = size((0..count).map(|number| key(90_000_000 + number * 3 + number % 7)).collect());
        assert!(sparse < count * 3, "{sparse} bytes");
    }

    #[test]
    fn what_is_too_much_is_forgotten_from_the_oldest() {
        let mut recent = Recent::default();
        for number in 0..RECENT_MAX as u64 + 5 {
            recent.put(number, number.cast_signed(), 0);
        }
        recent.forget_before(0);
        assert_eq!((recent.content(4), recent.content(5)), (None, Some(0)));
        recent.forget_before(7);
        assert_eq!((recent.content(6), recent.content(7)), (None, Some(0)));
        recent.remove(7);
        assert_eq!(recent.content(7), None);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_by_name() {
        let whole = Checkpoint {
            provider: "salesforce".into(),
            record_type: "Account".into(),
            position: json!({ "known": ["0001", "3B"] }),
        }
        .to_text();
        let mut texts: Vec<String> = (0..whole.len()).map(|end| whole[..end].to_owned()).collect();
        texts.extend((0..whole.len()).map(|at| {
            let other = if &whole[at..=at] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &whole[..at], &whole[at + 1..])
        }));
        texts.extend(["beginning".to_owned(), "{}".to_owned(), "é".to_owned(), "A".repeat(10_000)]);
        for text in texts {
            match Checkpoint::parse(&text) {
                Err(error) => assert_eq!(error.code(), Some("bad_checkpoint"), "{text}"),
                // The last character of base64 may carry bits that mean nothing.
                Ok(read) => assert_eq!(read.to_text(), whole, "{text}"),
            }
        }
    }
}
