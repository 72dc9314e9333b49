//! The outbox: events, followers and the notifier's lease.

use std::time::Duration;

use bookingq_core::limits::MAX_REASON_BYTES;
use bookingq_core::{
    Admission, BookingState, Event, EventSeq, Fence, OutboxEvent, Outcome, Place, SaleRules,
    Timestamp, Workforce, WorkforceChange,
};

use super::testbed::{HOLD, LEASE, MS, Testbed, give_up, retry};
use bookingq_store::Try;

/// The events of one booking are its audit log: each transition, nothing else.
pub async fn every_transition_is_published_once_and_in_order(testbed: &Testbed<'_>) {
    use BookingState as S;
    testbed.join("a b>c").await;
    testbed.join("a b>c").await;
    let task = testbed.claim_one().await;
    testbed.settle(&task, retry(MS, Try::Counts)).await;
    testbed.advance(MS).await;
    let task = testbed.claim_one().await;
    testbed.settle(&task, super::testbed::reserved()).await;
    let deadline = testbed.now().await + HOLD;
    let task = testbed.pay_in_time("a b>c").await;
    testbed.settle(&task, give_up("the card: no > funds")).await;
    testbed.release("a b>c").await;

    let events = testbed.events(EventSeq::START).await.events;
    let events: Vec<&Event> = events.iter().filter_map(OutboxEvent::booking).collect();
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

/// Also between two events of one store call.
pub async fn a_follower_can_stop_at_any_event_and_resume(testbed: &Testbed<'_>) {
    let names: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();
    let batch = names.iter().map(|name| super::testbed::enqueue(name, "r")).collect();
    testbed.store.enqueue(batch).await.unwrap();
    testbed.claim(3).await;
    let all = testbed.events(EventSeq::START).await;
    assert_eq!(all.events.len(), 13);
    for (seen, event) in all.events.iter().enumerate() {
        let rest = testbed.store.events(event.seq(), 1, Duration::ZERO).await.unwrap();
        assert!(!rest.gap);
        assert_eq!(rest.events.first(), all.events.get(seen + 1));
    }
    assert_eq!(testbed.store.latest_event().await.unwrap(), all.next);
    let nothing = testbed.events(all.next).await;
    assert_eq!((nothing.events.len(), nothing.next, nothing.gap), (0, all.next, false));
}

/// At once, not at its time-out.
pub async fn a_waiting_follower_is_woken(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let after = testbed.store.latest_event().await.unwrap();
    let follow = testbed.store.events(after, 10, Duration::from_secs(20));
    let (followed, _) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(10), follow), testbed.join("b"));
    let events = followed.expect("woken long before its time").unwrap().events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].booking().expect("a transition").client.as_str(), "b");
}

/// Neither an error nor a gap.
pub async fn a_follower_without_new_events_gets_an_empty_answer(testbed: &Testbed<'_>) {
    let found = testbed.store.events(EventSeq::START, 10, Duration::from_millis(30)).await.unwrap();
    assert_eq!((found.events.len(), found.next, found.gap), (0, EventSeq::START, false));
}

/// Its cursor points behind the newest event of this store.
pub async fn a_follower_of_lost_data_gets_a_gap(testbed: &Testbed<'_>) {
    let elsewhere = EventSeq::new(u64::MAX >> 1, 3, 0);
    let lost = testbed.events(elsewhere).await;
    assert_eq!((lost.gap, lost.next), (true, EventSeq::START));
    testbed.join("a").await;
    let lost = testbed.events(elsewhere).await;
    assert!(lost.gap);
    assert_eq!(lost.next, testbed.store.latest_event().await.unwrap());
    assert!(!testbed.events(lost.next).await.gap);
}

/// The next owner continues from the cursor of the last one.
pub async fn only_one_notifier_has_the_lease_and_its_cursor_never_goes_back(testbed: &Testbed<'_>) {
    let notifier = async |owner: &str, done| {
        testbed.store.notifier(owner, LEASE, done).await.unwrap().map(|lease| lease.done)
    };
    let cursor = EventSeq::new(7, 2, 1);
    assert_eq!(notifier("one", None).await, Some(EventSeq::START));
    assert_eq!(notifier("two", Some(cursor)).await, None);
    assert_eq!(notifier("one", Some(cursor)).await, Some(cursor));
    assert_eq!(notifier("one", Some(EventSeq::new(7, 1, 5))).await, Some(cursor));
    testbed.advance(LEASE - MS).await;
    assert_eq!(notifier("two", None).await, None);
    testbed.advance(MS).await;
    assert_eq!(notifier("two", None).await, Some(cursor));
    assert_eq!(notifier("one", Some(EventSeq::new(9, 0, 0))).await, None);
}

/// Each booking is in exactly one set.
pub async fn a_snapshot_counts_every_booking_once(testbed: &Testbed<'_>) {
    let empty = testbed.store.snapshot().await.unwrap();
    assert_eq!((empty.backlog, empty.front, empty.swept_at), (0, None, None));
    assert_eq!(empty.admission, Admission::Open);
    testbed.hold("held").await;
    testbed.join("claimed").await;
    testbed.claim_one().await;
    let front = testbed.join("waiting").await.booking;
    testbed.join("behind").await;
    testbed.advance(LEASE).await;
    testbed.store.set_admission(Admission::Paused).await.unwrap();
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.backlog, snapshot.in_flight, snapshot.due, snapshot.holds), (2, 1, 1, 1));
    assert_eq!(snapshot.front, Some((front.place, front.enqueued_at)));
    assert_eq!((snapshot.admission, snapshot.overdue), (Admission::Paused, 0));
    assert!(snapshot.outbox > 0);
}

/// The store is opened again and rules are set, without a loss. A long note is cut.
pub async fn the_workers_are_shown_as_they_were_last_recorded(testbed: &Testbed<'_>) {
    let shown = async || testbed.store.snapshot().await.unwrap().workforce;
    assert_eq!(shown().await, None);
    let mut workers = Workforce { wanted: 2, ready: 0, last_scaling: None };
    testbed.store.set_workforce(&workers).await.unwrap();
    assert_eq!(shown().await.as_ref(), Some(&workers));

    let note = "workers 2 -> 5: 1200 in line, 300 joining per minute, 4 in flight";
    workers.last_scaling = Some(WorkforceChange {
        at: Timestamp(1_800_000_000_000),
        from: 2,
        to: 5,
        reason: "Demand".to_owned(),
        note: note.to_owned(),
    });
    workers.wanted = 5;
    testbed.store.set_workforce(&workers).await.unwrap();
    testbed.store.open().await.unwrap();
    testbed.store.set_rules(SaleRules::default()).await.unwrap();
    assert_eq!(shown().await.as_ref(), Some(&workers));

    let long = WorkforceChange {
        reason: "two words".to_owned(),
        note: format!("first line\n{}", "x".repeat(2 * MAX_REASON_BYTES)),
        ..workers.last_scaling.clone().unwrap()
    };
    workers.last_scaling = Some(long);
    testbed.store.set_workforce(&workers).await.unwrap();
    let cut = shown().await.and_then(|workers| workers.last_scaling).unwrap();
    assert_eq!(cut.reason, "twowords");
    assert!(cut.note.starts_with("first line x"), "{}", cut.note);
    assert_eq!(cut.note.len(), MAX_REASON_BYTES);
}
