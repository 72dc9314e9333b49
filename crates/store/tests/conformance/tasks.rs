//! Claims, leases and fences.

use std::time::Duration;

use bookingq_core::{Admission, BookingState, Fence};

use super::testbed::{LEASE, MS, Testbed, client, enqueue, names, reserved, retry};
use bookingq_store::{Lease, Scope, Settled, Settlement, Task, TaskKind, TaskOutcome, Try};

/// First come, first served, with growing fences.
pub async fn invariant_2_bookings_are_claimed_in_line_order(testbed: &Testbed<'_>) {
    for name in ["c", "a", "b"] {
        testbed.join(name).await;
    }
    let first = testbed.claim_in(2, Scope::Everything).await;
    assert_eq!(names(&first.tasks), ["c", "a"]);
    assert!(first.more);
    assert!(first.tasks[0].fence < first.tasks[1].fence);
    let second = testbed.claim_in(2, Scope::Everything).await;
    assert_eq!(names(&second.tasks), ["b"]);
    assert!(!second.more);
    assert_eq!(second.next, Some(LEASE));
}

/// Ahead of the line, as soon as its back-off has passed.
pub async fn invariant_2_a_retry_keeps_its_place_and_goes_first(testbed: &Testbed<'_>) {
    for name in ["a", "b", "c"] {
        testbed.join(name).await;
    }
    let task = testbed.claim(1).await.remove(0);
    let settled = testbed.settle(&task, retry(5 * MS, Try::Counts)).await;
    assert_eq!(settled, Settled::Applied(BookingState::Reserving));
    testbed.advance(4 * MS).await;
    assert_eq!(names(&testbed.claim(1).await), ["b"]);
    testbed.advance(MS).await;
    let claimed = testbed.claim(2).await;
    assert_eq!(names(&claimed), ["a", "c"]);
    assert_eq!((claimed[0].place, claimed[0].attempts), (task.place, 1));
}

/// A dead worker delays its tasks by one lease at most.
pub async fn invariant_2_a_dead_workers_task_keeps_its_place_and_goes_first(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let lost = testbed.claim_one().await;
    testbed.join("b").await;
    testbed.advance(LEASE).await;
    let claimed = testbed.claim(2).await;
    assert_eq!(names(&claimed), ["a", "b"]);
    assert_eq!((claimed[0].place, claimed[0].booking), (lost.place, lost.booking));
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.reclaimed, 1);
}

/// Neither before nor after the new holder settles.
pub async fn invariant_3_a_late_worker_settles_nothing(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let late = testbed.claim_one().await;
    testbed.advance(LEASE).await;
    let current = testbed.claim_one().await;
    assert!(current.fence > late.fence);
    for outcome in [reserved(), TaskOutcome::SOLD_OUT, retry(Duration::ZERO, Try::Counts)] {
        assert_eq!(testbed.settle(&late, outcome).await, Settled::Stale);
    }
    let before = testbed.booking("a").await;
    assert_eq!(before.state, BookingState::Reserving);
    assert_eq!(
        testbed.settle(&current, reserved()).await,
        Settled::Applied(BookingState::Reserved)
    );
    assert_eq!(testbed.settle(&late, TaskOutcome::SOLD_OUT).await, Settled::Stale);
    assert_eq!(testbed.state("a").await, BookingState::Reserved);
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.stale, 4);
}

/// Neither a lease that another worker has claimed since, nor a settled one.
pub async fn invariant_3_a_late_worker_renews_nothing(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let late = testbed.claim_one().await;
    testbed.advance(LEASE).await;
    let current = testbed.claim_one().await;
    let leases = vec![late.lease(), current.lease()];
    assert_eq!(testbed.store.renew(leases.clone(), LEASE).await.unwrap(), [false, true]);
    testbed.settle(&current, reserved()).await;
    assert_eq!(testbed.store.renew(leases, LEASE).await.unwrap(), [false, false]);
}

