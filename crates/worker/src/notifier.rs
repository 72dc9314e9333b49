//! Tells the Realtime Service what happens: at least once, in order for each client, by one worker
//! of the queue at a time.
//!
//! Whoever holds the notifier lease reads the outbox from where the last one left off, publishes a
//! piece, waits for the answer that it is safe, and only then moves the mark. A worker that dies in
//! between makes the next one repeat the piece; the sequence in each update lets the Realtime
//! Service drop repeats.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Event, EventSeq, QueueName};
use bookingq_proto::convert::timestamp;
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use bookingq_store::{Store, StoreError};
use tokio::time::Instant;
use tonic::{Request, Status};
use tracing::{debug, info, warn};

use crate::config::Downstream;
use crate::downstream::channel::{Channels, DownstreamError};
use crate::follow::line_view::LineView;
use crate::metrics::Metrics;

/// Events in one piece, and updates in one message of it.
const PIECE: usize = 2048;
const MESSAGE: usize = 512;
/// Boundaries in a queue tick.
const BOUNDARIES: u64 = 128;
/// How often the line as a whole is told.
const TICK: Duration = Duration::from_secs(1);
/// How long the right to notify lasts without a sign of life.
const LEASE: Duration = Duration::from_secs(5);
/// Waits after a failure. No end: the outbox keeps what is not told.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

/// Publishes the outbox.
pub struct Notifier {
    owner: String,
    store: Arc<dyn Store>,
    line: Arc<LineView>,
    channels: Channels,
    metrics: Metrics,
}

/// What stopped a piece.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the Realtime Service: {0}")]
    Realtime(#[from] Status),
}

impl Notifier {
    /// Prepares it; `owner` is unique among the workers of a queue.
    ///
    /// # Errors
    /// When the endpoint or its TLS files can't be used.
    pub fn new(
        owner: String,
        store: Arc<dyn Store>,
        line: Arc<LineView>,
        config: &Downstream,
        metrics: Metrics,
    ) -> Result<Self, DownstreamError> {
        let channels = Channels::new("Realtime Service", config)?;
        Ok(Self { owner, store, line, channels, metrics })
    }

    /// Notifies whenever it is this worker's turn, until dropped.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            match self.turn(&mut failures).await {
                Ok(()) => tokio::time::sleep(LEASE / 2).await,
                Err(error) => {
                    failures += 1;
                    self.metrics.notifications.with_label_values(&["error"]).inc();
                    if failures == 1 {
                        warn!(%error, "can't notify; trying again until it works");
                    } else {
                        debug!(%error, failures, "can't notify");
                    }
                    tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
                }
            }
        }
    }

    /// Gives the right to notify back, so that the next worker need not wait for the lease to end.
    pub async fn give_up(owner: &str, store: &dyn Store) -> Result<(), StoreError> {
        store.notifier(owner, Duration::from_millis(1), None).await.map(|_| ())
    }

    /// Publishes for as long as the lease is ours; returns when somebody else has it.
    async fn turn(&self, failures: &mut u32) -> Result<(), Failure> {
        let Some(lease) = self.store.notifier(&self.owner, LEASE, None).await? else {
            return Ok(());
        };
        debug!(from = %lease.done, "notifying");
        let (mut done, mut ticked) = (lease.done, None);
        loop {
            let read = self.store.events(done, PIECE, TICK).await?;
            if read.gap {
                warn!(from = %done, to = %read.next, "outbox entries are gone that were never told");
                self.metrics.outbox_gaps.inc();
            }
            let tick = ticked.is_none_or(|at: Instant| at.elapsed() >= TICK).then(|| self.tick());
            if tick.is_some() {
                ticked = Some(Instant::now());
            }
            self.publish(&read.events, tick).await?;
            done = read.next;
            *failures = 0;
            if self.store.notifier(&self.owner, LEASE, Some(done)).await?.is_none() {
                info!("somebody else notifies now");
                return Ok(());
            }
        }
    }

    async fn publish(&self, events: &[Event], tick: Option<v1::QueueTick>) -> Result<(), Failure> {
        if events.is_empty() && tick.is_none() {
            return Ok(());
        }
        let messages = messages(self.store.queue(), events, tick);
        let mut request = Request::new(tokio_stream::iter(messages));
        request.set_timeout(self.channels.timeout());
        let mut client = RealtimeServiceClient::new(self.channels.pick());
        let answer = tokio::time::timeout(self.channels.timeout(), client.publish(request)).await;
        answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        self.metrics.notifications.with_label_values(&["told"]).inc_by(events.len() as u64);
        let now = self.line.tick(0).at;
        for event in events {
            self.metrics.notification_lag.observe(now.since(event.at).as_secs_f64());
        }
        Ok(())
    }

    fn tick(&self) -> v1::QueueTick {
        let tick = self.line.tick(BOUNDARIES);
        v1::QueueTick {
            at: Some(timestamp(tick.at)),
            now_serving: tick.boundaries.first().map_or(0, |(place, _)| place.number.get()),
            backlog: tick.backlog,
            rate: tick.rate,
            boundaries: tick
                .boundaries
                .into_iter()
                .map(|(place, position)| v1::Boundary {
                    queue_number: place.number.get(),
                    position,
                })
                .collect(),
        }
    }
}

fn messages(
    queue: &QueueName,
    events: &[Event],
    mut tick: Option<v1::QueueTick>,
) -> Vec<v1::PublishRequest> {
    let message = |updates, tick| v1::PublishRequest { queue: queue.to_string(), updates, tick };
    let news: Vec<&Event> = events.iter().filter(|event| !event.is_reclaim()).collect();
    let mut messages: Vec<_> = news
        .chunks(MESSAGE)
        .map(|chunk| message(chunk.iter().map(|event| update(event)).collect(), tick.take()))
        .collect();
    if let Some(tick) = tick {
        messages.push(message(Vec::new(), Some(tick)));
    }
    messages
}

fn update(event: &Event) -> v1::BookingUpdate {
    let EventSeq { ms, number } = event.seq;
    v1::BookingUpdate {
        sequence_ms: ms,
        sequence_number: number,
        client_id: event.client.to_string(),
        booking_id: event.booking.to_string(),
        queue_number: event.place.number.get(),
        state: v1::BookingState::from(event.to).into(),
        deadline: event.deadline.map(timestamp),
        reason: event.reason.clone(),
    }
}
