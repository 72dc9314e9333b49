//! A Booking Service with a limited stock: who gets what comes back.

use std::collections::HashMap;
use std::time::Duration;

use bookingq_core::BookingState;

use super::testbed::{HOLD, MS, PROBE_EVERY, Testbed, names, quantity, reserved};
use bookingq_store::{Scope, Settled, Task, TaskKind, TaskOutcome};

/// Time between two probes of a queue.
const PROBE_SPACING: Duration = Duration::from_millis(100);

/// The Booking Service, with a limited stock of each item.
struct LimitedStock {
    left: HashMap<String, u32>,
    calls: usize,
}

impl LimitedStock {
    fn new(stock: &[(&str, u32)]) -> Self {
        let left = stock.iter().map(|(item, left)| ((*item).to_owned(), *left)).collect();
        Self { left, calls: 0 }
    }

    fn call(&mut self, task: &Task) -> TaskOutcome {
        self.calls += 1;
        let left = self.left.entry(task.details.item.to_string()).or_default();
        match task.kind {
            TaskKind::Reserve if *left < task.details.quantity.get() => TaskOutcome::SOLD_OUT,
            TaskKind::Reserve => {
                *left -= task.details.quantity.get();
                reserved()
            }
            TaskKind::Confirm { .. } => TaskOutcome::Confirmed,
            TaskKind::Release { .. } => {
                *left += task.details.quantity.get();
                TaskOutcome::Released
            }
        }
    }

    /// Works until no task can be claimed. Returns whom it reserved for, in order.
    async fn work(&mut self, testbed: &Testbed<'_>) -> Vec<String> {
        let mut served = Vec::new();
        loop {
            let claim = testbed.claim_in(4, Scope::Everything).await;
            if claim.tasks.is_empty() && !claim.more {
                return served;
            }
            for task in claim.tasks {
                let settled = testbed.settle(&task, self.call(&task)).await;
                if settled == Settled::Applied(BookingState::Reserved) {
                    served.push(task.client.to_string());
                }
            }
        }
    }
}

fn clients(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("c{n:03}")).collect()
}

async fn states(testbed: &Testbed<'_>, clients: &[String]) -> Vec<BookingState> {
    let mut states = Vec::new();
    for client in clients {
        states.push(testbed.state(client).await);
    }
    states
}

/// While all ten are unpaid, no client is sent away; the first ten who wait get them. Once all are
/// sold, the rest ends.
pub async fn ten_of_ten_expire_unpaid_and_the_first_ten_who_wait_get_them(testbed: &Testbed<'_>) {
    let all = clients(0..30);
    let joining: Vec<_> = all.iter().map(|name| (name.as_str(), 1)).collect();
    testbed.join_for("stalls", &joining).await;
    let mut service = LimitedStock::new(&[("stalls", 10)]);
    assert_eq!(service.work(testbed).await, all[..10]);
    assert!(states(testbed, &all[10..]).await.iter().all(|state| *state == BookingState::Queued));
    assert_eq!(testbed.item("stalls").await.unsettled, 10);

    testbed.advance(HOLD).await;
    testbed.store.sweep(99).await.unwrap();
    assert_eq!(service.work(testbed).await, all[10..20]);
    assert!(states(testbed, &all[20..]).await.iter().all(|state| *state == BookingState::Queued));

    for name in &all[10..20] {
        testbed.pay_in_time(name).await;
    }
    testbed.advance(HOLD).await;
    service.work(testbed).await;
    assert!(states(testbed, &all[20..]).await.iter().all(|state| *state == BookingState::SoldOut));
    let snapshot = testbed.store.snapshot().await.unwrap();
    assert_eq!((snapshot.totals.confirmed, snapshot.totals.sold_out, snapshot.parked), (10, 10, 0));
    assert!(service.calls < 60, "{} calls", service.calls);
}

