//! The contract for stores that run the engine of `bookingq-queue`: each transition is a command,
//! each read looks at the queue.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{
    Admission, Booking, ClientId, EventSeq, ItemState, Outflow, Place, QueueName, SaleRules,
    Timestamp, Workforce,
};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand};
use tokio::sync::Notify;

use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    OrRefusal, Result, Scope, Settled, Settlement, Snapshot, Store, StoreError, Swept,
};

/// Holds an engine, applies commands to it and shows it.
pub trait EngineHolder: Send + Sync + 'static {
    /// The queue's name.
    fn name(&self) -> &QueueName;

    /// See [`Store::open`].
    fn opened(&self) -> impl Future<Output = Result<Opened>> + Send;

    /// Applies a command, and returns when its outcome is certain.
    fn apply(&self, command: QueueCommand) -> impl Future<Output = Result<QueueAnswer>> + Send;

    /// Returns once the queue that [`Self::look`] shows holds everything that was acknowledged
    /// before this call.
    fn catch_up(&self) -> impl Future<Output = Result<()>> + Send;

    /// Shows the queue and its time. It blocks commands meanwhile.
    fn look<T>(&self, look: impl FnOnce(&Queue, Timestamp) -> T) -> T;

    /// Shows the queue as it may be now, without waiting for what others have changed. `None` for a
    /// holder whose commands cost so little that it need not look before.
    fn foresee<T>(&self, _look: impl FnOnce(&Queue, Timestamp) -> Option<T>) -> Option<T> {
        None
    }

    /// Identifies the data.
    fn epoch(&self) -> String;

    /// Changes when the queue is replaced by one that may lack what [`Self::catch_up`] waited for.
    fn generation(&self) -> u64 {
        0
    }

    /// See [`Store::wrong_claims`].
    fn wrong_claims_read(&self) -> u64 {
        0
    }

    /// Whether the data is older than what was read before. Until it is opened.
    fn is_set_back(&self) -> bool {
        false
    }

    /// Fails if nothing will come any more.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// See [`Store::compact`].
    fn compacted(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// See [`Store::wants_readings`].
    fn publishes_readings(&self) -> bool {
        false
    }

    /// See [`Store::publish_reading`].
    fn reading_published(&self, _: &Snapshot) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Wakes whenever the outbox has grown.
    fn grown(&self) -> &Notify;
}

/// Takes the answer out, which is of the command's own kind.
macro_rules! answer {
    ($answer:expr, $kind:ident) => {
        match $answer {
            QueueAnswer::$kind(answer) => Ok(answer),
            other => Err(StoreError::unexpected("the answer to another command", &other)),
        }
    };
}

/// Tries of a read whose queue is replaced meanwhile.
const READS: u32 = 3;

/// Looks at the queue once it is up to date.
async fn read<H: EngineHolder, T>(holder: &H, look: impl Fn(&Queue, Timestamp) -> T) -> Result<T> {
    for _ in 0..READS {
        let before = holder.generation();
        holder.catch_up().await?;
        let seen = holder.look(&look);
        if holder.generation() == before {
            return Ok(seen);
        }
    }
    Err(StoreError::Unavailable("the queue was replaced during each of its reads".to_owned()))
}

#[async_trait]
impl<H: EngineHolder> Store for H {
    fn queue(&self) -> &QueueName {
        self.name()
    }

    async fn open(&self) -> Result<Opened> {
        self.opened().await
    }

