//! The queue as a whole at one moment: its sizes and its counters.

use bookingq_core::autoscale::driver::Measurement;
use bookingq_core::{Admission, Place, SaleRules, Timestamp, Workforce};

/// Counters of a queue. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Places given.
    pub enqueued: u64,
    /// First claims from the line.
    pub dispatched: u64,
    /// Claims of every kind, retries included; the newest fence.
    pub claimed: u64,
    /// Claims of tasks whose lease ended before they were settled: a worker died or was too slow.
    pub reclaimed: u64,
    /// Tries that failed and will be repeated.
    pub retried: u64,
    /// Settlements refused because of their fence.
    pub stale: u64,
    /// Holds made.
    pub reserved: u64,
    /// Bookings that ended confirmed.
    pub confirmed: u64,
    /// Bookings that ended expired.
    pub expired: u64,
    /// Bookings that ended cancelled.
    pub cancelled: u64,
    /// Bookings that ended sold out, for good.
    pub sold_out: u64,
    /// Bookings that ended rejected.
    pub rejected: u64,
    /// Bookings that ended failed.
    pub failed: u64,
    /// Slot time of all settled tasks, in microseconds.
    pub busy_us: u64,
    /// Members without a readable booking that were dropped: foreign or damaged data.
    pub damaged: u64,
    /// Times a booking was parked.
    pub parked: u64,
    /// Bookings made for a payment that came after its hold had expired.
    pub reacquired: u64,
}

/// The queue as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's clock.
    pub now: Timestamp,
    /// Identifies the store's data. Empty when the data was lost and no caller has opened the store
    /// since.
    pub epoch: String,
    /// The data is older than what this store has already read: the newest changes are lost. Stays
    /// set until the store is opened again, which gives the data another epoch.
    pub set_back: bool,
    /// Whether the queue takes and serves bookings.
    pub admission: Admission,
    /// The rules of the sale.
    pub rules: SaleRules,
    /// Whether the rules were ever written.
    pub rules_set: bool,
    /// Bookings in the line.
    pub backlog: u64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
    /// Bookings that a claim could take now if the queue serves: those in the line, and parked ones
    /// whose item is available again.
    pub claimable: u64,
    /// Bookings reserving, confirming or releasing, retries included.
    pub in_flight: u64,
    /// Tasks in flight whose lease has ended and that no worker has claimed since.
    pub due: u64,
    /// Bookings reserved.
    pub holds: u64,
    /// Holds past their deadline.
    pub overdue: u64,
    /// The front of the line: its place and when it joined.
    pub front: Option<(Place, Timestamp)>,
    /// Counters.
    pub totals: Totals,
    /// The sweeper's last heartbeat.
    pub swept_at: Option<Timestamp>,
    /// Outbox entries kept.
    pub outbox: u64,
    /// The workers, as they were last recorded; `None` where no process scales them.
    pub workforce: Option<Workforce>,
}

impl From<&Snapshot> for Measurement {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            at: snapshot.now,
            admission: snapshot.admission,
            opens_at: snapshot.rules.opens_at,
            outflow: snapshot.rules.outflow,
            claimable: snapshot.claimable,
            parked: snapshot.parked,
            in_flight: snapshot.in_flight,
            holds: snapshot.holds,
            enqueued: snapshot.totals.enqueued,
            dispatched: snapshot.totals.dispatched,
            busy_us: snapshot.totals.busy_us,
        }
    }
}
