//! What each client was told, and whether it was told in order: the record behind the simulated
//! Realtime Service.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bookingq_core::{BookingState, Place, QueueNumber};
use bookingq_proto::v1;
use serde::Serialize;

/// Sequences remembered for each client, to tell a repeat from news that comes too late.
const REMEMBERED: usize = 32;

/// The order of updates: milliseconds, then number.
pub type Sequence = (u64, u64);

/// All that one client was told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClientRecord {
    /// The newest update's order.
    pub sequence: Sequence,
    /// The newest update's booking.
    pub booking_id: Arc<str>,
    /// The newest update's place.
    #[serde(flatten)]
    pub place: Place,
    /// The newest update's state; absent before the first, and when it was none we know.
    pub state: Option<BookingState>,
    /// Updates that were news.
    pub updates: u64,
    /// Updates that had come before: allowed, since delivery is "at least once".
    pub repeats: u64,
    /// Updates that came after a newer one, for the first time: never allowed.
    pub out_of_order: u64,
    /// Steps of a booking's life that were not told: never allowed.
    pub missing: u64,
    #[serde(skip)]
    seen: VecDeque<Sequence>,
}

/// The line as it was last told.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TickRecord {
    /// When, milliseconds of the store's clock.
    pub at_ms: u64,
    /// The number at the front.
    pub now_serving: QueueNumber,
    /// How many wait.
    pub backlog: u64,
    /// Bookings leaving the front each second.
    pub rate: f64,
    /// How many boundaries it had.
    pub boundaries: usize,
    /// How many ticks there were.
    pub ticks: u64,
}

/// All of it in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ToldTotals {
    /// Clients that were told anything.
    pub clients: u64,
    /// Updates that were news.
    pub updates: u64,
    /// Updates that had come before.
    pub repeats: u64,
    /// Updates that came after a newer one, for the first time.
    pub out_of_order: u64,
    /// Steps of bookings' lives that were not told.
    pub missing: u64,
}

/// Who was told what.
#[derive(Debug, Default)]
pub struct Told {
    clients: HashMap<Arc<str>, ClientRecord>,
    totals: ToldTotals,
    tick: Option<TickRecord>,
}

impl Told {
    /// Nobody was told anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one batch.
    pub fn record(&mut self, batch: &v1::PublishRequest) {
        for update in &batch.updates {
            self.update(update);
        }
        if let Some(tick) = &batch.tick {
            let ticks = self.tick.as_ref().map_or(0, |tick| tick.ticks) + 1;
            self.tick = Some(TickRecord {
                at_ms: tick
                    .at
                    .as_ref()
                    .map_or(0, |at| bookingq_proto::convert::from_timestamp(at).0),
                now_serving: QueueNumber::new(tick.now_serving),
                backlog: tick.backlog,
                rate: tick.rate,
                boundaries: tick.boundaries.len(),
                ticks,
            });
        }
    }

    /// What one client was told.
    pub fn client(&self, client: &str) -> Option<&ClientRecord> {
        self.clients.get(client)
    }

    /// The line as it was last told.
    pub fn tick(&self) -> Option<&TickRecord> {
        self.tick.as_ref()
    }

    /// All of it in numbers.
    pub fn totals(&self) -> ToldTotals {
        self.totals
    }

    fn update(&mut self, update: &v1::BookingUpdate) {
        if !self.clients.contains_key(update.client_id.as_str()) {
            self.clients.insert(Arc::from(update.client_id.as_str()), ClientRecord::default());
            self.totals.clients += 1;
        }
        if let Some(record) = self.clients.get_mut(update.client_id.as_str()) {
            match record.take(update) {
                News::New { missing } => {
                    self.totals.updates += 1;
                    self.totals.missing += missing;
                }
                News::Repeat => self.totals.repeats += 1,
                News::TooLate => self.totals.out_of_order += 1,
            }
        }
    }
}

