//! Members' names with what stands for each, found without hashing.

use std::cmp::Ordering;

/// What stands for each of some names.
#[derive(Debug, Clone)]
pub(super) struct Names<T> {
    /// By length, then by bytes.
    sorted: Vec<(String, T)>,
    /// A bit for each name that is here, so that most others need no search.
    marks: u64,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { sorted: Vec::new(), marks: 0 }
    }
}

impl<T> Names<T> {
    /// What stands for a name.
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.place(name).ok().and_then(|place| self.sorted.get(place)).map(|(_, found)| found)
    }

    /// What stands for a name, made when nothing does.
    pub(super) fn get_or_insert(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        let place = self.place(name).unwrap_or_else(|free| {
            self.marks |= mark(name);
            self.sorted.insert(free, (name.to_owned(), make()));
            free
        });
        &mut self.sorted[place].1
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.sorted.iter().map(|(name, found)| (name.as_str(), found))
    }

    /// Where a name stands, or where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.sorted.binary_search_by(|(known, _)| match known.len().cmp(&name.len()) {
            Ordering::Equal => known.as_bytes().cmp(name.as_bytes()),
            unequal => unequal,
        })
    }
}

/// The bit of a name.
#[inline]
fn mark(name: &str) -> u64 {
    let ends = name.as_bytes().first().zip(name.as_bytes().last());
    let (first, last) = ends.map_or((0, 0), |(first, last)| (usize::from(*first), usize::from(*last)));
    1 << ((name.len() + 3 * first + 7 * last) % 64)
}
