//! One queue: its bookings, and what can be read of it. Each transition has a file of its own.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Admission, Booking, ClientId, EventSeq, Place, Timestamp, Workforce};

use crate::bookings::Bookings;
use crate::bounds;
use crate::index::Index;
use crate::notifier::{Notifier, NotifierLease};
use crate::outbox::Events;
use crate::record::Record;
use crate::snapshot::Snapshot;

/// One queue's bookings and events.
///
/// ```
/// use bookingq_core::{BookingId, ClientId, Details, RequestId, Timestamp};
/// use bookingq_queue::{Enqueue, Queue};
/// use std::time::Duration;
///
/// let mut queue = Queue::new(Duration::from_secs(3600), 1000);
/// let anna = Enqueue {
///     client: ClientId::new("anna").unwrap(),
///     request: RequestId::new("r1").unwrap(),
///     booking: BookingId::from_u128(1),
///     details: Details::default(),
///     trace: None,
/// };
/// let enqueued = queue.enqueue(&anna, Timestamp(1_800_000_000_000)).unwrap();
/// assert_eq!(enqueued.booking.position, Some(1));
/// ```
#[derive(Debug)]
pub struct Queue {
    pub(crate) bookings: Bookings,
    pub(crate) index: Index,
    pub(crate) notifier: Notifier,
    pub(crate) workforce: Option<Workforce>,
    /// The time of the newest command that was [applied](Self::apply).
    pub(crate) last: Timestamp,
}

impl Queue {
    /// An empty queue that keeps final bookings for `retention`, and the newest `outbox_events`
    /// events.
    pub fn new(retention: Duration, outbox_events: usize) -> Self {
        Self {
            bookings: Bookings::default(),
            index: Index::new(bounds::span(retention), outbox_events),
            notifier: Notifier::default(),
            workforce: None,
            last: Timestamp::default(),
        }
    }

    /// Keeps the [digest](Self::digest) up to date with each command from now on, so that reading
    /// it takes no time. A command then hashes each booking that it changes, before and after.
    pub fn track_digest(&mut self) {
        self.bookings.track();
        self.index.items.track();
    }

    /// Drops final bookings whose retention has ended.
    pub fn forget(&mut self, now: Timestamp) {
        while self.index.finals.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, client)) = self.index.finals.pop_first()
        {
            self.bookings.remove(&client);
        }
        self.bookings.forget_earlier(now);
    }

    /// Keeps an ended booking, which a newer one of its client replaces, for the rest of its
    /// retention.
    pub(crate) fn keep_earlier(&mut self, client: &ClientId, old: Record) {
        self.index.remove(client, &old);
        self.bookings.keep_earlier(client, old);
    }

    /// Opens, pauses or closes the queue.
    pub fn set_admission(&mut self, admission: Admission) {
        self.index.admission = admission;
    }

    /// Records the workers, for those that look at the queue.
    pub fn set_workforce(&mut self, workforce: &Workforce) {
        self.workforce = Some(workforce.bounded());
    }

    /// Gives `owner` the right to publish the outbox for `lease` from now, and records that
    /// everything up to `done` is published. `None` while another owner has the right.
    pub fn notifier(
        &mut self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
        now: Timestamp,
    ) -> Option<NotifierLease> {
        self.notifier.acquire(owner, lease, done, now)
    }

    /// Whether another owner than this one has the right to publish the outbox.
    pub fn notifier_is_refused(&self, owner: &str, now: Timestamp) -> bool {
        self.notifier.is_refused(owner, now)
    }

    /// The newest booking of a client.
    pub fn status(&self, client: &ClientId) -> Option<Booking> {
        let record = self.bookings.get(client)?;
        Some(record.booking(client, self.index.position(record)))
    }

    /// The queue as a whole. The caller fills in the epoch.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let index = &self.index;
        let front = index.places.first_key_value().and_then(|(place, client)| {
            self.bookings.get(client).map(|record| (*place, record.enqueued_at))
        });
        let past = |set: &BTreeSet<(Timestamp, ClientId)>| {
            set.iter().take_while(|(at, _)| *at <= now).count() as u64
        };
        Snapshot {
            now,
            epoch: String::new(),
            set_back: false,
            admission: index.admission,
            rules: index.rules.clone(),
            rules_set: index.rules_set,
            backlog: index.line.len(),
            parked: index.items.parked(),
            claimable: index.line.len() + index.items.claimable(),
            in_flight: index.leases.len() as u64,
            due: past(&index.leases),
            holds: index.holds.len() as u64,
            overdue: past(&index.holds),
            front,
            totals: index.totals,
            swept_at: index.swept_at,
            outbox: index.outbox.len() as u64,
            workforce: self.workforce.clone(),
        }
    }

    /// At most `max` places after `after`, ascending: of the line, or of the parked bookings of
    /// `item`.
    pub fn waiting(&self, item: Option<&Arc<str>>, after: Place, max: usize) -> Vec<Place> {
        if let Some(item) = item {
            let item = self.index.items.get(item);
            return item.map(|item| item.waiting().after(after, max)).unwrap_or_default();
        }
        let behind = self.index.places.range((Excluded(after), Unbounded));
        behind.take(max).map(|(place, _)| *place).collect()
    }

    /// At most `max` events after `after`, and at least one if there is one.
    pub fn events(&self, after: EventSeq, max: usize) -> Events {
        self.index.outbox.after(after, max)
    }

    /// The newest event.
    pub fn latest_event(&self) -> EventSeq {
        self.index.outbox.last()
    }
}
