//! Calls about one booking: grouped as in a worker, or each by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_core::BookingState;
use bookingq_store::group::GroupCommit;
use bookingq_store::{Confirm, Enqueue, Settlement, Store, Task};

use super::options::Batching;
use crate::bookings::{accepted, check_settled};
pub const LEASE: Duration = Duration::from_secs(30);

/// A store with its group commit.
#[derive(Clone)]
pub struct StoreCalls {
    pub store: Arc<dyn Store>,
    group: GroupCommit,
    batching: Batching,
}

impl StoreCalls {
    pub fn new(store: Arc<dyn Store>, batching: Batching) -> Self {
        Self { group: GroupCommit::new(Arc::clone(&store)), store, batching }
    }

    pub async fn enqueue(&self, one: Enqueue) -> Result<()> {
        let answer = match self.batching {
            Batching::Grouped => self.group.enqueue(one).await??,
            Batching::Single => only(self.store.enqueue(vec![one]).await?)??,
        };
        ensure!(!answer.existing, "a new client had a booking already");
        Ok(())
    }

    pub async fn confirm(&self, payment: Confirm) -> Result<Task> {
        accepted(match self.batching {
            Batching::Grouped => self.group.confirm(payment, LEASE).await??,
            Batching::Single => only(self.store.confirm(vec![payment], LEASE).await?)??,
        })
    }

    pub async fn settle(&self, settlement: Settlement, state: BookingState) -> Result<()> {
        let settled = match self.batching {
            Batching::Grouped => self.group.settle(settlement).await?,
            Batching::Single => only(self.store.settle(vec![settlement]).await?)?,
        };
        check_settled(&settled, state)
    }
}

/// The answer to a call with one item.
fn only<T>(answers: Vec<T>) -> Result<T> {
    let [answer] = <[T; 1]>::try_from(answers).ok().context("not one answer to one item")?;
    Ok(answer)
}
