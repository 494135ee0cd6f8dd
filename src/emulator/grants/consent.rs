//! The pages that a user sees while authorising: real HTML forms, no script, so that any browser and any test
//! can walk through them.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS};
use url::Url;

use crate::emulator::service::Reply;

/// What a consent page tells.
#[derive(Debug)]
pub struct ConsentPage<'a> {
    /// The service in its own spelling, such as `Salesforce`.
    pub service: &'a str,
    /// The name of the client that asks.
    pub client: &'a str,
    /// Who is signed in.
    pub user: &'a str,
    /// Each scope and what it permits, in words.
    pub scopes: Vec<(String, &'a str)>,
    /// Where the answer will be sent.
    pub redirect_uri: &'a str,
    /// The path that the form posts to.
    pub action: &'a str,
    /// The one-time number from [`Grants::ask`](super::Grants::ask), sent back as `request`.
    pub number: &'a str,
    /// What the user chooses besides, when there is anything.
    pub choice: Option<Choice<'a>>,
}

/// A list from which the user chooses one.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The name that the form sends it by.
    pub name: &'a str,
    /// The words before the list.
    pub label: &'a str,
    /// Values with their words.
    pub options: Vec<(String, String)>,
    /// The value chosen at first.
    pub chosen: &'a str,
}

impl Choice<'_> {
    fn html(&self) -> String {
        let options: String = self
            .options
            .iter()
            .map(|(value, words)| {
                let selected = if value == self.chosen { " selected" } else { "" };
                format!("<option value=\"{}\"{selected}>{}</option>", escape(value), escape(words))
            })
            .collect();
        let (name, label) = (escape(self.name), escape(self.label));
        format!("<label>{label} <select name=\"{name}\">{options}</select></label>")
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f3f4f6;color:#1f2937}\
main{max-width:32rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:.5rem;\
box-shadow:0 1px 4px #0003}h1{font-size:1.3rem;margin-top:0}li{margin:.4rem 0}code{background:#f3f4f6;\
padding:.1rem .3rem;border-radius:.2rem}form{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;margin-top:1.5rem}button,select{font:inherit;\
padding:.5rem 1.5rem;border-radius:.3rem;border:1px solid #9ca3af;background:#fff;cursor:pointer}\
button[value=allow]{background:#1d4ed8;border-color:#1d4ed8;color:#fff}small{color:#6b7280}";

impl ConsentPage<'_> {
    /// The page as an answer that no cache keeps and no frame shows. The form sends `request`, `decision`
    /// (`allow` or `deny`) and the choice, when there is one.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let scopes: String = self
            .scopes
            .iter()
            .map(|(scope, words)| format!("<li><code>{}</code> {}</li>", escape(scope), escape(words)))
            .collect();
        let body = format!(
            "<h1>{client} asks for access to {service}</h1>\
             <p>You are signed in as <strong>{user}</strong>. If you allow it, <strong>{client}</strong> may:</p>\
             <ul>{scopes}</ul>\
             <p>The answer goes to <code>{redirect}</code>.</p>\
             <form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"request\" value=\"{number}\">{choice}\
             <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\
             <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button></form>\
             <p><small>This is an emulated {service}. No real account is involved.</small></p>",
            client = escape(self.client),
            service = escape(self.service),
            user = escape(self.user),
            redirect = escape(self.redirect_uri),
            action = escape(self.action),
            number = escape(self.number),
            choice = self.choice.as_ref().map(Choice::html).unwrap_or_default(),
        );
        page(StatusCode::OK, &format!("Allow access to {}?", self.service), &body)
    }
}

/// A page that ends the flow because the request itself cannot be trusted, so that no redirect may be
/// followed (RFC 6749 section 4.1.2.1).
#[must_use]
pub fn refusal_page(service: &str, code: &str, description: &str) -> Reply {
    let body = format!(
        "<h1>{} cannot authorise this request</h1><p>error=<code>{}</code></p>\
         <p>error_description={}</p>",
        escape(service),
        escape(code),
        escape(description)
    );
    page(StatusCode::BAD_REQUEST, "Authorisation error", &body)
}

/// A redirect to the client's address with these parameters added to its query. `None` when the address is
/// not a URL.
#[must_use]
pub fn redirect(address: &str, parameters: &[(&str, &str)]) -> Option<Reply> {
    let mut url = Url::parse(address).ok()?;
    url.query_pairs_mut().extend_pairs(parameters);
    Some(
        Reply::empty(StatusCode::FOUND)
            .with_header(LOCATION, url.as_str())
            .with_header(CACHE_CONTROL, "no-store")
            .with_header(REFERRER_POLICY, "no-referrer"),
    )
}

/// Leads back to the client with what was decided, and with the state that the client gave.
#[must_use]
pub fn answer(address: &str, decided: Vec<(&'static str, String)>, state: Option<String>) -> Option<Reply> {
    let with_state = decided.into_iter().chain(state.map(|state| ("state", state)));
    let answer: Vec<(&str, String)> = with_state.collect();
    let answer: Vec<(&str, &str)> = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
    redirect(address, &answer)
}

fn page(status: StatusCode, title: &str, body: &str) -> Reply {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n",
        escape(title)
    );
    Reply::new(status, "text/html;charset=UTF-8", Bytes::from(html))
        .with_header(CACHE_CONTROL, "no-store")
        .with_header(REFERRER_POLICY, "no-referrer")
        .with_header(X_FRAME_OPTIONS, "DENY")
        .with_header(
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
