//! The emulator: the same services from the other side, on loopback.

pub mod service;
