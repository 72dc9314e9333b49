//! Reads bookings from the store, and shows them to clients.

use std::sync::Arc;

use bookingq_core::{Booking, ClientId, QueueName, Refusal};
use bookingq_follow::FollowedQueue;
use bookingq_proto::error::ApiError;
use bookingq_proto::{convert, v1};
use bookingq_store::group::GroupCommit;
use bookingq_store::{Result as StoreResult, StoreError};

use crate::metrics::WorkerMetrics;

/// What unary calls and streams share.
pub struct BookingReader {
    /// The queue.
    pub queue: QueueName,
    /// The store.
    pub store: GroupCommit,
    /// Positions, pace and subscribers.
    pub followed: Arc<FollowedQueue>,
    /// What counts requests and failed store calls.
    pub metrics: Arc<WorkerMetrics>,
}

impl BookingReader {
    /// The client's newest booking.
    pub(super) async fn newest(&self, client: ClientId) -> Result<Booking, ApiError> {
        let found = self.checked(self.store.status(client).await)?;
        Ok(found.ok_or(Refusal::BookingNotFound)?)
    }

    /// The booking as a client may see it.
    pub(super) fn show(&self, booking: &Booking) -> v1::Booking {
        let eta = booking.position.and_then(|position| self.followed.line.eta(position));
        convert::booking(&self.queue, booking, eta)
    }

    /// The answer of the store, or the error of the request, which it counts.
    pub(super) fn checked<T>(&self, answer: StoreResult<T>) -> Result<T, ApiError> {
        answer.map_err(|error| {
            self.metrics.store_failed(&error);
            match error {
                StoreError::Overloaded { .. } => ApiError::overloaded(),
                error => ApiError::StoreUnavailable { cause: error.to_string() },
            }
        })
    }
}
