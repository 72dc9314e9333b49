//! Group commit: while one store call of a kind is in flight, the next batch collects.
//!
//! ```text
//!   callers --one each--> bounded queue of the kind --up to 256--> one store call --answers--> callers
//! ```
//!
//! No timer: an idle kind sends at once, a busy one sends whatever came while it waited. One call
//! of a kind is in flight at a time, so what a caller asks for in order happens in order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{Booking, ClientId, Refusal};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, Result, Settled, Settlement, Store, StoreError,
};

/// Calls of one kind that may wait; more are refused. At the pace of one Redis core this is less
/// than a second's work.
const MAX_WAITING: usize = 16_384;

/// What a request of a client answers: done, or refused by the rules.
type Answer<T> = std::result::Result<T, Refusal>;

/// Single calls in, batches out. Clones share the same queues; the tasks behind them end with the
/// last clone.
///
/// A caller that goes away does not undo its call: it is sent with its batch and takes effect or
/// not, as with any other lost answer. When the store fails, everybody in the batch gets the error.
#[derive(Clone)]
pub struct GroupCommit {
    store: Arc<dyn Store>,
    enqueue: Lane<Enqueue, Answer<Enqueued>>,
    confirm: Lane<(Confirm, Duration), Answer<Confirmed>>,
    cancel: Lane<Cancel, Answer<Booking>>,
    status: Lane<ClientId, Option<Booking>>,
    settle: Lane<Settlement, Settled>,
}

impl GroupCommit {
    /// In front of `store`.
    ///
    /// # Panics
    /// Outside a Tokio runtime, since it starts tasks.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            enqueue: Lane::start(&store, |store, batch| async move { store.enqueue(batch).await }),
            confirm: Lane::start(&store, confirm_by_lease),
            cancel: Lane::start(&store, |store, batch| async move { store.cancel(batch).await }),
            status: Lane::start(&store, |store, batch| async move { store.status(batch).await }),
            settle: Lane::start(&store, |store, batch| async move { store.settle(batch).await }),
            store,
        }
    }

    /// The store behind.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// See [`Store::enqueue`].
    pub async fn enqueue(&self, one: Enqueue) -> Result<Answer<Enqueued>> {
        self.enqueue.submit(one).await
    }

    /// See [`Store::confirm`].
    pub async fn confirm(&self, one: Confirm, lease: Duration) -> Result<Answer<Confirmed>> {
        self.confirm.submit((one, lease)).await
    }

    /// See [`Store::cancel`].
    pub async fn cancel(&self, one: Cancel) -> Result<Answer<Booking>> {
        self.cancel.submit(one).await
    }

    /// See [`Store::status`].
    pub async fn status(&self, one: ClientId) -> Result<Option<Booking>> {
        self.status.submit(one).await
    }

    /// See [`Store::settle`].
    pub async fn settle(&self, one: Settlement) -> Result<Settled> {
        self.settle.submit(one).await
    }
}

/// One store call for each run of equal leases: in practice one, since a worker always asks for the
/// same.
async fn confirm_by_lease(
    store: Arc<dyn Store>,
    batch: Vec<(Confirm, Duration)>,
) -> Result<Vec<Answer<Confirmed>>> {
    let mut answers = Vec::with_capacity(batch.len());
    for run in batch.chunk_by(|a, b| a.1 == b.1) {
        let payments = run.iter().map(|(payment, _)| payment.clone()).collect();
        answers.extend(store.confirm(payments, run[0].1).await?);
    }
    Ok(answers)
}

/// One call that waits for its batch.
struct Waiting<I, O> {
    item: I,
    answer: oneshot::Sender<Result<O>>,
}

/// The queue of one kind of call.
struct Lane<I, O> {
    queue: mpsc::Sender<Waiting<I, O>>,
}

impl<I, O> Clone for Lane<I, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<I: Send + 'static, O: Send + 'static> Lane<I, O> {
    /// Starts the task that empties it.
    fn start<F, Call>(store: &Arc<dyn Store>, commit: F) -> Self
    where
        F: Fn(Arc<dyn Store>, Vec<I>) -> Call + Send + 'static,
        Call: Future<Output = Result<Vec<O>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(drive(Arc::clone(store), waiting, commit));
        Self { queue }
    }

    async fn submit(&self, item: I) -> Result<O> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { item, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: MAX_WAITING },
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Only when the runtime is being shut down.
fn ended() -> StoreError {
    StoreError::Unavailable("the task that commits batches has ended".to_owned())
}

/// Sends batch after batch until nobody can submit any more.
async fn drive<I, O, F, Call>(
    store: Arc<dyn Store>,
    mut waiting: mpsc::Receiver<Waiting<I, O>>,
    commit: F,
) where
    F: Fn(Arc<dyn Store>, Vec<I>) -> Call,
    Call: Future<Output = Result<Vec<O>>>,
{
    let mut batch = Vec::with_capacity(MAX_STORE_BATCH);
    while waiting.recv_many(&mut batch, MAX_STORE_BATCH).await > 0 {
        // Callers that are ready to run submit first: a batch of what is there already costs nobody
        // any time.
        tokio::task::yield_now().await;
        while batch.len() < MAX_STORE_BATCH {
            let Ok(one) = waiting.try_recv() else { break };
            batch.push(one);
        }
        let (items, callers): (Vec<I>, Vec<_>) =
            batch.drain(..).map(|one| (one.item, one.answer)).unzip();
        let count = items.len();
        let answers = match commit(Arc::clone(&store), items).await {
            Ok(answers) if answers.len() != count => {
                Err(StoreError::Unexpected(format!("{} answers to {count} calls", answers.len())))
            }
            other => other,
        };
        // A caller that went away is not an error.
        match answers {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    caller.send(Ok(answer)).ok();
                }
            }
            Err(error) => {
                for caller in callers {
                    caller.send(Err(error.clone())).ok();
                }
            }
        }
    }
}
