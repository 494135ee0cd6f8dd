//! The providers, by name. Each folder knows one service's protocol and nothing of the others.

pub mod dropbox;
pub mod dynamics;
pub mod google_calendar;
pub mod jira;
pub mod salesforce;

use crate::error::{Error, ErrorKind, Result};
use crate::provider::ProviderFactory;
use crate::record::nearest::nearest;

static ALL: &[&dyn ProviderFactory] = &[
    &salesforce::Salesforce,
    &dynamics::Dynamics,
    &jira::Jira,
    &google_calendar::GoogleCalendar,
    &dropbox::Dropbox,
];

/// Every provider, in the order in which they are listed.
#[must_use]
pub fn all() -> &'static [&'static dyn ProviderFactory] {
    ALL
}

/// The provider of this name or alias, ignoring case.
///
/// # Errors
/// `Invalid` that names the nearest provider.
pub fn find(name: &str) -> Result<&'static dyn ProviderFactory> {
    let wanted = name.to_ascii_lowercase();
    let names = |factory: &dyn ProviderFactory| {
        std::iter::once(factory.info().name).chain(factory.info().aliases.iter().copied())
    };
    if let Some(found) = all().iter().find(|factory| names(**factory).any(|name| name == wanted)) {
        return Ok(*found);
    }
    let known: Vec<&str> = all().iter().map(|factory| factory.info().name).collect();
    let near = nearest(&wanted, all().iter().flat_map(|factory| names(*factory)));
    let error = Error::new(ErrorKind::Invalid, format!("there is no provider {name:?}"));
    Err(match near {
        Some(near) => error.with_advice(format!("Did you mean {near}? Known: {}", known.join(", "))),
        None => error.with_advice(format!("Known providers: {}", known.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_found_by_name_and_alias_and_a_misspelt_one_is_suggested() {
        assert_eq!(find("salesforce").unwrap().info().name, "salesforce");
        assert_eq!(find("SFDC").unwrap().info().name, "salesforce");
        assert_eq!(find("dataverse").unwrap().info().name, "dynamics");
        let error = find("salesfroce").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.advice().unwrap().contains("Did you mean salesforce"), "{error}");
    }
}
