//! Connections: who we are at a provider, how tokens are got, kept and renewed, and where they may travel.

pub mod access;
mod callback;
pub mod connection;
pub mod disclosure;
pub mod doctor;
pub mod flows;
pub mod home;
pub mod hosts;
pub mod key;
pub mod oauth;
mod seal;
mod secret_text;
pub mod sign_in;
pub mod sqlite;
pub mod store;
pub mod token;
pub mod transfer;
