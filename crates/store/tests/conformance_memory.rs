//! The conformance suite against the embedded store.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod conformance;

use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId, Timestamp};
use bookingq_store::memory::{Clock, ManualClock, MemoryConfig, MemoryStore};
use bookingq_store::{Cancel, Enqueue, Store};
use conformance::Subject;

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

    async fn set_back(&self, by: Duration) {
        self.clock.set_back(by);
    }
}

fn config() -> MemoryConfig {
    MemoryConfig::new(QueueName::new("concert").unwrap())
}

#[allow(clippy::unused_async, reason = "the suite awaits its factory")]
async fn embedded() -> Embedded {
    let clock = ManualClock::new(Timestamp(1_800_000_000_000));
    let config = MemoryConfig { clock: Clock::Manual(clock.clone()), ..config() };
    Embedded { store: MemoryStore::new(config), clock }
}

conformance_tests!(embedded);

#[tokio::test]
async fn an_earlier_booking_of_a_client_is_kept_for_its_own_retention() {
    let embedded = embedded().await;
    let retention = config().retention;
    let asks = async |request: &str| {
        let asked = Enqueue {
            client: ClientId::new("anna").unwrap(),
            request: RequestId::new(request).unwrap(),
            booking: BookingId::generate(),
            details: Details::default(),
            trace: None,
        };
        embedded.store.enqueue(vec![asked]).await.unwrap().remove(0).unwrap()
    };
    let leave = Cancel { client: ClientId::new("anna").unwrap(), booking: None };
    let first = asks("r1").await.booking.id;
    embedded.store.cancel(vec![leave.clone()]).await.unwrap()[0].as_ref().unwrap();
    embedded.advance(retention / 2).await;
    asks("r2").await;
    embedded.store.cancel(vec![leave]).await.unwrap()[0].as_ref().unwrap();
    embedded.advance((retention / 2).saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(asks("r1").await.booking.id, first);
    embedded.advance(Duration::from_millis(1)).await;
    assert!(!asks("r1").await.existing, "the retention is over");
}
