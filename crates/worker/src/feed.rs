//! The newest messages of the queue, ready-made, for all FollowQueue streams of this worker.
//!
//! ```text
//!   OutboxFollower ──> received ──┐
//!   once a second ───> tick ──────┴─> QueueFeed (bounded) <── FeedCursor, one for each stream
//! ```
//!
//! A message is made once for all streams, and each stream has only a position in the feed. So a
//! slow stream costs the feed no memory, and delays no other one. What the feed no longer keeps, a
//! stream reads from the store's outbox, one reading at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{EventSeq, OutboxEvent, QueueName};
use bookingq_follow::FollowedQueue;
use bookingq_proto::v1;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::publication::{self, Publisher, TICK};
use crate::store_readings::StoreReadings;

/// Updates and items kept, about 300 bytes each.
const KEPT: usize = 32_768;
/// Messages kept, since most have few updates.
const KEPT_MESSAGES: usize = 8_192;

/// The newest messages of the queue: one writer, many cursors. While there is no cursor, it keeps
/// none.
pub struct QueueFeed {
    name: QueueName,
    queue: Arc<FollowedQueue>,
    readings: Arc<StoreReadings>,
    state: Mutex<FeedState>,
    /// Wakes the streams at each change.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct FeedState {
    /// Counts the loads after which every stream has missed something: events are lost, or the data
    /// is other data.
    loads: u64,
    /// Events are lost; the line is going to be loaded.
    lost: bool,
    /// The epoch of what was loaded; `None` while unknown.
    epoch: Option<Arc<str>>,
    messages: VecDeque<FeedMessage>,
    /// The number of the first message kept.
    first: u64,
    /// Updates and items in the messages kept.
    weight: usize,
    /// The messages kept are all that there are after this sequence.
    after: EventSeq,
    /// The newest sequence received.
    through: EventSeq,
    tick: Option<Arc<v1::QueueTick>>,
    ticks: u64,
    cursors: usize,
}

struct FeedMessage {
    message: Arc<v1::PublishRequest>,
    /// A stream that has everything up to here does not need it.
    covers: EventSeq,
}

/// The position of one stream.
#[derive(Debug)]
pub struct FeedCursor {
    /// Everything up to here has been sent.
    pub after: EventSeq,
    /// The number of the next message; `None`: the feed does not keep it.
    next: Option<u64>,
    load: u64,
    ticks: u64,
}

/// What comes next at a cursor.
#[derive(Debug)]
pub enum FeedNews {
    /// A message, and the newest tick if the stream has not had it.
    Message(Arc<v1::PublishRequest>, Option<Arc<v1::QueueTick>>),
    /// A tick; the stream has all messages.
    Tick(Arc<v1::QueueTick>),
    /// Nothing yet: wait for a change.
    Nothing,
    /// The feed does not keep what comes next: read it from the store. And the newest tick, if the
    /// stream has not had it.
    Behind(Option<Arc<v1::QueueTick>>),
    /// Events are lost, or the data is other data: what comes next is lost to the stream.
    Gap,
}

