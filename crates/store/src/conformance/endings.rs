//! Retrying, giving up, releasing: how bookings come to their end.

use std::time::Duration;

use bookingq_core::{BookingState, Details, Outcome, Refusal};

use super::Subject;
use super::scene::{BUSY, MS, Scene, give_up, reserved, retry};
use crate::{Settled, TaskKind, TaskOutcome, Try};

/// Its outcome is not known, so it must be released; the reason stays.
pub async fn invariant_4_a_booking_that_runs_out_of_attempts_is_released_before_it_fails(
    subject: &dyn Subject,
) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let task = scene.claims_one().await;
    let settled = scene.settles(&task, give_up("five tries")).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    let booking = scene.booking("a").await;
    assert_eq!((booking.outcome, booking.reason.as_str()), (Some(Outcome::Failed), "five tries"));
    let task = scene.claims_one().await;
    assert_eq!(task.kind, TaskKind::Release { reservation: None, outcome: Outcome::Failed });
    assert_eq!(
        scene.settles(&task, TaskOutcome::Released).await,
        Settled::Applied(BookingState::Failed)
    );
    assert_eq!(scene.booking("a").await.reason, "five tries");
}

/// Somebody has paid for it, and its reservation is still there.
pub async fn invariant_4_a_refused_confirmation_is_released_before_it_fails(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    let task = scene.pays_in_time("a").await;
    let settled = scene.settles(&task, give_up("card stolen")).await;
    assert_eq!(settled, Settled::Applied(BookingState::Releasing));
    assert_eq!(scene.is_released("a").await, BookingState::Failed);
    assert_eq!(scene.store().snapshot().await.unwrap().totals.failed, 1);
}

/// The store never gives up by itself.
pub async fn invariant_4_confirm_and_release_are_retried_for_ever(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    let mut task = scene.pays_in_time("a").await;
    for tries in 0..20 {
        assert_eq!((task.kind.as_str(), task.attempts), ("confirm", tries));
        scene.settles(&task, retry(Duration::ZERO, Try::Counts)).await;
        task = scene.claims_one().await;
    }
    scene.settles(&task, give_up("no")).await;
    let mut task = scene.claims_one().await;
    for tries in 0..20 {
        assert_eq!((task.kind.as_str(), task.attempts), ("release", tries));
        scene.settles(&task, retry(Duration::ZERO, Try::Counts)).await;
        task = scene.claims_one().await;
    }
    assert_eq!(
        scene.settles(&task, TaskOutcome::Released).await,
        Settled::Applied(BookingState::Failed)
    );
}

/// The Booking Service knows better: the store was set back to before the payment. With and without
/// a reason to be forgotten.
pub async fn invariant_4_a_release_that_finds_a_sale_ends_as_that(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.gets_a_hold("a").await;
    scene.advance(super::scene::HOLD).await;
    scene.store().sweep(9).await.unwrap();
    for name in ["a", "b"] {
        if name == "b" {
            scene.joins(name).await;
            let task = scene.claims_one().await;
            scene.settles(&task, give_up("five tries")).await;
        }
        let task = scene.claims_one().await;
        assert_eq!(
            scene.settles(&task, TaskOutcome::Confirmed).await,
            Settled::Applied(BookingState::Confirmed)
        );
        let booking = scene.booking(name).await;
        assert_eq!(
            (booking.state, booking.outcome, &*booking.reason),
            (BookingState::Confirmed, None, "")
        );
        assert_eq!(
            scene.settles(&task, TaskOutcome::Released).await,
            Settled::Repeated(BookingState::Confirmed)
        );
        assert_eq!(
            scene.pays(name, "late").await,
            Err(Refusal::AlreadyFinal(BookingState::Confirmed))
        );
    }
    let snapshot = scene.store().snapshot().await.unwrap();
    assert_eq!((snapshot.in_flight, snapshot.totals.confirmed, snapshot.totals.expired), (0, 2, 0));
}

/// A Booking Service with a stock.
struct Shop {
    left: u64,
}

