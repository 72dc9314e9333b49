//! Items that are sold out: at the moment, or for good.

use bookingq_core::{BookingState, ItemChange, Outcome, Place, Quantity, SoldOutRule};

use super::testbed::{HOLD, MS, PROBE_EVERY, Testbed, names, quantity, reserved, wants};
use bookingq_store::{Scope, Settled, Settlement, TaskOutcome};

/// Nothing of it is held here or elsewhere.
pub async fn who_wants_an_item_that_is_no_longer_sold_ends_at_once(testbed: &Testbed<'_>) {
    testbed.join_for("old", &[("a", 1), ("b", 1), ("c", 2)]).await;
    let task = testbed.claim(1).await.remove(0);
    assert_eq!(testbed.refuse(&task).await, BookingState::SoldOut);
    assert!(testbed.claim(9).await.is_empty());
    assert_eq!(testbed.state("b").await, BookingState::SoldOut);
    assert_eq!(testbed.state("c").await, BookingState::SoldOut);
    assert!(testbed.item("old").await.ended);
    let changes = [ItemChange::SoldOut { quantity: Quantity::ONE }, ItemChange::Ended];
    assert_eq!(testbed.item_changes().await, changes.map(|change| ("old".to_owned(), change)));

    // Held elsewhere, it may come back.
    testbed.join_for("rare", &[("d", 1)]).await;
    let task = testbed.claim_one().await;
    let elsewhere = TaskOutcome::SoldOut { left: Some(0), elsewhere: 3 };
    assert_eq!(testbed.settle(&task, elsewhere).await, Settled::Applied(BookingState::Queued));
    assert_eq!(testbed.item("rare").await.left, Some(0));
}

/// 1 to 3 are still available, also while the party waits.
pub async fn a_refusal_of_four_neither_ends_nor_parks_who_wants_fewer(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("party", 4)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    assert_eq!(testbed.refuse(&tasks[1]).await, BookingState::Queued);
    testbed.join_for("stalls", &[("one", 1), ("four", 4), ("three", 3)]).await;
    assert_eq!(names(&testbed.claim(9).await), ["one", "three"]);
    let four = testbed.booking("four").await;
    assert_eq!((four.parked, four.position), (true, Some(2)));

    // What is left says more than the refusal.
    testbed.join_for("stalls", &[("again", 3)]).await;
    let task = testbed.claim_one().await;
    testbed.settle(&task, TaskOutcome::SoldOut { left: Some(1), elsewhere: 0 }).await;
    assert_eq!(testbed.item("stalls").await.refused, Some(quantity(2)));
}

/// It closes nothing that the return has opened: what came back can be claimed at once.
pub async fn a_refusal_from_before_a_return_does_not_hide_what_came_back(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("a", 1), ("b", 1)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.cancel("a").await.unwrap();
    assert_eq!(testbed.release("a").await, BookingState::Cancelled);
    assert_eq!(testbed.refuse(&tasks[1]).await, BookingState::Queued);
    let again = testbed.claim_one().await;
    assert_eq!((again.client.as_str(), again.place), ("b", tasks[1].place));
    assert_eq!((again.first, again.attempts), (false, 0));
    assert_eq!(testbed.refuse(&again).await, BookingState::SoldOut, "nothing else came back");
}

/// Clients that were refused before the restocking are served from the new stock.
pub async fn a_refusal_from_before_a_restocking_closes_nothing(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("a", 1), ("b", 1), ("c", 1)]).await;
    let tasks = testbed.claim(3).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    assert!(testbed.claim(9).await.is_empty(), "c is parked");
    testbed.store.restocked("stalls".into(), Some(40)).await.unwrap();
    let open = testbed.item("stalls").await;
    assert_eq!((open.refused, open.left, open.waiting), (None, Some(40), 2));
    assert_eq!(testbed.refuse(&tasks[2]).await, BookingState::Queued);
    assert_eq!(testbed.item("stalls").await.refused, None);
    let claimed = testbed.claim(9).await;
    assert_eq!(names(&claimed), ["a", "b", "c"]);
    assert!(claimed.iter().all(|task| !task.item_open), "it was sold out before");
    let last = testbed.item_changes().await.pop();
    assert_eq!(last, Some(("stalls".to_owned(), ItemChange::Open)));
    testbed.store.restocked("never sold".into(), Some(1)).await.unwrap();
    assert_eq!(testbed.item("never sold").await.left, None, "no booking wants it");
}

