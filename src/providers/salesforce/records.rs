//! The records of one type.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::{Described, Org};
use crate::error::{Error, Result};
use crate::provider::{
    Change, ChangePage, Context, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records, Resolved, Settled,
    VersionedKey, WriteOptions,
};
use crate::record::{Checkpoint, Cursor, FieldPath, Key, KeyFields, Page, Query, Record, RecordType};

/// The records of one type on one connection.
#[derive(Debug)]
pub(super) struct SalesforceRecords {
    org: Arc<Org>,
    described: Arc<Described>,
    prefixes: HashMap<String, String>,
}

impl SalesforceRecords {
    pub(super) fn new(org: Arc<Org>, described: Arc<Described>, prefixes: HashMap<String, String>) -> Self {
        Self { org, described, prefixes }
    }

    fn refused(&self, what: &str) -> Error {
        Error::unsupported(format!("Salesforce cannot {what} yet"))
            .with_provider("salesforce")
            .with_record_type(self.described.record_type.name.as_str())
    }
}

#[async_trait]
impl Records for SalesforceRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        &self.described.record_type
    }

    async fn resolve(&self, _: &Context, _: &[FieldPath]) -> Result<Resolved> {
        Err(self.refused("resolve"))
    }

    fn plan(&self, _: &Query, _: &Resolved) -> Result<Plan> {
        Err(self.refused("plan"))
    }

    async fn page(&self, _: &Context, _: &Plan, _: Option<&Cursor>) -> Result<Page> {
        Err(self.refused("page"))
    }

    async fn count(&self, _: &Context, _: &Plan) -> Result<Option<u64>> {
        Err(self.refused("count"))
    }

    async fn get(
        &self,
        _: &Context,
        _: &KeyFields,
        _: &[Key],
        _: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        Err(self.refused("get"))
    }

    async fn create(&self, _: &Context, _: &[NewRow], _: &WriteOptions) -> Result<Vec<Outcome>> {
        Err(self.refused("create"))
    }

    async fn update(&self, _: &Context, _: &[Change], _: &WriteOptions) -> Result<Vec<Outcome>> {
        Err(self.refused("update"))
    }

    async fn upsert(
        &self,
        _: &Context,
        _: &KeyFields,
        _: &[Change],
        _: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.refused("upsert"))
    }

    async fn delete(&self, _: &Context, _: &[VersionedKey], _: &WriteOptions) -> Result<Vec<Outcome>> {
        Err(self.refused("delete"))
    }

    async fn settle(&self, _: &Context, _: &[Json]) -> Result<Vec<Settled>> {
        Err(self.refused("settle"))
    }

    async fn changes(&self, _: &Context, _: Option<&Checkpoint>, _: &[FieldPath]) -> Result<ChangePage> {
        Err(self.refused("report changes"))
    }

    async fn options(&self, _: &Context, _: &FieldPath, _: &OptionQuery) -> Result<OptionPage> {
        Err(self.refused("list options"))
    }
}
