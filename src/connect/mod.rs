//! Connections: who we are at a provider, how tokens are got, kept and renewed, and where they may travel.

pub mod access;
pub mod hosts;
pub mod sign_in;
