//! The worker's picture of the line: exact positions from the outbox, and the pace at which it
//! moves.

use std::time::Duration;

use bookingq_core::line::Line;
use bookingq_core::pace::Pace;
use bookingq_core::{BookingState, Event, Place, Timestamp};
use bookingq_store::Snapshot;
use parking_lot::Mutex;

/// Shared by the follower that writes it and everybody who reads it.
#[derive(Debug, Default)]
pub struct LineView {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    line: Line,
    pace: Pace,
    now: Timestamp,
}

/// What a queue tick says.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The store's clock at the last reading.
    pub at: Timestamp,
    /// How many wait.
    pub backlog: u64,
    /// Leaving the front each second; 0 while unknown.
    pub rate: f64,
    /// `(place, position)`, ascending, the front first.
    pub boundaries: Vec<(Place, u64)>,
}

impl LineView {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a line that was read anew.
    pub fn replace(&self, line: Line) {
        self.inner.lock().line = line;
    }

    /// Takes transitions, oldest first.
    pub fn apply(&self, events: &[Event]) {
        let mut inner = self.inner.lock();
        for event in events {
            if event.to == BookingState::Queued {
                inner.line.join(event.place);
            } else if event.from == Some(BookingState::Queued) {
                inner.line.leave(event.place);
            }
        }
    }

    /// Takes a reading of the queue's counters, for the pace.
    pub fn observe(&self, snapshot: &Snapshot) {
        let mut inner = self.inner.lock();
        inner.now = snapshot.now;
        inner.pace.observe(snapshot.now, snapshot.totals.dispatched);
    }

    /// 1 = next; `None` when the place does not wait, as far as is known here.
    pub fn position(&self, place: Place) -> Option<u64> {
        self.inner.lock().line.position(place)
    }

    /// Expected wait of a position.
    pub fn eta(&self, position: u64) -> Option<Duration> {
        self.inner.lock().pace.eta(position)
    }

    /// Leaving the front each second; 0 while unknown.
    pub fn rate(&self) -> f64 {
        self.inner.lock().pace.rate().unwrap_or(0.0)
    }

    /// The line as a whole, with at most `boundaries` boundaries.
    pub fn tick(&self, boundaries: u64) -> Tick {
        let inner = self.inner.lock();
        Tick {
            at: inner.now,
            backlog: inner.line.len(),
            rate: inner.pace.rate().unwrap_or(0.0),
            boundaries: inner.line.boundaries(boundaries),
        }
    }
}
