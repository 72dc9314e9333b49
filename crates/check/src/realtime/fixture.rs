//! Messages as bookingq publishes them, about clients of their own.

use std::time::{Duration, SystemTime};

use bookingq_core::limits::{MAX_ID_BYTES, MAX_REASON_BYTES};
use bookingq_core::{BookingId, Timestamp};
use bookingq_proto::convert::{duration, timestamp};
use bookingq_proto::v1;

/// Most updates and items of one message.
pub(super) const UPDATES: usize = 512;
pub(super) const ITEMS: usize = 128;
/// Most boundaries and expected waits of a tick.
const BOUNDARIES: u64 = 128;
const WAITS: u64 = 32;

/// Makes messages with ascending sequences.
#[derive(Debug)]
pub(super) struct Fixture {
    queue: String,
    epoch: String,
    /// Part of each client's id, so that runs do not disturb each other.
    run: String,
    /// Milliseconds and number of the newest sequence.
    sequence: (u64, u64),
    /// The newest queue number.
    number: u64,
}

impl Fixture {
    pub(super) fn new(queue: &str) -> Self {
        let run = BookingId::generate().to_string();
        Self { queue: queue.to_owned(), epoch: epoch(), run, sequence: (now().0, 0), number: 0 }
    }

    /// A message without news.
    pub(super) fn message(&self) -> v1::PublishRequest {
        v1::PublishRequest {
            queue: self.queue.clone(),
            epoch: self.epoch.clone(),
            through_ms: self.sequence.0,
            through_number: self.sequence.1,
            ..v1::PublishRequest::default()
        }
    }

    /// A message with updates: clients that join the line.
    pub(super) fn updates(&mut self, count: usize) -> v1::PublishRequest {
        let updates = (0..count).map(|_| self.update()).collect();
        v1::PublishRequest { updates, ..self.message() }
    }

    fn update(&mut self) -> v1::BookingUpdate {
        self.number += 1;
        self.sequence.1 += 1;
        v1::BookingUpdate {
            sequence_ms: self.sequence.0,
            sequence_number: self.sequence.1,
            client_id: format!("check-{}-{}", self.run, self.number),
            booking_id: BookingId::generate().to_string(),
            queue_number: self.number,
            state: v1::BookingState::Queued.into(),
            ..v1::BookingUpdate::default()
        }
    }

    /// A message with the next updates of the clients of another one: their turn has come.
    pub(super) fn served(&mut self, joined: &v1::PublishRequest) -> v1::PublishRequest {
        let served = joined.updates.iter().map(|update| {
            self.sequence.1 += 1;
            v1::BookingUpdate {
                sequence_number: self.sequence.1,
                state: v1::BookingState::Reserving.into(),
                ..update.clone()
            }
        });
        let updates = served.collect();
        v1::PublishRequest { updates, ..self.message() }
    }

    /// Gives the update an id and a reason of the largest sizes.
    pub(super) fn longest(update: &mut v1::BookingUpdate) {
        let id = &mut update.client_id;
        while id.len() + 'é'.len_utf8() <= MAX_ID_BYTES {
            id.push('é');
        }
        update.reason = "é".repeat(MAX_REASON_BYTES / 'é'.len_utf8());
    }

    /// Leaves sequences out.
    pub(super) fn skip(&mut self, count: u64) {
        self.sequence.1 += count;
        self.number += count;
    }

    /// From now on, everything is of other data, whose sequences begin again.
    pub(super) fn lose_data(&mut self) {
        (self.epoch, self.sequence, self.number) = (epoch(), (1, 0), 0);
    }

    /// A deadline that is to come.
    pub(super) fn deadline() -> Timestamp {
        now() + Duration::from_secs(600)
    }

    /// A tick with as much as fits.
    pub(super) fn longest_tick(&self) -> v1::QueueTick {
        let boundary = |position| v1::Boundary { queue_number: 1_000 * position, position };
        let wait = |step: u64| v1::EtaPoint {
            position: 100 * step,
            eta: Some(duration(Duration::from_secs(step))),
            range: Some(v1::EtaRange {
                low: Some(duration(Duration::from_secs(step / 2))),
                high: Some(duration(Duration::from_secs(step * 2))),
            }),
        };
        v1::QueueTick {
            now_serving: 1_000,
            backlog: BOUNDARIES,
            rate: 12.5,
            boundaries: (1..=BOUNDARIES).map(boundary).collect(),
            items: Self::items(ITEMS),
            etas: (1..=WAITS).map(wait).collect(),
            opens_at: Some(timestamp(Self::deadline())),
            ..self.empty_tick()
        }
    }

    pub(super) fn empty_tick(&self) -> v1::QueueTick {
        v1::QueueTick {
            at: Some(timestamp(now())),
            epoch: self.epoch.clone(),
            admission: v1::Admission::Open.into(),
            ..v1::QueueTick::default()
        }
    }

    /// Items in all states.
    pub(super) fn items(count: usize) -> Vec<v1::ItemStatus> {
        let states = [
            (v1::ItemAvailability::SoldOutAtTheMoment, 1),
            (v1::ItemAvailability::Open, 0),
            (v1::ItemAvailability::SoldOut, 1),
        ];
        let item = |(n, (availability, sold_out_from)): (usize, (v1::ItemAvailability, i32))| {
            v1::ItemStatus {
                item: format!("check-{n}"),
                availability: availability.into(),
                sold_out_from,
                unsettled: 3,
                waiting: 5,
                left: None,
            }
        };
        (0..count).zip(states.into_iter().cycle()).map(item).collect()
    }
}

fn epoch() -> String {
    BookingId::generate().to_string()
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(now.as_millis()).unwrap_or(0))
}
