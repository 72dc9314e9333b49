//! Group commit: while one store call of a kind is in flight, the next batch collects.
//!
//! ```text
//!   callers --one each--> bounded queue of the kind --up to 256--> one store call
//!      ^------------------------------ answers -------------------------'
//! ```
//!
//! There is no timer: an idle kind sends at once, a busy one sends what has arrived meanwhile. One
//! call of a kind is in flight at a time, so calls take effect in the order of submission.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{Booking, ClientId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, OrRefusal, Result, Settled, Settlement, Store,
    StoreError,
};

/// Calls of one kind that may wait; more are refused. One Redis core handles this many in less than
/// a second.
const MAX_WAITING: usize = 16_384;

/// Single calls in, batches out. Clones share the same queues; the tasks behind them end with the
/// last clone.
///
/// Cancelling a caller does not undo its call, which has an unknown outcome like any other call
/// without an answer. When a store call fails, every caller of the batch gets the error.
#[derive(Clone)]
pub struct GroupCommit {
    store: Arc<dyn Store>,
    enqueue: Batcher<Enqueue, OrRefusal<Enqueued>>,
    confirm: Batcher<(Confirm, Duration), OrRefusal<Confirmed>>,
    cancel: Batcher<Cancel, OrRefusal<Booking>>,
    status: Batcher<ClientId, Option<Booking>>,
    settle: Batcher<Settlement, Settled>,
}

impl GroupCommit {
    /// Starts group commit in front of `store`.
    ///
    /// # Panics
    /// Outside a Tokio runtime, since it starts tasks.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            enqueue: Batcher::start(
                &store,
                |store, batch| async move { store.enqueue(batch).await },
            ),
            confirm: Batcher::start(&store, confirm_by_lease),
            cancel: Batcher::start(&store, |store, batch| async move { store.cancel(batch).await }),
            status: Batcher::start(&store, |store, batch| async move { store.status(batch).await }),
            settle: Batcher::start(&store, |store, batch| async move { store.settle(batch).await }),
            store,
        }
    }

    /// The store behind it, for calls that are not batched.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// See [`Store::enqueue`].
    pub async fn enqueue(&self, one: Enqueue) -> Result<OrRefusal<Enqueued>> {
        self.enqueue.submit(one).await
    }

    /// See [`Store::confirm`].
    pub async fn confirm(&self, one: Confirm, lease: Duration) -> Result<OrRefusal<Confirmed>> {
        self.confirm.submit((one, lease)).await
    }

    /// See [`Store::cancel`].
    pub async fn cancel(&self, one: Cancel) -> Result<OrRefusal<Booking>> {
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

/// Makes one store call for each run of equal leases. A worker uses one lease, so that is one call.
async fn confirm_by_lease(
    store: Arc<dyn Store>,
    batch: Vec<(Confirm, Duration)>,
) -> Result<Vec<OrRefusal<Confirmed>>> {
    let mut answers = Vec::with_capacity(batch.len());
    for run in batch.chunk_by(|a, b| a.1 == b.1) {
        let payments = run.iter().map(|(payment, _)| payment.clone()).collect();
        answers.extend(store.confirm(payments, run[0].1).await?);
    }
    Ok(answers)
}

/// A call that waits for its batch, and the sender of its answer.
type Waiting<I, O> = (I, oneshot::Sender<Result<O>>);

/// The queue of one kind of call.
struct Batcher<I, O> {
    queue: mpsc::Sender<Waiting<I, O>>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// Starts the task that makes the store calls.
    fn start<F, Call>(store: &Arc<dyn Store>, commit: F) -> Self
    where
        F: Fn(Arc<dyn Store>, Vec<I>) -> Call + Send + 'static,
        Call: Future<Output = Result<Vec<O>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(commit_batches(Arc::clone(store), waiting, commit));
        Self { queue }
    }

    async fn submit(&self, item: I) -> Result<O> {
        // Only a runtime that shuts down ends the task early.
        let ended =
            || StoreError::Unavailable("the task that commits batches has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.queue.try_send((item, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: MAX_WAITING },
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Commits batch after batch until the last [`Batcher`] is dropped.
async fn commit_batches<I, O, F, Call>(
    store: Arc<dyn Store>,
    mut waiting: mpsc::Receiver<Waiting<I, O>>,
    commit: F,
) where
    F: Fn(Arc<dyn Store>, Vec<I>) -> Call,
    Call: Future<Output = Result<Vec<O>>>,
{
    let mut batch = Vec::with_capacity(MAX_STORE_BATCH);
    while waiting.recv_many(&mut batch, MAX_STORE_BATCH).await > 0 {
        // Lets callers that are ready to run submit first: a larger batch at no delay.
        tokio::task::yield_now().await;
        while batch.len() < MAX_STORE_BATCH {
            let Ok(one) = waiting.try_recv() else { break };
            batch.push(one);
        }
        let (items, callers): (Vec<I>, Vec<_>) = batch.drain(..).unzip();
        let answers = commit(Arc::clone(&store), items).await.and_then(|answers| {
            let (found, wanted) = (answers.len(), callers.len());
            if found == wanted {
                return Ok(answers);
            }
            Err(StoreError::Unexpected(format!("{found} answers to {wanted} calls")))
        });
        // A send fails if the caller was cancelled, which is no error.
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