/// The refused party neither ends nor hides clients that want fewer, and gets what comes back.
pub async fn a_party_of_four_waits_while_three_are_left_and_is_served_when_more_come_back(
    testbed: &Testbed<'_>,
) {
    let mut service = LimitedStock::new(&[("stalls", 13)]);
    let holders = clients(0..10);
    let joining: Vec<_> = holders.iter().map(|name| (name.as_str(), 1)).collect();
    testbed.join_for("stalls", &joining).await;
    service.work(testbed).await;
    testbed.join_for("stalls", &[("party", 4), ("pair", 2), ("other party", 5)]).await;
    assert_eq!(service.work(testbed).await, ["pair"]);
    let party = testbed.booking("party").await;
    assert_eq!((party.state, party.parked, party.position), (BookingState::Queued, true, Some(1)));
    assert_eq!(testbed.booking("other party").await.position, Some(2));
    let closed = testbed.item("stalls").await;
    assert_eq!((closed.refused, closed.ended, closed.waiting), (Some(quantity(4)), false, 2));

    testbed.advance(HOLD).await;
    testbed.store.sweep(99).await.unwrap();
    assert_eq!(service.work(testbed).await, ["party", "other party"]);
}

/// In line order, as far as what came back suffices.
pub async fn what_comes_back_goes_to_the_smallest_place_whose_quantity_fits(testbed: &Testbed<'_>) {
    let mut service = LimitedStock::new(&[("stalls", 3)]);
    testbed.join_for("stalls", &[("holder", 3)]).await;
    service.work(testbed).await;
    testbed.join_for("stalls", &[("five", 5), ("one", 1), ("another", 1), ("two", 2)]).await;
    assert_eq!(service.work(testbed).await, [""; 0]);
    assert_eq!(testbed.store.snapshot().await.unwrap().claimable, 0);

    testbed.cancel("holder").await.unwrap();
    let release = testbed.claim_one().await;
    testbed.settle(&release, service.call(&release)).await;
    assert_eq!(testbed.item("stalls").await.credit, 3);
    assert_eq!(testbed.store.snapshot().await.unwrap().claimable, 3);
    let claimed = testbed.claim(9).await;
    assert_eq!(names(&claimed), ["one", "another"], "five does not fit, and then two does not");
    assert!(claimed.iter().all(|task| task.generation.0 == 3 && !task.item_open));
    assert_eq!(testbed.item("stalls").await.credit, 1);
}

/// The smallest place tries, then the smallest quantity; then the item rests, longer each time.
pub async fn a_probe_opens_the_item_and_a_refused_one_lets_it_rest(testbed: &Testbed<'_>) {
    let mut service = LimitedStock::new(&[("stalls", 4)]);
    testbed.join_for("stalls", &[("holder", 4)]).await;
    service.work(testbed).await;
    testbed.join_for("stalls", &[("three", 3), ("two", 2), ("another", 2)]).await;
    assert_eq!(service.work(testbed).await, [""; 0]);
    let calls = service.calls;
    testbed.advance(PROBE_EVERY - MS).await;
    let claim = testbed.claim_in(9, Scope::Everything).await;
    assert_eq!((claim.tasks.len(), claim.next), (0, Some(MS)));
    testbed.advance(MS).await;
    for name in ["three", "two"] {
        let probe = testbed.claim_one().await;
        assert_eq!(probe.client.as_str(), name);
        testbed.settle(&probe, service.call(&probe)).await;
        testbed.advance(PROBE_SPACING).await;
    }
    assert_eq!(service.calls, calls + 2);
    testbed.advance(PROBE_EVERY - PROBE_SPACING - MS).await;
    assert!(testbed.claim(9).await.is_empty(), "it rests for five seconds");
    testbed.advance(MS).await;
    for _ in 0..2 {
        let probe = testbed.claim_one().await;
        testbed.settle(&probe, service.call(&probe)).await;
        testbed.advance(PROBE_SPACING).await;
    }

    service.left.insert("stalls".to_owned(), 9);
    testbed.advance(2 * PROBE_EVERY - PROBE_SPACING - MS).await;
    assert!(testbed.claim(9).await.is_empty(), "and then for ten");
    testbed.advance(MS).await;
    assert_eq!(service.work(testbed).await, ["three", "two", "another"]);
    let open = testbed.item("stalls").await;
    assert_eq!((open.refused, open.ended, open.waiting), (None, false, 0));
}