impl Shop {
    fn answers(&mut self, kind: &TaskKind) -> TaskOutcome {
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

/// Twenty clients, five tickets, every third client never pays: what is released is sold again, and
/// no more than that.
pub async fn invariant_6_never_more_confirmed_than_there_is_stock(subject: &dyn Subject) {
    const STOCK: u64 = 5;
    let scene = Scene::new(subject);
    for n in 0..20 {
        scene.joins(&format!("c{n}")).await;
    }
    let mut shop = Shop { left: STOCK };
    for _ in 0..5 {
        while let Some(task) = scene.claims(1).await.pop() {
            let settled = scene.settles(&task, shop.answers(&task.kind)).await;
            let pays = !task.place.number.get().is_multiple_of(3);
            if settled == Settled::Applied(BookingState::Reserved) && pays {
                let task = scene.pays_in_time(task.client.as_str()).await;
                scene.settles(&task, shop.answers(&task.kind)).await;
            }
            let snapshot = scene.store().snapshot().await.unwrap();
            assert!(snapshot.totals.confirmed + snapshot.holds <= STOCK);
        }
        scene.advance(super::scene::HOLD).await;
        scene.store().sweep(99).await.unwrap();
    }
    let totals = scene.store().snapshot().await.unwrap().totals;
    assert_eq!(totals.confirmed, STOCK);
    assert!(totals.expired > 0, "some were sold twice, one after the other");
}

/// An outage is nobody's fault, and a confirmation does not pay for the tries of its reservation.
pub async fn only_tries_that_count_are_counted_and_each_kind_from_zero(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    for (counts, attempts) in [(Try::Counts, 1), (Try::Free, 1), (Try::Counts, 2)] {
        let task = scene.claims_one().await;
        scene.settles(&task, retry(Duration::ZERO, counts)).await;
        let task = scene.claims_one().await;
        assert_eq!(task.attempts, attempts);
        scene.settles(&task, retry(Duration::ZERO, Try::Free)).await;
    }
    let task = scene.claims_one().await;
    scene.settles(&task, reserved()).await;
    let task = scene.pays_in_time("a").await;
    assert_eq!(task.attempts, 0);
    scene.settles(&task, retry(Duration::ZERO, Try::Counts)).await;
    let task = scene.claims_one().await;
    assert_eq!(task.attempts, 1);
    scene.settles(&task, give_up("no")).await;
    assert_eq!(scene.claims_one().await.attempts, 0);
}

/// There is nothing to release.
pub async fn sold_out_and_rejected_are_final_at_once(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    scene.joins("b").await;
    let tasks = scene.claims(2).await;
    assert_eq!(
        scene.settles(&tasks[0], TaskOutcome::SoldOut).await,
        Settled::Applied(BookingState::SoldOut)
    );
    let no = TaskOutcome::Rejected { reason: "not for minors".to_owned() };
    assert_eq!(scene.settles(&tasks[1], no).await, Settled::Applied(BookingState::Rejected));
    assert_eq!(scene.booking("b").await.reason, "not for minors");
    let snapshot = scene.store().snapshot().await.unwrap();
    assert_eq!((snapshot.backlog, snapshot.in_flight, snapshot.holds), (0, 0, 0));
    assert_eq!((snapshot.totals.sold_out, snapshot.totals.rejected), (1, 1));
}

/// The booking can still be asked for.
pub async fn what_only_a_worker_needs_is_gone_at_the_end(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let first = scene.gets_a_hold("a").await;
    assert_ne!(first.details, Details::default());
    let task = scene.pays_in_time("a").await;
    assert_eq!(task.details, first.details);
    assert_eq!(
        scene.settles(&task, TaskOutcome::Confirmed).await,
        Settled::Applied(BookingState::Confirmed)
    );
    let booking = scene.booking("a").await;
    assert_eq!(booking.state, BookingState::Confirmed);
    assert!(booking.payment.is_some() && booking.reservation.is_some());
    assert_eq!(
        scene.settles(&task, TaskOutcome::Confirmed).await,
        Settled::Repeated(BookingState::Confirmed)
    );
}

/// Once for each task that was settled, never for a repeat.
pub async fn the_slot_time_of_settled_tasks_is_summed(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let task = scene.gets_a_hold("a").await;
    scene.settles(&task, reserved()).await;
    let task = scene.pays_in_time("a").await;
    scene.settles(&task, TaskOutcome::Confirmed).await;
    let totals = scene.store().snapshot().await.unwrap().totals;
    assert_eq!(totals.busy_us, 2 * BUSY.as_micros() as u64);
    assert_eq!((totals.dispatched, totals.claimed, totals.reserved), (1, 2, 1));
}
