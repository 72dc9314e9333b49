//! Cancelling in every state.

use std::time::Duration;

use bookingq_core::{BookingState, Outcome, Refusal};

use super::testbed::{LEASE, Testbed, give_up, reserved, retry};
use bookingq_store::{Cancel, Settled, TaskKind, TaskOutcome, Try};

/// A cancelled booking does not come back.
pub async fn cancelling_in_the_line_moves_every_later_client_up_by_one(testbed: &Testbed<'_>) {
    for name in ["a", "b", "c", "d"] {
        testbed.join(name).await;
    }
    assert_eq!(testbed.cancel("b").await.unwrap().state, BookingState::Cancelled);
    assert_eq!(testbed.booking("a").await.position, Some(1));
    assert_eq!(testbed.booking("b").await.position, None);
    assert_eq!(testbed.booking("c").await.position, Some(2));
    assert_eq!(testbed.booking("d").await.position, Some(3));
    assert_eq!(testbed.claim(9).await.len(), 3);
}

/// Whatever the outcome of the task, no reservation may stay.
pub async fn invariant_4_a_booking_cancelled_while_reserving_is_released(testbed: &Testbed<'_>) {
    for (name, outcome) in [("a", reserved()), ("b", give_up("unknown"))] {
        testbed.join(name).await;
        let task = testbed.claim_one().await;
        let cancelled = testbed.cancel(name).await.unwrap();
        assert_eq!(
            (cancelled.state, cancelled.outcome),
            (BookingState::Reserving, Some(Outcome::Cancelled))
        );
        assert_eq!(testbed.settle(&task, outcome).await, Settled::Applied(BookingState::Releasing));
        assert_eq!(testbed.release(name).await, BookingState::Cancelled);
    }
    // The next claim of the task says not to reserve.
    testbed.join("c").await;
    testbed.claim_one().await;
    testbed.cancel("c").await.unwrap();
    testbed.advance(LEASE).await;
    let task = testbed.claim_one().await;
    assert_eq!((task.kind.clone(), task.cancelled), (TaskKind::Reserve, true));
    testbed.settle(&task, give_up("the client has left")).await;
    assert_eq!(testbed.release("c").await, BookingState::Cancelled);
}

/// Due at once, even if the deadline has passed.
pub async fn invariant_4_a_booking_cancelled_with_a_hold_is_released(testbed: &Testbed<'_>) {
    for (name, wait) in [("a", Duration::ZERO), ("b", super::testbed::HOLD)] {
        testbed.hold(name).await;
        testbed.advance(wait).await;
        let booking = testbed.cancel(name).await.unwrap();
        assert_eq!(
            (booking.state, booking.outcome),
            (BookingState::Releasing, Some(Outcome::Cancelled))
        );
        assert_eq!(
            testbed.pay(name, "p").await,
            Err(Refusal::AlreadyFinal(BookingState::Releasing))
        );
        assert_eq!(testbed.store.sweep(9).await.unwrap().expired, 0);
        assert_eq!(testbed.release(name).await, BookingState::Cancelled);
        assert_eq!(
            testbed.pay(name, "p").await,
            Err(Refusal::AlreadyFinal(BookingState::Cancelled))
        );
    }
}

/// There is no reservation to release.
pub async fn a_booking_cancelled_while_reserving_keeps_a_refusal_of_the_booking_service(
    testbed: &Testbed<'_>,
) {
    for (name, outcome, last) in [
        ("a", TaskOutcome::Rejected { reason: "no".to_owned() }, BookingState::Rejected),
        ("b", TaskOutcome::SOLD_OUT, BookingState::SoldOut),
    ] {
        testbed.join(name).await;
        let task = testbed.claim_one().await;
        testbed.cancel(name).await.unwrap();
        assert_eq!(testbed.settle(&task, outcome).await, Settled::Applied(last));
        assert_eq!(testbed.cancel(name).await, Err(Refusal::AlreadyFinal(last)));
    }
}

/// The last try may have reserved something.
pub async fn a_retry_of_a_cancelled_booking_becomes_a_release(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let task = testbed.claim_one().await;
    testbed.cancel("a").await.unwrap();
    let settled = testbed.settle(&task, retry(LEASE, Try::Counts)).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    assert_eq!(testbed.release("a").await, BookingState::Cancelled);
}

/// Only the Booking Service can still refuse.
pub async fn a_paid_booking_cannot_be_cancelled(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    let task = testbed.pay_in_time("a").await;
    assert_eq!(testbed.cancel("a").await, Err(Refusal::AlreadyFinal(BookingState::Confirming)));
    testbed.settle(&task, TaskOutcome::Confirmed).await;
    assert_eq!(testbed.cancel("a").await, Err(Refusal::AlreadyFinal(BookingState::Confirmed)));
}

/// Queued, reserving or with a hold. The id of another booking finds nothing.
pub async fn invariant_8_cancelling_twice_is_cancelling_once(testbed: &Testbed<'_>) {
    testbed.hold("held").await;
    testbed.join("reserving").await;
    testbed.claim_one().await;
    let waiting = testbed.join("waiting").await.booking;
    let other = bookingq_core::BookingId::from_u128(1);
    let cancel = Cancel { client: waiting.client, booking: Some(other) };
    assert_eq!(testbed.store.cancel(vec![cancel]).await.unwrap(), [Err(Refusal::BookingNotFound)]);
    for name in ["held", "reserving", "waiting"] {
        let first = testbed.cancel(name).await.unwrap();
        let before = testbed.store.latest_event().await.unwrap();
        assert_eq!(testbed.cancel(name).await, Ok(first));
        assert_eq!(
            testbed.store.latest_event().await.unwrap(),
            before,
            "a repeat publishes nothing"
        );
    }
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.cancelled, 1);
}
