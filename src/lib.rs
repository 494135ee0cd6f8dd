//! Typed records from the services a business already uses.

pub mod emulator;
pub mod error;
