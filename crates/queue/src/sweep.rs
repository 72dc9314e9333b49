//! Sweeping: overdue holds become releases.

use std::time::Duration;

use bookingq_core::{ClientId, Outcome, Timestamp};

use crate::queue::Queue;

/// The outcome of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Holds turned into releases.
    pub expired: usize,
    /// Whether more are overdue.
    pub more: bool,
    /// Time until the next deadline; `None` when there are no holds.
    pub next_deadline: Option<Duration>,
}

impl Queue {
    /// Turns at most `limit` overdue holds into releases that are due now, and records the
    /// sweeper's heartbeat.
    pub fn sweep(&mut self, limit: usize, now: Timestamp) -> Swept {
        self.index.swept_at = Some(now);
        let overdue = self.index.holds.iter().take_while(|(deadline, _)| *deadline <= now);
        let overdue: Vec<ClientId> = overdue.take(limit).map(|(_, c)| c.clone()).collect();
        for client in &overdue {
            if let Some(record) = self.bookings.get_mut(client) {
                self.index.release(client, record, Outcome::Expired, now);
            }
        }
        let next = self.index.holds.first().map(|(deadline, _)| *deadline);
        Swept {
            expired: overdue.len(),
            more: next.is_some_and(|deadline| deadline <= now),
            next_deadline: next.map(|deadline| deadline.since(now)),
        }
    }
}
