//! The embedded store: the pure engine behind a lock and a clock, in this process's memory.
//!
//! Its data ends with the process. It is also the reference model for the tests of the Redis store.

mod clock;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{
    Admission, Booking, BookingId, ClientId, EventSeq, ItemState, Outflow, Place, QueueName,
    SaleRules, Timestamp, Workforce,
};
use bookingq_queue::Queue;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::clock::{Clock, ManualClock};
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    OrRefusal, Result, Scope, Settled, Settlement, Snapshot, Store, Swept,
};

/// Settings of an embedded store.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// The queue.
    pub queue: QueueName,
    /// Decides when leases and holds end.
    pub clock: Clock,
    /// How long a final booking can still be read.
    pub retention: Duration,
    /// Events kept for followers; about 300 bytes each.
    pub outbox_events: usize,
}

impl MemoryConfig {
    /// The defaults.
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            clock: Clock::System,
            retention: Duration::from_secs(24 * 3600),
            outbox_events: 1_000_000,
        }
    }
}

/// One queue's bookings in memory.
#[derive(Debug)]
pub struct MemoryStore {
    name: QueueName,
    clock: Clock,
    /// Made by each store, since no data outlives it.
    epoch: String,
    queue: Mutex<Queue>,
    /// Wakes followers of the outbox.
    grown: Notify,
}

impl MemoryStore {
    /// An empty queue.
    pub fn new(config: MemoryConfig) -> Self {
        Self {
            name: config.queue,
            clock: config.clock,
            epoch: BookingId::generate().to_string(),
            queue: Mutex::new(Queue::new(config.retention, config.outbox_events)),
            grown: Notify::new(),
        }
    }

    /// One atomic step at one moment. Wakes followers if it wrote an event.
    fn step<T>(&self, step: impl FnOnce(&mut Queue, Timestamp) -> T) -> T {
        let mut queue = self.queue.lock();
        let now = self.clock.now();
        let before = queue.latest_event();
        queue.forget(now);
        let answer = step(&mut queue, now);
        let grown = queue.latest_event() > before;
        drop(queue);
        if grown {
            self.grown.notify_waiters();
        }
        answer
    }

    /// One step that does the same for each item of a batch.
    fn each<I, O>(&self, batch: &[I], one: impl Fn(&mut Queue, &I, Timestamp) -> O) -> Vec<O> {
        self.step(|queue, now| batch.iter().map(|item| one(queue, item, now)).collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn queue(&self) -> &QueueName {
        &self.name
    }

    async fn open(&self) -> Result<Opened> {
        Ok(Opened { epoch: self.epoch.clone(), ..Opened::default() })
    }

    async fn enqueue(&self, batch: Vec<Enqueue>) -> Result<Vec<OrRefusal<Enqueued>>> {
        Ok(self.each(&batch, Queue::enqueue))
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        Ok(self.step(|queue, now| queue.claim(max, lease, scope, now)))
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        Ok(self.each(&batch, |queue, held, now| queue.renew(held, lease, now)))
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        Ok(self.each(&batch, Queue::settle))
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<OrRefusal<Confirmed>>> {
        Ok(self.each(&batch, |queue, confirm, now| queue.confirm(confirm, lease, now)))
    }

    async fn cancel(&self, batch: Vec<Cancel>) -> Result<Vec<OrRefusal<Booking>>> {
        Ok(self.each(&batch, Queue::cancel))
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        Ok(self.each(&batch, |queue, client, _| queue.status(client)))
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        Ok(self.step(|queue, now| queue.sweep(limit, now)))
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = self.step(|queue, now| queue.snapshot(now));
        Ok(Snapshot { epoch: self.epoch.clone(), ..snapshot })
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        self.step(|queue, _| queue.set_admission(admission));
        Ok(())
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        let read = async {
            loop {
                // Registered before the read, so that an event in between still wakes this.
                let grown = self.grown.notified();
                let found = self.step(|queue, _| queue.events(after, max));
                if found.gap || !found.events.is_empty() || wait.is_zero() {
                    return found;
                }
                grown.await;
            }
        };
        let nothing = Events { events: Vec::new(), next: after, gap: false };
        Ok(tokio::time::timeout(wait, read).await.unwrap_or(nothing))
    }

    async fn latest_event(&self) -> Result<EventSeq> {
        Ok(self.step(|queue, _| queue.latest_event()))
    }

    async fn waiting(
        &self,
        item: Option<Arc<str>>,
        after: Place,
        max: usize,
    ) -> Result<Vec<Place>> {
        Ok(self.step(|queue, _| queue.waiting(item.as_ref(), after, max)))
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<()> {
        self.step(|queue, now| queue.set_rules(rules, now));
        Ok(())
    }

    async fn set_outflow(&self, outflow: Outflow) -> Result<()> {
        self.step(|queue, now| queue.set_outflow(outflow, now));
        Ok(())
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
        self.step(|queue, _| queue.set_workforce(workforce));
        Ok(())
    }

    async fn closed_items(&self, max: usize) -> Result<Vec<ItemState>> {
        Ok(self.step(|queue, _| queue.closed_items(max)))
    }

    async fn items(&self, batch: Vec<Arc<str>>) -> Result<Vec<ItemState>> {
        Ok(self.each(&batch, |queue, item, _| queue.item(item)))
    }

    async fn restocked(&self, item: Arc<str>, left: Option<u64>) -> Result<()> {
        self.step(|queue, now| queue.restocked(&item, left, now));
        Ok(())
    }

    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>> {
        Ok(self.step(|queue, now| queue.notifier(owner, lease, done, now)))
    }
}
