//! The line of one queue as the gateway last received it, ready to be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use bookingq_core::{EventSeq, QueueName, Timestamp};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::frames::{admission_word, unknown_word};
use crate::place_json::{ItemJson, rfc3339, seconds, wall_clock};
use crate::segments::Segments;

/// Items that are remembered.
const ITEMS: usize = 4096;

/// The view of a queue.
#[derive(Debug)]
pub struct GatewayView {
    queue: QueueName,
    line: ArcSwap<LineNow>,
    followed: Mutex<FollowedState>,
    /// Counts the changes of items.
    item_changes: AtomicU64,
}

/// What has been received.
#[derive(Debug, Default)]
struct FollowedState {
    /// Everything up to this sequence has arrived.
    through: EventSeq,
    items: BTreeMap<String, KnownItem>,
}

#[derive(Debug)]
struct KnownItem {
    status: v1::ItemStatus,
    /// The number of its last change.
    change: u64,
}

/// The line at one moment.
#[derive(Debug)]
pub struct LineNow {
    /// Identifies the data of the queue; empty before the first tick.
    pub epoch: Arc<str>,
    /// Counts the epochs: positions of two generations cannot be compared.
    pub generation: u32,
    /// The newest tick, if there was one in this generation.
    pub tick: Option<v1::QueueTick>,
    /// The store's clock at the tick.
    pub at: Timestamp,
    /// When the tick arrived, by the wheel's clock.
    pub(crate) received: u64,
    pub(crate) segments: Option<Segments>,
    /// The answer of GET tick.
    json: Bytes,
}

/// The line as a whole. The position of a waiting client: find the last boundary whose number is
/// not above its own; its position is that boundary's plus the difference of the two numbers, but
/// at most the position of the next boundary.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tick)]
pub struct TickJson<'a> {
    /// Name of the queue.
    queue: &'a str,
    /// Identifies the data of the queue.
    epoch: &'a str,
    /// The queue's clock at the reading.
    at: String,
    /// `open`, `paused` or `closed`.
    admission: &'static str,
    /// Number of bookings in the line.
    waiting: u64,
    /// When the sale opens; null if it has opened.
    opens_at: Option<String>,
    /// `[queue number, position]`, ascending.
    boundaries: Vec<[u64; 2]>,
    /// `[position, low, high]`, in seconds, ascending by position.
    waits: Vec<[u64; 3]>,
    /// Why the waits are unknown.
    wait_unknown: Option<&'static str>,
    /// The items that are sold out, at the moment or for good.
    items: Vec<ItemJson>,
}

impl LineNow {
    /// Before the first tick of an epoch.
    fn empty(epoch: &str, generation: u32) -> Self {
        Self {
            epoch: Arc::from(epoch),
            generation,
            tick: None,
            at: Timestamp::default(),
            received: 0,
            segments: None,
            json: Bytes::from_static(b"null"),
        }
    }
}

impl GatewayView {
    pub(crate) fn new(queue: QueueName) -> Self {
        let line = ArcSwap::from_pointee(LineNow::empty("", 0));
        Self { queue, line, followed: Mutex::default(), item_changes: AtomicU64::new(0) }
    }

    /// The line now.
    pub fn current(&self) -> Arc<LineNow> {
        self.line.load_full()
    }

    /// The line now, for a short look.
    pub(crate) fn load(&self) -> Guard<Arc<LineNow>> {
        self.line.load()
    }

    /// What is known of the items that have closed at some time.
    pub fn items(&self) -> Vec<v1::ItemStatus> {
        self.followed.lock().items.values().map(|item| item.status.clone()).collect()
    }

    /// The newest tick as JSON, with all boundaries; `None` before the first one.
    pub fn tick_json(&self) -> Option<Bytes> {
        let line = self.line.load();
        line.tick.is_some().then(|| line.json.clone())
    }

    /// Everything up to here has arrived.
    pub(crate) fn through(&self) -> EventSeq {
        self.followed.lock().through
    }

