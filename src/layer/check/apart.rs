//! Which batches of creates may be under way together: as many as the capability says, and none that share a
//! parent with another. A service locks a parent while its children are written; what it locks besides is not
//! known here, so the number stays small and the provider sends rows again that met a lock.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::provider::{Edit, NewRow};
use crate::record::RecordType;
use crate::record::capability::WriteCapability;

/// Lets batches pass.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Semaphore,
    taken: Mutex<HashSet<String>>,
    freed: Notify,
}

/// A batch under way; dropping it lets others pass.
#[derive(Debug)]
pub(super) struct Passed<'g> {
    gate: &'g Gate,
    shared: HashSet<String>,
    _slot: SemaphorePermit<'g>,
}

impl Gate {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            slots: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)),
            taken: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits until no other batch holds any of these, and for a slot.
    pub(super) async fn pass(&self, shared: HashSet<String>) -> Result<Passed<'_>> {
        let slot =
            self.slots.acquire().await.map_err(|_| Error::bug("the slots of a record type were closed"))?;
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // Listening begins before looking, so that nothing is missed between the two.
            freed.as_mut().enable();
            if self.take(&shared) {
                return Ok(Passed { gate: self, shared, _slot: slot });
            }
            freed.await;
        }
    }

    fn take(&self, shared: &HashSet<String>) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.is_disjoint(shared) {
            return false;
        }
        taken.extend(shared.iter().cloned());
        true
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        let mut taken = self.gate.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &self.shared {
            taken.remove(one);
        }
        drop(taken);
        self.gate.freed.notify_waiters();
    }
}

/// What rows share with others: the parents that are locked, and the keys by which a row is the parent of
/// another of its own type.
pub(super) fn shared(
    record_type: &RecordType,
    capability: &WriteCapability,
    rows: &[NewRow],
) -> HashSet<String> {
    let mut out = HashSet::new();
    if capability.at_once < 2 {
        return out;
    }
    for (name, edit) in rows.iter().flat_map(|row| &row.fields) {
        let Edit::Set(value) = edit else { continue };
        if capability.apart_by.contains(name) {
            out.insert(value.get().to_owned());
        } else if capability.marks.contains(name) {
            out.insert(format!("{name}:{}", value.get()));
        } else if record_type.field(name).is_none()
            && let Some(relationship) = record_type.relationship(name)
            && capability.apart_by.contains(&relationship.field)
        {
            let own = relationship.targets.iter().any(|target| target == record_type.name.as_str());
            match serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(value.get()) {
                Ok(members) if own => {
                    out.extend(members.iter().map(|(key, value)| format!("{key}:{}", value.get())));
                }
                _ => {
                    out.insert(format!("{name}:{}", value.get()));
                }
            }
        }
    }
    out
}
