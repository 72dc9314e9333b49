//! WatchStatus: the booking now, and after each change of its state or position, until it is final.

use std::pin::Pin;
use std::sync::Arc;

use bookingq_core::{Booking, BookingState, ClientId, Event, Refusal};
use bookingq_follow::{Subscription, WatchUpdate};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::WorkerService;

/// The response stream.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchStatusResponse, Status>> + Send>>;

/// One open stream.
struct OpenWatch {
    service: Arc<WorkerService>,
    client: ClientId,
    subscription: Subscription,
    shown: Booking,
    stage: Stage,
    _permit: OwnedSemaphorePermit,
}

/// How far a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The booking as it was found has not been sent yet.
    First,
    /// Waiting for an update.
    Following,
    /// The last message has been sent.
    Ended,
}

/// Opens a stream.
///
/// # Errors
/// `BOOKING_NOT_FOUND` if the client has none; `OVERLOADED` if too many watch.
pub(super) async fn open(
    service: Arc<WorkerService>,
    request: v1::WatchStatusRequest,
) -> Result<WatchStream, ApiError> {
    let client = service.parser.client(&request.queue, &request.client_id)?;
    let permit = service.limits.watch()?;
    // Subscribe before the first reading, so that no event in between is missed.
    let subscription = service.followed.hub.subscribe(&client);
    let found =
        service.store.status(client.clone()).await.map_err(|error| service.store_error(error))?;
    let shown = found.ok_or(Refusal::BookingNotFound)?;
    service.metrics.server.watches.set(service.followed.hub.len() as i64);
    let watch =
        OpenWatch { service, client, subscription, shown, stage: Stage::First, _permit: permit };
    Ok(Box::pin(futures::stream::unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        Some((item, watch))
    })))
}

impl OpenWatch {
    async fn next(&mut self) -> Option<Result<v1::WatchStatusResponse, Status>> {
        match self.stage {
            Stage::Ended => return None,
            Stage::First => self.stage = Stage::Following,
            Stage::Following => {
                let draining = self.service.draining.clone();
                let changed = tokio::select! {
                    changed = self.changed() => changed,
                    () = draining.cancelled() => Err(draining_status()),
                };
                if let Err(status) = changed {
                    self.stage = Stage::Ended;
                    return Some(Err(status));
                }
            }
        }
        if self.shown.state.is_final() {
            self.stage = Stage::Ended;
        }
        let queued = self.shown.state == BookingState::Queued;
        self.subscription.follow_position(queued.then_some(self.shown.place));
        Some(Ok(v1::WatchStatusResponse { booking: Some(self.service.show(&self.shown)) }))
    }

    /// Waits until `shown` is something new.
    async fn changed(&mut self) -> Result<(), Status> {
        loop {
            match self.subscription.next().await {
                Some(WatchUpdate::Position(position)) => {
                    // A booking never moves back in line: a higher position comes from a view of
                    // the line that is older than the last answer of the store.
                    let forward = self.shown.position.is_none_or(|shown| position < shown);
                    if self.shown.state == BookingState::Queued && forward {
                        self.shown.position = Some(position);
                        return Ok(());
                    }
                }
                Some(WatchUpdate::Event(event)) => {
                    if self.is_known(&event) {
                        continue;
                    }
                    if self.apply(&event) || self.read().await? {
                        return Ok(());
                    }
                }
                Some(WatchUpdate::Refresh) => {
                    if self.read().await? {
                        return Ok(());
                    }
                }
                None => {
                    return Err(draining_status());
                }
            }
        }
    }

    /// Whether the event is older than the reading that `shown` came from.
    fn is_known(&self, event: &Event) -> bool {
        event.is_reclaim()
            || event.place < self.shown.place
            || (event.booking == self.shown.id && event.to == self.shown.state)
    }

    /// Applies a transition without reading the store. `false` when it does not fit or says too
    /// little: then the store must be read.
    fn apply(&mut self, event: &Event) -> bool {
        // The event does not carry the reservation that a client needs.
        let plain = event.to != BookingState::Reserved;
        if !plain || event.booking != self.shown.id || !self.shown.state.may_become(event.to) {
            return false;
        }
        self.shown.state = event.to;
        self.shown.position = None;
        self.shown.outcome = event.outcome.or(self.shown.outcome);
        if !event.reason.is_empty() {
            self.shown.reason.clone_from(&event.reason);
        }
        true
    }

    /// Reads the booking from the store. Returns whether it has changed.
    async fn read(&mut self) -> Result<bool, Status> {
        let found = self.service.store.status(self.client.clone()).await;
        let found = found.map_err(|error| Status::from(self.service.store_error(error)))?;
        let found = found.ok_or_else(|| Status::from(ApiError::from(Refusal::BookingNotFound)))?;
        let new = found != self.shown;
        self.shown = found;
        Ok(new)
    }
}

fn draining_status() -> Status {
    Status::unavailable("this worker is draining: reopen the stream on another one")
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        // The subscription is still counted while this runs.
        self.service.metrics.server.watches.set(self.service.followed.hub.len() as i64 - 1);
    }
}
