//! Several requests in one body (RFC 2046 section 5.1, `application/http` parts), as the batch endpoints of
//! OData and of Google take them.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::error::{Error, Result};

/// One request of a batch.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name within the batch.
    pub id: Option<String>,
    /// Method.
    pub method: Method,
    /// Absolute path, percent-encoded, with its query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty for none.
    pub body: Bytes,
}

/// One answer of a batch.
#[derive(Debug, Clone)]
pub struct PartReply {
    /// The name that the answer carries.
    pub id: Option<String>,
    /// Status.
    pub status: StatusCode,
    /// Headers of the answer itself.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl PartReply {
    /// A header as text, when it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A body with these requests between lines of `boundary`, which must not occur in them.
#[must_use]
pub fn write(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.body.len() + part.path.len() + 400).sum());
    for part in parts {
        let mut head = format!(
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        );
        if let Some(id) = &part.id {
            let _ = write!(head, "Content-ID: {id}\r\n");
        }
        let _ = write!(head, "\r\n{} {} HTTP/1.1\r\n", part.method, part.path);
        for (name, value) in &part.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&part.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

/// The answers to several requests.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The answers that came, in order.
    pub replies: Vec<PartReply>,
    /// Whether the last boundary came. Without it the body broke off, and the answers are those to the first
    /// requests; with it an answer that is missing may be that of any request.
    pub whole: bool,
}

/// The answers in a body whose boundary stands in its content type. An answer that breaks off before the next
/// boundary is left out: whoever counts the answers sees that some are missing.
///
/// # Errors
/// Protocol when the content type names no boundary, or a part is no HTTP answer.
pub fn read(content_type: &str, body: &Bytes) -> Result<Answers> {
    let boundary = boundary(content_type).ok_or_else(|| {
        Error::protocol("the answer to a batch names no boundary").with_code("not_multipart")
    })?;
    let opening = format!("--{boundary}");
    let mut replies = Vec::new();
    let mut part_start = None;
    let mut at = 0;
    while at < body.len() {
        let end =
            body[at..].iter().position(|byte| *byte == b'\n').map_or(body.len(), |length| at + length + 1);
        let line = body[at..end].trim_ascii_end();
        let delimiter = line.strip_prefix(opening.as_bytes()).and_then(|rest| match rest {
            b"" => Some(false),
            b"--" => Some(true),
            _ => None,
        });
        if let Some(closing) = delimiter {
            if let Some(start) = part_start.take() {
                // The line end before a boundary belongs to the boundary.
                let text = body.slice(start..at);
                let text =
                    text.strip_suffix(b"\r\n").or_else(|| text.strip_suffix(b"\n")).map_or(0, |t| t.len());
                replies.push(part(&body.slice(start..start + text))?);
            }
            if closing {
                return Ok(Answers { replies, whole: true });
            }
            part_start = Some(end);
        }
        at = end;
    }
    Ok(Answers { replies, whole: false })
}

/// The boundary parameter of a content type, quoted or not.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

fn part(text: &Bytes) -> Result<PartReply> {
    let wrong =
        || Error::protocol("a part of the answer to a batch is no HTTP answer").with_code("not_multipart");
    let (outer, start) = headers(text, 0).ok_or_else(wrong)?;
    let (line, after) = line(text, start).ok_or_else(wrong)?;
    let status = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/")?.split_ascii_whitespace().nth(1)?.parse::<u16>().ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(wrong)?;
    // An answer without body may end with its last header.
    let (inner, start) = headers(text, after).ok_or_else(wrong)?;
    let id = inner.get("content-id").or_else(|| outer.get("content-id"));
    Ok(PartReply {
        id: id.and_then(|id| id.to_str().ok()).map(str::to_owned),
        status,
        body: text.slice(start.min(text.len())..),
        headers: inner,
    })
}

/// A line without its end, and where the next one starts.
fn line(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(length) => Some((rest[..length].trim_ascii_end(), at + length + 1)),
        None => Some((rest.trim_ascii_end(), text.len())),
    }
}

/// Header lines up to an empty one or the end, and where the next line starts.
fn headers(text: &[u8], mut at: usize) -> Option<(HeaderMap, usize)> {
    let mut out = HeaderMap::new();
    while let Some((found, next)) = line(text, at) {
        at = next;
        if found.is_empty() {
            break;
        }
        let colon = found.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&found[..colon]).ok()?;
        let value = HeaderValue::from_bytes(found[colon + 1..].trim_ascii()).ok()?;
        out.append(name, value);
    }
    Some((out, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/mixed; boundary=\"batchresponse_1\"";

    fn body() -> String {
        [
            "--batchresponse_1",
            "Content-Type: application/http",
            "Content-ID: 2",
            "",
            "HTTP/1.1 204 No Content",
            "OData-EntityId: https://org.example/api/accounts(1)",
            "",
            "",
            "--batchresponse_1",
            "Content-Type: application/http",
            "",
            "HTTP/1.1 400 Bad Request",
            "Content-Type: application/json",
            "",
            "{\"error\":{\"code\":\"x\",\r\n\"message\":\"--batchresponse_10\"}}",
            "--batchresponse_1--",
            "",
        ]
        .join("\r\n")
    }

    #[test]
    fn answers_are_read_in_order_with_status_headers_and_body() {
        let Answers { replies, whole } = read(TYPE, &Bytes::from(body())).unwrap();
        assert!(whole);
        let found: Vec<_> =
            replies.iter().map(|reply| (reply.status.as_u16(), reply.id.as_deref())).collect();
        assert_eq!(found, [(204, Some("2")), (400, None)]);
        assert_eq!(replies[0].header("odata-entityid"), Some("https://org.example/api/accounts(1)"));
        assert!(replies[0].body.is_empty());
        assert_eq!(replies[1].body, "{\"error\":{\"code\":\"x\",\r\n\"message\":\"--batchresponse_10\"}}");
    }

    #[test]
    fn an_answer_that_breaks_off_is_left_out_and_no_cut_panics() {
        let whole = body();
        let second = whole.find("HTTP/1.1 400").unwrap();
        for end in 0..whole.len() {
            let replies = read(TYPE, &Bytes::from(whole[..end].to_owned())).unwrap().replies;
            assert!(replies.len() < 2 || end + 4 >= whole.len(), "{end}");
            assert!(replies.len() == 1 || end < second || end + 4 >= whole.len(), "{end}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for kind in ["application/json", "multipart/mixed", "multipart/mixed; boundary=", ""] {
            assert!(read(kind, &Bytes::from(body())).is_err(), "{kind}");
        }
        let wrong = body().replace("HTTP/1.1 400", "400");
        assert!(read(TYPE, &Bytes::from(wrong)).is_err());
    }

    #[test]
    fn requests_are_written_with_their_headers_and_line_ends() {
        let part = Part {
            id: Some("1".to_owned()),
            method: Method::POST,
            path: "/api/data/v9.2/accounts".to_owned(),
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: Bytes::from_static(b"{\"name\":\"A\"}"),
        };
        assert_eq!(
            String::from_utf8(write(&[part], "b")).unwrap(),
            "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n\
             POST /api/data/v9.2/accounts HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{\"name\":\"A\"}\r\n--b--\r\n"
        );
    }
}
