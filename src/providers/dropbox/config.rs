//! How a connection to a Dropbox account is configured, and how its users sign in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

use crate::connect::hosts::{HostRule, HostRules};
use crate::connect::sign_in::{
    AccessMode, AssertionUse, ClientAuthentication, GrantKind, RedirectRule, Revocation, Scope, SignIn,
};
use crate::error::{Error, Result};

/// Where most functions are called.
const API: &str = "api.dropboxapi.com";
/// Where bytes go in and out.
const CONTENT: &str = "content.dropboxapi.com";
/// Where one waits for changes; it is given no token.
const NOTIFY: &str = "notify.dropboxapi.com";
/// Where people sign in.
const WEB: &str = "www.dropbox.com";
/// The port of the redirect address, which Dropbox compares as a whole.
const CALLBACK_PORT: u16 = 7281;

/// Configuration of a connection to Dropbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Dropbox")]
pub struct DropboxConfig {
    /// Where paths begin: `home` (the member's own folder), `team` (the team's space, with its team folders) or
    /// the number of a namespace.
    #[schemars(title = "Space")]
    pub root: Option<String>,
    /// For a token of a whole team: the member to act as, such as `dbmid:AAA...`.
    #[schemars(title = "Act as member")]
    pub select_user: Option<String>,
    /// For a token of a whole team: the administrator to act as, such as `dbmid:AAA...`.
    #[schemars(title = "Act as administrator")]
    pub select_admin: Option<String>,
    /// Whether filters on names may use Dropbox's search index. It is quick, but does not know what was written in
    /// the last moments, finds words rather than parts of words, and gives 10,000 matches at most.
    #[schemars(title = "Use the search index")]
    pub search_index: bool,
    /// Whether feeds of changes remember which key each path has, so that deletions name the keys of what is gone.
    /// Without it a deletion names its path alone.
    #[schemars(title = "Remember paths")]
    pub remember_paths: bool,
    /// How many paths the checkpoint of a feed carries at most, about 30 bytes each: 20,000 unless another number is
    /// given. Where there are more, they are kept in the home, and the checkpoint names them.
    #[schemars(title = "Most paths")]
    pub remember_max: Option<u32>,
    /// The format in which Paper documents and other files without bytes of their own are read as content, such as
    /// `markdown`; the first of their `export_info` unless one is given.
    #[schemars(title = "Format of exports")]
    pub export_format: Option<String>,
}

impl Default for DropboxConfig {
    fn default() -> Self {
        Self {
            root: None,
            select_user: None,
            select_admin: None,
            search_index: false,
            remember_paths: true,
            remember_max: None,
            export_format: None,
        }
    }
}

/// Where paths begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    Home,
    Team,
    Namespace(String),
}

fn wrong(field: &str, message: String, form: &str) -> Error {
    Error::invalid(message).with_provider("dropbox").with_field(field, form)
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

impl DropboxConfig {
    /// Reads and checks a configuration; null is the default one.
    ///
    /// # Errors
    /// Invalid with the field.
    pub fn parse(config: &Json) -> Result<Self> {
        let parsed: Self = if config.is_null() {
            Self::default()
        } else {
            serde_json::from_value(config.clone()).map_err(|source| {
                Error::invalid(format!("the Dropbox configuration is wrong: {source}"))
                    .with_provider("dropbox")
                    .with_advice("See `recordport providers dropbox` for the names and their meaning")
            })?
        };
        parsed.root()?;
        for (name, member) in [("select_user", parsed.select_user()), ("select_admin", parsed.select_admin())]
        {
            if let Some(text) = member
                && !(text.starts_with("dbmid:") && text.bytes().all(|byte| byte.is_ascii_graphic()))
            {
                return Err(wrong(
                    name,
                    format!("{text:?} is not the id of a team member"),
                    "an id such as dbmid:AAHhy7WsR0x-u4ZCqiDl5Fz5zvuL3kmspwU",
                ));
            }
        }
        if parsed.select_user().is_some() && parsed.select_admin().is_some() {
            return Err(wrong(
                "select_admin",
                "a connection acts as a member or as an administrator, not as both".to_owned(),
                "leave one of select_user and select_admin out",
            ));
        }
        Ok(parsed)
    }

    /// Where paths begin.
    ///
    /// # Errors
    /// Invalid for what is no space.
    pub(super) fn root(&self) -> Result<Root> {
        match given(self.root.as_ref()) {
            None | Some("home") => Ok(Root::Home),
            Some("team") => Ok(Root::Team),
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Root::Namespace(number.to_owned()))
            }
            Some(other) => Err(wrong(
                "root",
                format!("{other:?} is not a space of Dropbox"),
                "home, team or the number of a namespace",
            )),
        }
    }

    pub(super) fn select_user(&self) -> Option<&str> {
        given(self.select_user.as_ref())
    }

    pub(super) fn select_admin(&self) -> Option<&str> {
        given(self.select_admin.as_ref())
    }

    /// The format of exports, where one is chosen.
    pub(super) fn export_format(&self) -> Option<&str> {
        given(self.export_format.as_ref())
    }

    /// How users sign in. `endpoint` replaces every host.
    ///
    /// # Errors
    /// Invalid when the endpoint cannot be a base.
    pub fn sign_in(&self, endpoint: Option<&Url>) -> Result<SignIn> {
        let address = |host: &str| {
            Url::parse(&format!("https://{host}/"))
                .map_err(|source| Error::bug("a host name is no address").with_source(source))
        };
        let (api, content, notify, web, hosts) = match endpoint {
            Some(endpoint) => {
                let origin = HostRule::Origin(endpoint.origin().ascii_serialization());
                let own = || endpoint.clone();
                (own(), own(), own(), own(), vec![origin])
            }
            None => {
                let rules = [API, CONTENT, NOTIFY, WEB].map(|host| HostRule::Exact(host.to_owned()));
                (address(API)?, address(CONTENT)?, address(NOTIFY)?, address(WEB)?, rules.to_vec())
            }
        };
        let at = |base: &Url, path: &str| {
            base.join(path).map_err(|source| {
                Error::invalid(format!("{base} cannot be the base of an address")).with_source(source)
            })
        };
        let bases = [("api", &api), ("content", &content), ("notify", &notify), ("login", &web)];
        Ok(SignIn {
            grants: vec![GrantKind::Code, GrantKind::Token],
            authorize_url: Some(at(&web, "/oauth2/authorize")?),
            token_url: Some(at(&api, "/oauth2/token")?),
            revoke_url: Some(at(&api, "/2/auth/token/revoke")?),
            revocation: Revocation::Shown,
            scopes: scopes(),
            client_scopes: Vec::new(),
            read_only_enforced_by_provider: true,
            redirect: RedirectRule::LocalhostFixed { port: CALLBACK_PORT },
            authorize_extra: BTreeMap::from([("token_access_type".to_owned(), "offline".to_owned())]),
            client_authentication: ClientAuthentication::Body,
            assertion_use: AssertionUse::Grant,
            jwt_audience: None,
            jwt_subject: None,
            jwt_seconds: 0,
            rotates_refresh_tokens: false,
            base_from_token: BTreeMap::new(),
            bases: bases.into_iter().map(|(role, base)| (role.to_owned(), base.clone())).collect(),
            hosts: HostRules(hosts),
            sign_in_ends: None,
            api_name: "Dropbox API v2".to_owned(),
        })
    }
}

