//! What goes in and what comes out.

use std::time::Duration;

use crate::admission::Admission;
use crate::sale::Outflow;
use crate::time::Timestamp;

/// What a process knows of a queue at one moment, besides the line.
#[derive(Debug, Clone, Copy)]
pub struct EtaReading {
    /// The store's clock.
    pub at: Timestamp,
    /// Tasks in progress, retries included.
    pub in_flight: u64,
    /// Slots that surely exist: the concurrency of the process that reads. They count while the
    /// line is empty, because no pace can be measured then.
    pub slots: u64,
    /// Whether the queue serves bookings.
    pub admission: Admission,
    /// Before this moment the queue serves no booking.
    pub opens_at: Option<Timestamp>,
    /// The Booking Service does not answer: the circuit breaker is open.
    pub outage: bool,
    /// The limits of the pace.
    pub outflow: Outflow,
}

impl EtaReading {
    /// Why the queue serves no booking at the moment, as far as is known.
    pub(super) fn halted(&self) -> Option<EtaUnknown> {
        if self.admission == Admission::Paused {
            Some(EtaUnknown::Paused)
        } else if self.opens_at.is_some_and(|opens| self.at < opens) {
            Some(EtaUnknown::NotOpen)
        } else {
            self.outage.then_some(EtaUnknown::Outage)
        }
    }
}

/// How a place left the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// A worker took it: its wait is over.
    Served,
    /// It was met at the front and parked or ended, because its item is closed: its wait in the
    /// line is over, and it took no slot.
    Parked,
    /// Its client cancelled, anywhere in the line.
    Cancelled,
}

/// The wait at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eta {
    /// A forecast.
    Range(EtaRange),
    /// None, and why.
    Unknown(EtaUnknown),
}

/// A forecast of a wait, from the last reading on. `low <= expected <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EtaRange {
    /// About 1 of 10 bookings waits less.
    pub low: Duration,
    /// About half of the bookings wait less.
    pub expected: Duration,
    /// About 1 of 10 bookings waits longer.
    pub high: Duration,
}

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EtaUnknown {
    /// The sale has not opened.
    NotOpen,
    /// The queue is paused.
    Paused,
    /// The Booking Service does not answer.
    Outage,
    /// The item is sold out at the moment.
    SoldOut,
    /// Too little of the line has been seen, or it has stopped without a known reason.
    NoData,
}
