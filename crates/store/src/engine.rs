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

    /// Identifies the data.
    fn epoch(&self) -> String;

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

/// Looks at the queue once it is up to date.
async fn read<H: EngineHolder, T>(
    holder: &H,
    look: impl FnOnce(&Queue, Timestamp) -> T,
) -> Result<T> {
    holder.catch_up().await?;
    Ok(holder.look(look))
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

    async fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = read(self, Queue::snapshot).await?;
        Ok(Snapshot { epoch: self.epoch(), ..snapshot })
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
        // A follower that waits sees what comes; one that does not wants what is there.
        if wait.is_zero() {
            self.catch_up().await?;
        }
        let nothing = Events { events: Vec::new(), next: after, gap: false };
        Ok(tokio::time::timeout(wait, read).await.unwrap_or(nothing))
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
        let owner = owner.to_owned();
        answer!(self.apply(QueueCommand::Notifier { owner, lease, done }).await?, Notifier)
    }
}
