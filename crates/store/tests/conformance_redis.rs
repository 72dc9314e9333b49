//! The conformance suite against the Redis store, on a real redis-server.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod conformance;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Timestamp, time};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::Store;
use bookingq_store::redis::RedisStore;
use conformance::Subject;
use support::config;

struct Real {
    store: RedisStore,
    now: AtomicU64,
    /// Stopped with the case.
    _server: RedisServer,
}

#[async_trait]
impl Subject for Real {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn advance(&self, by: Duration) {
        let by = time::millis(by);
        let now = self.now.fetch_add(by, Ordering::SeqCst) + by;
        self.store.set_clock(Timestamp(now)).await.unwrap();
    }

    async fn set_back(&self, by: Duration) {
        let by = time::millis(by);
        let now = self.now.fetch_sub(by, Ordering::SeqCst) - by;
        self.store.set_clock(Timestamp(now)).await.unwrap();
    }
}

async fn real() -> Real {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = RedisStore::connect_with_test_clock(config(&server)).unwrap();
    let subject = Real { store, now: AtomicU64::new(1_800_000_000_000), _server: server };
    subject.advance(Duration::ZERO).await;
    subject
}

conformance_tests!(real);
