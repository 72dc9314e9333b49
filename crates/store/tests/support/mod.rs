//! A redis-server for each test, and a queue that no other test uses.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId};
use bookingq_harness::RedisServer;
use bookingq_harness::wait::eventually;
use bookingq_store::redis::RedisConfig;
use bookingq_store::{Enqueue, Store};

/// A configuration for a queue that no other test uses.
pub fn config(server: &RedisServer) -> RedisConfig {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let queue = format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed));
    RedisConfig::new(server.url(), QueueName::new(&queue).unwrap())
}

/// Joins, repeatedly, until a server accepts it.
pub async fn joins(store: &dyn Store, name: &str, limit: Duration) {
    let asked = enqueue(name);
    eventually(&format!("a server accepts {name}"), limit, async || {
        store.enqueue(vec![asked.clone()]).await.is_ok()
    })
    .await;
}

/// A request of a client, with the client's name as its id.
pub fn enqueue(name: &str) -> Enqueue {
    Enqueue {
        client: ClientId::new(name).unwrap(),
        request: RequestId::new(name).unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    }
}