    pub(crate) fn advance(&self, through: EventSeq) {
        let mut followed = self.followed.lock();
        followed.through = followed.through.max(through);
    }

    /// The store's clock, estimated; the wall clock before the first tick. `now` is the wheel's.
    pub(crate) fn store_now(&self, now: u64) -> Timestamp {
        let line = self.line.load();
        match line.tick {
            Some(_) => Timestamp(line.at.0.saturating_add(now.saturating_sub(line.received))),
            None => wall_clock(),
        }
    }

    /// Begins with other data: nothing that is known of the line holds any more.
    pub(crate) fn begin_epoch(&self, epoch: &str) {
        let before = self.line.load();
        let line = LineNow::empty(epoch, before.generation + u32::from(!before.epoch.is_empty()));
        *self.followed.lock() = FollowedState::default();
        self.line.store(Arc::new(line));
    }

    /// Replaces the line, unless the tick is older. `now` is the wheel's clock.
    pub(crate) fn set_tick(&self, tick: v1::QueueTick, now: u64) {
        let before = self.line.load();
        let at = tick.at.as_ref().map(from_timestamp).unwrap_or_default();
        if before.tick.is_some() && at < before.at {
            return;
        }
        let line = LineNow {
            epoch: Arc::clone(&before.epoch),
            generation: before.generation,
            at,
            received: now,
            segments: Some(Segments::new(&tick)),
            json: self.render(&before.epoch, &tick),
            tick: Some(tick),
        };
        self.line.store(Arc::new(line));
    }

    /// Records the state of an item. Returns whether clients that wait for it should know.
    pub(crate) fn set_item(&self, item: &v1::ItemStatus) -> bool {
        let mut followed = self.followed.lock();
        let items = &mut followed.items;
        if items.len() >= ITEMS && !items.contains_key(&item.item) {
            items.retain(|_, known| known.status.availability() != v1::ItemAvailability::Open);
            if items.len() >= ITEMS {
                items.pop_first();
            }
        }
        let shown = |item: &v1::ItemStatus| (item.availability(), item.sold_out_from);
        let before = items.get(&item.item);
        let changed = before.is_none_or(|before| shown(&before.status) != shown(item));
        let change = match before {
            Some(before) if !changed => before.change,
            _ => self.item_changes.fetch_add(1, Ordering::Relaxed) + 1,
        };
        items.insert(item.item.clone(), KnownItem { status: item.clone(), change });
        changed
    }

    /// The number of the newest change of an item.
    pub(crate) fn item_changes(&self) -> u64 {
        self.item_changes.load(Ordering::Relaxed)
    }

    /// An item, if it has changed after the change of this number.
    pub(crate) fn changed_item(&self, item: &str, after: u64) -> Option<v1::ItemStatus> {
        let followed = self.followed.lock();
        let known = followed.items.get(item).filter(|known| known.change > after);
        known.map(|known| known.status.clone())
    }

    fn render(&self, epoch: &str, tick: &v1::QueueTick) -> Bytes {
        let time = |at: &prost_types::Timestamp| rfc3339(from_timestamp(at));
        let second = |time: Option<&prost_types::Duration>| time.map_or(0, seconds);
        let wait = |point: &v1::EtaPoint| {
            let range = point.range.as_ref()?;
            Some([point.position, second(range.low.as_ref()), second(range.high.as_ref())])
        };
        let boundary = |one: &v1::Boundary| [one.queue_number, one.position];
        let json = TickJson {
            queue: self.queue.as_str(),
            epoch,
            at: tick.at.as_ref().map(time).unwrap_or_default(),
            admission: admission_word(tick.admission()),
            waiting: tick.backlog,
            opens_at: tick.opens_at.as_ref().map(time),
            boundaries: tick.boundaries.iter().map(boundary).collect(),
            waits: tick.etas.iter().filter_map(wait).collect(),
            wait_unknown: unknown_word(tick.eta_unknown()),
            items: tick.items.iter().map(ItemJson::from).collect(),
        };
        Bytes::from(crate::place_json::to_json(&json))
    }
}
