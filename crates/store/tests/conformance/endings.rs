//! Retries, giving up and releases: the ways to a final state.

use std::time::Duration;

use bookingq_core::{BookingState, Details, Outcome, Refusal};

use super::testbed::{BUSY, MS, Testbed, give_up, reserved, retry};
use bookingq_store::{Settled, TaskKind, TaskOutcome, Try};

/// Reserve may have succeeded without an answer, so the booking is released; its reason stays.
pub async fn invariant_4_a_booking_that_runs_out_of_attempts_is_released_before_it_fails(
    testbed: &Testbed<'_>,
) {
    testbed.join("a").await;
    let task = testbed.claim_one().await;
    let settled = testbed.settle(&task, give_up("five tries")).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    let booking = testbed.booking("a").await;
    assert_eq!((booking.outcome, booking.reason.as_str()), (Some(Outcome::Failed), "five tries"));
    let task = testbed.claim_one().await;
    assert_eq!(task.kind, TaskKind::Release { reservation: None, outcome: Outcome::Failed });
    assert_eq!(
        testbed.settle(&task, TaskOutcome::Released).await,
        Settled::Applied(BookingState::Failed)
    );
    assert_eq!(testbed.booking("a").await.reason, "five tries");
}

/// The Booking Service still has the reservation.
pub async fn invariant_4_a_refused_confirmation_is_released_before_it_fails(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    let task = testbed.pay_in_time("a").await;
    let settled = testbed.settle(&task, give_up("card stolen")).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    assert_eq!(testbed.release("a").await, BookingState::Failed);
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.failed, 1);
}

/// The store never gives up by itself.
pub async fn invariant_4_confirm_and_release_are_retried_for_ever(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    let mut task = testbed.pay_in_time("a").await;
    for tries in 0..20 {
        assert_eq!((task.kind.as_str(), task.attempts), ("confirm", tries));
        testbed.settle(&task, retry(Duration::ZERO, Try::Counts)).await;
        task = testbed.claim_one().await;
    }
    testbed.settle(&task, give_up("no")).await;
    let mut task = testbed.claim_one().await;
    for tries in 0..20 {
        assert_eq!((task.kind.as_str(), task.attempts), ("release", tries));
        testbed.settle(&task, retry(Duration::ZERO, Try::Counts)).await;
        task = testbed.claim_one().await;
    }
    assert_eq!(
        testbed.settle(&task, TaskOutcome::Released).await,
        Settled::Applied(BookingState::Failed)
    );
}

/// The Booking Service decides: the store was set back to a moment before the payment. With and
/// without a reason to clear.
pub async fn invariant_4_a_release_of_a_confirmed_reservation_ends_confirmed(
    testbed: &Testbed<'_>,
) {
    testbed.hold("a").await;
    testbed.advance(super::testbed::HOLD).await;
    testbed.store.sweep(9).await.unwrap();
    for name in ["a", "b"] {
        if name == "b" {
            testbed.join(name).await;
            let task = testbed.claim_one().await;
            testbed.settle(&task, give_up("five tries")).await;
        }
        let task = testbed.claim_one().await;
        assert_eq!(
            testbed.settle(&task, TaskOutcome::Confirmed).await,
            Settled::Applied(BookingState::Confirmed)
        );
        let booking = testbed.booking(name).await;
        assert_eq!(
            (booking.state, booking.outcome, &*booking.reason),
            (BookingState::Confirmed, None, "")
        );
        assert_eq!(
            testbed.settle(&task, TaskOutcome::Released).await,
            Settled::Repeated(BookingState::Confirmed)
        );
        assert_eq!(
            testbed.pay(name, "late").await,
            Err(Refusal::AlreadyFinal(BookingState::Confirmed))
        );
    }
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.in_flight, snapshot.totals.confirmed, snapshot.totals.expired), (0, 2, 0));
}

/// A Booking Service with limited stock.
struct BookingService {
    left: u64,
}

impl BookingService {
    fn call(&mut self, kind: &TaskKind) -> TaskOutcome {
        match kind {
            TaskKind::Reserve if self.left == 0 => retry(MS, Try::Free),
            TaskKind::Reserve => {
                self.left -= 1;
                reserved()
            }
            TaskKind::Confirm { .. } => TaskOutcome::Confirmed,
            TaskKind::Release { .. } => {
                self.left += 1;
                TaskOutcome::Released
            }
        }
    }
}

