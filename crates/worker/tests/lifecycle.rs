//! A booking's life over real sockets: from Enqueue to a final state, with the simulated
//! Booking Service.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::Admission;
use bookingq_proto::v1::{BookingState, ErrorReason};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use support::{World, cancel, connect, enqueue, pay, reason, status, until_state};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_client_that_pays_in_time_is_confirmed() {
    let world = World::new("stock=10").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    assert!(!enqueue(&mut client, "anna", "r1").await.unwrap().existing);
    let held = until_state(&client, "anna", BookingState::Reserved).await;
    assert!(!held.reservation_id.is_empty());
    assert!(held.deadline.is_some());
    let paid = pay(&mut client, "anna", "p1").await.unwrap();
    assert_eq!(paid.state(), BookingState::Confirmed);
    assert_eq!(pay(&mut client, "anna", "p1").await.unwrap().state(), BookingState::Confirmed);
    let second = pay(&mut client, "anna", "another").await.unwrap_err();
    assert_eq!(reason(&second), ErrorReason::AlreadyFinal);
    assert_eq!(world.booking.ledger().totals().confirmed, 1);
    worker.drain().await;
}

#[tokio::test]
async fn a_paused_queue_gives_positions_one_to_n_and_a_cancel_moves_the_rest_up() {
    let world = World::new("stock=100").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    for n in 1..=50u64 {
        let place = enqueue(&mut client, &format!("c{n}"), "r").await.unwrap().booking.unwrap();
        assert_eq!(place.position, n);
    }
    for _ in 0..20 {
        let again = enqueue(&mut client, "c7", "r").await.unwrap();
        assert!(again.existing);
        assert_eq!(again.booking.unwrap().position, 7);
    }
    assert_eq!(cancel(&mut client, "c20").await.unwrap().state(), BookingState::Cancelled);
    assert_eq!(status(&mut client, "c19").await.position, 19);
    assert_eq!(status(&mut client, "c21").await.position, 20);
    assert_eq!(status(&mut client, "c50").await.position, 49);
    world.store.set_admission(Admission::Open).await.unwrap();
    until_state(&client, "c50", BookingState::Reserved).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_late_payment_is_refused_even_if_no_sweeper_ran() {
    let world = World::new("stock=10").await;
    let mut config = world.config("w");
    config.tasks.hold = Duration::from_millis(50);
    let worker = world.worker_with(config).await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "anna", "r1").await.unwrap();
    let held = until_state(&client, "anna", BookingState::Reserved).await;
    let deadline = bookingq_proto::convert::from_timestamp(&held.deadline.unwrap());
    support::eventually("the deadline passes", || async {
        world.store.snapshot().await.unwrap().now > deadline
    })
    .await;
    let late = pay(&mut client, "anna", "p").await.unwrap_err();
    assert_eq!(reason(&late), ErrorReason::HoldExpired);
    assert_eq!(world.booking.ledger().totals().confirmed, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_sweep_releases_unpaid_holds_and_needs_no_worker() {
    let world = World::new("stock=10").await;
    let mut config = world.config("w");
    config.tasks.hold = Duration::from_millis(20);
    let worker = world.worker_with(config.clone()).await;
    let mut client = connect(&worker).await;
    for n in 0..5 {
        enqueue(&mut client, &format!("c{n}"), "r").await.unwrap();
        until_state(&client, &format!("c{n}"), BookingState::Reserved).await;
    }
    worker.drain().await;
    support::eventually("all are overdue", || async {
        world.store.snapshot().await.unwrap().overdue == 5
    })
    .await;
    let sweep = SweepConfig {
        id: "sweeper".into(),
        admin: None,
        tasks: Some(config.tasks),
        grace: Duration::from_secs(5),
    };
    let sweeper = Sweeper::new(sweep, Arc::clone(&world.store));
    let report = sweeper.run(SweepMode::Once, CancellationToken::new()).await.unwrap();
    assert_eq!(report.expired, 5);
    let totals = world.booking.ledger().totals();
    assert_eq!((totals.held, totals.available, totals.released_bookings), (0, 10, 5));
    assert_eq!(world.store.snapshot().await.unwrap().totals.expired, 5);
}

#[tokio::test]
async fn sold_out_and_rejected_are_answers() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "first", "r").await.unwrap();
    until_state(&client, "first", BookingState::Reserved).await;
    enqueue(&mut client, "second", "r").await.unwrap();
    pay(&mut client, "first", "p").await.unwrap();
    until_state(&client, "second", BookingState::SoldOut).await;
    let nothing_to_pay = pay(&mut client, "second", "p").await.unwrap_err();
    assert_eq!(reason(&nothing_to_pay), ErrorReason::AlreadyFinal);
    worker.drain().await;

    let world = World::new("stock=1,rejects=100%").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "third", "r").await.unwrap();
    let rejected = until_state(&client, "third", BookingState::Rejected).await;
    assert!(!rejected.reason.is_empty());
    worker.drain().await;
}

#[tokio::test]
async fn a_refused_confirmation_is_released_and_fails() {
    let world = World::new("stock=1,confirm_rejects=100%").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "anna", "r").await.unwrap();
    until_state(&client, "anna", BookingState::Reserved).await;
    pay(&mut client, "anna", "p").await.unwrap();
    until_state(&client, "anna", BookingState::Failed).await;
    assert_eq!(world.booking.ledger().totals().held, 0);
    worker.drain().await;
}

#[tokio::test]
async fn invariant_4_a_booking_out_of_attempts_is_released_and_fails() {
    let world = World::new("stock=1000,errors=50%").await;
    let mut config = world.config("w");
    config.tasks.retry.attempts = 1;
    let worker = world.worker_with(config).await;
    let mut client = connect(&worker).await;
    for n in 0..40 {
        enqueue(&mut client, &format!("c{n}"), "r").await.unwrap();
    }
    support::eventually("every client has a hold or has failed", || async {
        let snapshot = world.store.snapshot().await.unwrap();
        snapshot.holds + snapshot.totals.failed == 40
    })
    .await;
    let failed = world.store.snapshot().await.unwrap().totals.failed;
    assert!(failed > 0);
    assert_eq!(world.booking.ledger().totals().held_bookings, 40 - failed);
    assert_eq!(world.booking.ledger().totals().released_bookings, failed);
    worker.drain().await;
}

#[tokio::test]
async fn invariant_4_replies_lost_after_the_work_leave_nothing_behind() {
    let world = World::new("stock=1000,lost_replies=30%,errors=10%").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    for n in 0..60 {
        enqueue(&mut client, &format!("c{n}"), "r").await.unwrap();
    }
    for n in 0..60 {
        let who = format!("c{n}");
        support::eventually("a decision", || {
            let (mut client, who) = (client.clone(), who.clone());
            async move {
                let state = status(&mut client, &who).await.state();
                matches!(state, BookingState::Reserved | BookingState::Failed)
            }
        })
        .await;
    }
    let snapshot = world.store.snapshot().await.unwrap();
    let totals = world.booking.ledger().totals();
    assert_eq!(totals.held_bookings, snapshot.holds);
    assert!(world.booking.ledger().entries().iter().all(|entry| entry.reservations <= 1));
    worker.drain().await;
}
