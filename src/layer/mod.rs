//! Layers between a provider and the wire, each doing one thing; [`stack`] puts them in order.

pub mod auth;
pub mod check;
pub mod dialect;
pub mod dry_run;
pub mod foresight;
pub mod limit;
pub mod read_only;
pub mod retry;
pub mod stack;
pub mod trace;
