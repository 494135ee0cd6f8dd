//! The SOAP calls that older clients sign in and out with: `login`, `getUserInfo` and `logout` of the partner and
//! enterprise APIs at `/services/Soap/{u,c}/{version}` (Partner WSDL, LoginResult). Nothing else of SOAP is spoken here.

use http::{Method, StatusCode};

use super::oauth::OAuth;
use crate::emulator::grants::User;
use crate::emulator::service::{Reply, Request};

/// Whether a path belongs to these calls.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/services/Soap/u/") || path.starts_with("/services/Soap/c/")
}

/// Answers one call.
pub(super) fn handle(oauth: &OAuth, request: &Request) -> Reply {
    if request.method != Method::POST {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(envelope) = std::str::from_utf8(&request.body) else {
        return fault("UNKNOWN_EXCEPTION", "the envelope is not UTF-8");
    };
    if let Some(login) = element(envelope, "login") {
        let text = |name: &str| element(login, name).map(unescape).unwrap_or_default();
        return sign_in(oauth, request, &text("username"), &text("password"));
    }
    let session = element(envelope, "sessionId").map(unescape).unwrap_or_default();
    if element(envelope, "getUserInfo").is_some() {
        let known = oauth.grants().introspect(session.trim(), request.now).filter(|info| info.active);
        let user = known.as_ref().and_then(|info| oauth.grants().user(&info.granted.username));
        let seconds =
            known.and_then(|info| info.expires_at).map_or(0, |end| end.duration_since(request.now).as_secs());
        return match user {
            Some(user) => {
                let told = user_info(oauth, &user, seconds);
                answer(
                    StatusCode::OK,
                    &format!("<getUserInfoResponse><result>{told}</result></getUserInfoResponse>"),
                )
            }
            None => fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader"),
        };
    }
    if element(envelope, "logout").is_some() {
        return if oauth.grants().revoke(session.trim()) {
            answer(StatusCode::OK, "<logoutResponse/>")
        } else {
            fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader")
        };
    }
    fault("UNKNOWN_EXCEPTION", "only login, getUserInfo and logout are emulated here; use the REST API")
}

fn sign_in(oauth: &OAuth, request: &Request, username: &str, password: &str) -> Reply {
    let Some((user, issued)) = oauth.sign_in(username, password, request.now) else {
        return fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.");
    };
    let short: String = oauth.organization_id().chars().take(15).collect();
    let (family, version) = place(&request.path);
    let origin = escape(&request.origin);
    let body = format!(
        "<loginResponse><result>\
         <metadataServerUrl>{origin}/services/Soap/m/{version}/{short}</metadataServerUrl>\
         <passwordExpired>false</passwordExpired><sandbox>false</sandbox>\
         <serverUrl>{origin}/services/Soap/{family}/{version}/{short}</serverUrl>\
         <sessionId>{session}</sessionId><userId>{user_id}</userId>\
         <userInfo>{told}</userInfo>\
         </result></loginResponse>",
        version = escape(version),
        session = escape(&issued.access_token),
        user_id = escape(&user.user_id),
        told = user_info(oauth, &user, issued.expires_in.as_secs()),
    );
    answer(StatusCode::OK, &body)
}

/// What the service tells about the user of a session.
fn user_info(oauth: &OAuth, user: &User, seconds: i64) -> String {
    format!(
        "<accessibilityMode>false</accessibilityMode><currencySymbol>$</currencySymbol>\
         <organizationId>{organization}</organizationId>\
         <organizationMultiCurrency>false</organizationMultiCurrency>\
         <organizationName>Emulated</organizationName>\
         <sessionSecondsValid>{seconds}</sessionSecondsValid>\
         <userEmail>{email}</userEmail><userFullName>{name}</userFullName><userId>{user_id}</userId>\
         <userLanguage>en_US</userLanguage><userLocale>en_US</userLocale><userName>{username}</userName>\
         <userTimeZone>GMT</userTimeZone><userType>Standard</userType>",
        organization = escape(oauth.organization_id()),
        user_id = escape(&user.user_id),
        email = escape(&user.email),
        name = escape(&user.display_name),
        username = escape(&user.username),
    )
}

/// API family and version of a path: `u` and `60.0`.
fn place(path: &str) -> (&str, &str) {
    let mut segments = path.strip_prefix("/services/Soap/").unwrap_or_default().split('/');
    (segments.next().unwrap_or("u"), segments.next().unwrap_or_default())
}

fn answer(status: StatusCode, body: &str) -> Reply {
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:partner.soap.sforce.com\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>{body}</soapenv:Body>\
         </soapenv:Envelope>"
    );
    Reply::new(status, "text/xml;charset=UTF-8", envelope)
}

fn fault(code: &str, message: &str) -> Reply {
    let message = escape(message);
    let body = format!(
        "<soapenv:Fault xmlns:sf=\"urn:fault.partner.soap.sforce.com\"><faultcode>sf:{code}</faultcode>\
         <faultstring>{code}: {message}</faultstring><detail><sf:LoginFault xsi:type=\"sf:LoginFault\">\
         <sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage>\
         </sf:LoginFault></detail></soapenv:Fault>"
    );
    answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// The content of the first element with this local name, whatever its prefix.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..)?;
        let end = rest.find('>')?;
        let tag = rest.get(..end)?;
        let qualified = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
        let local = qualified.rsplit(':').next().unwrap_or_default();
        let after = rest.get(end + 1..)?;
        if local == name && !tag.starts_with('/') {
            if tag.ends_with('/') {
                return Some("");
            }
            return after.split(&format!("</{qualified}")).next();
        }
        rest = after;
    }
    None
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The five entities that XML predefines; clients of these calls use no others.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_whatever_their_prefix() {
        let xml = "<?xml version=\"1.0\"?><e:Body><n1:login xmlns:n1=\"urn:x\"><n1:username>a&amp;b</n1:username>\
                   <password/></n1:login></e:Body>";
        let login = element(xml, "login").expect("it is there");
        assert_eq!(element(login, "username").map(unescape).as_deref(), Some("a&b"));
        assert_eq!(element(login, "password"), Some(""));
        assert_eq!(element(xml, "logout"), None);
        for broken in ["", "<", "<login", "<login>", "<\u{e9}", "</login>"] {
            assert!(element(broken, "login").is_none_or(str::is_empty), "{broken}");
        }
    }
}
