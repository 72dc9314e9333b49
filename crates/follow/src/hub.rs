//! The subscribers of this process: clients that watch a booking, and the updates they receive.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_core::{ClientId, Event, Place};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::LineView;

/// The table has shards, so that publishing positions to one does not block the others.
const SHARDS: usize = 16;
/// Updates that one subscriber may have pending. A slower one gets [`WatchUpdate::Refresh`].
const PENDING: usize = 8;
/// The shortest time between two positions sent to one subscriber, and the longest.
const POSITION_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// For each this many bookings ahead, a second more between two positions: far from the front, a
/// small step is no news.
const PLACES_PER_SECOND: u64 = 1000;

/// What a subscriber receives.
#[derive(Debug, Clone)]
pub enum WatchUpdate {
    /// The client's booking made a transition.
    Event(Arc<Event>),
    /// The booking moved up to this position.
    Position(u64),
    /// Updates were missed: read the booking from the store.
    Refresh,
}

/// One subscriber, as the hub knows it.
#[derive(Debug)]
struct Subscriber {
    id: usize,
    updates: mpsc::Sender<WatchUpdate>,
    /// The place whose position is sent; `None` while the booking is not in the line.
    place: SharedPlace,
    /// The last position sent, and when.
    sent: Option<(u64, Instant)>,
}

type SharedPlace = Arc<Mutex<Option<Place>>>;
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
        let place = SharedPlace::default();
        let subscriber = Subscriber { id, updates: sender, place: Arc::clone(&place), sent: None };
        self.shard(client).lock().entry(client.clone()).or_default().push(subscriber);
        self.open.fetch_add(1, Ordering::Relaxed);
        Subscription {
            hub: Arc::clone(self),
            client: client.clone(),
            id,
            updates,
            place,
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
        let Some(place) = *self.place.lock() else { return };
        let Some(position) = line.position(place) else { return };
        let due = self.sent.is_none_or(|(sent, at)| {
            let every = Duration::from_secs(position / PLACES_PER_SECOND);
            sent != position
                && now.duration_since(at) >= every.clamp(POSITION_EVERY.0 / 2, POSITION_EVERY.1)
        });
        if due && self.updates.try_send(WatchUpdate::Position(position)).is_ok() {
            self.sent = Some((position, now));
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
    place: SharedPlace,
    missed: bool,
}

impl Subscription {
    /// From now on, sends the position of this place; `None`: of none.
    pub fn follow_position(&self, place: Option<Place>) {
        *self.place.lock() = place;
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
