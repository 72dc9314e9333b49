//! Reads the bookings of clients that connect: many at once in one GetStatusBatch.
//!
//! Batches form without a timer: while calls are in flight, the next batch collects. At most
//! four calls are, so that 100,000 clients that come back at once are a line of large
//! batches and no flood.

use std::sync::Arc;
use std::time::Duration;

use bookingq_client::WorkerCallError;
use bookingq_core::{ClientId, EventSeq, QueueName, Timestamp};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tonic::Status;

use crate::metrics::GatewayMetrics;
use crate::view::GatewayView;
use crate::workers::QueueWorkers;

/// Calls at once, and clients in one.
const IN_FLIGHT: usize = 4;
const BATCH: usize = 1000;
/// Clients that wait for a batch; further ones wait to be let in.
const WAITING: usize = 8192;
/// Limit of one reading, with all waiting.
const LIMIT: Duration = Duration::from_secs(8);

/// The newest booking of a client.
#[derive(Debug, Clone)]
pub struct PlaceSnapshot {
    /// The booking; `None` if the client has none.
    pub booking: Option<Box<v1::Booking>>,
    /// Identifies the data that was read.
    pub epoch: Arc<str>,
    /// The store's clock at the reading.
    pub now: Timestamp,
    /// All updates up to this sequence are part of it. Later ones may be.
    pub after: EventSeq,
    /// The generation of the view when it was asked for.
    pub(crate) generation: u32,
    /// The newest change of an item when it was asked for. Later ones may be part of it; a worker
    /// that is behind may lack this one.
    pub(crate) item_changes: u64,
}

/// Why no snapshot could be read. Shared by the clients of a batch.
pub type SnapshotError = Arc<WorkerCallError>;

type SnapshotReading = Result<PlaceSnapshot, SnapshotError>;

struct Asked {
    client: ClientId,
    answer: oneshot::Sender<SnapshotReading>,
}

/// Reads bookings.
#[derive(Debug, Clone)]
pub struct Snapshots {
    asked: mpsc::Sender<Asked>,
}

impl Snapshots {
    pub(crate) fn start(
        queue: QueueName,
        workers: QueueWorkers,
        view: Arc<GatewayView>,
        metrics: Arc<GatewayMetrics>,
    ) -> Self {
        let (asked, receiver) = mpsc::channel(WAITING);
        let reader = Arc::new(SnapshotReader { queue, workers, view, metrics });
        tokio::spawn(collect(reader, receiver));
        Self { asked }
    }

    /// Reads the newest booking of a client.
    ///
    /// # Errors
    /// When no worker answers in time, or the request is refused.
    pub async fn get(&self, client: ClientId) -> SnapshotReading {
        let late = |_| no_answer("the booking could not be read in time");
        let reading = async {
            let (answer, reading) = oneshot::channel();
            let sent = self.asked.send(Asked { client, answer }).await;
            sent.map_err(|_| Arc::new(WorkerCallError::Stopped))?;
            reading.await.unwrap_or_else(|_| Err(Arc::new(WorkerCallError::Stopped)))
        };
        timeout(LIMIT, reading).await.map_err(late)?
    }
}

fn no_answer(what: &str) -> SnapshotError {
    Arc::new(WorkerCallError::NoAnswer(Status::unavailable(what)))
}

struct SnapshotReader {
    queue: QueueName,
    workers: QueueWorkers,
    view: Arc<GatewayView>,
    metrics: Arc<GatewayMetrics>,
}

/// Forms batches until all senders are gone.
async fn collect(reader: Arc<SnapshotReader>, mut receiver: mpsc::Receiver<Asked>) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let mut batch = Vec::new();
        if receiver.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let reader = Arc::clone(&reader);
        tokio::spawn(async move {
            reader.read(batch).await;
            drop(permit);
        });
    }
}

impl SnapshotReader {
    async fn read(&self, mut batch: Vec<Asked>) {
        batch.retain(|asked| !asked.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        self.metrics.snapshot_batch.observe(batch.len() as f64);
        // Before the call: what has arrived by now is part of what it reads.
        let (after, generation) = (self.view.through(), self.view.current().generation);
        let item_changes = self.view.item_changes();
        let request = v1::GetStatusBatchRequest {
            queue: self.queue.to_string(),
            client_ids: batch.iter().map(|asked| asked.client.to_string()).collect(),
        };
        let answer = self.workers.client().call(request).await;
        let (outcome, results) = match answer {
            Ok(response) if response.results.len() == batch.len() => ("ok", Ok(response)),
            Ok(_) => ("error", Err(no_answer("the answer has another number of results"))),
            Err(error) => ("error", Err(Arc::new(error))),
        };
        self.metrics.snapshots(outcome, batch.len());
        match results {
            Err(error) => {
                for asked in batch {
                    let _ = asked.answer.send(Err(Arc::clone(&error)));
                }
            }
            Ok(response) => {
                let epoch = Arc::from(response.epoch);
                let now = response.now.as_ref().map(from_timestamp).unwrap_or_default();
                for (asked, result) in batch.into_iter().zip(response.results) {
                    let booking = result.booking.map(Box::new);
                    let epoch = Arc::clone(&epoch);
                    let snapshot =
                        PlaceSnapshot { booking, epoch, now, after, generation, item_changes };
                    // The connection may be gone.
                    let _ = asked.answer.send(Ok(snapshot));
                }
            }
        }
    }
}
