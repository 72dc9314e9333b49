//! The embedded store: the pure engine behind a lock and a clock, in this process's memory.
//!
//! Its data ends with the process. It is also the reference model for the tests of the Redis store.

mod clock;

use std::time::Duration;

use bookingq_core::{BookingId, QueueName, Timestamp, defaults};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, QueueLimits};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::clock::SteadyClock;
pub use self::clock::{Clock, ManualClock};
use crate::engine::EngineHolder;
use crate::{Opened, Result};

/// Settings of an embedded store.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// The queue.
    pub queue: QueueName,
    /// Decides when leases and holds end.
    pub clock: Clock,
    /// How long a final booking can still be read.
    pub retention: Duration,
    /// Events kept for followers; about 300 bytes each.
    pub outbox_events: usize,
}

impl MemoryConfig {
    /// The defaults.
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            clock: Clock::System,
            retention: defaults::RETENTION,
            outbox_events: 1_000_000,
        }
    }
}

/// One queue's bookings in memory.
#[derive(Debug)]
pub struct MemoryStore {
    name: QueueName,
    limits: QueueLimits,
    /// Made by each store, since no data outlives it.
    epoch: String,
    state: Mutex<State>,
    /// Wakes followers of the outbox.
    grown: Notify,
}

/// What one step reads and changes.
#[derive(Debug)]
struct State {
    queue: Queue,
    clock: SteadyClock,
}

impl MemoryStore {
    /// An empty queue.
    pub fn new(config: MemoryConfig) -> Self {
        let MemoryConfig { queue, clock, retention, outbox_events } = config;
        Self {
            name: queue,
            limits: QueueLimits { retention, outbox_events },
            epoch: BookingId::generate().to_string(),
            state: Mutex::new(State {
                queue: Queue::new(retention, outbox_events),
                clock: SteadyClock::new(clock),
            }),
            grown: Notify::new(),
        }
    }
}

impl EngineHolder for MemoryStore {
    fn name(&self) -> &QueueName {
        &self.name
    }

    async fn opened(&self) -> Result<Opened> {
        Ok(Opened { epoch: self.epoch.clone(), ..Opened::default() })
    }

    async fn apply(&self, command: QueueCommand) -> Result<QueueAnswer> {
        let mut state = self.state.lock();
        let State { queue, clock } = &mut *state;
        let before = queue.latest_event();
        let answer = queue.apply(&command, self.limits, clock.now());
        let grown = queue.latest_event() > before;
        drop(state);
        if grown {
            self.grown.notify_waiters();
        }
        Ok(answer)
    }

    async fn catch_up(&self) -> Result<()> {
        Ok(())
    }

    fn look<T>(&self, look: impl FnOnce(&Queue, Timestamp) -> T) -> T {
        let mut state = self.state.lock();
        let now = state.clock.now();
        look(&state.queue, now)
    }

    fn epoch(&self) -> String {
        self.epoch.clone()
    }

    fn grown(&self) -> &Notify {
        &self.grown
    }
}
