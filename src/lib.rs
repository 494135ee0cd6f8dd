//! Typed records from the services a business already uses.

pub mod cli;
pub mod clock;
pub mod connect;
pub mod drift;
pub mod emulator;
pub mod error;
pub mod hardening;
pub mod http;
pub mod layer;
pub mod mapping;
pub mod provider;
pub mod providers;
pub mod record;
pub mod rich_text;
pub mod rows;
pub mod run;
pub mod workspace;
