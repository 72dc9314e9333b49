//! The messages of the Realtime Service's contract: the notifier publishes the same ones that
//! FollowQueue sends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::eta::EtaRange;
use bookingq_core::{Event, EventSeq, ItemEvent, ItemState, OutboxEvent, Place, QueueName};
use bookingq_follow::FollowedQueue;
use bookingq_follow::items::{ClosedItems, apply_change, changes_item, most_awaited};
use bookingq_proto::convert::{duration, range_or_reason, timestamp};
use bookingq_proto::v1;

use crate::store_readings::StoreReading;

/// Time between ticks.
pub const TICK: Duration = Duration::from_secs(1);
/// Updates in one message.
pub const UPDATES: usize = 512;
/// Items in one message, and in one tick.
const ITEMS: usize = 128;
/// Expected waits in a tick.
const ETAS: usize = 32;

/// Says how far a message goes, and whose data it is about.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The queue.
    pub queue: QueueName,
    /// The epoch of the data.
    pub epoch: Arc<str>,
}

impl Publisher {
    /// A message without news; everything up to `through` has been sent.
    pub fn message(&self, through: EventSeq) -> v1::PublishRequest {
        v1::PublishRequest {
            queue: self.queue.to_string(),
            epoch: self.epoch.to_string(),
            through_ms: through.ms,
            through_number: through.number,
            ..v1::PublishRequest::default()
        }
    }

    /// The messages for the events that follow `after`. `closed` is what this process knows of the
    /// items.
    ///
    /// The items go first: only then does the sequence of a message, which is that of its last
    /// update, cover all that was sent.
    pub fn messages(
        &self,
        after: EventSeq,
        events: &[OutboxEvent],
        closed: &ClosedItems,
    ) -> Vec<v1::PublishRequest> {
        let items = changed_items(events, closed);
        let items = items.chunks(ITEMS).map(|items| v1::PublishRequest {
            items: items.iter().map(Into::into).collect(),
            ..self.message(after)
        });
        let bookings = events.iter().filter_map(OutboxEvent::booking);
        let changes: Vec<&Event> = bookings.filter(|event| !event.is_reclaim()).collect();
        let updates = changes.chunks(UPDATES).map(|chunk| v1::PublishRequest {
            updates: chunk.iter().map(|event| update(event)).collect(),
            ..self.message(chunk.last().map_or(after, |last| last.seq))
        });
        let mut messages: Vec<_> = items.chain(updates).collect();
        if let (Some(message), Some(event)) = (messages.last_mut(), events.last()) {
            let EventSeq { ms, number } = event.seq();
            (message.through_ms, message.through_number) = (ms, number);
        }
        messages
    }
}

/// The line as a whole; `reading` is the newest one of the store.
pub fn tick(queue: &FollowedQueue, reading: &StoreReading) -> v1::QueueTick {
    let line = queue.line.summary();
    let closed = queue.items.closed().values().cloned().collect();
    let (_, eta_unknown) = range_or_reason(queue.line.eta(1));
    let boundary = |(place, position): (Place, u64)| v1::Boundary {
        queue_number: place.number.get(),
        position,
    };
    v1::QueueTick {
        at: Some(timestamp(reading.now())),
        now_serving: line.boundaries.first().map_or(0, |(place, _)| place.number.get()),
        backlog: line.backlog,
        rate: line.rate,
        boundaries: line.boundaries.into_iter().map(boundary).collect(),
        items: most_awaited(closed, ITEMS).iter().map(Into::into).collect(),
        etas: queue.line.eta_points(ETAS).into_iter().map(eta_point).collect(),
        eta_unknown: eta_unknown.into(),
        opens_at: queue.line.opens_at().map(timestamp),
        epoch: reading.epoch.to_string(),
        admission: v1::Admission::from(reading.admission).into(),
    }
}

fn eta_point((position, range): (u64, EtaRange)) -> v1::EtaPoint {
    v1::EtaPoint { position, eta: Some(duration(range.expected)), range: Some(range.into()) }
}

