//! The conformance suite against the embedded store.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{QueueName, Timestamp};
use bookingq_store::Store;
use bookingq_store::conformance::Subject;
use bookingq_store::memory::{Clock, ManualClock, MemoryOptions, MemoryStore};

struct Embedded {
    store: MemoryStore,
    clock: ManualClock,
}

#[async_trait]
impl Subject for Embedded {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[allow(clippy::unused_async, reason = "the suite awaits its factory")]
async fn embedded() -> Embedded {
    let clock = ManualClock::new(Timestamp(1_800_000_000_000));
    let options = MemoryOptions { clock: Clock::Manual(clock.clone()), ..MemoryOptions::default() };
    Embedded { store: MemoryStore::with_options(QueueName::new("concert").unwrap(), options), clock }
}

bookingq_store::conformance_tests!(embedded);
