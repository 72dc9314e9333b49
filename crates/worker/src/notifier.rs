//! Publishes booking updates to the Realtime Service: at least once, in order for each client, by
//! one worker of the queue at a time.
//!
//! The worker that holds the notifier lease reads the outbox from the stored cursor, publishes a
//! batch, and advances the cursor only after the acknowledgement. When it dies in between, the next
//! one repeats the batch; the sequence of each update lets the Realtime Service drop repeats.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::eta::{Eta, EtaRange};
use bookingq_core::retry::Retry;
use bookingq_core::{Event, EventSeq, ItemEvent, ItemState, OutboxEvent, QueueName};
use bookingq_follow::FollowedQueue;
use bookingq_follow::items::{ClosedItems, apply_change, changes_item, most_awaited};
use bookingq_proto::convert::{duration, timestamp};
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use bookingq_store::{Store, StoreError};
use tokio::time::Instant;
use tonic::{Request, Status};
use tracing::{debug, info, warn};

use crate::config::Downstream;
use crate::downstream::channel::{DownstreamError, ServiceChannels};
use crate::metrics::WorkerMetrics;

/// Events in one batch; updates and items in one message of it.
const BATCH: usize = 2048;
const MESSAGE: usize = 512;
const ITEMS: usize = 128;
/// Boundaries in a queue tick.
const BOUNDARIES: u64 = 128;
/// Expected waits in a queue tick.
const ETAS: usize = 32;
/// Time between queue ticks.
const TICK: Duration = Duration::from_secs(1);
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
    pub fn new(
        owner: String,
        store: Arc<dyn Store>,
        queue: Arc<FollowedQueue>,
        config: &Downstream,
        metrics: Arc<WorkerMetrics>,
    ) -> Result<Self, DownstreamError> {
        let channels = ServiceChannels::new("Realtime Service", config)?;
        Ok(Self { owner, store, queue, channels, metrics })
    }

    /// Publishes whenever this worker gets the lease, until dropped.
    pub async fn run(self) {
        let mut retry = Retry::forever(BACKOFF);
        loop {
            match self.hold_lease(&mut retry).await {
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
    async fn hold_lease(&self, retry: &mut Retry) -> Result<(), NotifyError> {
        let Some(lease) = self.store.notifier(&self.owner, LEASE, None).await? else {
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
            let tick = ticked.is_none_or(|at: Instant| at.elapsed() >= TICK).then(|| self.tick());
            if tick.is_some() {
                ticked = Some(Instant::now());
            }
            self.publish(&read.events, tick).await?;
            done = read.next;
            retry.reset();
            if self.store.notifier(&self.owner, LEASE, Some(done)).await?.is_none() {
                info!("another worker publishes booking updates now");
                return Ok(());
            }
        }
    }

    async fn publish(
        &self,
        events: &[OutboxEvent],
        tick: Option<v1::QueueTick>,
    ) -> Result<(), NotifyError> {
        if events.is_empty() && tick.is_none() {
            return Ok(());
        }
        let messages = messages(self.store.queue(), events, &self.queue.items.closed(), tick);
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

    fn tick(&self) -> v1::QueueTick {
        let line = self.queue.line.summary(BOUNDARIES);
        let closed = self.queue.items.closed().values().cloned().collect();
        let points = self.queue.line.eta_points(ETAS);
        let eta_unknown = match self.queue.line.eta(1) {
            Eta::Range(_) => v1::EtaUnknown::Unspecified,
            Eta::Unknown(reason) => reason.into(),
        };
        let boundary = |(place, position): (bookingq_core::Place, u64)| v1::Boundary {
            queue_number: place.number.get(),
            position,
        };
        v1::QueueTick {
            at: Some(timestamp(line.at)),
            now_serving: line.boundaries.first().map_or(0, |(place, _)| place.number.get()),
            backlog: line.backlog,
            rate: line.rate,
            boundaries: line.boundaries.into_iter().map(boundary).collect(),
            items: most_awaited(closed, ITEMS).iter().map(Into::into).collect(),
            etas: points.into_iter().map(eta_point).collect(),
            eta_unknown: eta_unknown.into(),
            opens_at: self.queue.line.opens_at().map(timestamp),
            ..v1::QueueTick::default()
        }
    }
}

fn eta_point((position, range): (u64, EtaRange)) -> v1::EtaPoint {
    v1::EtaPoint { position, eta: Some(duration(range.expected)), range: Some(range.into()) }
}

fn messages(
    queue: &QueueName,
    events: &[OutboxEvent],
    closed: &ClosedItems,
    mut tick: Option<v1::QueueTick>,
) -> Vec<v1::PublishRequest> {
    let message = |updates, tick| v1::PublishRequest {
        queue: queue.to_string(),
        updates,
        tick,
        ..v1::PublishRequest::default()
    };
    let changes: Vec<&Event> = events
        .iter()
        .filter_map(OutboxEvent::booking)
        .filter(|event| !event.is_reclaim())
        .collect();
    let mut messages: Vec<_> = changes
        .chunks(MESSAGE)
        .map(|chunk| message(chunk.iter().map(|event| update(event)).collect(), tick.take()))
        .collect();
    if let Some(tick) = tick {
        messages.push(message(Vec::new(), Some(tick)));
    }
    for items in changed_items(events, closed).chunks(ITEMS) {
        messages.push(v1::PublishRequest {
            items: items.iter().map(Into::into).collect(),
            ..message(Vec::new(), None)
        });
    }
    messages
}

/// Each item that has closed, opened or ended, as it was after its last change; `closed` is what
/// this process knows of the items.
fn changed_items(events: &[OutboxEvent], closed: &ClosedItems) -> Vec<ItemState> {
    let changes = events.iter().filter_map(|event| match event {
        OutboxEvent::Item(event) if changes_item(event) => Some(event),
        _ => None,
    });
    let changes: Vec<&ItemEvent> = changes.collect();
    if changes.is_empty() {
        return Vec::new();
    }
    let mut items = closed.clone();
    for event in &changes {
        apply_change(&mut items, event);
    }
    let names: BTreeSet<&Arc<str>> = changes.iter().map(|event| &event.item).collect();
    let state = |item: &&Arc<str>| items.get(*item).cloned();
    names
        .iter()
        .map(|item| state(item).unwrap_or_else(|| ItemState::open((*item).clone())))
        .collect()
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
        parked: event.parked.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use bookingq_core::{ItemChange, Quantity, Timestamp};

    use super::*;

    fn change(item: &str, change: ItemChange) -> OutboxEvent {
        let (seq, at, item) = (EventSeq::START, Timestamp(1), Arc::from(item));
        OutboxEvent::Item(ItemEvent { seq, at, item, change })
    }

    #[test]
    fn each_item_of_a_batch_is_published_once_as_it_was_after_its_last_change() {
        let sold_out = ItemChange::SoldOut { quantity: Quantity::ONE };
        let parked = ItemChange::Parked { quantity: Quantity::ONE, places: Vec::new() };
        let events = [
            change("stalls", sold_out.clone()),
            change("balcony", sold_out.clone()),
            change("boxes", parked),
            change("stalls", ItemChange::Open),
            change("balcony", ItemChange::Ended),
        ];
        let known = ItemState { unsettled: 7, ..ItemState::open(Arc::from("balcony")) };
        let closed = ClosedItems::from([(Arc::from("balcony"), known)]);
        let queue = QueueName::new("concert").expect("a valid name");
        let messages = messages(&queue, &events, &closed, Some(v1::QueueTick::default()));
        assert_eq!(messages.len(), 2, "a tick, and the items");
        let items = messages[1].items.iter().map(|item| {
            (item.item.as_str(), item.availability(), item.sold_out_from, item.unsettled)
        });
        let expected = [
            ("balcony", v1::ItemAvailability::SoldOut, 1, 7),
            ("stalls", v1::ItemAvailability::Open, 0, 0),
        ];
        assert_eq!(items.collect::<Vec<_>>(), expected);
    }
}