impl QueueFeed {
    /// An empty feed of this queue.
    pub fn new(
        name: QueueName,
        queue: Arc<FollowedQueue>,
        readings: Arc<StoreReadings>,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), watch::Sender::default());
        Arc::new(Self { name, queue, readings, state, changed })
    }

    /// Events were trimmed before they were read, or the store has lost data.
    pub fn lost(&self) {
        self.state.lock().lost = true;
    }

    /// The line was loaded, as of `through`. After failed reads it is as before, and what the
    /// streams have missed is in the store's outbox.
    pub fn loaded(&self, through: EventSeq) {
        let epoch = self.readings.newest().map(|reading| reading.epoch);
        let mut state = self.state.lock();
        let goes_on = state.loads > 0
            && !std::mem::take(&mut state.lost)
            && state.epoch == epoch
            && state.through <= through;
        state.epoch = epoch;
        state.through = through;
        state.clear();
        if goes_on {
            // A number that no cursor has: all of them read on in the store.
            state.first += 1;
        } else {
            state.loads += 1;
        }
        state.tick = None;
        drop(state);
        self.changed.send_replace(());
    }

    /// Takes events, oldest first, before they are applied to the queue.
    pub fn received(&self, events: &[OutboxEvent]) {
        let Some(newest) = events.last().map(OutboxEvent::seq) else { return };
        let (publisher, after) = {
            let mut state = self.state.lock();
            if state.cursors == 0 {
                state.through = newest;
                state.clear();
                return;
            }
            (self.publisher_in(&state), state.through)
        };
        // Made without the lock: the streams read meanwhile.
        let messages = publisher.messages(after, events, &self.queue.items.closed());
        self.state.lock().push(messages, newest);
        self.changed.send_replace(());
    }

    /// Makes a tick once a second, as long as there are streams, until dropped.
    pub async fn run_ticks(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.state.lock().cursors > 0
                && let Some(tick) = self.tick()
            {
                let mut state = self.state.lock();
                state.tick = Some(Arc::new(tick));
                state.ticks += 1;
                drop(state);
                self.changed.send_replace(());
            }
        }
    }

    /// The line now; `None` before it was loaded and the store was read.
    pub fn tick(&self) -> Option<v1::QueueTick> {
        let mut reading = self.readings.newest()?;
        reading.epoch = self.epoch()?;
        Some(publication::tick(&self.queue, &reading))
    }

    /// Makes messages about the data that was loaded.
    pub fn publisher(&self) -> Publisher {
        self.publisher_in(&self.state.lock())
    }

    /// The epoch of the data; `None` before the line was loaded and the store was read.
    pub fn epoch(&self) -> Option<Arc<str>> {
        let mut state = self.state.lock();
        if state.loads > 0 && state.epoch.is_none() {
            state.epoch = self.readings.newest().map(|reading| reading.epoch);
        }
        state.epoch.clone()
    }

    /// Waits until the line is loaded and the store was read, at most for `limit`. Returns whether
    /// both happened.
    pub async fn ready(&self, limit: Duration) -> bool {
        let mut changes = self.changed.subscribe();
        let ready = async {
            self.readings.known(limit).await;
            while self.epoch().is_none() {
                // The sender lives as long as this feed.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(limit, ready).await.is_ok()
    }

    /// A cursor at the end of the feed.
    pub fn open(&self) -> FeedCursor {
        let mut state = self.state.lock();
        state.cursors += 1;
        FeedCursor {
            after: state.through,
            next: Some(state.end()),
            load: state.loads,
            ticks: state.ticks,
        }
    }

    /// Ends a stream.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.cursors -= 1;
        if state.cursors == 0 {
            state.clear();
        }
    }

    /// Moves the cursor to the first message after `cursor.after`. `false` if the feed does not
    /// keep it.
    pub fn seek(&self, cursor: &mut FeedCursor) -> bool {
        let state = self.state.lock();
        let kept = state.messages.iter().position(|kept| kept.covers > cursor.after);
        let next = state.first + kept.unwrap_or(state.messages.len()) as u64;
        cursor.next = (cursor.after >= state.after).then_some(next);
        cursor.next.is_some()
    }

    /// Moves the cursor to the end: the stream skips what is between.
    pub fn skip(&self, cursor: &mut FeedCursor) {
        let state = self.state.lock();
        (cursor.after, cursor.load) = (state.through, state.loads);
        cursor.next = Some(state.end());
    }

    /// What comes next at the cursor, which moves on.
    pub fn next(&self, cursor: &mut FeedCursor) -> FeedNews {
        let state = self.state.lock();
        if cursor.load != state.loads {
            return FeedNews::Gap;
        }
        let tick = state.tick.clone().filter(|_| state.ticks > cursor.ticks);
        cursor.ticks = state.ticks;
        let index = cursor.next.and_then(|next| next.checked_sub(state.first));
        let Some(mut index) = index else { return FeedNews::Behind(tick) };
        while let Some(kept) = state.messages.get(index as usize) {
            index += 1;
            cursor.next = Some(state.first + index);
            if kept.covers > cursor.after {
                return FeedNews::Message(Arc::clone(&kept.message), tick);
            }
        }
        cursor.after = cursor.after.max(state.through);
        tick.map_or(FeedNews::Nothing, FeedNews::Tick)
    }

    /// Wakes at each change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn publisher_in(&self, state: &FeedState) -> Publisher {
        Publisher { queue: self.name.clone(), epoch: state.epoch.clone().unwrap_or_default() }
    }
}

impl FeedState {
    /// The number of the next message.
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// Forgets all messages.
    fn clear(&mut self) {
        self.first = self.end();
        self.messages.clear();
        self.weight = 0;
        self.after = self.through;
    }

    /// Appends the messages of the events up to `newest`, and forgets the oldest over the limit.
    fn push(&mut self, messages: Vec<v1::PublishRequest>, newest: EventSeq) {
        for message in messages {
            // Items stand before all updates of their events: see `Publisher::messages`.
            let covers = if message.updates.is_empty() { newest } else { message.through() };
            self.weight += weight(&message);
            self.messages.push_back(FeedMessage { message: Arc::new(message), covers });
        }
        self.through = newest;
        while self.weight > KEPT || self.messages.len() > KEPT_MESSAGES {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.first += 1;
            self.weight -= weight(&oldest.message);
            self.after = self.after.max(oldest.covers);
        }
    }
}

fn weight(message: &v1::PublishRequest) -> usize {
    message.updates.len() + message.items.len()
}
