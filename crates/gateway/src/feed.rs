//! One queue as its connections see it, and the one place where what workers send is applied.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{QueueName, Timestamp};
use bookingq_proto::v1;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::fanout::Fanout;
use crate::frames;
use crate::hub::PlaceHub;
use crate::metrics::ResyncCause;
use crate::snapshots::Snapshots;
use crate::subscriber::BookingNews;
use crate::view::GatewayView;
use crate::workers::QueueWorkers;

/// How long a stream counts as followed after its last message, in ms.
const FOLLOWED: u64 = 5000;

/// One queue.
pub struct PlaceFeed {
    /// Its name.
    pub queue: QueueName,
    /// The line.
    pub view: Arc<GatewayView>,
    /// Reads bookings.
    pub snapshots: Snapshots,
    pub(crate) hub: Arc<PlaceHub>,
    pub(crate) fanout: Arc<Fanout>,
    /// Serializes what arrives.
    order: Mutex<FeedArrivals>,
    /// Whether a message has arrived.
    begun: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct FeedArrivals {
    /// When FollowQueue last sent something, by the wheel's clock.
    followed: u64,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageSource {
    /// This gateway's own FollowQueue.
    Follow,
    /// A worker's notifier.
    Publish,
}

impl PlaceFeed {
    /// A queue whose bookings are read from `workers`. Call it inside of the runtime.
    pub fn new(queue: QueueName, workers: QueueWorkers, fanout: Arc<Fanout>) -> Arc<Self> {
        let view = Arc::new(GatewayView::new(queue.clone()));
        let metrics = Arc::clone(&fanout.metrics);
        // From the start: a counter that appears with its first event shows no increase.
        metrics.epoch_changes(queue.as_str());
        Arc::new(Self {
            snapshots: Snapshots::start(queue.clone(), workers, Arc::clone(&view), metrics),
            view,
            hub: fanout.add_hub(),
            fanout,
            order: Mutex::default(),
            begun: watch::Sender::new(false),
            queue,
        })
    }

    /// The store's clock, estimated; the wall clock before the first tick.
    pub fn now(&self) -> Timestamp {
        self.view.store_now(self.fanout.now())
    }

    /// Waits until a worker has sent the line for the first time.
    pub async fn followed(&self) {
        let mut begun = self.begun.subscribe();
        // The sender lives as long as this feed.
        let _ = begun.wait_for(|begun| *begun).await;
    }

    /// Time since the last message of FollowQueue.
    pub(crate) fn followed_since(&self) -> Duration {
        let followed = self.order.lock().followed;
        Duration::from_millis(self.fanout.now().saturating_sub(followed))
    }

    /// Applies a message.
    pub(crate) fn apply(&self, source: MessageSource, message: v1::PublishRequest) {
        let mut order = self.order.lock();
        let now = self.fanout.now();
        if message.queue != self.queue.as_str() {
            warn!(queue = %self.queue, "a message for another queue arrived");
            return;
        }
        let (known, begun) = (self.view.current(), *self.begun.borrow());
        let through = message.through();
        let changed = !message.epoch.is_empty() && *known.epoch != *message.epoch;
        match source {
            MessageSource::Follow => order.followed = now,
            // A notifier may still publish what was before the loss.
            MessageSource::Publish if changed && begun && now < order.followed + FOLLOWED => return,
            MessageSource::Publish => {}
        }
        if changed {
            let first = known.epoch.is_empty();
            self.view.begin_epoch(&message.epoch);
            if !first {
                self.fanout.metrics.epoch_changed(self.queue.as_str());
                warn!(queue = %self.queue, "the data of the queue is other data than before");
            }
        }
        self.resync(begun, changed, message.gap);
        self.deliver(&message.updates, now);
        for item in &message.items {
            self.item(item);
        }
        if let Some(tick) = message.tick {
            for item in &tick.items {
                self.item(item);
            }
            self.view.set_tick(tick, now);
        }
        // After the updates were delivered: a snapshot that is asked for now has them.
        self.view.advance(through);
        self.begun.send_replace(true);
    }

    fn resync(&self, begun: bool, changed: bool, gap: bool) {
        let cause = match (begun, changed, gap) {
            (false, ..) => ResyncCause::Start,
            (true, true, _) => ResyncCause::Epoch,
            (true, false, true) => ResyncCause::Gap,
            (true, false, false) => return,
        };
        let count = self.hub.resync_all(cause);
        if count > 0 {
            info!(queue = %self.queue, cause = cause.as_str(), count, "reading all places again");
        }
    }

    fn deliver(&self, updates: &[v1::BookingUpdate], received: u64) {
        let through = self.view.through();
        self.fanout.metrics.updates(self.queue.as_str(), updates.len());
        for update in updates {
            let seq = update.sequence();
            if seq <= through {
                continue;
            }
            self.hub.deliver(&update.client_id, || {
                Some(BookingNews {
                    frame: frames::news(update)?,
                    seq,
                    number: update.queue_number,
                    state: update.state(),
                    parked: update.parked,
                    received,
                })
            });
            self.view.advance(seq);
        }
    }

    fn item(&self, item: &v1::ItemStatus) {
        if self.view.set_item(item) {
            self.hub.item_changed(&item.item, &frames::item(item));
        }
    }
}
