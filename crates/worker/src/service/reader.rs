//! Reads bookings from the store, and shows them to clients.

use std::sync::Arc;

use bookingq_core::{Booking, BookingState, ClientId, ItemState, QueueName, Refusal};
use bookingq_follow::FollowedQueue;
use bookingq_proto::error::ApiError;
use bookingq_proto::{convert, v1};
use bookingq_store::StoreError;
use bookingq_store::group::GroupCommit;

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
        let found = self.store.status(client).await.map_err(|error| self.failed(error))?;
        Ok(found.ok_or(Refusal::BookingNotFound)?)
    }

    /// The booking as a client may see it.
    pub(super) fn show(&self, booking: &Booking) -> v1::Booking {
        self.show_with(booking, self.item(booking).as_ref())
    }

    /// The booking and its [item](Self::item) as a client may see them.
    pub(super) fn show_with(&self, booking: &Booking, item: Option<&ItemState>) -> v1::Booking {
        let in_line = booking.position.filter(|_| !booking.parked);
        let eta = in_line.and_then(|position| self.followed.line.eta(position));
        convert::booking(&self.queue, booking, item, eta)
    }

    /// The item of a booking that waits, if it is closed for it.
    pub(super) fn item(&self, booking: &Booking) -> Option<ItemState> {
        let waits = booking.state == BookingState::Queued;
        let item = waits.then(|| self.followed.items.refusing(&booking.item, booking.quantity));
        item.flatten()
    }

    /// The error of a request whose store call failed.
    pub(super) fn failed(&self, error: StoreError) -> ApiError {
        self.metrics.store_failed(&error);
        match error {
            StoreError::Overloaded { .. } => ApiError::overloaded(),
            error => ApiError::StoreUnavailable { cause: error.to_string() },
        }
    }
}