/// Each item that has closed, opened or ended, as it was after its last change.
fn changed_items(events: &[OutboxEvent], closed: &ClosedItems) -> Vec<ItemState> {
    let changes = events.iter().filter_map(|event| match event {
        OutboxEvent::Item(event) if changes_item(event) => Some(event),
        _ => None,
    });
    let changes: Vec<&ItemEvent> = changes.collect();
    if changes.is_empty() {
        return Vec::new();
    }
    let known = changes.iter().filter_map(|event| closed.get_key_value(&event.item));
    let mut items: ClosedItems =
        known.map(|(name, item)| (Arc::clone(name), item.clone())).collect();
    for event in &changes {
        apply_change(&mut items, event);
    }
    let names: BTreeSet<&Arc<str>> = changes.iter().map(|event| &event.item).collect();
    let state = |item: &&Arc<str>| items.get(*item).cloned();
    names
        .iter()
        .map(|item| state(item).unwrap_or_else(|| ItemState::open((*item).clone())))
        .collect()
}

fn update(event: &Event) -> v1::BookingUpdate {
    let EventSeq { ms, number } = event.seq;
    v1::BookingUpdate {
        sequence_ms: ms,
        sequence_number: number,
        client_id: event.client.to_string(),
        booking_id: event.booking.to_string(),
        queue_number: event.place.number.get(),
        state: v1::BookingState::from(event.to).into(),
        deadline: event.deadline.map(timestamp),
        reason: event.reason.clone(),
        parked: event.parked.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use bookingq_core::{
        BookingId, BookingState, ClientId, Fence, ItemChange, Quantity, Timestamp,
    };

    use super::*;

    const AFTER: EventSeq = EventSeq { ms: 1, number: 0 };

    fn publisher() -> Publisher {
        let queue = QueueName::new("concert").expect("a valid name");
        Publisher { queue, epoch: "epoch".into() }
    }

    fn item(ms: u64, item: &str, change: ItemChange) -> OutboxEvent {
        let (seq, at, item) = (EventSeq::new(ms, 0, 0), Timestamp(ms), Arc::from(item));
        OutboxEvent::Item(ItemEvent { seq, at, item, change })
    }

    fn booking(ms: u64, from: Option<BookingState>, to: BookingState) -> OutboxEvent {
        OutboxEvent::Booking(Event {
            seq: EventSeq::new(ms, 0, 0),
            at: Timestamp(ms),
            client: ClientId::new("anna").expect("a valid id"),
            booking: BookingId::generate(),
            place: Place::numbered(ms),
            from,
            to,
            fence: Fence::default(),
            deadline: None,
            outcome: None,
            reason: String::new(),
            parked: None,
        })
    }

    #[test]
    fn each_item_of_a_batch_is_published_once_as_it_was_after_its_last_change() {
        let sold_out = ItemChange::SoldOut { quantity: Quantity::ONE };
        let parked = ItemChange::Parked { quantity: Quantity::ONE, places: Vec::new() };
        let events = [
            item(2, "stalls", sold_out.clone()),
            item(3, "balcony", sold_out.clone()),
            item(4, "boxes", parked),
            item(5, "stalls", ItemChange::Open),
            item(6, "balcony", ItemChange::Ended),
        ];
        let known = ItemState { unsettled: 7, ..ItemState::open(Arc::from("balcony")) };
        let closed = ClosedItems::from([(Arc::from("balcony"), known)]);
        let messages = publisher().messages(AFTER, &events, &closed);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].through(), EventSeq::new(6, 0, 0));
        let items = messages[0].items.iter().map(|item| {
            (item.item.as_str(), item.availability(), item.sold_out_from, item.unsettled)
        });
        let expected = [
            ("balcony", v1::ItemAvailability::SoldOut, 1, 7),
            ("stalls", v1::ItemAvailability::Open, 0, 0),
        ];
        assert_eq!(items.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_message_claims_no_more_than_was_sent_with_it_and_before_it() {
        let queued = BookingState::Queued;
        let mut events: Vec<_> = (2..=600).map(|ms| booking(ms, None, queued)).collect();
        events.push(item(601, "stalls", ItemChange::Open));
        // Claimed again: no news for a client, and yet the follower may continue after it.
        events.push(booking(602, Some(BookingState::Reserving), BookingState::Reserving));
        let messages = publisher().messages(AFTER, &events, &ClosedItems::new());
        let shape: Vec<_> = messages
            .iter()
            .map(|message| (message.items.len(), message.updates.len(), message.through_ms))
            .collect();
        assert_eq!(shape, [(1, 0, 1), (0, 512, 513), (0, 87, 602)]);
        assert!(messages.iter().all(|message| message.epoch == "epoch"));
    }
}
