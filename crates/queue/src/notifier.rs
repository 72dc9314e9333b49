//! The notifier lease: one owner at a time publishes the outbox.

use std::time::Duration;

use bookingq_core::{EventSeq, Timestamp};

use crate::bounds;

/// The right to publish the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifierLease {
    /// Everything up to here is published.
    pub done: EventSeq,
}

/// The current lease, and the cursor that outlives it.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    pub(crate) owner: String,
    pub(crate) until: Timestamp,
    pub(crate) done: EventSeq,
}

impl Notifier {
    /// Whether another owner has the lease.
    pub(crate) fn is_refused(&self, owner: &str, now: Timestamp) -> bool {
        self.owner != owner && self.until > now
    }

    /// Gives the lease to `owner` and advances the cursor, unless another owner has the lease.
    pub(crate) fn acquire(
        &mut self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
        now: Timestamp,
    ) -> Option<NotifierLease> {
        if self.is_refused(owner, now) {
            return None;
        }
        owner.clone_into(&mut self.owner);
        self.until = now + bounds::span(lease);
        self.done = self.done.max(done.unwrap_or_default());
        Some(NotifierLease { done: self.done })
    }
}
