//! Salesforce from the other side: its REST API on loopback.

pub mod oauth;
