//! A Reserve that was repeated before its outcome was known may still arrive: its booking ends only
//! after a Release.

use std::time::Duration;

use bookingq_core::{BookingId, BookingState, ItemChange, Outcome, SoldOutRule};

use super::testbed::{HOLD, LEASE, PROBE_EVERY, Testbed, names, quantity, reserved, retry};
use bookingq_store::{Confirmed, Scope, Settled, Task, TaskKind, TaskOutcome, Try};

/// The worker of these tasks dies; another one claims them.
async fn lose(testbed: &Testbed<'_>, tasks: usize) -> Vec<Task> {
    testbed.advance(LEASE).await;
    let again = testbed.claim_in(tasks, Scope::DueOnly).await.tasks;
    assert_eq!(again.len(), tasks);
    again
}

async fn releases(testbed: &Testbed<'_>, name: &str, outcome: Outcome) {
    let booking = testbed.booking(name).await;
    assert_eq!((booking.state, booking.outcome), (BookingState::Releasing, Some(outcome)));
    let task = testbed.claim_in(1, Scope::DueOnly).await.tasks.remove(0);
    assert_eq!(task.client.as_str(), name);
    assert_eq!(task.kind, TaskKind::Release { reservation: None, outcome });
    assert_eq!(
        testbed.settle(&task, TaskOutcome::Released).await,
        Settled::Applied(outcome.state())
    );
}

/// Also where nothing else can come back, and where no client waits.
pub async fn invariant_4_a_refused_booking_is_released_if_a_late_reserve_may_arrive(
    testbed: &Testbed<'_>,
) {
    testbed.join("killed").await;
    testbed.claim_one().await;
    let task = lose(testbed, 1).await.remove(0);
    assert_eq!(testbed.refuse(&task).await, BookingState::Releasing);
    releases(testbed, "killed", Outcome::SoldOut).await;

    testbed.set_sold_out(SoldOutRule::End, &[]).await;
    testbed.join("lost answer").await;
    let task = testbed.claim_one().await;
    testbed.settle(&task, retry(Duration::ZERO, Try::Free)).await;
    let task = testbed.claim_one().await;
    assert_eq!(testbed.refuse(&task).await, BookingState::Releasing);
    releases(testbed, "lost answer", Outcome::SoldOut).await;

    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.in_flight, snapshot.totals.sold_out), (0, 2));
    assert_eq!(testbed.item("stalls").await.unsettled, 0);
}

/// Its reason stays.
pub async fn invariant_4_a_rejected_booking_is_released_if_a_late_reserve_may_arrive(
    testbed: &Testbed<'_>,
) {
    testbed.join("a").await;
    testbed.claim_one().await;
    let task = lose(testbed, 1).await.remove(0);
    let no = TaskOutcome::Rejected { reason: "not for minors".to_owned() };
    assert_eq!(testbed.settle(&task, no).await, Settled::Applied(BookingState::Releasing));
    assert_eq!(testbed.booking("a").await.reason, "not for minors");
    releases(testbed, "a", Outcome::Rejected).await;
    assert_eq!(testbed.booking("a").await.reason, "not for minors");
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.rejected, 1);
}

/// What it has reserved is its client's, so that one is asked before the item ends, even where one
/// with a smaller quantity waits. Then it is released, and the rest ends.
pub async fn invariant_9_an_item_ends_after_its_strays(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("first", 1), ("lost", 2), ("never", 3)]).await;
    let tasks = testbed.claim(3).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    let lost = lose(testbed, 1).await.remove(0);
    assert_eq!(testbed.refuse(&lost).await, BookingState::Queued, "parked with its mark");
    let paid = testbed.pay_in_time("holder").await;
    testbed.settle(&paid, TaskOutcome::Confirmed).await;

    let mut asked = Vec::new();
    while testbed.state("lost").await != BookingState::Releasing {
        let task = testbed.claim_one().await;
        testbed.refuse(&task).await;
        asked.push(task.client.to_string());
        testbed.advance(Duration::from_millis(100)).await;
    }
    assert_eq!(asked, ["first", "lost"]);
    assert!(!testbed.item("stalls").await.ended);
    releases(testbed, "lost", Outcome::SoldOut).await;

    let task = testbed.claim_one().await;
    assert_eq!(
        (task.client.as_str(), testbed.refuse(&task).await),
        ("first", BookingState::SoldOut)
    );
    testbed.claim(9).await;
    assert_eq!(testbed.state("never").await, BookingState::SoldOut);
    let item = testbed.item("stalls").await;
    assert_eq!((item.ended, item.unsettled, item.waiting), (true, 0, 0));
    assert_eq!(testbed.item_changes().await.pop(), Some(("stalls".to_owned(), ItemChange::Ended)));
}

