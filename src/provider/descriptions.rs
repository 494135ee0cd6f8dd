//! Descriptions of record types, kept for a while: each is good for ten minutes and then asked for again.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::Context;
use crate::error::Result;

/// How long a description is good before it is asked for again.
const AGE: SignedDuration = SignedDuration::from_mins(10);
/// Most descriptions kept.
const MOST: usize = 500;

/// A description, and when it was last known to be true.
#[derive(Debug)]
pub struct Description<T> {
    at: Timestamp,
    /// What the service is asked to compare with, when it answers only what changed.
    pub stamp: Option<HeaderValue>,
    /// What it says.
    pub value: Arc<T>,
}

impl<T> Clone for Description<T> {
    fn clone(&self) -> Self {
        Self { at: self.at, stamp: self.stamp.clone(), value: Arc::clone(&self.value) }
    }
}

impl<T> Description<T> {
    /// A description that has just come.
    #[must_use]
    pub fn new(cx: &Context, value: T) -> Self {
        Self { at: cx.clock.now(), stamp: None, value: Arc::new(value) }
    }

    /// The same with what the service is to be asked to compare with the next time.
    #[must_use]
    pub fn stamped(self, stamp: Option<HeaderValue>) -> Self {
        Self { stamp, ..self }
    }

    /// The same description, known to be true now.
    #[must_use]
    pub fn again(self, cx: &Context) -> Self {
        Self { at: cx.clock.now(), ..self }
    }

    fn is_fresh(&self, cx: &Context) -> bool {
        let age = cx.clock.now().duration_since(self.at);
        age <= AGE && age >= SignedDuration::ZERO
    }
}

/// A place for one description. It is held while the service is asked, so that many callers ask once.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Option<Description<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// The description. When there is none, when it is too old, and on `refresh`, the service is asked; `ask` gets
    /// the one before to compare with, unless it is to be passed by.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn get<Asked>(
        &self,
        cx: &Context,
        refresh: bool,
        ask: impl FnOnce(Option<Description<T>>) -> Asked,
    ) -> Result<Arc<T>>
    where
        Asked: Future<Output = Result<Description<T>>>,
    {
        let mut kept = self.0.lock().await;
        let before = kept.clone().filter(|_| !refresh && !cx.refresh);
        if let Some(known) = before.as_ref().filter(|known| known.is_fresh(cx)) {
            return Ok(Arc::clone(&known.value));
        }
        let now = ask(before).await?;
        let value = Arc::clone(&now.value);
        *kept = Some(now);
        Ok(value)
    }
}

/// Descriptions by name.
#[derive(Debug)]
pub struct Descriptions<T>(Mutex<HashMap<String, Arc<Kept<T>>>>);

impl<T> Default for Descriptions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Descriptions<T> {
    /// The description of this name, as [`Kept::get`] keeps it.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn get<Asked>(
        &self,
        cx: &Context,
        name: &str,
        ask: impl FnOnce(Option<Description<T>>) -> Asked,
    ) -> Result<Arc<T>>
    where
        Asked: Future<Output = Result<Description<T>>>,
    {
        let place = self.place(name).await;
        place.get(cx, false, ask).await
    }

    async fn place(&self, name: &str) -> Arc<Kept<T>> {
        let mut places = self.0.lock().await;
        if places.len() >= MOST && !places.contains_key(name) {
            places.clear();
        }
        Arc::clone(places.entry(name.to_owned()).or_default())
    }

    /// Lets a description be asked for the next time, because the service does not agree with it.
    pub async fn forget(&self, name: &str) {
        self.0.lock().await.remove(name);
    }
}
