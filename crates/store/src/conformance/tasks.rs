//! Claiming tasks, keeping them, and losing them.

use std::time::Duration;

use bookingq_core::{Admission, BookingState, Fence};

use super::Subject;
use super::scene::{LEASE, MS, Scene, client, enqueue, reserved, retry};
use crate::{Scope, Settled, Settlement, Task, TaskKind, TaskOutcome, Try};

fn names(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.client.as_str()).collect()
}

/// First come, first served; fences grow.
pub async fn invariant_2_bookings_are_claimed_in_line_order(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for name in ["c", "a", "b"] {
        scene.joins(name).await;
    }
    let first = scene.claim(2, Scope::Everything).await;
    assert_eq!(names(&first.tasks), ["c", "a"]);
    assert!(first.more);
    assert!(first.tasks[0].fence < first.tasks[1].fence);
    let second = scene.claim(2, Scope::Everything).await;
    assert_eq!(names(&second.tasks), ["b"]);
    assert!(!second.more);
    assert_eq!(second.next_due, Some(LEASE));
}

/// Ahead of the line, as soon as its back-off has passed.
pub async fn invariant_2_a_retry_keeps_its_place_and_goes_first(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    for name in ["a", "b", "c"] {
        scene.joins(name).await;
    }
    let task = scene.claims(1).await.remove(0);
    let settled = scene.settles(&task, retry(5 * MS, Try::Counts)).await;
    assert_eq!(settled, Settled::Applied(BookingState::Reserving));
    scene.advance(4 * MS).await;
    assert_eq!(names(&scene.claims(1).await), ["b"]);
    scene.advance(MS).await;
    let claimed = scene.claims(2).await;
    assert_eq!(names(&claimed), ["a", "c"]);
    assert_eq!((claimed[0].place, claimed[0].attempts), (task.place, 1));
}

/// Nothing waits longer than a lease for a dead worker.
pub async fn invariant_2_a_dead_workers_task_keeps_its_place_and_goes_first(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let lost = scene.claims_one().await;
    scene.joins("b").await;
    scene.advance(LEASE).await;
    let claimed = scene.claims(2).await;
    assert_eq!(names(&claimed), ["a", "b"]);
    assert_eq!((claimed[0].place, claimed[0].booking), (lost.place, lost.booking));
    assert_eq!(scene.store().snapshot().await.unwrap().totals.reclaimed, 1);
}

/// Neither before nor after the new holder has settled.
pub async fn invariant_3_a_late_worker_settles_nothing(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let late = scene.claims_one().await;
    scene.advance(LEASE).await;
    let current = scene.claims_one().await;
    assert!(current.fence > late.fence);
    for outcome in [reserved(), TaskOutcome::SoldOut, retry(Duration::ZERO, Try::Counts)] {
        assert_eq!(scene.settles(&late, outcome).await, Settled::Stale);
    }
    let before = scene.booking("a").await;
    assert_eq!(before.state, BookingState::Reserving);
    assert_eq!(scene.settles(&current, reserved()).await, Settled::Applied(BookingState::Reserved));
    assert_eq!(scene.settles(&late, TaskOutcome::SoldOut).await, Settled::Stale);
    assert_eq!(scene.state("a").await, BookingState::Reserved);
    assert_eq!(scene.store().snapshot().await.unwrap().totals.stale, 4);
}

/// A lease that somebody else has is not extended; a settled one neither.
pub async fn invariant_3_a_late_worker_renews_nothing(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let late = scene.claims_one().await;
    scene.advance(LEASE).await;
    let current = scene.claims_one().await;
    let leases = vec![late.lease(), current.lease()];
    assert_eq!(scene.store().renew(leases.clone(), LEASE).await.unwrap(), [false, true]);
    scene.settles(&current, reserved()).await;
    assert_eq!(scene.store().renew(leases, LEASE).await.unwrap(), [false, false]);
}

