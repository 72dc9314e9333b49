//! What the tests do with a store.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, PaymentId, RequestId, ReservationId};
use bookingq_store::replicated::ReplicatedStore;
use bookingq_store::{Cancel, Confirm, Enqueue, Scope, Settlement, Store, Task, TaskOutcome};
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::fake_log::FakeLog;

pub const LEASE: Duration = Duration::from_secs(3600);

pub fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub fn join(client: &str) -> Vec<Enqueue> {
    vec![join_with(client, b"")]
}

pub fn join_with(name: &str, payload: &[u8]) -> Enqueue {
    Enqueue {
        client: client(name),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::new("stalls", 1, payload).unwrap(),
        trace: None,
    }
}

pub async fn place(store: &ReplicatedStore<FakeLog>, client: &str) -> u64 {
    let joined = store.enqueue(join(client)).await.unwrap().remove(0).unwrap();
    assert!(!joined.existing, "{client} joined once");
    joined.booking.place.number.get()
}

/// A random step of a sale.
pub async fn random_step(
    store: &ReplicatedStore<FakeLog>,
    log: &Arc<FakeLog>,
    rng: &mut StdRng,
    hand: &mut Vec<Task>,
) {
    let name = format!("c{}", rng.random_range(0..12));
    log.advance(Duration::from_millis(rng.random_range(0..4000)));
    match rng.random_range(0..10) {
        0..4 => drop(store.enqueue(vec![join_with(&name, b"payload")]).await.unwrap()),
        4..6 => {
            let lease = Duration::from_secs(rng.random_range(1..20));
            hand.extend(store.claim(2, lease, Scope::Everything).await.unwrap().tasks);
        }
        6..8 if !hand.is_empty() => {
            let task = hand.remove(rng.random_range(0..hand.len()));
            let hold = Duration::from_secs(rng.random_range(1..20));
            let reservation = ReservationId::new("seat").unwrap();
            let outcome = match rng.random_range(0..5) {
                0 => TaskOutcome::SOLD_OUT,
                1 => TaskOutcome::Released,
                2 => TaskOutcome::Confirmed,
                _ => TaskOutcome::Reserved { reservation, hold, left: None },
            };
            let settlement = Settlement { lease: task.lease(), outcome, busy: Duration::ZERO };
            store.settle(vec![settlement]).await.unwrap();
        }
        8 => {
            let payment = PaymentId::new("visa").unwrap();
            let client = client(&name);
            let reacquire = Some(BookingId::generate());
            let confirm = Confirm { client, booking: None, payment, reacquire };
            drop(store.confirm(vec![confirm], LEASE).await.unwrap());
        }
        _ => {
            let cancel = Cancel { client: client(&name), booking: None };
            drop(store.cancel(vec![cancel]).await.unwrap());
            store.sweep(9).await.unwrap();
        }
    }
}
