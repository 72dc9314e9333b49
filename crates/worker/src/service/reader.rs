//! Reads bookings from the store, and shows them to clients.

use std::sync::Arc;

use bookingq_core::eta::{Eta, EtaUnknown};
use bookingq_core::{Booking, BookingState, ClientId, QueueName, Refusal};
use bookingq_follow::{FollowedQueue, Standing};
use bookingq_proto::convert::Prospect;
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
        convert::booking(&self.queue, booking, &self.prospect(booking))
    }

    /// What is known of a booking besides the booking; nothing unless it waits.
    pub(super) fn prospect(&self, booking: &Booking) -> Prospect {
        if booking.state != BookingState::Queued {
            return Prospect::default();
        }
        let FollowedQueue { line, items, demand, .. } = &*self.followed;
        let item = items.refusing(&booking.item, booking.quantity);
        let kind = if booking.parked { Standing::Parked } else { Standing::InLine };
        let standing = booking.position.map(kind);
        let eta = match standing {
            _ if item.is_some() => Some(Eta::Unknown(EtaUnknown::SoldOut)),
            Some(Standing::InLine(position)) => Some(line.eta(position)),
            Some(Standing::Parked(_)) | None => Some(Eta::Unknown(EtaUnknown::NoData)),
        };
        let chance = |standing| demand.chance(&booking.item, booking.quantity, standing);
        Prospect { chance: standing.and_then(chance), item, eta }
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
