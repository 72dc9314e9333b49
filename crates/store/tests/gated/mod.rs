//! An embedded store whose Enqueue waits at a gate, so that a test decides when a call is in
//! flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{
    Admission, Booking, ClientId, EventSeq, ItemState, Outflow, Place, QueueName, SaleRules,
    Workforce,
};
use bookingq_store::memory::{MemoryConfig, MemoryStore};
use bookingq_store::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    OrRefusal, Result, Scope, Settled, Settlement, Snapshot, Store, StoreError, Swept,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// A store with a gate in front of Enqueue.
pub struct Gated {
    inner: MemoryStore,
    gate: Semaphore,
    batches: Mutex<Vec<usize>>,
    failures: AtomicUsize,
}

impl Gated {
    /// No call waits.
    pub fn open() -> Self {
        let store = Self::closed();
        store.let_all_pass();
        store
    }

    /// Every call waits.
    pub fn closed() -> Self {
        Self {
            inner: MemoryStore::new(MemoryConfig::new(QueueName::new("concert").unwrap())),
            gate: Semaphore::new(0),
            batches: Mutex::default(),
            failures: AtomicUsize::new(0),
        }
    }

    /// Opens the gate for good.
    pub fn let_all_pass(&self) {
        self.gate.add_permits(1000);
    }

    /// The next `count` calls get no answer.
    pub fn fail_the_next(&self, count: usize) {
        self.failures.store(count, Ordering::SeqCst);
    }

    /// Sizes of the batches that came.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().clone()
    }
}

#[async_trait]
impl Store for Gated {
    async fn enqueue(&self, batch: Vec<Enqueue>) -> Result<Vec<OrRefusal<Enqueued>>> {
        self.batches.lock().push(batch.len());
        self.gate.acquire().await.unwrap().forget();
        let failing =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if failing.is_ok() {
            return Err(StoreError::Timeout(Duration::from_secs(1)));
        }
        self.inner.enqueue(batch).await
    }

    fn queue(&self) -> &QueueName {
        self.inner.queue()
    }

    async fn open(&self) -> Result<Opened> {
        self.inner.open().await
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        self.inner.claim(max, lease, scope).await
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        self.inner.renew(batch, lease).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        self.inner.settle(batch).await
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<OrRefusal<Confirmed>>> {
        self.inner.confirm(batch, lease).await
    }

    async fn cancel(&self, batch: Vec<Cancel>) -> Result<Vec<OrRefusal<Booking>>> {
        self.inner.cancel(batch).await
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        self.inner.status(batch).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.inner.sweep(limit).await
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        self.inner.snapshot().await
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        self.inner.set_admission(admission).await
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        self.inner.events(after, max, wait).await
    }

    async fn latest_event(&self) -> Result<EventSeq> {
        self.inner.latest_event().await
    }

    async fn waiting(
        &self,
        item: Option<Arc<str>>,
        after: Place,
        max: usize,
    ) -> Result<Vec<Place>> {
        self.inner.waiting(item, after, max).await
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<()> {
        self.inner.set_rules(rules).await
    }

    async fn set_outflow(&self, outflow: Outflow) -> Result<()> {
        self.inner.set_outflow(outflow).await
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
        self.inner.set_workforce(workforce).await
    }

    async fn closed_items(&self, max: usize) -> Result<Vec<ItemState>> {
        self.inner.closed_items(max).await
    }

    async fn items(&self, batch: Vec<Arc<str>>) -> Result<Vec<ItemState>> {
        self.inner.items(batch).await
    }

    async fn restocked(&self, item: Arc<str>, left: Option<u64>) -> Result<()> {
        self.inner.restocked(item, left).await
    }

    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>> {
        self.inner.notifier(owner, lease, done).await
    }
}