enum News {
    New { missing: u64 },
    Repeat,
    TooLate,
}

impl ClientRecord {
    fn take(&mut self, update: &v1::BookingUpdate) -> News {
        let sequence = (update.sequence_ms, update.sequence_number);
        if self.seen.contains(&sequence) {
            self.repeats += 1;
            return News::Repeat;
        }
        if sequence <= self.sequence {
            self.out_of_order += 1;
            return News::TooLate;
        }
        let state = update.state().to_core();
        let missing = u64::from(self.misses_a_step(&update.booking_id, state));
        self.missing += missing;
        self.updates += 1;
        self.sequence = sequence;
        if *self.booking_id != *update.booking_id {
            self.booking_id = Arc::from(update.booking_id.as_str());
        }
        self.place = Place::numbered(update.queue_number);
        self.state = state;
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(sequence);
        News::New { missing }
    }

    /// Whether something must have happened between the newest update and this one that was not
    /// told.
    fn misses_a_step(&self, booking: &str, next: Option<BookingState>) -> bool {
        let Some(next) = next else { return true };
        match self.state {
            Some(state) if *self.booking_id == *booking => state != next && !state.may_become(next),
            // A client has one active booking, so another one begins when the first has ended.
            Some(state) => !state.is_final() || next != BookingState::Queued,
            None => next != BookingState::Queued,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn update(number: u64, booking: &str, state: BookingState) -> v1::BookingUpdate {
        v1::BookingUpdate {
            sequence_ms: 1,
            sequence_number: number,
            client_id: "c".into(),
            booking_id: booking.into(),
            queue_number: 7,
            state: v1::BookingState::from(state).into(),
            ..Default::default()
        }
    }

    fn told(updates: Vec<v1::BookingUpdate>) -> ClientRecord {
        let mut told = Told::new();
        told.record(&v1::PublishRequest { updates, ..Default::default() });
        told.client("c").unwrap().clone()
    }

    #[test]
    fn a_batch_that_is_sent_again_is_repeats_only() {
        use BookingState::{Queued, Reserving};
        let batch = vec![update(1, "b", Queued), update(2, "b", Reserving)];
        let record = told([batch.clone(), batch].concat());
        assert_eq!(
            (record.updates, record.repeats, record.out_of_order, record.missing),
            (2, 2, 0, 0)
        );
        assert_eq!(record.state, Some(Reserving));
    }

    #[test]
    fn old_news_that_never_came_before_is_out_of_order() {
        use BookingState::{Queued, Reserving};
        let record = told(vec![update(2, "b", Queued), update(1, "b", Reserving)]);
        assert_eq!((record.out_of_order, record.state), (1, Some(Queued)));
    }

    #[test]
    fn a_step_that_was_left_out_is_missing() {
        use BookingState::{Confirmed, Queued, Reserved, Reserving};
        let skipped = told(vec![update(1, "b", Queued), update(2, "b", Reserved)]);
        assert_eq!(skipped.missing, 1);
        let no_start = told(vec![update(1, "b", Reserving)]);
        assert_eq!(no_start.missing, 1);
        let next_too_early = told(vec![update(1, "b", Queued), update(2, "b2", Queued)]);
        assert_eq!(next_too_early.missing, 1);
        let unended =
            told(vec![update(1, "b", Queued), update(2, "b", Confirmed), update(3, "b2", Queued)]);
        assert_eq!(unended.missing, 1, "the way to confirmed; the second booking is fine");
    }

    #[test]
    fn the_newest_tick_is_kept() {
        let mut told = Told::new();
        for backlog in [5, 3] {
            let tick = v1::QueueTick { backlog, now_serving: 9, ..Default::default() };
            told.record(&v1::PublishRequest { tick: Some(tick), ..Default::default() });
        }
        let tick = told.tick().unwrap();
        assert_eq!((tick.backlog, tick.ticks, tick.now_serving), (3, 2, QueueNumber::new(9)));
    }
}
