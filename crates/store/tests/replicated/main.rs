//! The replicated store on a log that fails in every way that logs do.
#![allow(clippy::unwrap_used)]

#[path = "../conformance/mod.rs"]
#[macro_use]
mod conformance;
mod bad_days;
mod crash;
mod crowd;
mod differing;
mod fake_log;
mod foresight;
mod losses;
mod snapshots;
mod understood;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::QueueName;
use bookingq_store::Store;
use bookingq_store::replicated::{
    KNOWN_RULES, Replica, ReplicaSettings, ReplicatedConfig, ReplicatedStore,
};

use crate::conformance::Subject;
use crate::fake_log::{FakeLog, Faults, with_snapshots};

/// Offsets between two digests in these tests.
const DIGEST_EVERY: u64 = 7;
const SETTINGS: ReplicaSettings =
    ReplicaSettings { known_rules: KNOWN_RULES, digest_every: DIGEST_EVERY };

/// Settings that do not wait long.
fn config() -> ReplicatedConfig {
    ReplicatedConfig {
        resend_after: Duration::from_millis(20),
        digest_every: DIGEST_EVERY,
        timeout: Duration::from_secs(20),
        ..ReplicatedConfig::new(QueueName::new("concert").unwrap())
    }
}

/// The store on a log that doubles and forgets to acknowledge.
struct OnLog {
    store: ReplicatedStore<FakeLog>,
    log: Arc<FakeLog>,
}

#[async_trait]
impl Subject for OnLog {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn advance(&self, by: Duration) {
        self.log.advance(by);
        // Only a record shows the log's time.
        self.store.latest_event().await.unwrap();
    }

    /// Not the log's clock: the queue's time would stand still until that has caught up
    /// (`bad_days::time_stands_still_while_the_clock_of_the_log_is_behind`).
    async fn set_back(&self, _: Duration) {}
}

impl Drop for OnLog {
    /// A second replica that reads the same log has the same state.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            same_state_as_a_second_replica(&self.store, &self.log);
        }
    }
}

/// Applies what the store has read of its log to a second replica, and compares the two.
fn same_state_as_a_second_replica(store: &ReplicatedStore<FakeLog>, log: &FakeLog) {
    let (position, digest) = store.digest();
    let mut second = Replica::new(SETTINGS);
    for record in log.records() {
        if position.is_some_and(|position| record.position.offset <= position.offset) {
            second.replay(&record).unwrap();
        }
    }
    assert_eq!(second.position(), position);
    assert_eq!(second.digest(), digest);
}

#[allow(clippy::unused_async, reason = "the suite awaits its factory")]
async fn on_log() -> OnLog {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let faults = Faults { doubles: 50, unacknowledged: 50, ..Faults::default() };
    let log = FakeLog::new(faults, SEED.fetch_add(1, Ordering::Relaxed));
    OnLog { store: ReplicatedStore::start(config(), with_snapshots(&log)), log }
}

conformance_tests!(on_log);
