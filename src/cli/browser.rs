//! A browser that says yes: it loads an emulated service's consent page, sends its form and tells where the
//! answer leads. For the demo and for scripts, which have nobody to click.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use url::{Url, form_urlencoded};

use crate::error::{Error, Result};
use crate::http::{Call, Reply, SharedHttp, Target};

/// Allows what the page asks for; the address that the service then leads to.
pub(crate) async fn allow(wire: &SharedHttp, page: &Url) -> Result<Url> {
    let consent = load(wire, page).await?;
    let text = String::from_utf8_lossy(&consent.body).into_owned();
    let form = Form::find(&text).ok_or_else(|| {
        Error::protocol("the authorisation page has no form to send")
            .with_advice("Open the address in a browser to see what it says")
    })?;
    let action = page.join(&form.action).map_err(|error| {
        Error::protocol(format!("the form of the authorisation page leads nowhere: {error}"))
    })?;
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form.hidden).append_pair("decision", "allow");
    let mut call = Call::new("consent", Method::POST, Target::Address(action)).accepting(&[302, 303]);
    call.authorize = false;
    call.sensitive = true;
    call.body = body.finish().into_bytes().into();
    call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answer = wire.send(call).await?;
    let landed = answer.header(LOCATION.as_str()).and_then(|location| Url::parse(location).ok());
    landed.ok_or_else(|| {
        Error::protocol("the authorisation page did not lead back").with_status(answer.status.as_u16())
    })
}

/// Loads a page as a browser would.
pub(crate) async fn load(wire: &SharedHttp, page: &Url) -> Result<Reply> {
    let mut call = Call::new("consent", Method::GET, Target::Address(page.clone()));
    call.authorize = false;
    call.sensitive = true;
    let reply = wire.send(call).await?;
    if reply.status.is_success() {
        return Ok(reply);
    }
    Err(Error::protocol("the authorisation page refuses").with_status(reply.status.as_u16()))
}

/// The one form of a page.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    action: String,
    hidden: Vec<(String, String)>,
}

impl Form {
    fn find(page: &str) -> Option<Self> {
        let start = page.find("<form")?;
        let form = &page[start..start + page[start..].find("</form>")?];
        let (head, rest) = form.split_once('>')?;
        let hidden = rest
            .split("<input")
            .skip(1)
            .filter_map(|input| {
                let tag = input.split('>').next()?;
                Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
            })
            .collect();
        Some(Self { action: attribute(head, "action")?, hidden })
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split('"').next()?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_hidden_fields() {
        let page = "<p>x</p><form method=\"post\" action=\"/go?a=1&amp;b=2\"><input type=\"hidden\" name=\"request\" \
                    value=\"n&quot;1\"><button name=\"decision\" value=\"allow\">Allow</button></form>";
        assert_eq!(
            Form::find(page),
            Some(Form {
                action: "/go?a=1&b=2".to_owned(),
                hidden: vec![("request".to_owned(), "n\"1".to_owned())]
            })
        );
        assert_eq!(Form::find("<p>nothing</p>"), None);
    }
}
