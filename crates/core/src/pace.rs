//! How fast a line moves, and how long a client waits.

use std::time::Duration;

use crate::time::Timestamp;

/// The recent rate of a counter that only grows: bookings that left the front of the line.
///
/// An exponentially weighted mean with a time constant of ten seconds: the last seven seconds make
/// up half of it. A counter that goes back (a store lost its data) resets it.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    last: Option<(Timestamp, u64)>,
    rate: Option<f64>,
}

const TIME_CONSTANT: f64 = 10.0;

impl Pace {
    /// Takes a reading of the counter at a moment of the store's clock. Readings less than 100 ms
    /// apart are skipped.
    pub fn observe(&mut self, at: Timestamp, count: u64) {
        let Some((last_at, last_count)) = self.last else {
            self.last = Some((at, count));
            return;
        };
        if count < last_count || at < last_at {
            *self = Self { last: Some((at, count)), rate: None };
            return;
        }
        let seconds = at.since(last_at).as_secs_f64();
        if seconds < 0.1 {
            return;
        }
        let now = (count - last_count) as f64 / seconds;
        let weight = 1.0 - (-seconds / TIME_CONSTANT).exp();
        self.rate = Some(self.rate.map_or(now, |rate| rate + weight * (now - rate)));
        self.last = Some((at, count));
    }

    /// Events each second; `None` before the second reading.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// How long `position` (1 = next) waits at this pace; `None` when the pace is unknown or nearly
    /// zero.
    pub fn eta(&self, position: u64) -> Option<Duration> {
        eta(position, self.rate?)
    }
}

/// How long `position` (1 = next) waits when `rate` leave each second; `None` when that is nearly
/// zero (less than one in 1,000 seconds), since "never" is not a time.
pub fn eta(position: u64, rate: f64) -> Option<Duration> {
    (rate > 0.001).then(|| Duration::from_secs_f64(position as f64 / rate))
}
