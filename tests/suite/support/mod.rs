//! What several test files share.

pub(crate) mod command;
pub(crate) mod connected;
pub(crate) mod diary;
pub(crate) mod emulated;
pub(crate) mod evidence;
pub(crate) mod jira_site;
pub(crate) mod node;
pub(crate) mod notes;
pub(crate) mod openapi;
pub(crate) mod org;
pub(crate) mod plane;
pub(crate) mod raw;
pub(crate) mod record_types;
pub(crate) mod wired_org;
