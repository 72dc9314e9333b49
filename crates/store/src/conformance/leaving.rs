//! Cancelling in every state.

use std::time::Duration;

use bookingq_core::{BookingState, Outcome, Refusal};

use super::Subject;
use super::scene::{LEASE, Scene, give_up, reserved, retry};
use crate::{Cancel, Settled, TaskKind, TaskOutcome, Try};

/// From the middle, and for good.
pub async fn leaving_the_line_moves_everyone_behind_by_one(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for name in ["a", "b", "c", "d"] {
        scene.joins(name).await;
    }
    assert_eq!(scene.leaves("b").await.unwrap().state, BookingState::Cancelled);
    assert_eq!(scene.booking("a").await.position, Some(1));
    assert_eq!(scene.booking("b").await.position, None);
    assert_eq!(scene.booking("c").await.position, Some(2));
    assert_eq!(scene.booking("d").await.position, Some(3));
    assert_eq!(scene.claims(9).await.len(), 3);
}

/// Marked first; whatever its worker finds out, nothing may stay reserved.
pub async fn invariant_4_who_leaves_while_reserving_is_released(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for (name, outcome) in [("a", reserved()), ("b", give_up("unknown"))] {
        scene.joins(name).await;
        let task = scene.claims_one().await;
        let marked = scene.leaves(name).await.unwrap();
        assert_eq!(
            (marked.state, marked.outcome),
            (BookingState::Reserving, Some(Outcome::Cancelled))
        );
        assert_eq!(scene.settles(&task, outcome).await, Settled::Applied(BookingState::Releasing));
        assert_eq!(scene.is_released(name).await, BookingState::Cancelled);
    }
    // A worker that takes the task over is told not to reserve.
    scene.joins("c").await;
    scene.claims_one().await;
    scene.leaves("c").await.unwrap();
    scene.advance(LEASE).await;
    let task = scene.claims_one().await;
    assert_eq!((task.kind.clone(), task.cancelled), (TaskKind::Reserve, true));
    scene.settles(&task, give_up("the client has left")).await;
    assert_eq!(scene.is_released("c").await, BookingState::Cancelled);
}

/// Due at once, even if the deadline has passed.
pub async fn invariant_4_who_leaves_with_a_hold_is_released(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for (name, wait) in [("a", Duration::ZERO), ("b", super::scene::HOLD)] {
        scene.gets_a_hold(name).await;
        scene.advance(wait).await;
        let booking = scene.leaves(name).await.unwrap();
        assert_eq!(
            (booking.state, booking.outcome),
            (BookingState::Releasing, Some(Outcome::Cancelled))
        );
        assert_eq!(
            scene.pays(name, "p").await,
            Err(Refusal::AlreadyFinal(BookingState::Releasing))
        );
        assert_eq!(scene.store().sweep(9).await.unwrap().expired, 0);
        assert_eq!(scene.is_released(name).await, BookingState::Cancelled);
        assert_eq!(
            scene.pays(name, "p").await,
            Err(Refusal::AlreadyFinal(BookingState::Cancelled))
        );
    }
}

/// There is nothing to release, and the answer was given.
pub async fn who_leaves_while_reserving_and_is_refused_keeps_the_refusal(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for (name, outcome, last) in [
        ("a", TaskOutcome::SoldOut, BookingState::SoldOut),
        ("b", TaskOutcome::Rejected { reason: "no".to_owned() }, BookingState::Rejected),
    ] {
        scene.joins(name).await;
        let task = scene.claims_one().await;
        scene.leaves(name).await.unwrap();
        assert_eq!(scene.settles(&task, outcome).await, Settled::Applied(last));
        assert_eq!(scene.leaves(name).await, Err(Refusal::AlreadyFinal(last)));
    }
}

/// The last try may have reserved something, so it is released, at once.
pub async fn a_retry_of_a_booking_whose_client_left_becomes_a_release(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let task = scene.claims_one().await;
    scene.leaves("a").await.unwrap();
    let settled = scene.settles(&task, retry(LEASE, Try::Counts)).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    assert_eq!(scene.is_released("a").await, BookingState::Cancelled);
}

/// The money is taken: only the Booking Service can still refuse.
pub async fn who_has_paid_cannot_leave(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    let task = scene.pays_in_time("a").await;
    assert_eq!(scene.leaves("a").await, Err(Refusal::AlreadyFinal(BookingState::Confirming)));
    scene.settles(&task, TaskOutcome::Confirmed).await;
    assert_eq!(scene.leaves("a").await, Err(Refusal::AlreadyFinal(BookingState::Confirmed)));
}

/// In the line, while reserving, with a hold: the second time finds the first. Another booking's id
/// finds nothing.
pub async fn invariant_8_leaving_twice_is_leaving_once(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("held").await;
    scene.joins("reserving").await;
    scene.claims_one().await;
    let waiting = scene.joins("waiting").await.booking;
    let other = bookingq_core::BookingId::from_u128(1);
    let cancel = Cancel { client: waiting.client, booking: Some(other) };
    assert_eq!(scene.store().cancel(vec![cancel]).await.unwrap(), [Err(Refusal::BookingNotFound)]);
    for name in ["held", "reserving", "waiting"] {
        let first = scene.leaves(name).await.unwrap();
        let before = scene.store().latest_event().await.unwrap();
        assert_eq!(scene.leaves(name).await, Ok(first));
        assert_eq!(scene.store().latest_event().await.unwrap(), before, "nothing new is told");
    }
    assert_eq!(scene.store().snapshot().await.unwrap().totals.cancelled, 1);
}
