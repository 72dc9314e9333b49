//! The time in which a queue served.

use crate::time::Timestamp;

/// Before an outage is seen, one in this time is assumed, in seconds …
const BETWEEN: f64 = 300.0;
/// … and it lasts for this long on average, in seconds, such as the failover of a service.
const OUTAGE: f64 = 45.0;
/// A range leaves out what is less likely than this.
const TENTH: f64 = 0.1;

/// A clock that stops while the queue is known to serve no booking. Forecasts are compared by it:
/// a pause or an outage says nothing about how well they describe a line that moves.
#[derive(Debug, Default)]
pub(super) struct ServiceClock {
    /// The store's clock at the last reading, and at the first one; 0: none yet.
    at: Timestamp,
    begun: Timestamp,
    /// The time by this clock at the last reading.
    now: Timestamp,
    halted: bool,
    outages: u32,
}

impl ServiceClock {
    /// Takes the time of a reading, and whether the queue serves no booking at the moment.
    pub fn read(&mut self, at: Timestamp, halted: bool, outage: bool) {
        if self.at == Timestamp(0) {
            (self.at, self.begun, self.now) = (at, at, at);
        }
        self.now = self.served_at(at);
        self.outages += u32::from(outage && !self.halted);
        (self.at, self.halted) = (at, halted);
    }

    /// Whether the store's clock was set back since the last reading.
    pub fn is_set_back(&self, at: Timestamp) -> bool {
        at < self.at
    }

    /// The last reading, by this clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A moment that is not before the last reading, by this clock.
    pub fn served_at(&self, at: Timestamp) -> Timestamp {
        if self.halted { self.now } else { self.now + at.since(self.at) }
    }

    /// How many seconds of outages to add to a wait of so many seconds: it is longer for 1 of 10
    /// bookings. Outages come at random, and the more have come the more are expected; each lasts
    /// for an exponential time. Nothing for a wait in which an outage is less likely than that.
    pub fn outages_within(&self, wait: f64) -> f64 {
        let served = self.now.since(self.begun).as_secs_f64();
        let between = (BETWEEN + served) / f64::from(1 + self.outages);
        let likely = 1.0 - (-wait / between).exp();
        OUTAGE * (likely / TENTH).ln().max(0.0)
    }
}
