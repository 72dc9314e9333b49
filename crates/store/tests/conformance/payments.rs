//! Payments against the deadline.

use bookingq_core::{BookingId, BookingState, PaymentId, Refusal};

use super::testbed::{HOLD, LEASE, MS, Testbed, client, reserved};
use bookingq_store::{Confirm, Confirmed, TaskOutcome};

/// Only the deadline decides.
pub async fn invariant_5_a_late_payment_is_refused_even_if_no_sweeper_ran(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    testbed.advance(HOLD + MS).await;
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::HoldExpired));
    assert_eq!(testbed.state("a").await, BookingState::Reserved, "only the sweeper releases it");
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.holds, snapshot.overdue), (1, 1));
}

/// One millisecond earlier is in time.
pub async fn invariant_5_the_deadline_itself_is_too_late(testbed: &Testbed<'_>) {
    for (name, wait, in_time) in [("a", HOLD, false), ("b", HOLD - MS, true)] {
        testbed.hold(name).await;
        let deadline = testbed.booking(name).await.deadline;
        assert_eq!(deadline, Some(testbed.now().await + HOLD));
        testbed.advance(wait).await;
        assert_eq!(testbed.pay(name, "p").await.is_ok(), in_time);
    }
}

/// However long the confirmation at the Booking Service takes.
pub async fn invariant_5_a_paid_booking_cannot_expire(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    testbed.pay_in_time("a").await;
    testbed.advance(2 * HOLD).await;
    assert_eq!(testbed.store.sweep(9).await.unwrap().expired, 0);
    let task = testbed.claim_one().await;
    assert_eq!(task.kind.as_str(), "confirm");
    testbed.settle(&task, TaskOutcome::Confirmed).await;
    assert_eq!(testbed.state("a").await, BookingState::Confirmed);
}

/// During the release and after it.
pub async fn invariant_5_an_overdue_hold_is_released_and_the_payment_stays_refused(
    testbed: &Testbed<'_>,
) {
    testbed.hold("a").await;
    testbed.advance(HOLD).await;
    let swept = testbed.store.sweep(9).await.unwrap();
    assert_eq!((swept.expired, swept.more, swept.next_deadline), (1, false, None));
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::HoldExpired));
    assert_eq!(testbed.release("a").await, BookingState::Expired);
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::HoldExpired));
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.totals.expired, snapshot.swept_at), (1, Some(snapshot.now)));
}

/// The same answer and no second task, whether the booking is confirming, confirmed or failing.
pub async fn invariant_8_a_repeated_payment_changes_nothing(testbed: &Testbed<'_>) {
    for (name, outcome, last) in [
        ("a", TaskOutcome::Confirmed, BookingState::Confirmed),
        ("b", TaskOutcome::GiveUp { reason: "no".to_owned() }, BookingState::Releasing),
    ] {
        testbed.hold(name).await;
        let task = testbed.pay_in_time(name).await;
        let now = testbed.booking(name).await;
        assert_eq!(testbed.pay(name, "payment").await, Ok(Confirmed::Repeated(now)));
        testbed.settle(&task, outcome).await;
        let now = testbed.booking(name).await;
        assert_eq!(now.state, last);
        assert_eq!(testbed.pay(name, "payment").await, Ok(Confirmed::Repeated(now)));
    }
    assert_eq!(testbed.release("b").await, BookingState::Failed);
    assert!(matches!(testbed.pay("b", "payment").await, Ok(Confirmed::Repeated(_))));
}

/// The caller can refund a double payment.
pub async fn another_payment_of_a_paid_booking_is_refused(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    let task = testbed.pay_in_time("a").await;
    let confirming = Err(Refusal::AlreadyFinal(BookingState::Confirming));
    assert_eq!(testbed.pay("a", "another").await, confirming);
    testbed.settle(&task, TaskOutcome::Confirmed).await;
    let confirmed = Err(Refusal::AlreadyFinal(BookingState::Confirmed));
    assert_eq!(testbed.pay("a", "another").await, confirmed);
    assert_eq!(testbed.booking("a").await.payment, Some(PaymentId::new("payment").unwrap()));
}

/// Whether the booking is unknown, queued, reserving or sold out.
pub async fn a_payment_before_the_hold_is_refused(testbed: &Testbed<'_>) {
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::BookingNotFound));
    testbed.join("a").await;
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::NotReserved(BookingState::Queued)));
    let task = testbed.claim_one().await;
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::NotReserved(BookingState::Reserving)));
    testbed.settle(&task, TaskOutcome::SOLD_OUT).await;
    assert_eq!(testbed.pay("a", "p").await, Err(Refusal::AlreadyFinal(BookingState::SoldOut)));
}

/// A payment never confirms a booking that it does not name.
pub async fn a_payment_for_another_booking_finds_none(testbed: &Testbed<'_>) {
    let task = testbed.hold("a").await;
    let payment = PaymentId::new("p").unwrap();
    let paid = |booking| Confirm {
        client: client("a"),
        booking: Some(booking),
        payment: payment.clone(),
        reacquire: None,
    };
    let batch = vec![paid(BookingId::from_u128(1)), paid(task.booking)];
    let answers = testbed.store.confirm(batch, LEASE).await.unwrap();
    assert_eq!(answers[0], Err(Refusal::BookingNotFound));
    assert!(matches!(&answers[1], Ok(Confirmed::Won(..))));
}

/// At most as many as the limit allows.
pub async fn a_sweep_expires_the_earliest_hold_first_and_returns_the_next_deadline(
    testbed: &Testbed<'_>,
) {
    for name in ["a", "b", "c"] {
        testbed.join(name).await;
        let task = testbed.claim_one().await;
        testbed.settle(&task, reserved()).await;
        testbed.advance(MS).await;
    }
    testbed.advance(HOLD - 2 * MS).await;
    let first = testbed.store.sweep(1).await.unwrap();
    assert_eq!(
        (first.expired, first.more, first.next_deadline),
        (1, true, Some(std::time::Duration::ZERO))
    );
    assert_eq!(testbed.state("a").await, BookingState::Releasing);
    let second = testbed.store.sweep(9).await.unwrap();
    assert_eq!((second.expired, second.more, second.next_deadline), (1, false, Some(MS)));
    assert_eq!(testbed.state("c").await, BookingState::Reserved);
}
