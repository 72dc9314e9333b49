//! What followers are told.

use std::time::Duration;

use bookingq_core::{Admission, BookingState, EventSeq, Fence, Outcome, Place};

use super::Subject;
use super::scene::{HOLD, LEASE, MS, Scene, give_up, retry};
use crate::Try;

/// The audit log of one life: each transition, nothing else.
pub async fn every_transition_is_told_once_and_in_order(subject: &dyn Subject) {
    use BookingState as S;
    let scene = Scene::new(subject);
    scene.joins("a b>c").await;
    scene.joins("a b>c").await;
    let task = scene.claims_one().await;
    scene.settles(&task, retry(MS, Try::Counts)).await;
    scene.advance(MS).await;
    let task = scene.claims_one().await;
    scene.settles(&task, super::scene::reserved()).await;
    let deadline = scene.now().await + HOLD;
    let task = scene.pays_in_time("a b>c").await;
    scene.settles(&task, give_up("the card: no > funds")).await;
    scene.is_released("a b>c").await;

    let events = scene.events(EventSeq::START).await.events;
    let seen: Vec<_> =
        events.iter().map(|e| (e.from, e.to, e.fence.0, e.outcome, e.reason.as_str())).collect();
    let (failed, reason) = (Some(Outcome::Failed), "the card: no > funds");
    assert_eq!(
        seen,
        [
            (None, S::Queued, 0, None, ""),
            (Some(S::Queued), S::Reserving, 1, None, ""),
            (Some(S::Reserving), S::Reserving, 2, None, ""),
            (Some(S::Reserving), S::Reserved, 2, None, ""),
            (Some(S::Reserved), S::Confirming, 3, None, ""),
            (Some(S::Confirming), S::Releasing, 3, failed, reason),
            (Some(S::Releasing), S::Releasing, 4, failed, reason),
            (Some(S::Releasing), S::Failed, 4, None, reason),
        ]
    );
    assert!(events.is_sorted_by(|a, b| a.seq < b.seq && a.at <= b.at));
    assert!(events.iter().all(|e| e.client.as_str() == "a b>c" && e.place == Place::numbered(1)));
    assert!(events.iter().all(|e| e.booking == task.booking && e.fence <= Fence(4)));
    let deadlines: Vec<_> = events.iter().filter_map(|e| e.deadline.map(|at| (e.to, at))).collect();
    assert_eq!(deadlines, [(S::Reserved, deadline)]);
}

/// Even between two events of one call.
pub async fn a_follower_may_stop_anywhere_and_go_on(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let names: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();
    let batch = names.iter().map(|name| super::scene::enqueue(name, "r")).collect();
    scene.store().enqueue(batch).await.unwrap();
    scene.claims(3).await;
    let all = scene.events(EventSeq::START).await;
    assert_eq!(all.events.len(), 13);
    for (seen, event) in all.events.iter().enumerate() {
        let rest = scene.store().events(event.seq, 1, Duration::ZERO).await.unwrap();
        assert!(!rest.gap);
        assert_eq!(rest.events.first(), all.events.get(seen + 1));
    }
    assert_eq!(scene.store().latest_event().await.unwrap(), all.next);
    let nothing = scene.events(all.next).await;
    assert_eq!((nothing.events.len(), nothing.next, nothing.gap), (0, all.next, false));
}

/// At once, not when its time is up.
pub async fn a_waiting_follower_is_woken(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    scene.joins("a").await;
    let after = scene.store().latest_event().await.unwrap();
    let follow = scene.store().events(after, 10, Duration::from_secs(20));
    let (followed, _) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(10), follow), scene.joins("b"));
    let events = followed.expect("woken long before its time").unwrap().events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].client.as_str(), "b");
}

/// An empty answer is normal.
pub async fn a_follower_that_waits_in_vain_is_told_so(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let found = scene.store().events(EventSeq::START, 10, Duration::from_millis(30)).await.unwrap();
    assert_eq!((found.events.len(), found.next, found.gap), (0, EventSeq::START, false));
}

/// It followed data that is not there (any more).
pub async fn a_follower_from_elsewhere_is_told_to_start_anew(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let elsewhere = EventSeq::new(u64::MAX >> 1, 3, 0);
    let lost = scene.events(elsewhere).await;
    assert_eq!((lost.gap, lost.next), (true, EventSeq::START));
    scene.joins("a").await;
    let lost = scene.events(elsewhere).await;
    assert!(lost.gap);
    assert_eq!(lost.next, scene.store().latest_event().await.unwrap());
    assert!(!scene.events(lost.next).await.gap);
}

/// Taken over when it ends, with the mark that was left.
pub async fn only_one_may_notify_and_its_mark_never_goes_back(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let notifier = async |owner: &str, done| {
        scene.store().notifier(owner, LEASE, done).await.unwrap().map(|lease| lease.done)
    };
    let mark = EventSeq::new(7, 2, 1);
    assert_eq!(notifier("one", None).await, Some(EventSeq::START));
    assert_eq!(notifier("two", Some(mark)).await, None);
    assert_eq!(notifier("one", Some(mark)).await, Some(mark));
    assert_eq!(notifier("one", Some(EventSeq::new(7, 1, 5))).await, Some(mark));
    scene.advance(LEASE - MS).await;
    assert_eq!(notifier("two", None).await, None);
    scene.advance(MS).await;
    assert_eq!(notifier("two", None).await, Some(mark));
    assert_eq!(notifier("one", Some(EventSeq::new(9, 0, 0))).await, None);
}

/// Each booking is in exactly one place.
pub async fn a_snapshot_counts_what_is_there(subject: &dyn Subject) {
    let scene = Scene::new(subject);
    let empty = scene.store().snapshot().await.unwrap();
    assert_eq!((empty.backlog, empty.front, empty.swept_at), (0, None, None));
    assert_eq!(empty.admission, Admission::Open);
    scene.gets_a_hold("held").await;
    scene.joins("claimed").await;
    scene.claims_one().await;
    let front = scene.joins("waiting").await.booking;
    scene.joins("behind").await;
    scene.advance(LEASE).await;
    scene.store().set_admission(Admission::Paused).await.unwrap();
    let snapshot = scene.store().snapshot().await.unwrap();
    assert_eq!((snapshot.backlog, snapshot.in_flight, snapshot.due, snapshot.holds), (2, 1, 1, 1));
    assert_eq!(snapshot.front, Some((front.place, front.enqueued_at)));
    assert_eq!((snapshot.admission, snapshot.overdue), (Admission::Paused, 0));
    assert!(snapshot.outbox > 0);
}
