//! WatchStatus: the booking now, and after each change of its state, its position or its item,
//! until it is final.

use std::pin::Pin;
use std::sync::Arc;

use bookingq_core::{Booking, BookingState, ClientId, Event, Quantity};
use bookingq_follow::{Standing, Subscription, WatchUpdate, WatchedBooking};
use bookingq_proto::error::ApiError;
use bookingq_proto::{convert, v1};
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::reader::BookingReader;

/// The response stream.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchStatusResponse, Status>> + Send>>;

/// One open stream.
struct BookingWatch {
    reader: Arc<BookingReader>,
    client: ClientId,
    subscription: Subscription,
    shown: Booking,
    stage: Stage,
    draining: CancellationToken,
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

/// Opens a stream, which ends when the worker is `draining`.
///
/// # Errors
/// `BOOKING_NOT_FOUND` if the client has no booking.
pub(super) async fn open(
    reader: Arc<BookingReader>,
    client: ClientId,
    draining: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> Result<WatchStream, ApiError> {
    // Subscribe before the first reading, so that no event in between is missed.
    let subscription = reader.followed.hub.subscribe(&client);
    let shown = reader.newest(client.clone()).await?;
    reader.metrics.server.watches.set(reader.followed.hub.len() as i64);
    let stage = Stage::First;
    let watch =
        BookingWatch { reader, client, subscription, shown, stage, draining, _permit: permit };
    Ok(Box::pin(futures::stream::unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        Some((item, watch))
    })))
}

impl BookingWatch {
    async fn next(&mut self) -> Option<Result<v1::WatchStatusResponse, Status>> {
        match self.stage {
            Stage::Ended => return None,
            Stage::First => self.stage = Stage::Following,
            Stage::Following => {
                let draining = self.draining.clone();
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
        let prospect = self.reader.prospect(&self.shown);
        let booking = convert::booking(&self.reader.queue, &self.shown, &prospect);
        let waits = self.shown.state == BookingState::Queued;
        self.subscription.follow(waits.then(|| WatchedBooking {
            place: self.shown.place,
            item: Arc::clone(&self.shown.item),
            quantity: self.shown.quantity,
            shown: prospect.item,
            since: Instant::now(),
        }));
        Some(Ok(v1::WatchStatusResponse { booking: Some(booking) }))
    }

    /// Waits until `shown` is something new.
    async fn changed(&mut self) -> Result<(), Status> {
        loop {
            match self.subscription.next().await {
                Some(WatchUpdate::Position(standing)) => {
                    if self.stands(standing) {
                        return Ok(());
                    }
                }
                Some(WatchUpdate::Item) => {
                    if self.shown.state == BookingState::Queued {
                        return Ok(());
                    }
                }
                Some(WatchUpdate::Event(event)) => {
                    if !self.is_known(&event) && (self.apply(&event) || self.read().await?) {
                        return Ok(());
                    }
                }
                Some(WatchUpdate::Refresh) => {
                    if self.read().await? {
                        return Ok(());
                    }
                }
                None => return Err(draining_status()),
            }
        }
    }

    /// Takes a position. Returns whether it is news.
    ///
    /// A booking never moves back in line, and never from the parked ones into it: that comes from
    /// a view that is older than the last answer of the store. Among the parked ones it moves back
    /// when one with a smaller place is parked again.
    fn stands(&mut self, standing: Standing) -> bool {
        let position = standing.position();
        let news = match (self.shown.parked, standing.is_parked()) {
            (false, false) => self.shown.position.is_none_or(|shown| position < shown),
            (false, true) => true,
            (true, true) => self.shown.position != Some(position),
            (true, false) => false,
        };
        let news = news && self.shown.state == BookingState::Queued;
        if news {
            self.shown.position = Some(position);
            self.shown.parked = standing.is_parked();
        }
        news
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
        self.shown.parked = event.parked.is_some();
        if event.to.is_final() {
            (self.shown.item, self.shown.quantity) = (Arc::from(""), Quantity::ONE);
        }
        self.shown.outcome = event.outcome.or(self.shown.outcome);
        if !event.reason.is_empty() {
            self.shown.reason.clone_from(&event.reason);
        }
        true
    }

    /// Reads the booking from the store. Returns whether it has changed.
    async fn read(&mut self) -> Result<bool, Status> {
        let found = self.reader.newest(self.client.clone()).await?;
        let new = found != self.shown;
        self.shown = found;
        Ok(new)
    }
}

pub(super) fn draining_status() -> Status {
    Status::unavailable("this worker is draining: reopen the stream on another one")
}

impl Drop for BookingWatch {
    fn drop(&mut self) {
        // The subscription is still counted while this runs.
        self.reader.metrics.server.watches.set(self.reader.followed.hub.len() as i64 - 1);
    }
}
