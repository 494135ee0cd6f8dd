//! All integration tests in one binary, so that linking is paid once.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrows;
mod behaviour;
mod cli_basics;
mod cli_content;
mod cli_demo;
mod cli_network;
mod cli_search;
mod cli_transfer;
mod cli_write;
mod clients;
mod connect_broken;
mod connect_flows;
mod connect_privacy;
mod connect_process;
mod connect_store;
mod connect_tokens;
mod emulator_faults;
mod emulator_frame;
mod emulator_oauth;
mod emulator_salesforce;
mod faults;
mod filters;
mod http_plane;
mod licences;
mod pushdown;
mod record_check;
mod rules;
mod salesforce;
mod schema_ajv;
mod schema_profile;
mod schemas;
mod searching;
mod secrets;
mod support;
mod where_text;
