//! What a booking costs Redis: memory while it waits, and CPU for its whole life (enqueue, claim,
//! settle reserved, confirm, settle confirmed) at several batch sizes.
//!
//! ```text
//! redis-server --port 7001 --save '' --appendonly no &
//! cargo run --release -p bookingq-store --example redis_cost -- redis://127.0.0.1:7001 100000 1 64 256
//! ```
//!
//! Empties that Redis before each run. Prints JSON, one line for each batch size.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, PaymentId, QueueName, RequestId, ReservationId};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Confirm, Confirmed, Enqueue, Scope, Settlement, Store, Task, TaskOutcome};

const LEASE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of a Redis that may be emptied");
    let bookings: usize =
        arguments.next().map_or(100_000, |n| n.parse().expect("a number of bookings"));
    let mut redis = redis::Client::open(url.as_str())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mut batches: Vec<usize> =
        arguments.map(|size| size.parse().expect("a batch size")).collect();
    if batches.is_empty() {
        batches = vec![1, 64, 256];
    }
    for batch in batches {
        redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
        redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut redis).await.unwrap();
        let config = RedisConfig::new(&url, QueueName::new("cost").unwrap());
        let store = RedisStore::connect(config).unwrap();
        store.open().await.unwrap();

        let empty = info(&mut redis).await;
        enqueue(&store, bookings, batch).await;
        let waiting = info(&mut redis).await;
        while serve(&store, batch).await > 0 {}
        let done = info(&mut redis).await;

        let each = |from: &Info, to: &Info| (to.cpu - from.cpu) * 1e6 / bookings as f64;
        println!(
            "{{\"batch\":{batch},\"bookings\":{bookings},\"waiting_bytes\":{:.0},\"enqueue_us\":{:.1},\"life_us\":{:.1}}}",
            (waiting.memory - empty.memory) / bookings as f64,
            each(&empty, &waiting),
            each(&empty, &done),
        );
    }
}

async fn enqueue(store: &RedisStore, bookings: usize, batch: usize) {
    let details = Details::new("standing", 2, &[7; 64]).unwrap();
    for start in (0..bookings).step_by(batch) {
        let ask = |n: usize| Enqueue {
            client: ClientId::new(&format!("client-{n:08}")).unwrap(),
            request: RequestId::new(&format!("request-{n:08}-0123456789abcdef")).unwrap(),
            booking: BookingId::generate(),
            details: details.clone(),
            trace: None,
        };
        let asked = (start..bookings.min(start + batch)).map(ask).collect();
        store.enqueue(asked).await.unwrap();
    }
}

/// Takes one batch from the line to its end; returns how many there were.
async fn serve(store: &RedisStore, batch: usize) -> usize {
    let tasks = store.claim(batch, LEASE, Scope::Everything).await.unwrap().tasks;
    let reserved = |task: &Task| TaskOutcome::Reserved {
        reservation: ReservationId::new(&format!("reservation-{}", task.place)).unwrap(),
        hold: LEASE,
        left: None,
    };
    settle(store, &tasks, reserved).await;
    let pay = |task: &Task| Confirm {
        client: task.client.clone(),
        booking: Some(task.booking),
        payment: PaymentId::new(&format!("payment-{}", task.place)).unwrap(),
        reacquire: None,
    };
    let won = store.confirm(tasks.iter().map(pay).collect(), LEASE).await.unwrap();
    let confirming: Vec<Task> = won
        .into_iter()
        .map(|answer| match answer {
            Ok(Confirmed::Won(task, _)) => *task,
            other => panic!("a payment in time lost: {other:?}"),
        })
        .collect();
    settle(store, &confirming, |_| TaskOutcome::Confirmed).await;
    tasks.len()
}

async fn settle(store: &RedisStore, tasks: &[Task], outcome: impl Fn(&Task) -> TaskOutcome) {
    let settle = |task: &Task| Settlement {
        lease: task.lease(),
        outcome: outcome(task),
        busy: Duration::from_millis(20),
    };
    store.settle(tasks.iter().map(settle).collect()).await.unwrap();
}

struct Info {
    /// Seconds, user and system.
    cpu: f64,
    /// Bytes.
    memory: f64,
}

async fn info(redis: &mut redis::aio::MultiplexedConnection) -> Info {
    let text: String = redis::cmd("INFO").arg("everything").query_async(redis).await.unwrap();
    let values: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(':')).collect();
    let of = |name: &str| values[name].trim().parse::<f64>().unwrap();
    Info { cpu: of("used_cpu_user") + of("used_cpu_sys"), memory: of("used_memory") }
}
