//! The refusals that made a closed item close for smaller quantities, too.

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_core::{BookingId, BookingState, Event, EventSeq, ItemChange, OutboxEvent};

use crate::logged::LoggedBooking;
use crate::waiting::WaitingClients;

/// A closed item that closed further.
#[derive(Debug)]
pub(crate) struct Closing {
    /// The item.
    pub(crate) item: Arc<str>,
    /// When.
    pub(crate) seq: EventSeq,
    /// The newest claim whose refusal may have caused it.
    pub(crate) asked: EventSeq,
}

/// The closings of one outbox entry, which has not changed these bookings and items yet.
pub(crate) fn closings(
    entry: &[OutboxEvent],
    waiting: &WaitingClients,
    bookings: &HashMap<BookingId, LoggedBooking>,
) -> Vec<Closing> {
    let lowered = entry.iter().filter_map(|event| match event {
        OutboxEvent::Item(event) => match event.change {
            ItemChange::SoldOut { quantity } if waiting.is_closed_above(&event.item, quantity) => {
                Some((&event.item, event.seq))
            }
            _ => None,
        },
        OutboxEvent::Booking(_) => None,
    });
    let closing = |(item, seq): (&Arc<str>, EventSeq)| {
        let mut newest = None;
        for event in entry.iter().filter_map(OutboxEvent::booking).filter(|event| refuses(event)) {
            // The log does not say what it wants, so it may have closed the item.
            let wanted = event.parked.as_ref()?;
            if wanted.item == *item {
                newest = newest.max(Some(bookings.get(&event.booking)?.asked?));
            }
        }
        Some(Closing { item: Arc::clone(item), seq, asked: newest? })
    };
    lowered.filter_map(closing).collect()
}

/// Whether the event may be a refusal by the Booking Service.
fn refuses(event: &Event) -> bool {
    use BookingState as S;
    event.from == Some(S::Reserving) && matches!(event.to, S::Queued | S::SoldOut | S::Releasing)
}
