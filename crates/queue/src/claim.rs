//! A worker claims tasks, and renews their leases.

use std::time::Duration;

use bookingq_core::{Admission, BookingState, ClientId, Fence, Timestamp};

use crate::bounds;
use crate::queue::Queue;
use crate::record::Slot;
use crate::task::{Claim, Lease, Scope, Task};

impl Queue {
    /// Claims at most `max` tasks until `lease` from now: due ones, earliest lease end first, then
    /// the front of the line.
    pub fn claim(&mut self, max: usize, lease: Duration, scope: Scope, now: Timestamp) -> Claim {
        let end = now + bounds::span(lease);
        let due: Vec<ClientId> = self
            .index
            .leases
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, c)| c.clone())
            .take(max)
            .collect();
        let mut tasks: Vec<Task> =
            due.iter().filter_map(|client| self.take(client, end, now)).collect();
        let serves_line = scope == Scope::Everything && self.index.admission != Admission::Paused;
        if serves_line {
            let room = max.saturating_sub(tasks.len());
            let front: Vec<ClientId> = self.index.places.values().take(room).cloned().collect();
            tasks.extend(front.iter().filter_map(|client| self.take(client, end, now)));
        }
        Claim {
            now,
            tasks,
            next_due: self.index.leases.first().map(|(at, _)| at.since(now)),
            more: serves_line && !self.index.line.is_empty(),
        }
    }

    /// Gives one booking's task to the caller until `end`.
    fn take(&mut self, client: &ClientId, end: Timestamp, now: Timestamp) -> Option<Task> {
        let record = self.bookings.get_mut(client)?;
        let totals = &mut self.index.totals;
        totals.claimed += 1;
        totals.reclaimed += u64::from(record.is_held());
        record.fence = Fence(totals.claimed);
        let first = record.state == BookingState::Queued;
        if first {
            totals.dispatched += 1;
            self.index.transition(client, record, BookingState::Reserving, Slot::Leased(end), now);
        } else {
            self.index.move_to(client, record, Slot::Leased(end));
            self.index.emit(client, record, Some(record.state), now);
        }
        record.task(client).map(|task| Task { first, ..task })
    }

    /// Extends a lease from now; `false` unless it is the newest claim and not settled.
    pub fn renew(&mut self, lease: &Lease, length: Duration, now: Timestamp) -> bool {
        let Some(record) = self.bookings.get_mut(&lease.client) else { return false };
        let holds = record.is_newest_claim(lease) && record.is_held();
        if holds {
            self.index.move_to(&lease.client, record, Slot::Leased(now + bounds::span(length)));
        }
        holds
    }
}
