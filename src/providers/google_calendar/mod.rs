//! Google Calendar, by its API version 3: calendars, entries of the user's list, events as they are written and as they
//! take place, rules of access, settings, colours and busy times are record types.

mod account;
mod api;
mod busy;
mod changes;
mod config;
mod dialect;
mod draft;
mod event_fields;
mod exceptions;
mod fields;
mod following;
mod kinds;
mod moments;
mod other_fields;
mod pages;
mod query;
mod records;
mod series;
mod uids;
mod write_options;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Dialect;
use crate::provider::{
    Context, OpenSetting, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
    TypeSummary,
};
use crate::record::TypeName;
use crate::record::schema::config_schema_for;

pub use config::GoogleCalendarConfig;
pub use dialect::GoogleCalendarDialect;

use account::{Account, Calendar};
use kinds::{HOMES, Home};
use records::GoogleRecords;

static INFO: ProviderInfo = ProviderInfo {
    name: "google-calendar",
    aliases: &["google", "gcal"],
    label: "Google Calendar",
    summary: "Calendars, events and their occurrences, with time ranges, guests, recurrence and busy times",
    docs: include_str!("docs.md"),
};

/// Makes providers of Google Calendar.
#[derive(Debug, Clone, Copy)]
pub struct GoogleCalendar;

impl ProviderFactory for GoogleCalendar {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    fn config_schema(&self) -> Json {
        config_schema_for::<GoogleCalendarConfig>()
    }

    fn sign_in(&self, config: &Json, endpoint: Option<&Url>) -> Result<SignIn> {
        GoogleCalendarConfig::parse(config)?.sign_in(endpoint)
    }

    fn quota_reserve(&self, _: &Json) -> Result<Option<u64>> {
        // Limits are of minutes and are told only when they are reached: nothing has to be kept back.
        Ok(Some(0))
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(GoogleCalendarDialect)
    }

    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>> {
        GoogleCalendarConfig::parse(config)?;
        Ok(Arc::new(GoogleCalendarProvider { account: Arc::default() }))
    }
}

/// Google Calendar on one connection.
#[derive(Debug)]
struct GoogleCalendarProvider {
    account: Arc<Account>,
}

#[async_trait]
impl Provider for GoogleCalendarProvider {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    /// The types of the whole account, then those of each calendar.
    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
        let wanted =
            query.search.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
        let fits = |summary: &TypeSummary| {
            wanted.as_ref().is_none_or(|wanted| {
                summary.name.as_str().to_lowercase().contains(wanted)
                    || summary.label.to_lowercase().contains(wanted)
            })
        };
        if let Some(scope) = &query.scope {
            let calendar = self.account.calendar(cx, scope).await?;
            return Ok(TypePage { types: of_calendar(&calendar).filter(fits).collect(), next: None });
        }
        let page = self.account.list_page(cx, "types", query.cursor.as_deref()).await?;
        let all = HOMES.iter().map(|(home, ..)| *home).filter(|home| !home.scope().1);
        let all = all.filter(|_| query.cursor.is_none()).map(|home| kinds::summary(home, None));
        let own = page.items.iter().flat_map(of_calendar);
        Ok(TypePage { types: all.chain(own).filter(fits).collect(), next: page.next_page_token })
    }

    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>> {
        let home = Home::of(name.base()).ok_or_else(|| unknown_type(name.as_str()))?;
        let calendar = match (name.scope(), home.scope()) {
            (Some(scope), (true, _)) => Some(self.account.calendar(cx, scope).await?),
            (None, (_, false)) => None,
            (Some(_), (false, _)) => return Err(unknown_type(name.as_str())),
            (None, (_, true)) => {
                return Err(unknown_type(name.as_str())
                    .with_advice_instead(format!("Name the calendar: {name}:primary")));
            }
        };
        let record_type = kinds::describe(&self.account, cx, home, calendar.as_ref()).await?;
        Ok(Arc::new(GoogleRecords::new(Arc::clone(&self.account), home, calendar, record_type)))
    }

    async fn open_setting(&self, _: &Context) -> Result<Option<OpenSetting>> {
        Ok(None)
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        // A service account has no calendar of its own before it makes one.
        let list = self.account.list_page(cx, "probe", None).await?;
        let mut probe = Probe::default();
        if let Some(primary) = list.items.iter().find(|calendar| calendar.primary) {
            probe.account = Some(primary.id.clone());
            if let Some(zone) = &primary.time_zone {
                probe.notes.push(format!("time zone of the primary calendar: {zone}"));
            }
        }
        if list.items.is_empty() {
            probe.notes.push(
                "the list of calendars is empty; a service account sees only what is shared with it and added to its list"
                    .to_owned(),
            );
        }
        probe.notes.push(config::SIGN_IN_ENDS.to_owned());
        Ok(probe)
    }
}

/// The types of one calendar.
fn of_calendar(calendar: &Calendar) -> impl Iterator<Item = TypeSummary> {
    let homes = HOMES.iter().map(|(home, ..)| *home).filter(|home| home.scope().0);
    homes
        .filter(|home| match home {
            Home::Rules => calendar.is_owned(),
            Home::Texts => calendar.is_writable(),
            _ => true,
        })
        .map(|home| kinds::summary(home, Some(calendar)))
}

/// The error for a type that does not exist.
fn unknown_type(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Google Calendar has no record type {name:?}"))
        .with_provider("google-calendar")
        .with_operation("describe")
        .with_record_type(name)
        .with_code("unknown_type")
        .with_advice("`recordport types CONNECTION --search TEXT` lists the types there are")
}
