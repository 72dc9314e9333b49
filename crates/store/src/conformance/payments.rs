//! The deadline against the payment.

use bookingq_core::{BookingId, BookingState, PaymentId, Refusal};

use super::Subject;
use super::scene::{HOLD, LEASE, MS, Scene, client, reserved};
use crate::{Confirm, Confirmed, TaskOutcome};

/// The deadline alone decides.
pub async fn invariant_5_a_late_payment_is_refused_even_if_no_sweeper_ran(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    scene.advance(HOLD + MS).await;
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::HoldExpired));
    assert_eq!(scene.state("a").await, BookingState::Reserved, "releasing it is the sweeper's job");
    let snapshot = scene.store().snapshot().await.unwrap();
    assert_eq!((snapshot.holds, snapshot.overdue), (1, 1));
}

/// One millisecond before it is in time.
pub async fn invariant_5_the_deadline_itself_is_too_late(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for (name, wait, in_time) in [("a", HOLD, false), ("b", HOLD - MS, true)] {
        scene.gets_a_hold(name).await;
        let deadline = scene.booking(name).await.deadline;
        assert_eq!(deadline, Some(scene.now().await + HOLD));
        scene.advance(wait).await;
        assert_eq!(scene.pays(name, "p").await.is_ok(), in_time);
    }
}

/// However long the Booking Service takes to hear of it.
pub async fn invariant_5_a_paid_booking_cannot_expire(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    scene.pays_in_time("a").await;
    scene.advance(2 * HOLD).await;
    assert_eq!(scene.store().sweep(9).await.unwrap().expired, 0);
    let task = scene.claims_one().await;
    assert_eq!(task.kind.as_str(), "confirm");
    scene.settles(&task, TaskOutcome::Confirmed).await;
    assert_eq!(scene.state("a").await, BookingState::Confirmed);
}

/// While it is being released, and after.
pub async fn invariant_5_an_overdue_hold_is_released_and_the_payment_stays_refused(
    subject: &dyn Subject,
) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    scene.advance(HOLD).await;
    let swept = scene.store().sweep(9).await.unwrap();
    assert_eq!((swept.expired, swept.more, swept.next_deadline), (1, false, None));
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::HoldExpired));
    assert_eq!(scene.is_released("a").await, BookingState::Expired);
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::HoldExpired));
    let snapshot = scene.store().snapshot().await.unwrap();
    assert_eq!((snapshot.totals.expired, snapshot.swept_at), (1, Some(snapshot.now)));
}

/// Confirming, confirmed, or on its way to failed: the same answer again, and no second task.
pub async fn invariant_8_a_repeated_payment_changes_nothing(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for (name, outcome, last) in [
        ("a", TaskOutcome::Confirmed, BookingState::Confirmed),
        ("b", TaskOutcome::GiveUp { reason: "no".to_owned() }, BookingState::Releasing),
    ] {
        scene.gets_a_hold(name).await;
        let task = scene.pays_in_time(name).await;
        let now = scene.booking(name).await;
        assert_eq!(scene.pays(name, "payment").await, Ok(Confirmed::Repeated(now)));
        scene.settles(&task, outcome).await;
        let now = scene.booking(name).await;
        assert_eq!(now.state, last);
        assert_eq!(scene.pays(name, "payment").await, Ok(Confirmed::Repeated(now)));
    }
    assert_eq!(scene.is_released("b").await, BookingState::Failed);
    assert!(matches!(scene.pays("b", "payment").await, Ok(Confirmed::Repeated(_))));
}

/// So that a double payment can be returned.
pub async fn another_payment_of_a_paid_booking_is_refused(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    let task = scene.pays_in_time("a").await;
    let confirming = Err(Refusal::AlreadyFinal(BookingState::Confirming));
    assert_eq!(scene.pays("a", "another").await, confirming);
    scene.settles(&task, TaskOutcome::Confirmed).await;
    let confirmed = Err(Refusal::AlreadyFinal(BookingState::Confirmed));
    assert_eq!(scene.pays("a", "another").await, confirmed);
    assert_eq!(scene.booking("a").await.payment, Some(PaymentId::new("payment").unwrap()));
}

/// In the line, in a worker's hands, or sold out.
pub async fn there_is_nothing_to_pay_before_the_hold(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::BookingNotFound));
    scene.joins("a").await;
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::NotReserved(BookingState::Queued)));
    let task = scene.claims_one().await;
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::NotReserved(BookingState::Reserving)));
    scene.settles(&task, TaskOutcome::SoldOut).await;
    assert_eq!(scene.pays("a", "p").await, Err(Refusal::AlreadyFinal(BookingState::SoldOut)));
}

/// Money must not end up on a booking it was not meant for.
pub async fn a_payment_for_another_booking_finds_none(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let task = scene.gets_a_hold("a").await;
    let payment = PaymentId::new("p").unwrap();
    let paid =
        |booking| Confirm { client: client("a"), booking: Some(booking), payment: payment.clone() };
    let batch = vec![paid(BookingId::from_u128(1)), paid(task.booking)];
    let answers = scene.store().confirm(batch, LEASE).await.unwrap();
    assert_eq!(answers[0], Err(Refusal::BookingNotFound));
    assert!(matches!(&answers[1], Ok(Confirmed::Won(..))));
}

/// And never more than it was asked to.
pub async fn a_sweep_takes_the_earliest_first_and_says_when_to_come_back(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for name in ["a", "b", "c"] {
        scene.joins(name).await;
        let task = scene.claims_one().await;
        scene.settles(&task, reserved()).await;
        scene.advance(MS).await;
    }
    scene.advance(HOLD - 2 * MS).await;
    let first = scene.store().sweep(1).await.unwrap();
    assert_eq!(
        (first.expired, first.more, first.next_deadline),
        (1, true, Some(std::time::Duration::ZERO))
    );
    assert_eq!(scene.state("a").await, BookingState::Releasing);
    let second = scene.store().sweep(9).await.unwrap();
    assert_eq!((second.expired, second.more, second.next_deadline), (1, false, Some(MS)));
    assert_eq!(scene.state("c").await, BookingState::Reserved);
}