/// Twenty clients compete for five units and every third client never pays: a released unit is sold
/// again, and no unit twice.
pub async fn invariant_6_never_more_confirmed_than_there_is_stock(testbed: &Testbed<'_>) {
    const STOCK: u64 = 5;
    for n in 0..20 {
        testbed.join(&format!("c{n}")).await;
    }
    let mut service = BookingService { left: STOCK };
    for _ in 0..5 {
        while let Some(task) = testbed.claim(1).await.pop() {
            let settled = testbed.settle(&task, service.call(&task.kind)).await;
            let pays = !task.place.number.get().is_multiple_of(3);
            if settled == Settled::Applied(BookingState::Reserved) && pays {
                let task = testbed.pay_in_time(task.client.as_str()).await;
                testbed.settle(&task, service.call(&task.kind)).await;
            }
            let snapshot = testbed.store.snapshot().await.unwrap();
            assert!(snapshot.totals.confirmed + snapshot.holds <= STOCK);
        }
        testbed.advance(super::testbed::HOLD).await;
        testbed.store.sweep(99).await.unwrap();
    }
    let totals = testbed.store.snapshot().await.unwrap().totals;
    assert_eq!(totals.confirmed, STOCK);
    assert!(totals.expired > 0, "some units were released and sold again");
}

/// Tries during an outage are free, and a confirmation starts without the tries of its reservation.
pub async fn only_tries_that_count_are_counted_and_each_kind_from_zero(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    for (counts, attempts) in [(Try::Counts, 1), (Try::Free, 1), (Try::Counts, 2)] {
        let task = testbed.claim_one().await;
        testbed.settle(&task, retry(Duration::ZERO, counts)).await;
        let task = testbed.claim_one().await;
        assert_eq!(task.attempts, attempts);
        testbed.settle(&task, retry(Duration::ZERO, Try::Free)).await;
    }
    let task = testbed.claim_one().await;
    testbed.settle(&task, reserved()).await;
    let task = testbed.pay_in_time("a").await;
    assert_eq!(task.attempts, 0);
    testbed.settle(&task, retry(Duration::ZERO, Try::Counts)).await;
    let task = testbed.claim_one().await;
    assert_eq!(task.attempts, 1);
    testbed.settle(&task, give_up("no")).await;
    assert_eq!(testbed.claim_one().await.attempts, 0);
}

/// Neither leaves a reservation to release, and nothing else of the item can come back.
pub async fn sold_out_and_rejected_are_final_at_once(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    testbed.join("b").await;
    let tasks = testbed.claim(2).await;
    let no = TaskOutcome::Rejected { reason: "not for minors".to_owned() };
    assert_eq!(testbed.settle(&tasks[1], no).await, Settled::Applied(BookingState::Rejected));
    assert_eq!(
        testbed.settle(&tasks[0], TaskOutcome::SOLD_OUT).await,
        Settled::Applied(BookingState::SoldOut)
    );
    assert_eq!(testbed.booking("b").await.reason, "not for minors");
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.backlog, snapshot.in_flight, snapshot.holds), (0, 0, 0));
    assert_eq!((snapshot.totals.sold_out, snapshot.totals.rejected), (1, 1));
}

/// GetStatus still answers.
pub async fn a_final_booking_keeps_its_ids_but_not_its_details(testbed: &Testbed<'_>) {
    let first = testbed.hold("a").await;
    assert_ne!(first.details, Details::default());
    let task = testbed.pay_in_time("a").await;
    assert_eq!(task.details, first.details);
    assert_eq!(
        testbed.settle(&task, TaskOutcome::Confirmed).await,
        Settled::Applied(BookingState::Confirmed)
    );
    let booking = testbed.booking("a").await;
    assert_eq!(booking.state, BookingState::Confirmed);
    assert!(booking.payment.is_some() && booking.reservation.is_some());
    assert_eq!(
        testbed.settle(&task, TaskOutcome::Confirmed).await,
        Settled::Repeated(BookingState::Confirmed)
    );
}

/// Once for each settled task, never for a repeat.
pub async fn the_slot_time_of_settled_tasks_is_summed(testbed: &Testbed<'_>) {
    let task = testbed.hold("a").await;
    testbed.settle(&task, reserved()).await;
    let task = testbed.pay_in_time("a").await;
    testbed.settle(&task, TaskOutcome::Confirmed).await;
    let totals = testbed.store.snapshot().await.unwrap().totals;
    assert_eq!(totals.busy_us, 2 * BUSY.as_micros() as u64);
    assert_eq!((totals.dispatched, totals.claimed, totals.reserved), (1, 2, 1));
}
