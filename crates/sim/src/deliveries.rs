//! The updates that each client received, and whether they came in order and without a gap.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bookingq_core::{BookingState, Place, QueueNumber};
use bookingq_proto::v1;
use serde::Serialize;

/// Sequences kept for each client, to distinguish a repeated update from a late one.
const SEQUENCES_KEPT: usize = 32;

/// The order of updates: milliseconds, then number.
pub type UpdateSequence = (u64, u64);

/// The updates of one client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClientDeliveries {
    /// The newest update's order.
    pub sequence: UpdateSequence,
    /// The newest update's booking.
    pub booking_id: Arc<str>,
    /// The newest update's place.
    #[serde(flatten)]
    pub place: Place,
    /// The newest update's state; absent before the first update, and if the state is unknown.
    pub state: Option<BookingState>,
    /// New updates.
    pub updates: u64,
    /// Repeated updates: allowed, because delivery is "at least once".
    pub repeats: u64,
    /// Updates that first came after a newer one: a defect.
    pub out_of_order: u64,
    /// Transitions without an update: a defect.
    pub missing: u64,
    #[serde(skip)]
    seen: VecDeque<UpdateSequence>,
}

/// The newest tick of the line.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ReceivedTick {
    /// Milliseconds of the store's clock.
    pub at_ms: u64,
    /// The number at the front.
    pub now_serving: QueueNumber,
    /// Bookings in line.
    pub backlog: u64,
    /// Bookings that leave the front each second.
    pub rate: f64,
    /// The number of its boundaries.
    pub boundaries: usize,
    /// The number of ticks so far.
    pub ticks: u64,
}

/// Counts over all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DeliveryTotals {
    /// Clients with at least one update.
    pub clients: u64,
    /// New updates.
    pub updates: u64,
    /// Repeated updates.
    pub repeats: u64,
    /// Updates that first came after a newer one.
    pub out_of_order: u64,
    /// Transitions without an update.
    pub missing: u64,
}

/// All received updates.
#[derive(Debug, Default)]
pub struct Deliveries {
    clients: HashMap<Arc<str>, ClientDeliveries>,
    totals: DeliveryTotals,
    tick: Option<ReceivedTick>,
}

impl Deliveries {
    /// Records one batch.
    pub fn record(&mut self, batch: &v1::PublishRequest) {
        for update in &batch.updates {
            self.update(update);
        }
        if let Some(tick) = &batch.tick {
            let at = tick.at.as_ref().map(bookingq_proto::convert::from_timestamp);
            self.tick = Some(ReceivedTick {
                at_ms: at.map_or(0, |at| at.0),
                now_serving: QueueNumber::new(tick.now_serving),
                backlog: tick.backlog,
                rate: tick.rate,
                boundaries: tick.boundaries.len(),
                ticks: self.tick.as_ref().map_or(0, |tick| tick.ticks) + 1,
            });
        }
    }

    /// The updates of one client.
    pub fn client(&self, client: &str) -> Option<&ClientDeliveries> {
        self.clients.get(client)
    }

    /// The newest tick of the line.
    pub fn tick(&self) -> Option<&ReceivedTick> {
        self.tick.as_ref()
    }

    /// Counts over all clients.
    pub fn totals(&self) -> DeliveryTotals {
        self.totals
    }

    fn update(&mut self, update: &v1::BookingUpdate) {
        if !self.clients.contains_key(update.client_id.as_str()) {
            let client = Arc::from(update.client_id.as_str());
            self.clients.insert(client, ClientDeliveries::default());
            self.totals.clients += 1;
        }
        if let Some(client) = self.clients.get_mut(update.client_id.as_str()) {
            match client.receive(update) {
                Delivery::New { missing } => {
                    self.totals.updates += 1;
                    self.totals.missing += missing;
                }
                Delivery::Repeat => self.totals.repeats += 1,
                Delivery::OutOfOrder => self.totals.out_of_order += 1,
            }
        }
    }
}

enum Delivery {
    New { missing: u64 },
    Repeat,
    OutOfOrder,
}

impl ClientDeliveries {
    fn receive(&mut self, update: &v1::BookingUpdate) -> Delivery {
        let sequence = (update.sequence_ms, update.sequence_number);
        if self.seen.contains(&sequence) {
            self.repeats += 1;
            return Delivery::Repeat;
        }
        if sequence <= self.sequence {
            self.out_of_order += 1;
            return Delivery::OutOfOrder;
        }
        let state = update.state().to_core();
        let missing = u64::from(self.skips_a_transition(&update.booking_id, state));
        self.missing += missing;
        self.updates += 1;
        self.sequence = sequence;
        if *self.booking_id != *update.booking_id {
            self.booking_id = Arc::from(update.booking_id.as_str());
        }
        self.place = Place::numbered(update.queue_number);
        self.state = state;
        if self.seen.len() == SEQUENCES_KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(sequence);
        Delivery::New { missing }
    }

    /// Whether a transition between the newest update and this one has no update.
    fn skips_a_transition(&self, booking: &str, next: Option<BookingState>) -> bool {
        let Some(next) = next else { return true };
        match self.state {
            Some(state) if *self.booking_id == *booking => state != next && !state.may_become(next),
            // A client has one active booking: another one begins when the first has ended.
            Some(state) => !state.is_final() || next != BookingState::Queued,
            None => next != BookingState::Queued,
        }
    }
}
