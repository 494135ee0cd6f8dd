//! Pages of a search.
//!
//! Two things can come between: Jira refuses a query that names a value which it does not know, which is then asked
//! without it; and it forgets where a search stood after some days. Issues come in the order of their creation unless
//! another one is asked for, so that such a search goes on behind the last issue that came.

use serde::{Deserialize, Serialize};

use super::api;
use super::changes::{TOKEN_ENDED, created_of, minute};
use super::query::Request;
use super::records::{Answer, IssueRecords};
use super::rows::Columns;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, Plan};
use crate::record::{Cursor, Page};

/// The last issues that a cursor remembers.
const LASTS: usize = 20;

/// Where a page starts; travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// Jira's token of the page; none on the first page of a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The last issues that came, in order: some of them may be deleted before the search goes on behind them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lasts: Vec<String>,
    /// Whether the query is asked without the values that Jira may not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    weak: bool,
    /// Issues that were created before that millisecond are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    /// Issues up to this one came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<String>,
}

impl IssueRecords {
    /// One page of a plan.
    pub(super) async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let request = Request::of(plan)?;
        let columns = Columns::of(&self.described, &plan.select, &plan.fetched_besides)?;
        let shape = columns.shape(&self.described);
        let mut position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone())
                .map_err(|source| Error::invalid("the cursor is not one of Jira's").with_source(source))?,
            None => Position::default(),
        };
        let mut asked = self.answer(cx, &request, &position, &shape).await;
        if let Err(error) = &asked
            && let Some(other) = self.otherwise(cx, &request, &position, error).await?
        {
            position = other;
            asked = self.answer(cx, &request, &position, &shape).await;
        }
        let Answer { mut records, next } = asked?;
        let seen = at.map_or(0, |cursor| cursor.seen) + records.len() as u64;
        let key = |record: &crate::record::Record| record.key.to_string();
        if let Some(behind) = &position.behind {
            let found =
                records.iter().position(|row| row.as_ref().is_ok_and(|record| key(record) == *behind));
            match found {
                Some(place) => {
                    records.drain(..=place);
                    position.behind = None;
                }
                None if next.is_some() => records.clear(),
                None => return Err(ended()),
            }
        }
        position.lasts.extend(records.iter().flatten().map(key));
        position.lasts.drain(..position.lasts.len().saturating_sub(LASTS));
        let next = match next {
            Some(next) if Some(&next) == position.token.as_ref() => {
                return Err(Error::protocol("Jira gives the same page again and again")
                    .with_provider("jira")
                    .with_code("repeated_cursor"));
            }
            Some(token) => {
                let position = serde_json::to_value(Position { token: Some(token), ..position })
                    .map_err(|source| Error::bug("a position is not JSON").with_source(source))?;
                Some(Cursor::new(plan.hash.as_str(), position, seen))
            }
            None => None,
        };
        Ok(Page { records, next, total: None })
    }

    async fn answer(
        &self,
        cx: &Context,
        request: &Request,
        position: &Position,
        shape: &crate::record::transcode::Shape,
    ) -> Result<Answer> {
        let door = self.site.door(cx).await?;
        let jql = request.jql(position.weak, position.from);
        let token = position.token.as_deref();
        let call = api::search("search", &door, &jql, &request.fields, request.page_size, token);
        self.ask(cx, call, shape).await
    }

    /// How to go on after a refusal; `None` when there is no other way.
    async fn otherwise(
        &self,
        cx: &Context,
        request: &Request,
        position: &Position,
        error: &Error,
    ) -> Result<Option<Position>> {
        if position.token.is_none() {
            let unknown = error.kind() == ErrorKind::Invalid && error.status() == Some(400);
            let other = unknown && request.has_weak() && !position.weak;
            return Ok(other.then(|| Position { weak: true, ..position.clone() }));
        }
        if error.code() != Some(TOKEN_ENDED) || !request.by_creation {
            return Ok(None);
        }
        let door = self.site.door(cx).await?;
        let fields = ["created".to_owned()];
        for last in position.lasts.iter().rev() {
            let reply = match self.site.send(cx, api::issue(&door, last, &fields)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                reply => reply?,
            };
            tracing::info!(issue = last, "the search is gone on with behind the last issue");
            let created = created_of(&reply.body)?;
            let behind = Some(last.clone());
            return Ok(Some(Position {
                token: None,
                from: Some(minute(created)),
                behind,
                ..position.clone()
            }));
        }
        Ok(None)
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Refused,
        "Jira no longer knows this search, and the last issue that it gave is not found again",
    )
    .with_provider("jira")
    .with_code(TOKEN_ENDED)
    .with_advice("Start the search again without a cursor")
}
