//! The rules of a sale: when it opens, and how fast it serves.

use std::collections::VecDeque;
use std::time::Duration;

use bookingq_core::{Outflow, SaleRules, SoldOutRule, SoldOutRules, Timestamp};

use super::testbed::{HOLD, LEASE, MS, Testbed, enqueue, names, reserved, retry};
use bookingq_store::{Scope, TaskOutcome, Try};

const MINUTE: Duration = Duration::from_secs(60);

async fn set_outflow(testbed: &Testbed<'_>, outflow: Outflow) {
    testbed.store.set_rules(SaleRules { outflow, ..SaleRules::default() }).await.unwrap();
}

async fn crowd(testbed: &Testbed<'_>, size: usize) {
    let batch = (0..size).map(|n| enqueue(&format!("c{n}"), "r")).collect();
    testbed.store.enqueue(batch).await.unwrap();
}

/// Claims as often as a worker that sleeps until the next task, for `length`. Confirms what it
/// claims. Returns the times of the claims.
async fn drain(testbed: &Testbed<'_>, length: Duration) -> Vec<Timestamp> {
    let (start, mut claims) = (testbed.now().await, Vec::new());
    loop {
        let claim = testbed.claim_in(50, Scope::Everything).await;
        for task in &claim.tasks {
            testbed.settle(task, TaskOutcome::Rejected { reason: String::new() }).await;
            claims.push(claim.now);
        }
        let wait = claim.next.unwrap_or(MS).max(MS).min(length);
        testbed.advance(Duration::from_millis(wait.as_micros().div_ceil(1000) as u64)).await;
        if testbed.now().await.since(start) >= length {
            return claims;
        }
    }
}

/// The most claims in any 60 seconds.
fn fullest_minute(claims: &[Timestamp]) -> usize {
    let (mut window, mut fullest) = (VecDeque::new(), 0);
    for claim in claims {
        window.push_back(*claim);
        while claim.since(window[0]) > MINUTE {
            window.pop_front();
        }
        fullest = fullest.max(window.len());
    }
    fullest
}

/// Everybody can join; due tasks go on. Also after the store is opened again.
pub async fn no_booking_leaves_the_line_before_the_sale_opens(testbed: &Testbed<'_>) {
    testbed.join("early").await;
    let task = testbed.claim_one().await;
    testbed.settle(&task, retry(5 * MS, Try::Free)).await;
    let opens_at = testbed.now().await + HOLD;
    let rules = SaleRules { opens_at: Some(opens_at), ..SaleRules::default() };
    testbed.store.set_rules(rules.clone()).await.unwrap();
    testbed.join("a").await;
    testbed.advance(5 * MS).await;
    let claim = testbed.claim_in(9, Scope::Everything).await;
    assert_eq!(names(&claim.tasks), ["early"]);
    assert!(!claim.more);
    testbed.settle(&claim.tasks[0], reserved()).await;

    testbed.advance(HOLD - 6 * MS).await;
    testbed.store.open().await.unwrap();
    let claim = testbed.claim_in(9, Scope::Everything).await;
    assert_eq!((claim.tasks.len(), claim.next, claim.more), (0, Some(MS), false));
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((&snapshot.rules, snapshot.rules_set), (&rules, true));
    testbed.advance(MS).await;
    assert_eq!(names(&testbed.claim(9).await), ["a"]);
}

/// A queue that waits for its rules serves no booking before.
pub async fn a_queue_that_awaits_its_rules_serves_no_booking_before(testbed: &Testbed<'_>) {
    testbed.join("a").await;
    let claim = testbed.claim_in(9, Scope::OnceRuled).await;
    assert_eq!((claim.tasks.len(), claim.more), (0, false));
    assert!(!testbed.store.snapshot().await.unwrap().rules_set);
    testbed.store.set_rules(SaleRules::default()).await.unwrap();
    assert_eq!(testbed.claim_in(9, Scope::OnceRuled).await.tasks.len(), 1);
}

/// However the claims fall, and nearly as many as allowed.
pub async fn no_minute_has_more_claims_than_the_rate(testbed: &Testbed<'_>) {
    crowd(testbed, 700).await;
    for (per_minute, burst) in [(60, None), (7, Some(7)), (120, Some(30))] {
        let outflow = Outflow { per_minute: Some(per_minute), burst, max_holds: None };
        set_outflow(testbed, outflow).await;
        testbed.advance(2 * MINUTE).await;
        let claims = drain(testbed, 3 * MINUTE).await;
        let fullest = fullest_minute(&claims);
        assert!(fullest <= per_minute as usize, "{fullest} of {per_minute}");
        if burst.is_none() {
            assert!(claims.len() * 100 >= 3 * per_minute as usize * 98, "{}", claims.len());
        }
    }
}