/// After a retry the same fence settles nothing more, even while nobody else has claimed the task.
pub async fn invariant_3_a_fence_settles_once(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let task = scene.claims_one().await;
    let again = retry(5 * MS, Try::Counts);
    assert_eq!(
        scene.settles(&task, again.clone()).await,
        Settled::Applied(BookingState::Reserving)
    );
    assert_eq!(scene.settles(&task, again).await, Settled::Repeated(BookingState::Reserving));
    assert_eq!(scene.settles(&task, reserved()).await, Settled::Repeated(BookingState::Reserving));
    scene.advance(5 * MS).await;
    let task = scene.claims_one().await;
    assert_eq!(task.attempts, 1, "the repeat did not count");
    assert_eq!(scene.settles(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
    assert_eq!(scene.settles(&task, reserved()).await, Settled::Repeated(BookingState::Reserved));
}

/// The client may have come back meanwhile.
pub async fn invariant_3_a_settlement_of_an_earlier_booking_changes_nothing(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let old = scene.claims_one().await;
    scene.settles(&old, TaskOutcome::SoldOut).await;
    scene.asks(enqueue("a", "another")).await.unwrap();
    assert_eq!(scene.settles(&old, TaskOutcome::SoldOut).await, Settled::Stale);
    let new = scene.claims_one().await;
    let mixed = Task { booking: old.booking, ..new.clone() };
    assert_eq!(scene.settles(&mixed, TaskOutcome::SoldOut).await, Settled::Stale);
    assert_eq!(scene.state("a").await, BookingState::Reserving);
}

/// A fence of nobody, and verdicts of other kinds of task.
pub async fn invariant_3_an_outcome_that_does_not_fit_changes_nothing(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let waiting = scene.joins("a").await.booking;
    let lease = crate::Lease {
        client: client("a"),
        booking: waiting.id,
        place: waiting.place,
        fence: Fence(0),
    };
    let forged = Settlement { lease, outcome: TaskOutcome::SoldOut, busy: Duration::ZERO };
    assert_eq!(scene.store().settle(vec![forged]).await.unwrap(), [Settled::Stale]);
    let task = scene.claims_one().await;
    for outcome in [TaskOutcome::Confirmed, TaskOutcome::Released] {
        assert_eq!(scene.settles(&task, outcome).await, Settled::Stale);
    }
    assert_eq!(scene.settles(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
}

/// However long it takes by any other clock.
pub async fn invariant_7_nothing_is_due_before_the_stores_clock_says_so(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("held").await;
    scene.joins("claimed").await;
    scene.claims_one().await;
    scene.advance(LEASE - MS).await;
    let claim = scene.claim(9, Scope::Everything).await;
    assert!(claim.tasks.is_empty());
    assert_eq!((claim.next_due, claim.now), (Some(MS), scene.now().await));
    assert_eq!(scene.store().sweep(9).await.unwrap().expired, 0);
    scene.advance(MS).await;
    assert_eq!(names(&scene.claims(9).await), ["claimed"]);
}

/// Batches over the size of one step are done in steps.
pub async fn invariant_8_a_batch_of_any_size_is_done(subject: &dyn Subject) {
    const CROWD: usize = 600;
    let scene = Scene::new(subject);
    let batch = (0..CROWD).map(|n| enqueue(&format!("c{n}"), "r")).collect();
    scene.store().enqueue(batch).await.unwrap();
    let tasks = scene.claims(CROWD).await;
    assert_eq!(tasks.len(), CROWD);
    assert!(tasks.is_sorted_by(|a, b| a.place < b.place && a.fence < b.fence));
    let settle =
        |task: &crate::Task| Settlement { lease: task.lease(), outcome: reserved(), busy: MS };
    let settled = scene.store().settle(tasks.iter().map(settle).collect()).await.unwrap();
    assert!(settled.iter().all(|one| *one == Settled::Applied(BookingState::Reserved)));
    scene.advance(super::scene::HOLD).await;
    let swept = scene.store().sweep(CROWD).await.unwrap();
    assert_eq!((swept.expired, swept.more), (CROWD, false));
}

/// As long as its worker is alive.
pub async fn a_renewed_lease_is_not_claimed_by_others(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let task = scene.claims_one().await;
    for _ in 0..3 {
        scene.advance(LEASE - MS).await;
        assert_eq!(scene.store().renew(vec![task.lease()], LEASE).await.unwrap(), [true]);
        assert!(scene.claims(1).await.is_empty());
    }
    assert_eq!(scene.settles(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
}

/// What is in hand goes on; the line stands.
pub async fn a_paused_queue_gives_only_what_is_due(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let task = scene.claims_one().await;
    scene.joins("b").await;
    scene.settles(&task, retry(Duration::ZERO, Try::Free)).await;
    scene.store().set_admission(Admission::Paused).await.unwrap();
    let claim = scene.claim(5, Scope::Everything).await;
    assert_eq!(names(&claim.tasks), ["a"]);
    assert!(!claim.more, "nobody can be taken from the line now");
    scene.joins("c").await;
    scene.store().set_admission(Admission::Open).await.unwrap();
    assert_eq!(names(&scene.claims(5).await), ["b", "c"]);
}

/// What a draining worker asks for.
pub async fn a_claim_of_what_is_due_leaves_the_line_alone(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    scene.leaves("a").await.unwrap();
    scene.joins("b").await;
    let claim = scene.claim(5, Scope::DueOnly).await;
    assert_eq!(names(&claim.tasks), ["a"]);
    assert_eq!(scene.booking("b").await.position, Some(1));
}

/// And carries all that a worker needs.
pub async fn the_first_claim_of_a_booking_says_so(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let asked = enqueue("a", "r");
    let booking = scene.asks(asked.clone()).await.unwrap().booking;
    let first = scene.claims_one().await;
    assert!(first.first);
    assert_eq!(first.kind, TaskKind::Reserve);
    assert_eq!((&first.details, &first.trace), (&asked.details, &asked.trace));
    assert_eq!((first.place, first.enqueued_at), (booking.place, booking.enqueued_at));
    scene.advance(LEASE).await;
    let second = scene.claims_one().await;
    assert!(!second.first);
    assert_eq!(Task { first: true, fence: first.fence, ..second }, first);
}