/// The first refusal ends all who want it; an item can have a rule of its own.
pub async fn with_the_rule_end_a_refusal_ends_everybody_who_wants_as_much(testbed: &Testbed<'_>) {
    testbed.set_sold_out(SoldOutRule::End, &[("kind", SoldOutRule::Wait)]).await;
    for item in ["strict", "kind"] {
        let holder = format!("{item} holder");
        testbed.join_for(item, &[(&holder, 1), (&format!("{item} a"), 1)]).await;
        let tasks = testbed.claim(2).await;
        testbed.settle(&tasks[0], reserved()).await;
        testbed.refuse(&tasks[1]).await;
        testbed.join_for(item, &[(&format!("{item} b"), 1)]).await;
        assert!(testbed.claim(9).await.is_empty());
    }
    for (name, last) in [
        ("strict a", BookingState::SoldOut),
        ("strict b", BookingState::SoldOut),
        ("kind a", BookingState::Queued),
        ("kind b", BookingState::Queued),
    ] {
        assert_eq!(testbed.state(name).await, last, "{name}");
    }
    // A new rule holds for waiting bookings, too.
    testbed.set_sold_out(SoldOutRule::End, &[]).await;
    assert!(testbed.claim_in(9, Scope::DueOnly).await.tasks.is_empty());
    assert_eq!(testbed.state("kind a").await, BookingState::SoldOut);
    assert_eq!(testbed.state("kind b").await, BookingState::SoldOut);
}

/// Its reservation may come back, so larger quantities wait again.
pub async fn an_ended_item_goes_on_when_a_smaller_quantity_is_claimed(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("party", 4)]).await;
    let task = testbed.claim_one().await;
    assert_eq!(testbed.refuse(&task).await, BookingState::SoldOut);
    testbed.join_for("stalls", &[("one", 1), ("four", 4)]).await;
    assert_eq!(names(&testbed.claim(9).await), ["one"]);
    let item = testbed.item("stalls").await;
    assert_eq!((item.ended, item.refused, item.waiting), (false, Some(quantity(4)), 1));
    let four = ItemChange::SoldOut { quantity: quantity(4) };
    let parked = ItemChange::Parked { quantity: quantity(4), places: vec![Place::numbered(3)] };
    let changes = [four.clone(), ItemChange::Ended, four, parked];
    assert_eq!(testbed.item_changes().await, changes.map(|change| ("stalls".to_owned(), change)));
}

/// One booking after five seconds: others may have given stock back. A reservation opens the item.
pub async fn an_ended_item_is_tried_again_by_a_client_that_asks_for_it(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("a", 1)]).await;
    let task = testbed.claim_one().await;
    assert_eq!(testbed.refuse(&task).await, BookingState::SoldOut);
    testbed.advance(PROBE_EVERY - MS).await;
    testbed.join_for("stalls", &[("b", 1)]).await;
    assert!(testbed.claim(9).await.is_empty());
    assert_eq!(testbed.state("b").await, BookingState::SoldOut);
    testbed.advance(MS).await;
    testbed.join_for("stalls", &[("c", 2), ("d", 1)]).await;
    let probe = testbed.claim_one().await;
    assert_eq!(probe.client.as_str(), "c");
    assert_eq!(testbed.state("d").await, BookingState::Queued, "the probe may come back");
    testbed.settle(&probe, reserved()).await;
    assert_eq!(testbed.item("stalls").await.refused, None);
    assert_eq!(names(&testbed.claim(9).await), ["d"]);
}

/// Who was never asked for ends at once; a Reserve of who was may still arrive.
pub async fn cancelling_while_parked_releases_what_was_asked_for(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("refused", 1), ("parked", 1), ("last", 1)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    testbed.claim(9).await;
    assert_eq!(testbed.cancel("parked").await.unwrap().state, BookingState::Cancelled);
    let cancelled = testbed.cancel("refused").await.unwrap();
    assert_eq!(
        (cancelled.state, cancelled.outcome, cancelled.parked),
        (BookingState::Releasing, Some(Outcome::Cancelled), false)
    );
    let item = testbed.item("stalls").await;
    assert_eq!((item.unsettled, item.waiting), (2, 1));
    assert_eq!(testbed.booking("last").await.position, Some(1));
    assert_eq!(testbed.release("refused").await, BookingState::Cancelled);
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.cancelled, 2);
}

/// Among all who wait for the same item, in whatever quantity, in the order of the line.
pub async fn parked_bookings_have_positions_and_can_be_read_page_by_page(testbed: &Testbed<'_>) {
    testbed.join_for("a b", &[("holder", 1), ("refused", 3)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.join_for("a b", &[("x", 5), ("y", 3), ("z", 5)]).await;
    testbed.join_for("other", &[("w", 5)]).await;
    testbed.refuse(&tasks[1]).await;
    assert_eq!(names(&testbed.claim(9).await), ["w"]);
    for (position, name) in (1..).zip(["refused", "x", "y", "z"]) {
        let booking = testbed.booking(name).await;
        assert_eq!((booking.position, booking.parked), (Some(position), true), "{name}");
    }
    let again = testbed.enqueue(wants("y", "a b", 3)).await.unwrap();
    assert_eq!((again.existing, again.booking.parked), (true, true));
    assert_eq!(again.booking.position, Some(3));
    let page = async |after, max| {
        testbed.store.waiting(Some("a b".into()), Place::numbered(after), max).await.unwrap()
    };
    assert_eq!(page(0, 3).await, [2, 3, 4].map(Place::numbered));
    assert_eq!(page(4, 3).await, [Place::numbered(5)]);
    assert_eq!(page(5, 3).await, []);
    let line = testbed.store.waiting(None, Place::START, 9).await.unwrap();
    assert_eq!(line, [], "the line is another set");
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.parked, snapshot.backlog, snapshot.totals.parked), (4, 0, 4));
    let closed = testbed.store.closed_items(9).await.unwrap();
    assert_eq!(closed, [testbed.item("a b").await]);
}

