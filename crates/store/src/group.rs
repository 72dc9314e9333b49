//! Group commit: while one store call of a kind is in flight, the next batch collects.

use std::sync::Arc;

use bookingq_core::{Booking, ClientId, Refusal};

use crate::{Cancel, Confirm, Confirmed, Enqueue, Enqueued, Result, Settled, Settlement, Store};

/// Single calls in, batches out.
#[derive(Clone)]
pub struct GroupCommit {
    store: Arc<dyn Store>,
}

impl GroupCommit {
    /// In front of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store behind.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// See [`Store::enqueue`].
    pub async fn enqueue(&self, _one: Enqueue) -> Result<std::result::Result<Enqueued, Refusal>> {
        todo!()
    }

    /// See [`Store::confirm`].
    pub async fn confirm(
        &self,
        _one: Confirm,
        _lease: std::time::Duration,
    ) -> Result<std::result::Result<Confirmed, Refusal>> {
        todo!()
    }

    /// See [`Store::cancel`].
    pub async fn cancel(&self, _one: Cancel) -> Result<std::result::Result<Booking, Refusal>> {
        todo!()
    }

    /// See [`Store::status`].
    pub async fn status(&self, _one: ClientId) -> Result<Option<Booking>> {
        todo!()
    }

    /// See [`Store::settle`].
    pub async fn settle(&self, _one: Settlement) -> Result<Settled> {
        todo!()
    }
}
