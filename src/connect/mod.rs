//! Connections: who we are at a provider, how tokens are got, kept and renewed, and where they may travel.

pub mod access;
pub mod connection;
pub mod home;
pub mod hosts;
pub mod key;
mod seal;
pub mod sign_in;
pub mod sqlite;
pub mod store;