/// After a retry the fence settles nothing more, even before the next claim.
pub async fn invariant_3_a_fence_settles_once(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let task = testbed.claim_one().await;
    let again = retry(5 * MS, Try::Counts);
    assert_eq!(
        testbed.settle(&task, again.clone()).await,
        Settled::Applied(BookingState::Reserving)
    );
    assert_eq!(testbed.settle(&task, again).await, Settled::Repeated(BookingState::Reserving));
    assert_eq!(testbed.settle(&task, reserved()).await, Settled::Repeated(BookingState::Reserving));
    testbed.advance(5 * MS).await;
    let task = testbed.claim_one().await;
    assert_eq!(task.attempts, 1, "the repeat did not count");
    assert_eq!(testbed.settle(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
    assert_eq!(testbed.settle(&task, reserved()).await, Settled::Repeated(BookingState::Reserved));
}

/// The client may have joined again meanwhile.
pub async fn invariant_3_a_settlement_of_an_earlier_booking_changes_nothing(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let old = testbed.claim_one().await;
    testbed.settle(&old, TaskOutcome::Rejected { reason: String::new() }).await;
    testbed.enqueue(enqueue("a", "another")).await.unwrap();
    assert_eq!(testbed.settle(&old, TaskOutcome::SOLD_OUT).await, Settled::Stale);
    let new = testbed.claim_one().await;
    let mixed = Task { booking: old.booking, ..new.clone() };
    assert_eq!(testbed.settle(&mixed, TaskOutcome::SOLD_OUT).await, Settled::Stale);
    assert_eq!(testbed.state("a").await, BookingState::Reserving);
}

/// Fence 0, which no claim has, and outcomes of other kinds of task.
pub async fn invariant_3_an_outcome_that_does_not_fit_changes_nothing(testbed: &Testbed<'_>) {
    let waiting = testbed.join("a").await.booking;
    let lease = Lease {
        client: client("a"),
        booking: waiting.id,
        place: waiting.place,
        fence: Fence(0),
        generation: bookingq_core::Generation::default(),
    };
    let forged = Settlement { lease, outcome: TaskOutcome::SOLD_OUT, busy: Duration::ZERO };
    assert_eq!(testbed.store.settle(vec![forged]).await.unwrap(), [Settled::Stale]);
    let task = testbed.claim_one().await;
    for outcome in [TaskOutcome::Confirmed, TaskOutcome::Released] {
        assert_eq!(testbed.settle(&task, outcome).await, Settled::Stale);
    }
    assert_eq!(testbed.settle(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
}

/// No other clock counts.
pub async fn invariant_7_nothing_is_due_before_the_stores_clock_says_so(testbed: &Testbed<'_>) {
    testbed.hold("held").await;
    testbed.join("claimed").await;
    testbed.claim_one().await;
    testbed.advance(LEASE - MS).await;
    let claim = testbed.claim_in(9, Scope::Everything).await;
    assert!(claim.tasks.is_empty());
    assert_eq!((claim.next, claim.now), (Some(MS), testbed.now().await));
    assert_eq!(testbed.store.sweep(9).await.unwrap().expired, 0);
    testbed.advance(MS).await;
    assert_eq!(names(&testbed.claim(9).await), ["claimed"]);
}

/// The store splits a batch that exceeds the size of one step.
pub async fn invariant_8_a_batch_of_any_size_is_done(testbed: &Testbed<'_>) {
    const CROWD: usize = 600;
    let batch = (0..CROWD).map(|n| enqueue(&format!("c{n}"), "r")).collect();
    testbed.store.enqueue(batch).await.unwrap();
    let tasks = testbed.claim(CROWD).await;
    assert_eq!(tasks.len(), CROWD);
    assert!(tasks.is_sorted_by(|a, b| a.place < b.place && a.fence < b.fence));
    let settle = |task: &Task| Settlement { lease: task.lease(), outcome: reserved(), busy: MS };
    let settled = testbed.store.settle(tasks.iter().map(settle).collect()).await.unwrap();
    assert!(settled.iter().all(|one| *one == Settled::Applied(BookingState::Reserved)));
    testbed.advance(super::testbed::HOLD).await;
    let swept = testbed.store.sweep(CROWD).await.unwrap();
    assert_eq!((swept.expired, swept.more), (CROWD, false));
}

/// A live worker keeps its task.
pub async fn a_renewed_lease_is_not_claimed_by_others(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let task = testbed.claim_one().await;
    for _ in 0..3 {
        testbed.advance(LEASE - MS).await;
        assert_eq!(testbed.store.renew(vec![task.lease()], LEASE).await.unwrap(), [true]);
        assert!(testbed.claim(1).await.is_empty());
    }
    assert_eq!(testbed.settle(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
}

/// Tasks in flight continue; the line waits.
pub async fn a_paused_queue_hands_out_due_tasks_only(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let task = testbed.claim_one().await;
    testbed.join("b").await;
    testbed.settle(&task, retry(Duration::ZERO, Try::Free)).await;
    testbed.store.set_admission(Admission::Paused).await.unwrap();
    let claim = testbed.claim_in(5, Scope::Everything).await;
    assert_eq!(names(&claim.tasks), ["a"]);
    assert!(!claim.more, "no booking leaves the line of a paused queue");
    testbed.join("c").await;
    testbed.store.set_admission(Admission::Open).await.unwrap();
    assert_eq!(names(&testbed.claim(5).await), ["b", "c"]);
}

/// The claim of a draining worker.
pub async fn a_claim_of_due_tasks_leaves_the_line_alone(testbed: &Testbed<'_>) {
    testbed.hold("a").await;
    testbed.cancel("a").await.unwrap();
    testbed.join("b").await;
    let claim = testbed.claim_in(5, Scope::DueOnly).await;
    assert_eq!(names(&claim.tasks), ["a"]);
    assert_eq!(testbed.booking("b").await.position, Some(1));
}

/// Its task carries everything that a worker needs.
pub async fn the_first_claim_of_a_booking_is_flagged(testbed: &Testbed<'_>) {
    let asked = enqueue("a", "r");
    let booking = testbed.enqueue(asked.clone()).await.unwrap().booking;
    let first = testbed.claim_one().await;
    assert!(first.first);
    assert_eq!(first.kind, TaskKind::Reserve);
    assert_eq!((&first.details, &first.trace), (&asked.details, &asked.trace));
    assert_eq!((first.place, first.enqueued_at), (booking.place, booking.enqueued_at));
    testbed.advance(LEASE).await;
    let second = testbed.claim_one().await;
    assert!(!second.first);
    assert_eq!(Task { first: true, fence: first.fence, ..second }, first);
}
