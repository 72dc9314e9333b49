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
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    line: Line,
    pace: Pace,
    now: Timestamp,
}

/// The line as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct LineOverview {
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
        self.state.lock().line = line;
    }

    /// Applies transitions, oldest first.
    pub(crate) fn apply(&self, events: &[Event]) {
        let mut state = self.state.lock();
        for event in events {
            if event.to == BookingState::Queued {
                state.line.join(event.place);
            } else if event.from == Some(BookingState::Queued) {
                state.line.leave(event.place);
            }
        }
    }

    /// Takes a reading of the queue, for the pace: the store's clock, and how many bookings have
    /// left the line so far.
    pub fn observe(&self, now: Timestamp, dispatched: u64) {
        let mut state = self.state.lock();
        state.now = now;
        state.pace.observe(now, dispatched);
    }

    /// The store's clock at the last reading.
    pub fn now(&self) -> Timestamp {
        self.state.lock().now
    }

    /// 1 = next; `None` when the place does not wait, as far as this process knows.
    pub fn position(&self, place: Place) -> Option<u64> {
        self.state.lock().line.position(place)
    }

    /// Expected wait at a position.
    pub fn eta(&self, position: u64) -> Option<Duration> {
        self.state.lock().pace.eta(position)
    }

    /// Bookings that leave the front each second; 0 while unknown.
    pub fn rate(&self) -> f64 {
        self.state.lock().pace.rate().unwrap_or(0.0)
    }

    /// The line as a whole, with at most `boundaries` boundaries.
    pub fn summary(&self, boundaries: u64) -> LineOverview {
        let state = self.state.lock();
        LineOverview {
            at: state.now,
            backlog: state.line.len(),
            rate: state.pace.rate().unwrap_or(0.0),
            boundaries: state.line.boundaries(boundaries),
        }
    }
}
