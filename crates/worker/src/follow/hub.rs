//! Those who watch a booking on this worker, and how they are told.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_core::{ClientId, Event, Place};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::line_view::LineView;

/// The table is in pieces, so that telling positions to one piece does not hold up the others.
const SHARDS: usize = 16;
/// News that may wait for one watcher. A slower one is told to look for itself.
const PENDING: usize = 8;
/// The shortest time between two positions told to one watcher, and the longest.
const POSITION_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Of this many waiting ahead, each adds a second to the time between two positions: far from the
/// front, moving up by a few places is no news.
const PLACES_PER_SECOND: u64 = 1000;

/// What a watcher is told.
#[derive(Debug, Clone)]
pub enum News {
    /// Its client's booking made a transition.
    Event(Arc<Event>),
    /// It moved up.
    Position(u64),
    /// Something was missed: look into the store.
    Refresh,
}

/// One watcher, as the hub knows it.
#[derive(Debug)]
struct Watcher {
    id: usize,
    news: mpsc::Sender<News>,
    /// The place whose position is told; `None` while the booking is not in the line.
    place: SharedPlace,
    told: Option<(u64, Instant)>,
}

type SharedPlace = Arc<Mutex<Option<Place>>>;
type Shard = HashMap<ClientId, Vec<Watcher>>;

/// The table of watchers.
#[derive(Debug)]
pub struct Hub {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    next: AtomicUsize,
    open: AtomicUsize,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }
    }
}

impl Hub {
    /// Nobody watches.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// How many watch.
    pub fn len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts to watch a client's bookings; ends when the subscription is dropped.
    pub fn subscribe(self: &Arc<Self>, client: &ClientId) -> Subscription {
        let (sender, news) = mpsc::channel(PENDING);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let place = SharedPlace::default();
        let watcher = Watcher { id, news: sender, place: Arc::clone(&place), told: None };
        self.shard(client).lock().entry(client.clone()).or_default().push(watcher);
        self.open.fetch_add(1, Ordering::Relaxed);
        Subscription {
            hub: Arc::clone(self),
            client: client.clone(),
            id,
            news,
            place,
            missed: false,
        }
    }

    /// Tells the watchers of the event's client.
    pub fn deliver(&self, event: Event) {
        let mut shard = self.shard(&event.client).lock();
        let Some(watchers) = shard.get_mut(&event.client) else { return };
        let event = Arc::new(event);
        for watcher in watchers {
            watcher.tell(News::Event(Arc::clone(&event)));
        }
    }

    /// Tells everybody to look for themselves.
    pub fn refresh_all(&self) {
        for shard in &self.shards {
            for watcher in shard.lock().values_mut().flatten() {
                watcher.tell(News::Refresh);
            }
        }
    }

    /// Tells positions, one piece of the table after the other, each piece once a second. Ends when
    /// dropped.
    pub async fn tell_positions(self: Arc<Self>, line: Arc<LineView>) {
        let mut ticks = tokio::time::interval(POSITION_EVERY.0 / SHARDS as u32);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        for shard in self.shards.iter().cycle() {
            let now = ticks.tick().await;
            for watcher in shard.lock().values_mut().flatten() {
                watcher.tell_position(&line, now);
            }
        }
    }

    fn shard(&self, client: &ClientId) -> &Mutex<Shard> {
        &self.shards[(self.hasher.hash_one(client) % SHARDS as u64) as usize]
    }
}

impl Watcher {
    fn tell(&mut self, news: News) {
        // A full channel is noticed by the reader: it empties it, finds it was full, and looks into
        // the store.
        let _ = self.news.try_send(news);
    }

    fn tell_position(&mut self, line: &LineView, now: Instant) {
        let Some(place) = *self.place.lock() else { return };
        let Some(position) = line.position(place) else { return };
        let due = self.told.is_none_or(|(told, at)| {
            let every = Duration::from_secs(position / PLACES_PER_SECOND);
            told != position
                && now.duration_since(at) >= every.clamp(POSITION_EVERY.0 / 2, POSITION_EVERY.1)
        });
        if due && self.news.try_send(News::Position(position)).is_ok() {
            self.told = Some((position, now));
        }
    }
}

/// One watcher's end.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    client: ClientId,
    id: usize,
    news: mpsc::Receiver<News>,
    place: SharedPlace,
    missed: bool,
}

impl Subscription {
    /// From now on, tell the position of this place; `None`: of none.
    pub fn follow_position(&self, place: Option<Place>) {
        *self.place.lock() = place;
    }

    /// The next news. When the channel was found full, what did not fit is made up for by a
    /// [`News::Refresh`] at its end.
    pub async fn next(&mut self) -> Option<News> {
        if self.news.len() == PENDING {
            self.missed = true;
        }
        if self.missed && self.news.is_empty() {
            self.missed = false;
            return Some(News::Refresh);
        }
        self.news.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shard = self.hub.shard(&self.client).lock();
        if let Some(watchers) = shard.get_mut(&self.client) {
            watchers.retain(|watcher| watcher.id != self.id);
            if watchers.is_empty() {
                shard.remove(&self.client);
            }
        }
        self.hub.open.fetch_sub(1, Ordering::Relaxed);
    }
}
