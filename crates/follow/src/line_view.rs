//! The line as this process sees it: exact positions from the events, and the pace at which the
//! line moves.

use std::time::Duration;

use bookingq_core::line::Line;
use bookingq_core::pace::Pace;
use bookingq_core::{BookingState, Event, Place, Timestamp};
use parking_lot::Mutex;

/// Shared by one writer and many readers.
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

/// The line as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct LineSummary {
    /// The store's clock at the last reading.
    pub at: Timestamp,
    /// Bookings that wait.
    pub backlog: u64,
    /// Bookings that leave the front each second; 0 while unknown.
    pub rate: f64,
    /// `(place, position)`, ascending, the front first.
    pub boundaries: Vec<(Place, u64)>,
}

impl LineView {
    /// Replaces the line with one that was just read.
    pub(crate) fn replace(&self, line: Line) {
        self.inner.lock().line = line;
    }

    /// Applies transitions, oldest first.
    pub(crate) fn apply(&self, events: &[Event]) {
        let mut inner = self.inner.lock();
        for event in events {
            if event.to == BookingState::Queued {
                inner.line.join(event.place);
            } else if event.from == Some(BookingState::Queued) {
                inner.line.leave(event.place);
            }
        }
    }

    /// Takes a reading of the queue, for the pace: the store's clock, and how many bookings have
    /// left the line so far.
    pub fn observe(&self, now: Timestamp, dispatched: u64) {
        let mut inner = self.inner.lock();
        inner.now = now;
        inner.pace.observe(now, dispatched);
    }

    /// The store's clock at the last reading.
    pub fn now(&self) -> Timestamp {
        self.inner.lock().now
    }

    /// 1 = next; `None` when the place does not wait, as far as this process knows.
    pub fn position(&self, place: Place) -> Option<u64> {
        self.inner.lock().line.position(place)
    }

    /// Expected wait at a position.
    pub fn eta(&self, position: u64) -> Option<Duration> {
        self.inner.lock().pace.eta(position)
    }

    /// Bookings that leave the front each second; 0 while unknown.
    pub fn rate(&self) -> f64 {
        self.inner.lock().pace.rate().unwrap_or(0.0)
    }

    /// The line as a whole, with at most `boundaries` boundaries.
    pub fn summary(&self, boundaries: u64) -> LineSummary {
        let inner = self.inner.lock();
        LineSummary {
            at: inner.now,
            backlog: inner.line.len(),
            rate: inner.pace.rate().unwrap_or(0.0),
            boundaries: inner.line.boundaries(boundaries),
        }
    }
}
