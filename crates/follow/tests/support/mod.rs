//! Events and subscribers that the tests of this folder share.

#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Event, EventSeq, Fence, OutboxEvent, Place, Quantity,
    Timestamp,
};
use bookingq_follow::{Subscription, WatchedBooking};

pub fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

pub fn event(number: u64, from: Option<BookingState>, to: BookingState) -> OutboxEvent {
    OutboxEvent::Booking(transition(number, from, to))
}

pub fn transition(number: u64, from: Option<BookingState>, to: BookingState) -> Event {
    Event {
        seq: EventSeq { ms: 1, number },
        at: Timestamp(1),
        client: client(number),
        booking: BookingId::from_u128(u128::from(number)),
        place: Place::numbered(number),
        from,
        to,
        fence: Fence(0),
        deadline: None,
        outcome: None,
        reason: String::new(),
        parked: None,
    }
}

/// The booking with this number, which wants one of the stalls.
pub fn watched(number: u64) -> WatchedBooking {
    WatchedBooking {
        place: Place::numbered(number),
        item: Arc::from("stalls"),
        quantity: Quantity::ONE,
        shown: None,
        since: tokio::time::Instant::now(),
    }
}

/// Whether no update comes for longer than the longest time between two positions.
pub async fn is_quiet(subscription: &mut Subscription) -> bool {
    tokio::time::timeout(Duration::from_secs(30), subscription.next()).await.is_err()
}
