//! Workers that die, drain or are slow, and services that stop answering.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::v1::BookingState;
use bookingq_sim::realtime::RealtimeSim;
use bookingq_sim::spec::ServiceSpec;
use bookingq_store::Enqueue;
use bookingq_worker::WorkerConfig;
use support::{World, connect, enqueue, pay, until_state};

async fn fill(world: &World, clients: usize) {
    let batch = (0..clients)
        .map(|n| Enqueue {
            client: bookingq_core::ClientId::new(&format!("c{n}")).unwrap(),
            request: bookingq_core::RequestId::new("r").unwrap(),
            booking: bookingq_core::BookingId::generate(),
            details: bookingq_core::Details::default(),
            trace: None,
        })
        .collect();
    world.store.enqueue(batch).await.unwrap();
}

async fn all_are_held(world: &World, clients: u64) {
    support::eventually("every client has a hold", || async {
        world.store.snapshot().await.unwrap().holds == clients
    })
    .await;
}

#[tokio::test]
async fn a_killed_workers_tasks_are_executed_by_another_and_no_booking_is_reserved_twice() {
    let world = World::new("stock=1000,latency=50ms").await;
    fill(&world, 300).await;
    let first = world.worker("first").await;
    support::eventually("the first worker has tasks in hand", || async {
        world.store.snapshot().await.unwrap().in_flight >= 20
    })
    .await;
    first.kill();
    let second = world.worker("second").await;
    all_are_held(&world, 300).await;
    let ledger = world.booking.ledger().copy();
    assert_eq!(ledger.totals.held_bookings, 300);
    assert!(ledger.entries.iter().all(|entry| entry.reservations == 1));
    assert!(world.store.snapshot().await.unwrap().totals.reclaimed > 0);
    second.drain().await;
}

#[tokio::test]
async fn a_draining_worker_finishes_its_tasks_and_claims_no_more() {
    let world = World::new("stock=1000,latency=200ms").await;
    fill(&world, 200).await;
    let worker = world.worker("w").await;
    support::eventually("the worker has tasks in hand", || async {
        world.store.snapshot().await.unwrap().in_flight >= 20
    })
    .await;
    let report = worker.drain().await;
    assert_eq!(report.tasks.cut_off, 0, "{report:?}");
    let snapshot = world.store.snapshot().await.unwrap();
    assert_eq!(snapshot.in_flight, 0);
    assert!(snapshot.backlog > 0);
    assert_eq!(snapshot.totals.reclaimed, 0);
}

#[tokio::test]
async fn a_worker_that_has_no_time_to_finish_gives_its_tasks_back_at_once() {
    let world = World::new("stock=1000,latency=100ms").await;
    world.booking.injector().pause();
    fill(&world, 10).await;
    let mut config = world.config("w");
    config.tasks.booking.timeout = Duration::from_secs(30);
    config.tasks.lease = Duration::from_secs(60);
    config.grace = Duration::from_secs(2);
    let worker = world.worker_with(config).await;
    support::eventually("the worker has them all", || async {
        world.store.snapshot().await.unwrap().in_flight == 10
    })
    .await;
    let report = worker.drain().await;
    assert_eq!(report.tasks.cut_off, 10, "{report:?}");
    world.booking.injector().resume();
    let second = world.worker("second").await;
    all_are_held(&world, 10).await;
    second.drain().await;
}

#[tokio::test]
async fn an_outage_of_the_booking_service_fails_no_booking() {
    let world = World::new("stock=1000").await;
    let worker = world.worker("w").await;
    world.booking.injector().pause();
    fill(&world, 100).await;
    support::eventually("every slot's try and a probe have failed", || async {
        world.store.snapshot().await.unwrap().totals.retried > 32
    })
    .await;
    world.booking.injector().resume();
    all_are_held(&world, 100).await;
    assert_eq!(world.store.snapshot().await.unwrap().totals.failed, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_payment_during_an_outage_wins_and_is_confirmed_afterwards() {
    let world = World::new("stock=10").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "anna", "r").await.unwrap();
    until_state(&client, "anna", BookingState::Reserved).await;
    world.booking.injector().pause();
    assert_eq!(pay(&mut client, "anna", "p").await.unwrap().state(), BookingState::Confirming);
    world.booking.injector().resume();
    until_state(&client, "anna", BookingState::Confirmed).await;
    assert_eq!(world.booking.ledger().totals().confirmed, 1);
    worker.drain().await;
}

#[tokio::test]
async fn the_realtime_service_receives_every_update_in_order_across_workers_and_lost_replies() {
    let world = World::new("stock=1000").await;
    let spec = "lost_replies=20%".parse::<ServiceSpec>().unwrap();
    let realtime = RealtimeSim::start(spec, support::local()).await.unwrap();
    let config = |id| WorkerConfig {
        realtime: Some(support::downstream(realtime.address())),
        ..world.config(id)
    };
    let first = world.worker_with(config("first")).await;
    let second = world.worker_with(config("second")).await;
    fill(&world, 200).await;
    all_are_held(&world, 200).await;
    first.kill();
    fill_more(&world).await;
    all_are_held(&world, 201).await;
    support::eventually("every client's hold is published", || {
        let backend = Arc::clone(realtime.backend());
        async move {
            (0..200).chain([1000]).all(|n| {
                backend.deliveries().client(&format!("c{n}")).is_some_and(|client| {
                    client.state == Some(bookingq_core::BookingState::Reserved)
                })
            })
        }
    })
    .await;
    let totals = realtime.backend().deliveries().totals();
    assert_eq!((totals.out_of_order, totals.missing), (0, 0), "{totals:?}");
    second.drain().await;
}

async fn fill_more(world: &World) {
    let one = Enqueue {
        client: bookingq_core::ClientId::new("c1000").unwrap(),
        request: bookingq_core::RequestId::new("r").unwrap(),
        booking: bookingq_core::BookingId::generate(),
        details: bookingq_core::Details::default(),
        trace: None,
    };
    world.store.enqueue(vec![one]).await.unwrap();
}