/// The scopes that the functions used here name in their specification.
fn scopes() -> Vec<Scope> {
    use AccessMode::{ReadOnly, ReadWrite};
    let scope =
        |name: &str, why: &str, needed_for| Scope { name: name.to_owned(), why: why.to_owned(), needed_for };
    vec![
        scope("account_info.read", "Shows whose account it is and where the team's space begins", ReadOnly),
        scope("files.metadata.read", "Lists files and folders and follows their changes", ReadOnly),
        scope("files.content.read", "Reads what is in files that you ask for", ReadOnly),
        scope("sharing.read", "Lists shared links", ReadOnly),
        scope("files.metadata.write", "Writes the custom properties of files and folders", ReadWrite),
        scope("files.content.write", "Creates, changes, moves and deletes files and folders", ReadWrite),
        scope("sharing.write", "Creates, changes and revokes shared links", ReadWrite),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_space_is_home_the_team_or_a_number() {
        let root = |text: &str| DropboxConfig::parse(&json!({ "root": text })).unwrap().root().unwrap();
        assert_eq!(root("home"), Root::Home);
        assert_eq!(root(" "), Root::Home);
        assert_eq!(root("team"), Root::Team);
        assert_eq!(root("1000003"), Root::Namespace("1000003".to_owned()));
        let error = DropboxConfig::parse(&json!({ "root": "ns:1" })).unwrap_err();
        assert_eq!(error.fields()[0].field, "root");
    }

    #[test]
    fn a_member_is_named_by_its_id_and_only_in_one_way() {
        for (config, field) in [
            (json!({ "select_user": "ann@acme.example" }), "select_user"),
            (json!({ "select_admin": "dbmid:A\r\nX: y" }), "select_admin"),
            (json!({ "select_user": "dbmid:A", "select_admin": "dbmid:B" }), "select_admin"),
        ] {
            assert_eq!(DropboxConfig::parse(&config).unwrap_err().fields()[0].field, field);
        }
        assert!(DropboxConfig::parse(&json!({ "select_user": "dbmid:AAHhy7WsR0x-u4" })).is_ok());
    }

    #[test]
    fn tokens_go_to_the_hosts_of_dropbox_alone_and_last_offline() {
        let sign_in = DropboxConfig::default().sign_in(None).unwrap();
        assert_eq!(sign_in.authorize_extra["token_access_type"], "offline");
        assert_eq!(sign_in.redirect, RedirectRule::LocalhostFixed { port: CALLBACK_PORT });
        for (address, allowed) in [
            ("https://api.dropboxapi.com/2/files/list_folder", true),
            ("https://content.dropboxapi.com/2/files/upload", true),
            ("https://dl.dropboxusercontent.com/x", false),
            ("https://dropboxapi.com/", false),
        ] {
            assert_eq!(sign_in.hosts.allow(&Url::parse(address).unwrap()), allowed, "{address}");
        }
        let read: Vec<&str> =
            sign_in.scopes_for(AccessMode::ReadOnly).iter().map(|scope| scope.name.as_str()).collect();
        assert!(read.iter().all(|scope| scope.ends_with(".read")), "{read:?}");
    }
}
