//! What is known of the site: how calls get there, who asks, its fields; each kept for a while.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::config::{JiraConfig, SiteName, data_center};
use super::metadata::FieldDetails;
use super::{Described, api, dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Call, Reply};
use crate::provider::descriptions::{Description, Descriptions, Kept};
use crate::provider::{Context, OpenSetting, OptionItem};

/// Which way calls go to the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    /// Role of the host.
    pub(super) role: &'static str,
    /// What stands before `/rest/api`.
    pub(super) front: String,
}

impl Door {
    /// The site's own address, which takes plain API tokens.
    fn site() -> Self {
        Self { role: api::SITE, front: String::new() }
    }

    /// The address that leads to every site, which takes all tokens.
    fn gateway(cloud_id: &str) -> Self {
        Self { role: api::GATEWAY, front: format!("/ex/jira/{}", api::encode(cloud_id)) }
    }
}

/// Who the token belongs to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Myself {
    pub(super) account_id: String,
    pub(super) display_name: Option<String>,
    pub(super) email_address: Option<String>,
    /// The zone of the user's profile, by which JQL reads dates and times.
    pub(super) time_zone: Option<String>,
}

/// A site that an OAuth token leads to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accessible {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
}

/// What is known of the site of one connection.
#[derive(Debug)]
pub(super) struct Site {
    config: JiraConfig,
    door: Mutex<Option<Arc<Door>>>,
    myself: Mutex<Option<Arc<Myself>>>,
    fields: Kept<Vec<FieldDetails>>,
    /// Types by name.
    pub(super) described: Descriptions<Described>,
}

impl Site {
    pub(super) fn new(config: JiraConfig) -> Self {
        Self {
            config,
            door: Mutex::default(),
            myself: Mutex::default(),
            fields: Kept::default(),
            described: Descriptions::default(),
        }
    }

    /// Whether feeds of changes tell deletions.
    pub(super) fn tells_deletions(&self) -> bool {
        self.config.tell_deletions
    }

