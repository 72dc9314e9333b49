//! Publishes booking updates to the Realtime Service: at least once, in order for each client, by
//! one worker of the queue at a time.
//!
//! The worker that holds the notifier lease reads the outbox from the stored cursor, publishes a
//! batch, and advances the cursor only after the acknowledgement. When it dies in between, the next
//! one repeats the batch; the sequence of each update lets the Realtime Service drop repeats.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{EventSeq, OutboxEvent};
use bookingq_follow::FollowedQueue;
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use bookingq_store::{Events, NotifierLease, Store, StoreError};
use tokio::time::Instant;
use tonic::{Request, Status};
use tracing::{debug, info, warn};

use crate::config::Downstream;
use crate::downstream::channel::{DownstreamError, ServiceChannels};
use crate::metrics::WorkerMetrics;
use crate::notifier_hold::NotifierHold;
use crate::publication::{self, Publisher, TICK};
use crate::runtime::Runtime;
use crate::store_readings::StoreReadings;

/// Events in one batch.
const BATCH: usize = 2048;
/// Length of the notifier lease.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// Waits after a failure. No limit: the outbox keeps what is not published.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

/// Publishes the outbox.
pub struct RealtimeNotifier {
    owner: String,
    store: Arc<dyn Store>,
    queue: Arc<FollowedQueue>,
    readings: Arc<StoreReadings>,
    hold: Arc<NotifierHold>,
    channels: ServiceChannels,
    metrics: Arc<WorkerMetrics>,
}

/// Why a batch was not published.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the Realtime Service: {0}")]
    Realtime(#[from] Status),
}

impl RealtimeNotifier {
    /// A notifier that has not started; `owner` is unique among the workers of a queue.
    ///
    /// # Errors
    /// When the endpoint or its TLS files cannot be used.
    pub(crate) fn new(
        owner: String,
        runtime: &Runtime,
        config: &Downstream,
    ) -> Result<Self, DownstreamError> {
        Ok(Self {
            owner,
            store: Arc::clone(&runtime.store),
            queue: Arc::clone(&runtime.queue),
            readings: Arc::clone(&runtime.readings),
            hold: Arc::clone(&runtime.notifier),
            channels: ServiceChannels::new("Realtime Service", config)?,
            metrics: Arc::clone(&runtime.metrics),
        })
    }

    /// Publishes whenever this worker gets the lease, until dropped.
    pub async fn run(self) {
        let mut retry = Retry::forever(BACKOFF);
        let mut published = None;
        loop {
            match self.hold_lease(&mut published, &mut retry).await {
                Ok(()) => tokio::time::sleep(LEASE / 2).await,
                Err(error) => {
                    self.metrics.store.notifications.with_label_values(&["error"]).inc();
                    if retry.failures() == 0 {
                        warn!(%error, "cannot publish booking updates; retrying");
                    } else {
                        debug!(%error, failures = retry.failures(), "cannot publish booking updates");
                    }
                    retry.wait().await;
                }
            }
        }
    }

    /// Gives the lease back, so that the next worker need not wait for its end.
    pub async fn give_up(owner: &str, store: &dyn Store) -> Result<(), StoreError> {
        store.notifier(owner, Duration::from_millis(1), None).await.map(|_| ())
    }

    /// Publishes for as long as this worker has the lease; returns when another one has it.
    /// `published` is the epoch of what it has published last.
    async fn hold_lease(
        &self,
        published: &mut Option<Arc<str>>,
        retry: &mut Retry,
    ) -> Result<(), NotifyError> {
        if self.readings.known(LEASE).await.is_none() {
            return Ok(());
        }
        let Some(lease) = self.renewed(None).await? else {
            return Ok(());
        };
        debug!(from = %lease.done, "publishing booking updates");
        let (mut done, mut ticked) = (lease.done, None);
        loop {
            let read = self.store.events(done, BATCH, TICK).await?;
            if read.gap {
                warn!(from = %done, to = %read.next, "outbox entries were trimmed before they were published");
                self.metrics.store.outbox_gaps.inc();
            }
            let Some(reading) = self.readings.newest() else { return Ok(()) };
            let is_new = published.as_ref().is_some_and(|epoch| *epoch != reading.epoch);
            let gap = read.gap || is_new;
            let is_due = gap || ticked.is_none_or(|at: Instant| at.elapsed() >= TICK);
            let tick = is_due.then(|| publication::tick(&self.queue, &reading));
            if tick.is_some() {
                ticked = Some(Instant::now());
            }
            let messages = self.messages(done, &read, tick, gap, &reading.epoch);
            self.publish(&read.events, messages).await?;
            *published = Some(reading.epoch);
            done = read.next;
            retry.reset();
            if self.renewed(Some(done)).await?.is_none() {
                info!("another worker publishes booking updates now");
                return Ok(());
            }
        }
    }

    /// Acquires or renews the lease.
    async fn renewed(&self, done: Option<EventSeq>) -> Result<Option<NotifierLease>, StoreError> {
        let sent = Instant::now();
        let lease = self.store.notifier(&self.owner, LEASE, done).await?;
        self.hold.answered(sent, lease.is_some());
        Ok(lease)
    }

    /// The messages for what was read after `done`. The first one has the tick, and says whether
    /// there is a gap before it.
    fn messages(
        &self,
        done: EventSeq,
        read: &Events,
        tick: Option<v1::QueueTick>,
        gap: bool,
        epoch: &Arc<str>,
    ) -> Vec<v1::PublishRequest> {
        let publisher = Publisher { queue: self.store.queue().clone(), epoch: Arc::clone(epoch) };
        let closed = self.queue.items.closed();
        let mut messages = publisher.messages(done, &read.events, &closed);
        if messages.is_empty() && tick.is_some() {
            messages.push(publisher.message(read.next));
        }
        if let Some(first) = messages.first_mut() {
            (first.tick, first.gap) = (tick, gap);
        }
        messages
    }

    async fn publish(
        &self,
        events: &[OutboxEvent],
        messages: Vec<v1::PublishRequest>,
    ) -> Result<(), NotifyError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut request = Request::new(tokio_stream::iter(messages));
        request.set_timeout(self.channels.timeout());
        let mut client = RealtimeServiceClient::new(self.channels.pick());
        let answer = tokio::time::timeout(self.channels.timeout(), client.publish(request)).await;
        answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let metrics = &self.metrics.store;
        metrics.notifications.with_label_values(&["published"]).inc_by(events.len() as u64);
        let now = self.queue.line.now();
        for event in events {
            metrics.notification_lag.observe(now.since(event.at()).as_secs_f64());
        }
        Ok(())
    }
}
