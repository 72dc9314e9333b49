//! One wheel of timers for all connections of the process: a connection waits for a tick, a ping
//! or the end of its life with one entry of 8 bytes, and no timer of its own.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::subscriber::PlaceSubscriber;

/// The width of a slot, in ms: a connection is woken at most this much after its time.
const SLOT: u64 = 100;
/// Slots of a turn. Who waits for longer is woken in between and waits again.
const SLOTS: u64 = 512;

/// The wheel.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    origin: Instant,
    slots: Box<[Mutex<WheelSlot>]>,
}

#[derive(Debug)]
struct WheelSlot {
    /// Which slot it is at its next turn, counted from the start.
    next: u64,
    waiting: Vec<Arc<PlaceSubscriber>>,
}

impl TimerWheel {
    /// A wheel that starts to turn with [`Self::run`].
    pub(crate) fn new() -> Self {
        let slot = |next| Mutex::new(WheelSlot { next, waiting: Vec::new() });
        Self { origin: Instant::now(), slots: (0..SLOTS).map(slot).collect() }
    }

    /// Milliseconds since the start of the process: the clock of all connections.
    pub(crate) fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }

    /// Wakes the subscriber within a slot after `at`, or earlier if `at` is more than a turn away.
    /// Returns when.
    pub(crate) fn arm(&self, subscriber: &Arc<PlaceSubscriber>, at: u64) -> u64 {
        let current = self.now() / SLOT;
        let target = at.div_ceil(SLOT).clamp(current + 1, current + SLOTS - 1);
        let mut slot = self.slots[(target % SLOTS) as usize].lock();
        if slot.next > target {
            // It has fired since the clock was read.
            drop(slot);
            subscriber.wake();
        } else {
            slot.waiting.push(Arc::clone(subscriber));
        }
        target * SLOT
    }

    /// Turns the wheel, until dropped.
    pub(crate) async fn run(&self) {
        let mut ticks = interval(Duration::from_millis(SLOT));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut next, mut due) = (0, Vec::new());
        loop {
            ticks.tick().await;
            let current = self.now() / SLOT;
            while next <= current {
                let mut slot = self.slots[(next % SLOTS) as usize].lock();
                slot.next = next + SLOTS;
                std::mem::swap(&mut slot.waiting, &mut due);
                drop(slot);
                for subscriber in due.drain(..) {
                    subscriber.wake();
                }
                next += 1;
            }
        }
    }
}
