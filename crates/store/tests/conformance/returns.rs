//! What a probe, a count and the holds of others say about an item.

use std::time::Duration;

use super::testbed::{PROBE_EVERY, Testbed, names, reserved, retry};
use bookingq_core::{BookingState, SoldOutRule};
use bookingq_store::{Settled, TaskOutcome, Try};

/// With three left, a party of four gets what one more brings, before who joined later.
pub async fn what_is_left_and_what_comes_back_are_counted_together(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("four", 4)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    let refused = TaskOutcome::SoldOut { left: Some(3), elsewhere: 0 };
    testbed.settle(&tasks[1], refused).await;
    testbed.cancel("holder").await.unwrap();
    let release = testbed.claim_one().await;
    testbed.join_for("stalls", &[("later", 1)]).await;
    testbed.settle(&release, TaskOutcome::Released).await;
    assert_eq!(names(&testbed.claim(1).await), ["four"]);
}

/// Also if its first call failed, or another worker had to repeat it.
pub async fn a_repeated_probe_is_still_a_probe(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("a", 1), ("b", 1)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    testbed.advance(PROBE_EVERY).await;
    let probe = testbed.claim_one().await;
    testbed.settle(&probe, retry(Duration::ZERO, Try::Counts)).await;
    let again = testbed.claim_one().await;
    assert_eq!((again.client.as_str(), again.attempts), ("a", 1));
    testbed.settle(&again, reserved()).await;
    assert_eq!(names(&testbed.claim(9).await), ["b"], "the item is open");
}

/// It says how many are left: no more are called than that, and the item stays closed.
pub async fn a_probe_that_leaves_nothing_opens_nothing(testbed: &Testbed<'_>) {
    testbed.join_for("stalls", &[("holder", 1), ("a", 1), ("b", 1), ("c", 1)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    testbed.refuse(&tasks[1]).await;
    testbed.claim(9).await;
    testbed.advance(PROBE_EVERY).await;
    let probe = testbed.claim_one().await;
    let TaskOutcome::Reserved { reservation, hold, .. } = reserved() else { unreachable!() };
    testbed.settle(&probe, TaskOutcome::Reserved { reservation, hold, left: Some(1) }).await;
    assert_eq!(names(&testbed.claim(9).await), ["b"], "one is left");
    assert!(testbed.item("stalls").await.refused.is_some());
}

/// An answer of the Ticket Service ends no item, nor does a refusal while others hold what may
/// come back.
pub async fn what_others_hold_keeps_an_item_from_ending(testbed: &Testbed<'_>) {
    testbed.set_sold_out(SoldOutRule::End, &[("kind", SoldOutRule::Wait)]).await;
    for item in ["strict", "kind"] {
        testbed.join_for(item, &[(&format!("{item} a"), 1)]).await;
        let task = testbed.claim_one().await;
        let refused = TaskOutcome::SoldOut { left: None, elsewhere: 1 };
        let settled = testbed.settle(&task, refused).await;
        assert_eq!(settled, Settled::Applied(BookingState::Queued), "{item}");
        assert!(!testbed.item(item).await.ended, "{item}");
    }
}

/// While a reservation is unpaid; the rule End had ended it.
pub async fn people_wait_again_when_the_rule_becomes_wait(testbed: &Testbed<'_>) {
    testbed.set_sold_out(SoldOutRule::End, &[]).await;
    testbed.join_for("stalls", &[("holder", 1), ("a", 1)]).await;
    let tasks = testbed.claim(2).await;
    testbed.settle(&tasks[0], reserved()).await;
    assert_eq!(testbed.refuse(&tasks[1]).await, BookingState::SoldOut);
    testbed.set_sold_out(SoldOutRule::Wait, &[]).await;
    testbed.join_for("stalls", &[("b", 1)]).await;
    assert!(testbed.claim(9).await.is_empty());
    let booking = testbed.booking("b").await;
    assert_eq!((booking.state, booking.parked), (BookingState::Queued, true));
}
