//! A queue on each of the stores.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, EventSeq, OutboxEvent, QueueName, RequestId};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_sim::booking::BookingSim;
use bookingq_store::RedisConfig;
use bookingq_store::memory::MemoryConfig;
use bookingq_store::{Enqueue, Store};

use crate::support::{World, local};

/// A queue on a redis-server of its own.
pub struct OnRedis {
    pub redis: RedisServer,
    pub world: World,
}

/// A queue on an embedded store with other settings.
pub async fn memory_with(change: impl FnOnce(&mut MemoryConfig)) -> World {
    let mut config = MemoryConfig::new(QueueName::new("concert").unwrap());
    change(&mut config);
    let store = bookingq_store::open(config).unwrap();
    World { store, booking: BookingSim::start("stock=1".parse().unwrap(), local()).await.unwrap() }
}

pub async fn on_redis(spec: &str) -> OnRedis {
    let redis = RedisServer::start(Fsync::Off).unwrap();
    let queue = QueueName::new("concert").unwrap();
    let store = bookingq_store::open(RedisConfig::new(redis.url(), queue)).unwrap();
    let booking = BookingSim::start(spec.parse().unwrap(), local()).await.unwrap();
    OnRedis { redis, world: World { store, booking } }
}

/// Adds clients `c{from}` to `c{to - 1}` to the line.
pub async fn join(store: &Arc<dyn Store>, numbers: std::ops::Range<usize>) {
    let enqueue = |n| Enqueue {
        client: ClientId::new(&format!("c{n}")).unwrap(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    };
    store.enqueue(numbers.map(enqueue).collect()).await.unwrap();
}

/// The sequences of all transitions of bookings in the store's outbox after `after`.
pub async fn outbox(store: &Arc<dyn Store>, mut after: EventSeq) -> Vec<EventSeq> {
    let mut all = Vec::new();
    loop {
        let read = store.events(after, 10_000, Duration::ZERO).await.unwrap();
        if read.events.is_empty() {
            return all;
        }
        let bookings = read.events.into_iter().filter_map(OutboxEvent::into_booking);
        all.extend(bookings.filter(|event| !event.is_reclaim()).map(|event| event.seq));
        after = read.next;
    }
}