    async fn enqueue(&self, batch: Vec<Enqueue>) -> Result<Vec<OrRefusal<Enqueued>>> {
        answer!(self.apply(QueueCommand::Enqueue(batch)).await?, Enqueued)
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        if let Some(idle) = self.foresee(|queue, now| queue.idle_claim(max, scope, now)) {
            return Ok(idle);
        }
        answer!(self.apply(QueueCommand::Claim { max, lease, scope }).await?, Claimed)
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        answer!(self.apply(QueueCommand::Renew { batch, lease }).await?, Renewed)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        answer!(self.apply(QueueCommand::Settle(batch)).await?, Settled)
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<OrRefusal<Confirmed>>> {
        answer!(self.apply(QueueCommand::Confirm { batch, lease }).await?, Confirmed)
    }

    async fn cancel(&self, batch: Vec<Cancel>) -> Result<Vec<OrRefusal<Booking>>> {
        answer!(self.apply(QueueCommand::Cancel(batch)).await?, Cancelled)
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        read(self, |queue, _| batch.iter().map(|client| queue.status(client)).collect()).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        answer!(self.apply(QueueCommand::Sweep { limit }).await?, Swept)
    }

    fn reloads(&self) -> u64 {
        self.generation().saturating_sub(1)
    }

    fn wrong_claims(&self) -> u64 {
        self.wrong_claims_read()
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = read(self, Queue::snapshot).await?;
        Ok(Snapshot { epoch: self.epoch(), set_back: self.is_set_back(), ..snapshot })
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        self.apply(QueueCommand::SetAdmission(admission)).await.map(drop)
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        let read = async {
            loop {
                // Registered before the read, so that an event in between still wakes this.
                let grown = self.grown().notified();
                let found = self.look(|queue, _| queue.events(after, max));
                if found.gap || !found.events.is_empty() || wait.is_zero() {
                    return found;
                }
                grown.await;
            }
        };
        // A follower that waits sees what comes; one that does not wants what is there. One that
        // has seen more than this process has is ahead, or has followed other data.
        if wait.is_zero() || self.look(|queue, _| after > queue.latest_event()) {
            self.catch_up().await?;
        }
        // A follower of a queue that stands still for ever must not take that for silence.
        self.check()?;
        let nothing = Events { events: Vec::new(), next: after, gap: false };
        let found = tokio::time::timeout(wait, read).await.unwrap_or(nothing);
        self.check()?;
        Ok(found)
    }

    async fn latest_event(&self) -> Result<EventSeq> {
        read(self, |queue, _| queue.latest_event()).await
    }

    async fn waiting(
        &self,
        item: Option<Arc<str>>,
        after: Place,
        max: usize,
    ) -> Result<Vec<Place>> {
        read(self, |queue, _| queue.waiting(item.as_ref(), after, max)).await
    }

    async fn compact(&self) -> Result<()> {
        self.compacted().await
    }

    fn wants_readings(&self) -> bool {
        self.publishes_readings()
    }

    async fn publish_reading(&self, snapshot: &Snapshot) -> Result<()> {
        self.reading_published(snapshot).await
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<()> {
        self.apply(QueueCommand::SetRules(rules)).await.map(drop)
    }

    async fn set_outflow(&self, outflow: Outflow) -> Result<()> {
        self.apply(QueueCommand::SetOutflow(outflow)).await.map(drop)
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
        self.apply(QueueCommand::SetWorkforce(workforce.clone())).await.map(drop)
    }

    async fn closed_items(&self, max: usize) -> Result<Vec<ItemState>> {
        read(self, |queue, _| queue.closed_items(max)).await
    }

    async fn items(&self, batch: Vec<Arc<str>>) -> Result<Vec<ItemState>> {
        read(self, |queue, _| batch.iter().map(|item| queue.item(item)).collect()).await
    }

    async fn restocked(&self, item: Arc<str>, left: Option<u64>) -> Result<()> {
        self.apply(QueueCommand::Restocked { item, left }).await.map(drop)
    }

    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>> {
        // A refusal that is true no more is only late: the owner asks again.
        let refused =
            self.foresee(|queue, now| queue.notifier_is_refused(owner, now).then_some(()));
        if refused.is_some() {
            return Ok(None);
        }
        let owner = owner.to_owned();
        answer!(self.apply(QueueCommand::Notifier { owner, lease, done }).await?, Notifier)
    }
}
