//! Clients that join through stores, one after the other, and what they were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId};
use bookingq_store::{Enqueue, RedisConfig, Store, StoreError};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Between two joins of one caller.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest wait for joins to go on.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for a status.
const ANSWER: Duration = Duration::from_secs(30);
/// Clients of one call.
const BATCH: usize = 256;
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(1) };

/// Opens a store whose answers one replica has.
pub(super) fn open(url: String, queue: &QueueName) -> Result<Arc<dyn Store>> {
    let mut config = RedisConfig::new(url, queue.clone());
    config.acknowledge_replicas = 1;
    Ok(bookingq_store::open(config)?)
}

/// A join that was acknowledged.
#[derive(Debug)]
pub(super) struct AcknowledgedJoin {
    client: ClientId,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// Callers that join until this is dropped. Each has a store of its own, and one for repeats, as a
/// client has that asks another worker after an error.
#[derive(Debug)]
pub(super) struct Joiners {
    joins: Arc<Mutex<Vec<AcknowledgedJoin>>>,
    _callers: Vec<AbortOnDropHandle<()>>,
}

impl Joiners {
    /// Starts so many callers. No two callers of a run may have the same prefix.
    pub(super) fn start(
        url: &str,
        queue: &QueueName,
        (prefix, callers): (&str, usize),
    ) -> Result<Self> {
        let joins = Arc::new(Mutex::new(Vec::new()));
        let number = Arc::new(AtomicU64::new(0));
        let start = |_| {
            let stores = [open(url.to_owned(), queue)?, open(url.to_owned(), queue)?];
            let next = join_all(stores, prefix.to_owned(), number.clone(), joins.clone());
            Ok(AbortOnDropHandle::new(tokio::spawn(next)))
        };
        let callers = (0..callers).map(start).collect::<Result<_>>()?;
        Ok(Self { joins, _callers: callers })
    }

    /// The joins since the last call.
    pub(super) fn take(&self) -> Vec<AcknowledgedJoin> {
        std::mem::take(&mut *self.joins.lock())
    }

    /// Waits for so many more joins.
    pub(super) async fn wait_for(&self, more: usize) -> Result<()> {
        let (start, before) = (Instant::now(), self.joins.lock().len());
        while self.joins.lock().len() < before + more {
            if start.elapsed() > LIMIT {
                bail!("joins do not go on within {LIMIT:?}");
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn join_all(
    [first, other]: [Arc<dyn Store>; 2],
    prefix: String,
    number: Arc<AtomicU64>,
    joins: Arc<Mutex<Vec<AcknowledgedJoin>>>,
) {
    loop {
        let name = format!("{prefix}-{}", number.fetch_add(1, Ordering::Relaxed));
        let (Ok(client), Ok(request)) = (ClientId::new(&name), RequestId::new(&name)) else {
            return;
        };
        let mut store = &first;
        loop {
            let (client, request) = (client.clone(), request.clone());
            let (booking, details) = (BookingId::generate(), Details::default());
            let join = Enqueue { client: client.clone(), request, booking, details, trace: None };
            let began = Instant::now();
            let answers = store.enqueue(vec![join]).await;
            let ended = Instant::now();
            sleep(PAUSE).await;
            // After an error the outcome is unknown, and nothing is promised.
            if answers.is_ok_and(|answers| answers.iter().all(Result::is_ok)) {
                joins.lock().push(AcknowledgedJoin { client, began, ended });
                break;
            }
            store = &other;
        }
    }
}

/// The number of these joins that the store does not know.
pub(super) async fn missing(store: &dyn Store, joins: &[AcknowledgedJoin]) -> Result<usize> {
    let mut missing = 0;
    for batch in joins.chunks(BATCH) {
        let clients: Vec<_> = batch.iter().map(|join| join.client.clone()).collect();
        let ask = || store.status(clients.clone());
        let found = Retry::within(BACKOFF, ANSWER).run(StoreError::is_transient, ask).await?;
        missing += found.iter().filter(|booking| booking.is_none()).count();
    }
    Ok(missing)
}

/// The longest time between two joins of which the second ended after this moment.
pub(super) fn longest_pause(joins: &[AcknowledgedJoin], since: Instant) -> Duration {
    let pairs = joins.windows(2).filter(|pair| pair[1].ended > since);
    pairs.map(|pair| pair[1].ended - pair[0].ended).max().unwrap_or_default()
}
