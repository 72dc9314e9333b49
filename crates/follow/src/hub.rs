//! The subscribers of this process: clients that watch a booking, and the updates they receive.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_core::{ClientId, Event, ItemState, Place, Quantity};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{ClosedItems, LineView, Standing};

/// The table has shards, so that publishing positions to one does not block the others.
const SHARDS: usize = 16;
/// Updates that one subscriber may have pending. A slower one gets [`WatchUpdate::Refresh`].
const PENDING: usize = 8;
/// The shortest time between two positions sent to one subscriber, and the longest.
const POSITION_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// For each this many bookings ahead, a second more between two positions: far from the front, a
/// small step is no news.
const PLACES_PER_SECOND: u64 = 1000;
/// The shortest time between two updates because more or fewer reservations of an item may come
/// back. A change of less than a tenth is no news.
const UNSETTLED_EVERY: Duration = Duration::from_secs(2);

/// What a subscriber receives.
#[derive(Debug, Clone)]
pub enum WatchUpdate {
    /// The client's booking made a transition.
    Event(Arc<Event>),
    /// The booking moved to this position, or was parked.
    Position(Standing),
    /// The item closed, opened or ended, or more or fewer of it may come back.
    Item,
    /// Updates were missed: read the booking from the store.
    Refresh,
}

/// One subscriber, as the hub knows it.
#[derive(Debug)]
struct Subscriber {
    id: usize,
    updates: mpsc::Sender<WatchUpdate>,
    /// The booking whose position and item are followed; `None` while it does not wait.
    watched: SharedBooking,
    /// The last position sent, and when.
    sent: Option<(Standing, Instant)>,
}

/// A booking that waits, as its subscriber was shown it.
#[derive(Debug, Clone)]
pub struct WatchedBooking {
    /// Its place in the order.
    pub place: Place,
    /// What it wants.
    pub item: Arc<str>,
    /// How many of it.
    pub quantity: Quantity,
    /// The item as it was shown; `None`: open for this quantity.
    pub shown: Option<ItemState>,
    /// When that was.
    pub since: Instant,
}

impl WatchedBooking {
    /// Whether the subscriber should be shown the item as it is `now`.
    fn is_news(&self, item: Option<&ItemState>, now: Instant) -> bool {
        match (&self.shown, item) {
            (None, None) => false,
            (Some(shown), Some(item)) if shown.ended == item.ended => {
                let change = shown.unsettled.abs_diff(item.unsettled);
                change * 10 > shown.unsettled && now.duration_since(self.since) >= UNSETTLED_EVERY
            }
            _ => true,
        }
    }
}

type SharedBooking = Arc<Mutex<Option<WatchedBooking>>>;
type Shard = HashMap<ClientId, Vec<Subscriber>>;

/// The table of subscribers.
#[derive(Debug, Default)]
pub struct Hub {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    next: AtomicUsize,
    open: AtomicUsize,
}

impl Hub {
    /// Number of subscribers.
    pub fn len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether there is no subscriber.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Subscribes to a client's bookings until the subscription is dropped.
    pub fn subscribe(self: &Arc<Self>, client: &ClientId) -> Subscription {
        let (sender, updates) = mpsc::channel(PENDING);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let watched = SharedBooking::default();
        let subscriber =
            Subscriber { id, updates: sender, watched: Arc::clone(&watched), sent: None };
        self.shard(client).lock().entry(client.clone()).or_default().push(subscriber);
        self.open.fetch_add(1, Ordering::Relaxed);
        Subscription {
            hub: Arc::clone(self),
            client: client.clone(),
            id,
            updates,
            watched,
            missed: false,
        }
    }

    /// Sends an event to the subscribers of its client.
    pub(crate) fn deliver(&self, event: Event) {
        let mut shard = self.shard(&event.client).lock();
        let Some(subscribers) = shard.get_mut(&event.client) else { return };
        let event = Arc::new(event);
        for subscriber in subscribers {
            subscriber.send(WatchUpdate::Event(Arc::clone(&event)));
        }
    }

