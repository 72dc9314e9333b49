//! A worker takes tasks, and keeps them.

use std::time::Duration;

use bookingq_core::{Admission, BookingState, ClientId, Fence, Timestamp};

use super::queue::Queue;
use super::record::Slot;
use crate::bounds;
use crate::task::{Claim, Lease, Scope, Task};

impl Queue {
    /// What is due, earliest first, and then the front of the line.
    pub(super) fn claim(
        &mut self,
        max: usize,
        lease: Duration,
        scope: Scope,
        now: Timestamp,
    ) -> Claim {
        let end = now + bounds::span(lease);
        let due: Vec<ClientId> = self
            .registers
            .leases
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, c)| c.clone())
            .take(max)
            .collect();
        let mut tasks: Vec<Task> =
            due.iter().filter_map(|client| self.take(client, end, now)).collect();
        let serves_line =
            scope == Scope::Everything && self.registers.admission != Admission::Paused;
        if serves_line {
            let room = max.saturating_sub(tasks.len());
            let front: Vec<ClientId> = self.registers.places.values().take(room).cloned().collect();
            tasks.extend(front.iter().filter_map(|client| self.take(client, end, now)));
        }
        Claim {
            now,
            tasks,
            next_due: self.registers.leases.first().map(|(at, _)| at.since(now)),
            more: serves_line && !self.registers.line.is_empty(),
        }
    }

    /// Gives one booking's task to the caller until `end`.
    fn take(&mut self, client: &ClientId, end: Timestamp, now: Timestamp) -> Option<Task> {
        let record = self.bookings.get_mut(client)?;
        let totals = &mut self.registers.totals;
        totals.claimed += 1;
        totals.reclaimed += u64::from(record.in_hand());
        record.fence = Fence(totals.claimed);
        let first = record.state == BookingState::Queued;
        if first {
            totals.dispatched += 1;
            self.registers.transition(
                client,
                record,
                BookingState::Reserving,
                Slot::Leased(end),
                now,
            );
        } else {
            self.registers.refile(client, record, Slot::Leased(end));
            self.registers.tell(client, record, Some(record.state), now);
        }
        record.task(client).map(|task| Task { first, ..task })
    }

    /// Extends a lease; `false` unless it is the newest claim and not settled.
    pub(super) fn renew(&mut self, lease: &Lease, length: Duration, now: Timestamp) -> bool {
        let Some(record) = self.bookings.get_mut(&lease.client) else { return false };
        let holds = record.is_newest_claim(lease) && record.in_hand();
        if holds {
            self.registers.refile(&lease.client, record, Slot::Leased(now + bounds::span(length)));
        }
        holds
    }
}
