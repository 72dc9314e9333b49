//! One queue as the embedded store keeps it, and what can be read of it. Its transitions have a
//! file each.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bookingq_core::{Booking, ClientId, EventSeq, Outcome, Place, RequestId, Timestamp};

use super::record::{Record, Slot};
use super::registers::Registers;
use super::settle::release;
use crate::bounds;
use crate::view::{NotifierLease, Snapshot, Swept};

/// Bookings, and the registers that find them.
#[derive(Debug)]
pub(super) struct Queue {
    /// The newest of each client.
    pub(super) bookings: HashMap<ClientId, Record>,
    /// Those that another one has followed, by the request that made them, until their retention
    /// ends.
    pub(super) earlier: HashMap<(ClientId, RequestId), Record>,
    earlier_ends: BTreeSet<(Timestamp, ClientId, RequestId)>,
    pub(super) registers: Registers,
    notifier: Notifier,
}

/// Who may notify, until when, and how far it got.
#[derive(Debug, Default)]
struct Notifier {
    owner: String,
    until: Timestamp,
    done: EventSeq,
}

impl Queue {
    /// An empty one.
    pub(super) fn new(retention: Duration, outbox_events: usize) -> Self {
        Self {
            bookings: HashMap::new(),
            earlier: HashMap::new(),
            earlier_ends: BTreeSet::new(),
            registers: Registers::new(bounds::span(retention), outbox_events),
            notifier: Notifier::default(),
        }
    }

    /// Drops final bookings whose retention has ended.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.registers.finals.first()
            && *at <= now
        {
            if let Some((_, client)) = self.registers.finals.pop_first() {
                self.bookings.remove(&client);
            }
        }
        while let Some((at, ..)) = self.earlier_ends.first()
            && *at <= now
        {
            if let Some((_, client, request)) = self.earlier_ends.pop_first() {
                self.earlier.remove(&(client, request));
            }
        }
    }

    /// Keeps a booking that has ended, and that another one of its client follows now, for the rest
    /// of its retention.
    pub(super) fn remember(&mut self, client: &ClientId, old: Record) {
        self.registers.unfile(client, &old);
        if let Slot::Final(forget) = old.slot {
            let request = old.request.clone();
            self.earlier_ends.insert((forget, client.clone(), request.clone()));
            self.earlier.insert((client.clone(), request), old);
        }
    }

    /// The newest booking of a client.
    pub(super) fn status(&self, client: &ClientId) -> Option<Booking> {
        let record = self.bookings.get(client)?;
        Some(record.booking(client, self.registers.position(record)))
    }

    /// Turns overdue holds into releases.
    pub(super) fn sweep(&mut self, limit: usize, now: Timestamp) -> Swept {
        self.registers.swept_at = Some(now);
        let holds = &self.registers.holds;
        let overdue: Vec<ClientId> = holds
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit)
            .map(|(_, c)| c.clone())
            .collect();
        for client in &overdue {
            if let Some(record) = self.bookings.get_mut(client) {
                release(&mut self.registers, client, record, Outcome::Expired, now);
            }
        }
        let next = self.registers.holds.first().map(|(at, _)| *at);
        Swept {
            expired: overdue.len(),
            more: next.is_some_and(|at| at <= now),
            next_deadline: next.map(|at| at.since(now)),
        }
    }

    /// The queue as a whole.
    pub(super) fn snapshot(&self, now: Timestamp, epoch: String) -> Snapshot {
        let registers = &self.registers;
        let front = registers.places.first_key_value().and_then(|(place, client)| {
            self.bookings.get(client).map(|record| (*place, record.enqueued_at))
        });
        Snapshot {
            now,
            epoch,
            set_back: false,
            admission: registers.admission,
            backlog: registers.line.len(),
            in_flight: registers.leases.len() as u64,
            due: registers.leases.iter().take_while(|(at, _)| *at <= now).count() as u64,
            holds: registers.holds.len() as u64,
            overdue: registers.holds.iter().take_while(|(at, _)| *at <= now).count() as u64,
            front,
            totals: registers.totals,
            swept_at: registers.swept_at,
            outbox: registers.outbox.len() as u64,
        }
    }

    /// Places of the line after `after`.
    pub(super) fn waiting(&self, after: Place, max: usize) -> Vec<Place> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.registers
            .places
            .range((Excluded(after), Unbounded))
            .take(max)
            .map(|(place, _)| *place)
            .collect()
    }

    /// The right to notify, unless somebody else has it.
    pub(super) fn notifier(
        &mut self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
        now: Timestamp,
    ) -> Option<NotifierLease> {
        let notifier = &mut self.notifier;
        if notifier.owner != owner && notifier.until > now {
            return None;
        }
        owner.clone_into(&mut notifier.owner);
        notifier.until = now + bounds::span(lease);
        notifier.done = notifier.done.max(done.unwrap_or_default());
        Some(NotifierLease { done: notifier.done })
    }
}