    /// Sends a call. Every call of this provider goes through here: what Jira answers to somebody it does not
    /// know looks like an empty site, and is an error.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn send(&self, cx: &Context, call: Call) -> Result<Reply> {
        let operation = call.operation;
        let reply = cx.send(call).await?;
        match dialect::anonymous(&reply) {
            Some(error) => Err(error.with_operation(operation).with_connection(cx.connection.as_str())),
            None => Ok(reply),
        }
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// What the service refuses; Protocol for an answer of another shape.
    pub(super) async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        cx: &Context,
        what: &str,
        call: Call,
    ) -> Result<T> {
        dialect::read(what, &self.send(cx, call).await?.body)
    }

    /// The way to the site, found once.
    ///
    /// # Errors
    /// What the service refuses; Invalid when there are several sites and none was chosen.
    pub(super) async fn door(&self, cx: &Context) -> Result<Arc<Door>> {
        // Held over the requests, so that many callers ask once.
        let mut kept = self.door.lock().await;
        if let Some(door) = &*kept {
            return Ok(Arc::clone(door));
        }
        let door = match (self.config.email(), self.config.site_name()?) {
            (_, Some(SiteName::Cloud(id))) => Door::gateway(&id),
            (None, wanted) => {
                let sites = self.accessible(cx).await?;
                Door::gateway(&choose(&sites, wanted.as_ref())?.id)
            }
            (Some(_), _) => self.door_of_api_token(cx).await?,
        };
        let door = Arc::new(door);
        *kept = Some(Arc::clone(&door));
        Ok(door)
    }

    /// Sites that the OAuth token leads to.
    async fn accessible(&self, cx: &Context) -> Result<Vec<Accessible>> {
        let asked = self.ask(cx, "the list of sites", api::accessible_resources()).await;
        match asked {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(self.no_cloud(cx, api::GATEWAY, error).await)
            }
            other => other.map(of_jira),
        }
    }

    /// Which site the connection is for, when the sign-in leads to several and none was chosen.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn open_setting(&self, cx: &Context) -> Result<Option<OpenSetting>> {
        if self.config.email().is_some() || self.config.site_name()?.is_some() {
            return Ok(None);
        }
        let sites = self.accessible(cx).await?;
        let choices = sites.iter().map(|site| OptionItem {
            value: Json::from(site.url.as_str()),
            label: site.name.clone(),
            record_type: None,
        });
        Ok((sites.len() > 1).then(|| OpenSetting {
            name: "site",
            question: "The sign-in leads to several sites of Jira",
            choices: choices.collect(),
        }))
    }

    /// Plain API tokens work at the site's own address; scoped ones are refused there and work at the gateway.
    /// Which one it is shows when it is used.
    async fn door_of_api_token(&self, cx: &Context) -> Result<Door> {
        let site = Door::site();
        match self.ask::<Myself>(cx, "myself", api::myself(&site)).await {
            Ok(me) => {
                *self.myself.lock().await = Some(Arc::new(me));
                Ok(site)
            }
            Err(error) if error.code() == Some(dialect::NOT_AUTHENTICATED_HERE) => {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Tenant {
                    cloud_id: String,
                }
                let tenant: Tenant = self.ask(cx, "the site's cloud id", api::tenant()).await.map_err(|_| {
                    error.with_advice(
                        "If it is an API token with scopes, name the site by its cloud id: --set site=CLOUD_ID",
                    )
                })?;
                Ok(Door::gateway(&tenant.cloud_id))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(self.no_cloud(cx, api::SITE, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Why an address does not know what every site of the cloud knows.
    async fn no_cloud(&self, cx: &Context, role: &'static str, error: Error) -> Error {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ServerInfo {
            deployment_type: Option<String>,
        }
        match self.ask::<ServerInfo>(cx, "serverInfo", api::server_info(role)).await {
            Ok(info) if info.deployment_type.as_deref() != Some("Cloud") => data_center("this address"),
            _ => error,
        }
    }

    /// Who the token belongs to.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn myself(&self, cx: &Context) -> Result<Arc<Myself>> {
        let door = self.door(cx).await?;
        let mut kept = self.myself.lock().await;
        if let Some(me) = &*kept {
            return Ok(Arc::clone(me));
        }
        let me: Arc<Myself> = Arc::new(self.ask(cx, "myself", api::myself(&door)).await?);
        *kept = Some(Arc::clone(&me));
        Ok(me)
    }

    /// Every field; Jira gives them in one answer.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn fields(&self, cx: &Context) -> Result<Arc<Vec<FieldDetails>>> {
        let door = self.door(cx).await?;
        let ask = async |_| {
            let fields = self.ask(cx, "the list of fields", api::fields(&door)).await?;
            Ok(Description::new(cx, fields))
        };
        self.fields.get(cx, false, ask).await
    }
}

/// Sites with Jira, each once: a site is listed once for each of its products.
fn of_jira(listed: Vec<Accessible>) -> Vec<Accessible> {
    let mut sites: Vec<Accessible> = Vec::new();
    for site in listed {
        let jira = site.scopes.is_empty() || site.scopes.iter().any(|scope| scope.contains("jira"));
        if jira && sites.iter().all(|known| known.id != site.id) {
            sites.push(site);
        }
    }
    sites
}

/// The site that a configuration means.
///
/// # Errors
/// Invalid with the sites there are, when none or several fit.
pub(super) fn choose<'s>(sites: &'s [Accessible], wanted: Option<&SiteName>) -> Result<&'s Accessible> {
    let host = |site: &Accessible| {
        url::Url::parse(&site.url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    };
    let fits = |site: &&Accessible| match wanted {
        None => true,
        Some(SiteName::Cloud(id)) => site.id.eq_ignore_ascii_case(id),
        Some(SiteName::Host(wanted)) => host(site) == *wanted,
        Some(SiteName::Name(name)) => {
            site.name.eq_ignore_ascii_case(name) || host(site).split('.').next() == Some(name)
        }
    };
    let found: Vec<&Accessible> = sites.iter().filter(fits).collect();
    if let [only] = found.as_slice() {
        return Ok(only);
    }
    let listed = || {
        let each = sites.iter().map(|site| format!("{} ({}, cloud id {})", site.name, site.url, site.id));
        each.collect::<Vec<_>>().join(", ")
    };
    let error = Error::invalid(match (sites, found.is_empty()) {
        ([], _) => "the sign-in leads to no site of Jira".to_owned(),
        (_, true) => format!("the sign-in does not lead to the site that is configured, but to {}", listed()),
        (_, false) => format!("the sign-in leads to several sites: {}", listed()),
    });
    Err(error.with_provider("jira").with_code("choose_site").with_advice(if sites.is_empty() {
        "Sign in again and choose a site on Atlassian's page; the account must have access to Jira there"
    } else {
        "Choose one when you connect: --set site= with its address, name or cloud id"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Vec<Accessible> {
        let of = |id: &str, name: &str| Accessible {
            id: id.to_owned(),
            url: format!("https://{name}.atlassian.net"),
            name: name.to_owned(),
            scopes: Vec::new(),
        };
        vec![of("1", "acme"), of("2", "acme-sandbox")]
    }

    #[test]
    fn one_site_needs_no_choice_and_several_do() {
        let sites = sites();
        assert_eq!(choose(&sites[..1], None).unwrap().id, "1");
        let error = choose(&sites, None).unwrap_err();
        assert_eq!(error.code(), Some("choose_site"));
        assert!(error.message().contains("acme-sandbox") && error.message().contains("cloud id 2"));
        assert!(error.advice().unwrap().contains("--set site="));
        assert!(choose(&[], None).unwrap_err().message().contains("no site"));
    }

    #[test]
    fn other_products_of_a_site_are_no_sites() {
        let mut listed = sites();
        listed.push(Accessible { scopes: vec!["read:jira-work".to_owned()], ..listed[0].clone() });
        listed.push(Accessible {
            id: "3".to_owned(),
            scopes: vec!["read:page:confluence".to_owned()],
            ..listed[0].clone()
        });
        assert_eq!(of_jira(listed).len(), 2);
    }

    #[test]
    fn a_site_is_found_by_cloud_id_host_and_name() {
        let sites = sites();
        for wanted in [
            SiteName::Cloud("2".to_owned()),
            SiteName::Host("acme-sandbox.atlassian.net".to_owned()),
            SiteName::Name("acme-sandbox".to_owned()),
        ] {
            assert_eq!(choose(&sites, Some(&wanted)).unwrap().id, "2", "{wanted:?}");
        }
        assert!(choose(&sites, Some(&SiteName::Name("other".to_owned()))).is_err());
    }
}