/// From the next claim on, in both directions, and none means no limit.
pub async fn the_outflow_can_be_changed_while_it_serves(testbed: &Testbed<'_>) {
    crowd(testbed, 300).await;
    let rate = |per_minute| Outflow { per_minute: Some(per_minute), ..Outflow::default() };
    set_outflow(testbed, rate(60)).await;
    assert_eq!(testbed.claim(9).await.len(), 1);
    let waiting = testbed.claim_in(9, Scope::Everything).await;
    assert_eq!((waiting.tasks.len(), waiting.more), (0, false));
    let next = waiting.next.unwrap();
    assert!(next > 990 * MS && next < 1050 * MS, "{next:?}");
    set_outflow(testbed, rate(600)).await;
    let waiting = testbed.claim_in(9, Scope::Everything).await;
    assert!(waiting.next.is_some_and(|next| next < 110 * MS), "{:?}", waiting.next);
    testbed.advance(500 * MS).await;
    assert_eq!(testbed.claim(99).await.len(), 4);
    set_outflow(testbed, Outflow::default()).await;
    assert_eq!(testbed.claim(99).await.len(), 99);
    set_outflow(testbed, rate(6)).await;
    assert!(testbed.claim(99).await.len() <= 1);
}

/// Due tasks are never held up.
pub async fn retries_and_releases_use_no_tokens(testbed: &Testbed<'_>) {
    crowd(testbed, 3).await;
    set_outflow(testbed, Outflow { per_minute: Some(1), ..Outflow::default() }).await;
    let task = testbed.claim_one().await;
    for _ in 0..3 {
        testbed.settle(&task, retry(Duration::ZERO, Try::Free)).await;
        let again = testbed.claim_one().await;
        assert_eq!(again.client, task.client);
        testbed.advance(LEASE).await;
        assert_eq!(testbed.claim_one().await.client, task.client);
        testbed.advance(LEASE).await;
    }
    assert!(testbed.store.snapshot().await.unwrap().totals.dispatched <= 2);
}

/// Reserving, reserved, confirming and releasing ones count.
pub async fn at_most_as_many_as_max_holds_are_unsettled(testbed: &Testbed<'_>) {
    crowd(testbed, 9).await;
    set_outflow(testbed, Outflow { max_holds: Some(3), ..Outflow::default() }).await;
    let tasks = testbed.claim(9).await;
    assert_eq!(names(&tasks), ["c0", "c1", "c2"]);
    let claim = testbed.claim_in(9, Scope::Everything).await;
    assert_eq!((claim.tasks.len(), claim.more), (0, false));
    // A store may count the time since it was asked last.
    let next = claim.next.unwrap();
    assert!(next <= LEASE && next > LEASE - Duration::from_secs(5), "{next:?}");
    testbed.settle(&tasks[0], reserved()).await;
    assert!(testbed.claim(9).await.is_empty(), "a hold counts");
    let confirm = testbed.pay_in_time("c0").await;
    assert!(testbed.claim(9).await.is_empty());
    testbed.settle(&confirm, TaskOutcome::Confirmed).await;
    assert_eq!(names(&testbed.claim(9).await), ["c3"]);
}

/// It costs at most one burst.
pub async fn a_clock_set_back_does_not_stop_the_outflow(testbed: &Testbed<'_>) {
    crowd(testbed, 200).await;
    set_outflow(testbed, Outflow { per_minute: Some(60), ..Outflow::default() }).await;
    let tasks = testbed.claim(9).await;
    assert_eq!(tasks.len(), 1);
    // Settled, so that it is not claimed again when its lease ends.
    testbed.settle(&tasks[0], TaskOutcome::Rejected { reason: String::new() }).await;
    testbed.set_back(10 * MINUTE).await;
    let claims = drain(testbed, MINUTE).await;
    assert!((57..=60).contains(&claims.len()), "{}", claims.len());
}

/// All of them, and a rule of an item is no rule of another.
pub async fn the_rules_are_kept_as_they_were_set(testbed: &Testbed<'_>) {
    let sold_out = SoldOutRules {
        default: SoldOutRule::End,
        items: [("a: b", SoldOutRule::Wait), ("", SoldOutRule::Wait)]
            .map(|(item, rule)| (item.into(), rule))
            .into(),
    };
    let outflow = Outflow { per_minute: Some(600), burst: Some(9), max_holds: Some(70) };
    let opens_at = Some(Timestamp(1_800_000_000_000));
    for rules in [SaleRules { opens_at, outflow, sold_out }, SaleRules::default()] {
        testbed.store.set_rules(rules.clone()).await.unwrap();
        assert_eq!(testbed.store.snapshot().await.unwrap().rules, rules);
    }
}