/// Bounded steps, smallest place first; people of other items are served meanwhile.
pub async fn a_crowd_is_parked_and_ended_a_step_at_a_time(testbed: &Testbed<'_>) {
    const CROWD: usize = 600;
    testbed.join_for("gone", &[("first", 1)]).await;
    let task = testbed.claim_one().await;
    let elsewhere = TaskOutcome::SoldOut { left: None, elsewhere: 1 };
    testbed.settle(&task, elsewhere).await;
    let crowd = (0..CROWD).map(|n| wants(&format!("c{n}"), "gone", 1)).collect();
    testbed.store.enqueue(crowd).await.unwrap();
    testbed.join_for("other", &[("patient", 1)]).await;
    let mut steps = 0;
    let patient = loop {
        let claim = testbed.claim_in(8, Scope::Everything).await;
        steps += 1;
        match claim.tasks.first() {
            Some(task) => break task.client.clone(),
            None => assert!(claim.more),
        }
    };
    assert_eq!((patient.as_str(), steps), ("patient", 3));
    assert_eq!(testbed.store.snapshot().await.unwrap().parked, 1 + CROWD as u64);
    let places = testbed.item_changes().await.into_iter().filter_map(|(_, change)| match change {
        ItemChange::Parked { places, .. } => Some(places),
        _ => None,
    });
    let places: Vec<Place> = places.flatten().collect();
    assert_eq!((places.len(), places.is_sorted()), (CROWD, true));

    testbed.set_sold_out(SoldOutRule::End, &[]).await;
    for (left, more) in [(345, true), (89, true), (0, false)] {
        assert_eq!(testbed.claim_in(8, Scope::DueOnly).await.more, more);
        assert_eq!(testbed.item("gone").await.waiting, left);
    }
    assert_eq!(testbed.store.snapshot().await.unwrap().totals.sold_out, 1 + CROWD as u64);
}

/// A refused claim used none of the stock.
pub async fn a_rejected_booking_gives_its_share_back(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 2), ("a", 2), ("b", 2)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    testbed.cancel("holder").await.unwrap();
    let release = testbed.claim(1).await.remove(0);
    testbed.settle(&release, TaskOutcome::Released).await;
    let again = testbed.claim_one().await;
    testbed.settle(&again, TaskOutcome::Rejected { reason: "no".to_owned() }).await;
    assert_eq!(names(&testbed.claim(9).await), ["b"]);
}

/// Nothing of it is remembered once no booking has or wants it.
pub async fn an_open_item_without_bookings_is_forgotten(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("a", 1)]).await;
    let task = testbed.claim_one().await;
    let left = TaskOutcome::Reserved {
        reservation: bookingq_core::ReservationId::new("seat").unwrap(),
        hold: HOLD,
        left: Some(3),
    };
    testbed.settle(&task, left).await;
    assert_eq!(
        (testbed.item("stalls").await.left, testbed.item("stalls").await.unsettled),
        (Some(3), 1)
    );
    let task = testbed.pay_in_time("a").await;
    testbed.settle(&task, TaskOutcome::Confirmed).await;
    assert_eq!(testbed.item("stalls").await.left, None);
    assert_eq!(testbed.store.closed_items(9).await.unwrap(), []);
}

/// A batch can hold refusals and returns of one item, which take effect in its order.
pub async fn a_batch_of_settlements_takes_effect_in_its_order(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("a", 1), ("b", 1), ("c", 1)]).await;
    let tasks = testbed.claim(3).await;
    let outcomes = [TaskOutcome::SOLD_OUT, reserved(), TaskOutcome::SOLD_OUT];
    let batch = tasks.iter().zip(outcomes).map(|(task, outcome)| Settlement {
        lease: task.lease(),
        outcome,
        busy: MS,
    });
    let settled = testbed.store.settle(batch.collect()).await.unwrap();
    let applied = [BookingState::Queued, BookingState::Reserved, BookingState::Queued];
    assert_eq!(settled, applied.map(Settled::Applied));
    let item = testbed.item("stalls").await;
    assert_eq!((item.unsettled, item.waiting, item.ended), (1, 2, false));
    testbed.join_for("other", &[("d", 1)]).await;
    assert_eq!(names(&testbed.claim(9).await), ["d"]);
}
