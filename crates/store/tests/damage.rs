//! A booking whose text was cut off or overwritten affects no other booking. On a real
//! redis-server.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, PaymentId, RequestId, ReservationId};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::RedisStore;
use bookingq_store::{
    Cancel, Confirm, Confirmed, Enqueue, Scope, Settled, Settlement, Store, Task, TaskOutcome,
};
use redis::aio::MultiplexedConnection;
use support::config;

const LEASE: Duration = Duration::from_secs(60);

/// How far a booking is when it is damaged.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Queued,
    Reserving,
    Reserved,
    Confirming,
    Final,
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

fn enqueue(name: &str, request: &str) -> Enqueue {
    Enqueue {
        client: client(name),
        request: RequestId::new(request).unwrap(),
        booking: BookingId::generate(),
        details: Details::new("stalls", 2, b"some\npayload").unwrap(),
        trace: Some("00-trace-01".to_owned()),
    }
}

fn settlements(tasks: &[Task], outcome: &TaskOutcome) -> Vec<Settlement> {
    tasks
        .iter()
        .map(|task| Settlement {
            lease: task.lease(),
            outcome: outcome.clone(),
            busy: Duration::ZERO,
        })
        .collect()
}

fn reserved() -> TaskOutcome {
    TaskOutcome::Reserved {
        reservation: ReservationId::new("seat").unwrap(),
        hold: LEASE,
        left: None,
    }
}

fn payment(name: &str) -> Confirm {
    Confirm {
        client: client(name),
        booking: None,
        payment: PaymentId::new("visa").unwrap(),
        reacquire: None,
    }
}

/// Takes two bookings to this stage; returns the newest tasks of both.
async fn both_at(stage: Stage, store: &RedisStore) -> Vec<Task> {
    store.enqueue(vec![enqueue("victim", "first"), enqueue("bystander", "first")]).await.unwrap();
    if stage == Stage::Queued {
        return Vec::new();
    }
    let tasks = store.claim(2, LEASE, Scope::Everything).await.unwrap().tasks;
    assert_eq!(tasks.len(), 2, "{stage:?}");
    match stage {
        Stage::Queued | Stage::Reserving => return tasks,
        Stage::Final => {
            store.settle(settlements(&tasks, &TaskOutcome::SOLD_OUT)).await.unwrap();
            return tasks;
        }
        Stage::Reserved | Stage::Confirming => {
            store.settle(settlements(&tasks, &reserved())).await.unwrap();
        }
    }
    if stage == Stage::Reserved {
        return tasks;
    }
    let won = store.confirm(vec![payment("victim"), payment("bystander")], LEASE).await.unwrap();
    let task = |answer| match answer {
        Ok(Confirmed::Won(task, _)) => *task,
        other => panic!("a payment in time must win: {other:?}"),
    };
    won.into_iter().map(task).collect()
}

/// Everything that can be asked of both. Nothing may fail, and the bystander gets what it would get
/// alone.
async fn bystander_is_served(stage: Stage, store: &RedisStore, tasks: &[Task], damage: &str) {
    let why = format!("{stage:?}, {damage}");
    let clients = vec![client("victim"), client("bystander")];
    let seen = store.status(clients.clone()).await.unwrap_or_else(|error| panic!("{why}: {error}"));
    assert!(seen[1].is_some(), "{why}");
    let held = matches!(stage, Stage::Reserving | Stage::Confirming);
    if held {
        let leases = tasks.iter().map(Task::lease).collect();
        let renewed =
            store.renew(leases, LEASE).await.unwrap_or_else(|error| panic!("{why}: {error}"));
        assert!(renewed[1], "{why}");
        let outcome = if stage == Stage::Reserving { reserved() } else { TaskOutcome::Confirmed };
        let done = store.settle(settlements(tasks, &outcome)).await;
        let done = done.unwrap_or_else(|error| panic!("{why}: {error}"));
        assert!(matches!(done[1], Settled::Applied(_)), "{why}: {done:?}");
    }
    if stage == Stage::Reserved {
        let won = store.confirm(vec![payment("victim"), payment("bystander")], LEASE).await;
        let won = won.unwrap_or_else(|error| panic!("{why}: {error}"));
        assert!(matches!(won[1], Ok(Confirmed::Won(..))), "{why}");
    }
    let claimed = store.claim(9, LEASE, Scope::Everything).await;
    let claimed = claimed.unwrap_or_else(|error| panic!("{why}: {error}")).tasks;
    if stage == Stage::Queued {
        assert!(claimed.iter().any(|task| task.client == clients[1]), "{why}");
    }
    store.sweep(9).await.unwrap_or_else(|error| panic!("{why}: {error}"));
    store.snapshot().await.unwrap_or_else(|error| panic!("{why}: {error}"));
    let leave =
        clients.iter().map(|client| Cancel { client: client.clone(), booking: None }).collect();
    store.cancel(leave).await.unwrap_or_else(|error| panic!("{why}: {error}"));
    let again = vec![enqueue("victim", "second"), enqueue("bystander", "second")];
    let again = store.enqueue(again).await.unwrap_or_else(|error| panic!("{why}: {error}"));
    assert!(again[1].is_ok(), "{why}");
}

/// The text cut off everywhere, and with each byte overwritten by something else.
fn damages(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let cut = (0..whole.len()).map(|at| (format!("cut off at {at}"), whole[..at].to_vec()));
    let overwritten = (0..whole.len()).flat_map(|at| {
        [b'\n', b' ', b'x', b'7', 0xff].map(|byte| {
            let mut text = whole.to_vec();
            text[at] = byte;
            (format!("{byte:?} at {at}"), text)
        })
    });
    cut.chain(overwritten).collect()
}

#[tokio::test]
async fn a_corrupt_booking_affects_no_other_booking() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for stage in [Stage::Queued, Stage::Reserving, Stage::Reserved, Stage::Confirming, Stage::Final]
    {
        let whole = {
            let (store, key) = fresh(&server, &mut redis).await;
            both_at(stage, &store).await;
            let whole: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut redis).await.unwrap();
            whole
        };
        let (store, key) = fresh(&server, &mut redis).await;
        for (damage, text) in damages(&whole) {
            redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
            let tasks = both_at(stage, &store).await;
            redis::cmd("SET").arg(&key).arg(text).exec_async(&mut redis).await.unwrap();
            bystander_is_served(stage, &store, &tasks, &damage).await;
        }
    }
}

/// An empty store, and the key of the victim's booking in it.
async fn fresh(server: &RedisServer, redis: &mut MultiplexedConnection) -> (RedisStore, String) {
    redis::cmd("FLUSHALL").exec_async(redis).await.unwrap();
    let config = config(server);
    let key = format!("booking-status:{{{}}}:victim", config.queue);
    (RedisStore::connect(config).unwrap(), key)
}
