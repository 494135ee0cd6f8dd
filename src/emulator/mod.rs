//! The emulator: the same services from the other side, on loopback.

pub mod clock;
pub mod grants;
pub mod salesforce;
pub mod service;
