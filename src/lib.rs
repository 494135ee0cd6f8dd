//! Typed records from the services a business already uses.

pub mod clock;
pub mod emulator;
pub mod error;
pub mod record;