    /// Makes every subscriber read its booking again.
    pub(crate) fn refresh_all(&self) {
        for shard in &self.shards {
            for subscriber in shard.lock().values_mut().flatten() {
                subscriber.send(WatchUpdate::Refresh);
            }
        }
    }

    /// Sends what is news of the closed items to the subscribers that want one of them.
    pub(crate) fn publish_items(&self, closed: &ClosedItems) {
        let now = Instant::now();
        for shard in &self.shards {
            for subscriber in shard.lock().values_mut().flatten() {
                subscriber.send_item(closed, now);
            }
        }
    }

    /// Sends positions, shard by shard, to each shard once a second. Ends when dropped.
    pub(crate) async fn publish_positions(&self, line: &LineView) {
        let mut ticks = tokio::time::interval(POSITION_EVERY.0 / SHARDS as u32);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for shard in self.shards.iter().cycle() {
            let now = ticks.tick().await;
            for subscriber in shard.lock().values_mut().flatten() {
                subscriber.send_position(line, now);
            }
        }
    }

    fn shard(&self, client: &ClientId) -> &Mutex<Shard> {
        &self.shards[(self.hasher.hash_one(client) % SHARDS as u64) as usize]
    }
}

impl Subscriber {
    fn send(&mut self, update: WatchUpdate) {
        // The reader notices a full channel: it empties it, then refreshes.
        let _ = self.updates.try_send(update);
    }

    fn send_position(&mut self, line: &LineView, now: Instant) {
        let Some(place) = self.watched.lock().as_ref().map(|watched| watched.place) else { return };
        let Some(standing) = line.standing(place) else { return };
        let due = self.sent.is_none_or(|(sent, at)| {
            let every = Duration::from_secs(standing.position() / PLACES_PER_SECOND);
            let every = every.clamp(POSITION_EVERY.0 / 2, POSITION_EVERY.1);
            let parked = standing.is_parked() != sent.is_parked();
            parked || (sent != standing && now.duration_since(at) >= every)
        });
        if due && self.updates.try_send(WatchUpdate::Position(standing)).is_ok() {
            self.sent = Some((standing, now));
        }
    }

    fn send_item(&self, closed: &ClosedItems, now: Instant) {
        let mut watched = self.watched.lock();
        let Some(watched) = watched.as_mut() else { return };
        let item = closed.get(&watched.item).filter(|item| item.refuses(watched.quantity));
        if watched.is_news(item, now) && self.updates.try_send(WatchUpdate::Item).is_ok() {
            (watched.shown, watched.since) = (item.cloned(), now);
        }
    }
}

/// A subscriber's end.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    client: ClientId,
    id: usize,
    updates: mpsc::Receiver<WatchUpdate>,
    watched: SharedBooking,
    missed: bool,
}

impl Subscription {
    /// From now on, sends the position and the item of this booking; `None`: of none.
    pub fn follow(&self, booking: Option<WatchedBooking>) {
        *self.watched.lock() = booking;
    }

    /// Whether no update is pending.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && !self.missed
    }

    /// The next update. After a full channel, a [`WatchUpdate::Refresh`] follows its content and
    /// makes up for what did not fit.
    pub async fn next(&mut self) -> Option<WatchUpdate> {
        if self.updates.len() == PENDING {
            self.missed = true;
        }
        if self.missed && self.updates.is_empty() {
            self.missed = false;
            return Some(WatchUpdate::Refresh);
        }
        self.updates.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shard = self.hub.shard(&self.client).lock();
        if let Some(subscribers) = shard.get_mut(&self.client) {
            subscribers.retain(|subscriber| subscriber.id != self.id);
            if subscribers.is_empty() {
                shard.remove(&self.client);
            }
        }
        self.hub.open.fetch_sub(1, Ordering::Relaxed);
    }
}
