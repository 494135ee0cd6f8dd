//! Paging cookies in the service's own form: XML, its inner part encoded twice. They must come back byte for
//! byte; anything else is refused.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::errors::Refusal;
use super::guid;

/// Sorted listings remembered.
const MOST_LISTS: usize = 24;

/// What a cookie says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cookie {
    /// The page it leads to, from 2.
    pub(super) page: u64,
    /// The name of the primary key.
    pub(super) key: String,
    pub(super) first: u128,
    pub(super) last: u128,
    /// The remembered listing and the place in it.
    pub(super) list: Option<(u64, usize)>,
    /// Changes on or before this version are told already, for listings that track changes.
    pub(super) since: Option<i64>,
    /// Grows when all cookies are made invalid.
    pub(super) epoch: u64,
}

/// Listings that later pages go on with.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    epoch: u64,
    next: u64,
    lists: VecDeque<(u64, Arc<Vec<u64>>)>,
}

impl Cookies {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Makes every cookie handed out invalid.
    pub(super) fn expire(&mut self) {
        self.epoch += 1;
        self.lists.clear();
    }

    pub(super) fn keep(&mut self, list: Arc<Vec<u64>>) -> u64 {
        self.next += 1;
        self.lists.push_back((self.next, list));
        if self.lists.len() > MOST_LISTS {
            self.lists.pop_front();
        }
        self.next
    }

    pub(super) fn list(&self, id: u64) -> Option<Arc<Vec<u64>>> {
        self.lists.iter().find(|(own, _)| *own == id).map(|(_, list)| Arc::clone(list))
    }

    /// Reads a token as it stood in the address, still encoded.
    ///
    /// # Errors
    /// When it is not exactly what was handed out, or has expired.
    pub(super) fn read(&self, raw: &str) -> Result<Cookie, Refusal> {
        let malformed = || Refusal::new("0x80041129", "Malformed XML in the Paging Cookie.");
        let cookie = Cookie::read(raw).ok_or_else(malformed)?;
        if cookie.write() != raw {
            return Err(malformed());
        }
        let known = cookie.list.is_none_or(|(id, _)| self.list(id).is_some());
        if cookie.epoch != self.epoch || !known {
            return Err(Refusal::new(
                "0x80041129",
                "The paging cookie has expired: begin with the first page again.",
            ));
        }
        Ok(cookie)
    }
}

impl Cookie {
    /// The token as it stands in a next link.
    pub(super) fn write(&self) -> String {
        let mut inner = format!("<cookie page=\"{}\"", self.page - 1);
        if let Some((id, at)) = self.list {
            let _ = write!(inner, " list=\"{id}\" at=\"{at}\"");
        }
        if let Some(since) = self.since {
            let _ = write!(inner, " since=\"{since}\"");
        }
        if self.epoch > 0 {
            let _ = write!(inner, " epoch=\"{}\"", self.epoch);
        }
        let braces = |id: u128| format!("{{{}}}", guid::text(id).to_uppercase());
        let _ = write!(
            inner,
            "><{key} last=\"{}\" first=\"{}\" /></cookie>",
            braces(self.last),
            braces(self.first),
            key = self.key
        );
        let tracking = if self.since.is_some() { "True" } else { "False" };
        format!(
            "%3Ccookie%20pagenumber=%22{}%22%20pagingcookie=%22{}%22%20istracking=%22{tracking}%22%20/%3E",
            self.page,
            encoded(&encoded(&inner)),
        )
    }

    fn read(raw: &str) -> Option<Self> {
        let text = percent_decode_str(raw).decode_utf8().ok()?;
        let outer = attribute(&text, "pagingcookie")?;
        let once = percent_decode_str(outer).decode_utf8().ok()?;
        let inner = percent_decode_str(&once).decode_utf8().ok()?;
        let number = |name: &str| attribute(&inner, name).and_then(|text| text.parse::<u64>().ok());
        let id = |name: &str| attribute(&inner, name).and_then(guid::parse);
        let key = inner.split_once("><")?.1.split(' ').next()?.to_owned();
        Some(Self {
            page: attribute(&text, "pagenumber")?.parse().ok().filter(|page| *page > 1)?,
            key,
            first: id("first")?,
            last: id("last")?,
            list: number("list").zip(number("at").map(|at| at as usize)),
            since: attribute(&inner, "since").and_then(|text| text.parse().ok()),
            epoch: number("epoch").unwrap_or_default(),
        })
    }
}

fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let from = text.find(&format!(" {name}=\""))? + name.len() + 3;
    text.get(from..)?.split('"').next()
}

/// Percent-encoding with small letters, as the service's own library writes it.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'*' | b'(' | b')') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_only_byte_for_byte() {
        let mut cookies = Cookies::default();
        let list = cookies.keep(Arc::new(vec![1, 2]));
        let cookie = Cookie {
            page: 2,
            key: "accountid".to_owned(),
            first: 1,
            last: 2,
            list: Some((list, 5000)),
            since: Some(-3),
            epoch: 0,
        };
        let raw = cookie.write();
        assert!(raw.contains("pagingcookie=%22%253ccookie%2520page%253d%25221%2522"), "{raw}");
        assert_eq!(cookies.read(&raw), Ok(cookie));
        let decoded = percent_decode_str(&raw).decode_utf8().unwrap().into_owned();
        for wrong in
            [decoded.as_str(), &raw.replace("%3C", "%3c"), &format!("{raw}x"), "", "%3Ccookie%20/%3E"]
        {
            assert!(cookies.read(wrong).is_err(), "{wrong}");
        }
        cookies.expire();
        assert!(cookies.read(&raw).is_err());
    }
}
