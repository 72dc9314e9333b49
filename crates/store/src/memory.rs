//! The embedded store: one queue in this process's memory. It is also the model that the Redis
//! store is tested against.
//!
//! Its data is gone when the process ends. Clear rather than fast, yet no operation costs more than
//! O(log n) for each booking it touches.

mod cancel;
mod claim;
mod clock;
mod confirm;
mod enqueue;
mod outbox;
mod queue;
mod record;
mod registers;
mod settle;

use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{
    Admission, Booking, BookingId, ClientId, EventSeq, Place, QueueName, Refusal, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::clock::{Clock, ManualClock};
use self::queue::Queue;
use crate::task::{Claim, Lease, Scope, Settled, Settlement};
use crate::view::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, Events, NotifierLease, Opened, Snapshot, Swept,
};
use crate::{Result, Store};

/// What can be chosen about an embedded store.
#[derive(Debug, Clone)]
pub struct MemoryOptions {
    /// What decides when leases and holds end.
    pub clock: Clock,
    /// How long a final booking can still be asked for.
    pub retention: Duration,
    /// Events kept for followers; about 300 bytes each.
    pub outbox_events: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            retention: Duration::from_secs(24 * 3600),
            outbox_events: 1_000_000,
        }
    }
}

/// One queue's bookings in memory.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use bookingq_core::{ClientId, QueueName};
/// use bookingq_store::{Store, memory::MemoryStore};
///
/// let store = MemoryStore::new(QueueName::new("concert").unwrap());
/// let nobody = store.status(vec![ClientId::new("anna").unwrap()]).await.unwrap();
/// assert_eq!(nobody, [None]);
/// # });
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    name: QueueName,
    clock: Clock,
    /// Another one for each store, since no data outlives it.
    epoch: String,
    queue: Mutex<Queue>,
    /// Wakes followers of the outbox.
    grown: Notify,
}

impl MemoryStore {
    /// An empty queue with the default options.
    pub fn new(queue: QueueName) -> Self {
        Self::with_options(queue, MemoryOptions::default())
    }

    /// An empty queue.
    pub fn with_options(queue: QueueName, options: MemoryOptions) -> Self {
        Self {
            name: queue,
            clock: options.clock,
            epoch: BookingId::generate().to_string(),
            queue: Mutex::new(Queue::new(options.retention, options.outbox_events)),
            grown: Notify::new(),
        }
    }

    /// One atomic step at one moment. Followers are woken if it wrote an event.
    fn step<T>(&self, step: impl FnOnce(&mut Queue, Timestamp) -> T) -> T {
        let mut queue = self.queue.lock();
        let now = self.clock.now();
        let before = queue.registers.outbox.last();
        queue.forget(now);
        let answer = step(&mut queue, now);
        let grown = queue.registers.outbox.last() > before;
        drop(queue);
        if grown {
            self.grown.notify_waiters();
        }
        answer
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn queue(&self) -> &QueueName {
        &self.name
    }

    async fn open(&self) -> Result<Opened> {
        Ok(Opened { epoch: self.epoch.clone(), warnings: Vec::new() })
    }

    async fn enqueue(
        &self,
        batch: Vec<Enqueue>,
    ) -> Result<Vec<std::result::Result<Enqueued, Refusal>>> {
        Ok(self.step(|queue, now| batch.iter().map(|asked| queue.enqueue(asked, now)).collect()))
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        Ok(self.step(|queue, now| queue.claim(max, lease, scope, now)))
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        Ok(self.step(|queue, now| batch.iter().map(|held| queue.renew(held, lease, now)).collect()))
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        Ok(self.step(|queue, now| {
            batch.iter().map(|settlement| queue.settle(settlement, now)).collect()
        }))
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<std::result::Result<Confirmed, Refusal>>> {
        Ok(self
            .step(|queue, now| batch.iter().map(|paid| queue.confirm(paid, lease, now)).collect()))
    }

    async fn cancel(
        &self,
        batch: Vec<Cancel>,
    ) -> Result<Vec<std::result::Result<Booking, Refusal>>> {
        Ok(self.step(|queue, now| batch.iter().map(|asked| queue.cancel(asked, now)).collect()))
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        Ok(self.step(|queue, _| batch.iter().map(|client| queue.status(client)).collect()))
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        Ok(self.step(|queue, now| queue.sweep(limit, now)))
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.step(|queue, now| queue.snapshot(now, self.epoch.clone())))
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        self.step(|queue, _| queue.registers.admission = admission);
        Ok(())
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        let read = async {
            loop {
                // Asked for before looking, so that an event between the look and the wait still
                // wakes us.
                let grown = self.grown.notified();
                let found = self.step(|queue, _| queue.registers.outbox.after(after, max));
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
        Ok(self.step(|queue, _| queue.registers.outbox.last()))
    }

    async fn waiting(&self, after: Place, max: usize) -> Result<Vec<Place>> {
        Ok(self.step(|queue, _| queue.waiting(after, max)))
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