/// It was found by that claim, and its hold is like any other.
pub async fn a_stray_that_is_found_reserved_is_held(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("first", 1), ("lost", 1)]).await;
    let tasks = testbed.claim(2).await;
    let elsewhere = TaskOutcome::SoldOut { left: None, elsewhere: 1 };
    testbed.settle(&tasks[0], elsewhere.clone()).await;
    let lost = lose(testbed, 1).await.remove(0);
    assert_eq!(testbed.store.renew(vec![lost.lease()], LEASE).await.unwrap(), [true]);
    testbed.settle(&lost, elsewhere).await;
    testbed.advance(PROBE_EVERY).await;
    let first = testbed.claim_one().await;
    testbed.advance(PROBE_EVERY).await;
    assert_eq!(
        (first.client.as_str(), testbed.refuse(&first).await),
        ("first", BookingState::Queued)
    );
    let lost = testbed.claim_one().await;
    assert_eq!(testbed.settle(&lost, reserved()).await, Settled::Applied(BookingState::Reserved));
    testbed.advance(HOLD).await;
    testbed.store.sweep(9).await.unwrap();
    let release = testbed.claim_in(1, Scope::DueOnly).await.tasks.remove(0);
    assert!(matches!(release.kind, TaskKind::Release { reservation: Some(_), .. }));
    testbed.settle(&release, TaskOutcome::Released).await;
    assert_eq!(testbed.state("lost").await, BookingState::Expired);
}

/// The claim that ends the others makes its release due, a step's worth at a time.
pub async fn a_rule_that_becomes_end_releases_the_strays_that_wait(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("lost", 2), ("other", 2)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    let lost = lose(testbed, 1).await.remove(0);
    testbed.refuse(&lost).await;
    testbed.claim(9).await;
    testbed.set_sold_out(SoldOutRule::End, &[]).await;
    let claim = testbed.claim_in(9, Scope::DueOnly).await;
    assert_eq!((claim.tasks.len(), claim.next), (0, Some(Duration::ZERO)));
    assert_eq!(testbed.state("other").await, BookingState::SoldOut);
    assert_eq!(testbed.item("stalls").await.unsettled, 2);
    releases(testbed, "lost", Outcome::SoldOut).await;
    let item = testbed.item("stalls").await;
    assert_eq!((item.refused, item.unsettled, item.waiting), (Some(quantity(2)), 1, 0));
    assert_eq!(testbed.store.snapshot().await.unwrap().parked, 0);
}

/// Only a booking that waits holds up the end of its item.
pub async fn a_cancelled_stray_is_asked_no_more(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("first", 1), ("lost", 1)]).await;
    let tasks = testbed.claim(2).await;
    let lost = lose(testbed, 2).await;
    let elsewhere = TaskOutcome::SoldOut { left: None, elsewhere: 1 };
    testbed.settle(&lost[1], elsewhere).await;
    assert_eq!(testbed.settle(&tasks[0], reserved()).await, Settled::Stale);
    testbed.cancel("lost").await.unwrap();
    releases(testbed, "lost", Outcome::Cancelled).await;
    assert_eq!(testbed.refuse(&lost[0]).await, BookingState::Queued, "from before a return");
    let first = testbed.claim_one().await;
    assert_eq!(names(std::slice::from_ref(&first)), ["first"]);
    assert_eq!(testbed.refuse(&first).await, BookingState::Releasing);
    releases(testbed, "first", Outcome::SoldOut).await;
}

/// The payment is to be returned, and nothing stays reserved.
pub async fn a_late_payment_whose_reserve_was_lost_ends_after_a_release(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    testbed.advance(HOLD).await;
    testbed.store.sweep(9).await.unwrap();
    assert_eq!(testbed.release("a").await, BookingState::Expired);
    let id = BookingId::from_u128(7);
    let paid = testbed.confirm("a", None, "p", Some(id)).await;
    assert!(matches!(paid, Ok(Confirmed::Reacquired(Some(_), _))), "{paid:?}");
    let task = lose(testbed, 1).await.remove(0);
    assert_eq!(testbed.refuse(&task).await, BookingState::Releasing);
    let again = testbed.pay("a", "p").await;
    assert!(matches!(again, Ok(Confirmed::Repeated(_))), "{again:?}");
    releases(testbed, "a", Outcome::SoldOut).await;
    let booking = testbed.booking("a").await;
    assert_eq!((booking.id, booking.payment.is_some()), (id, true));
}
