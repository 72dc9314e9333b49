//! The embedded store's clock: the machine's, or one that a test advances.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_core::Timestamp;
use bookingq_core::time::millis;

/// The clock that decides when a lease or a hold ends.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that moves only when a test moves it.
    Manual(ManualClock),
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
            }
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that never goes back: when the one behind it is set back, it counts on from where it
/// was. So no lease and no hold lasts longer because of it.
#[derive(Debug)]
pub(super) struct SteadyClock {
    clock: Clock,
    /// What the clock showed last.
    seen: Timestamp,
    /// By how much it was ever set back.
    ahead: Duration,
}

impl SteadyClock {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, seen: Timestamp::default(), ahead: Duration::ZERO }
    }

    /// The time.
    pub(super) fn now(&mut self) -> Timestamp {
        let shown = self.clock.now();
        self.ahead += self.seen.since(shown);
        self.seen = shown;
        shown + self.ahead
    }
}

/// A clock that moves only when a test moves it. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.0)))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Sets the clock back.
    pub fn set_back(&self, by: Duration) {
        self.0.fetch_sub(millis(by), Ordering::SeqCst);
    }
}
