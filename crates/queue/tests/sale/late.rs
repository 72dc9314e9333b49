//! Calls that take effect after the worker has given up on them: workers die, and answers are lost.

use std::time::Duration;

use bookingq_core::{BookingState, SaleRules, SoldOutRule};
use proptest::prelude::*;

use crate::sale::{CLIENTS, Sale, Step};
use crate::{rules, step};

/// Shorter than a random sale: a worker that is only slow loses its task, too.
const LEASE: Duration = Duration::from_secs(20);

fn late_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => step(),
        2 => (0..8usize, any::<bool>()).prop_map(|(task, settles)| Step::Lose { task, settles }),
        1 => (0..8usize).prop_map(|call| Step::Arrive { call }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Reject),
    ]
}

/// A sale in which calls get lost.
fn sale(rules: SaleRules, counts: bool) -> Sale {
    let mut sale = Sale::new(rules, counts);
    sale.lease = LEASE;
    sale
}

/// Serves until nothing happens any more; then all that is still under way arrives.
fn finish(sale: &mut Sale) {
    sale.run(&Step::Reject(false));
    sale.drain();
    let end = sale.queue.snapshot(sale.now);
    assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
    while !sale.lost.is_empty() {
        sale.run(&Step::Arrive { call: 0 });
    }
    assert!(
        sale.stock.reserved.is_empty(),
        "a reservation is forgotten: {:?}",
        sale.stock.reserved
    );
    for item in sale.queue.closed_items(9) {
        assert_eq!((item.unsettled, item.waiting), (0, 0), "{item:?}");
    }
}

fn serve(sale: &mut Sale, most: usize) {
    sale.run(&Step::Claim { most });
    while !sale.hand.is_empty() {
        sale.run(&Step::Answer { task: 0 });
    }
    while !sale.answered.is_empty() {
        sale.run(&Step::Settle { task: 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn invariant_4_a_late_reserve_leaves_no_reservation_behind(
        steps in prop::collection::vec(late_step(), 0..200), counts in any::<bool>(),
        rule in prop_oneof![2 => Just(SoldOutRule::Wait), 1 => Just(SoldOutRule::End)],
    ) {
        let mut sale = sale(rules(rule), counts);
        for step in &steps {
            sale.run(step);
        }
        finish(&mut sale);
    }
}

/// A seat comes back, and the lost Reserve of a client that waits takes it. The first client in the
/// line is refused then, and nothing else is under way; still the item does not end before the
/// other client is asked again, and has what its Reserve took.
#[test]
fn invariant_4_what_a_late_reserve_took_is_found_before_the_item_ends() {
    let mut sale = sale(SaleRules::default(), false);
    let front_row = 2;
    for client in 0..4 {
        sale.join(client, front_row, 1);
    }
    sale.run(&Step::Claim { most: 4 });
    sale.run(&Step::Lose { task: 3, settles: false });
    serve(&mut sale, 0);
    sale.run(&Step::Pay { client: 0 });
    serve(&mut sale, 0);
    sale.run(&Step::Advance { seconds: 20 });
    serve(&mut sale, 1);
    let [first, lost] = [2, 3].map(Sale::client);
    let status = |sale: &Sale, client| sale.queue.status(client).expect("a booking");
    assert!(status(&sale, &first).parked && status(&sale, &lost).parked);

    sale.run(&Step::Advance { seconds: 10 });
    sale.run(&Step::Sweep);
    sale.run(&Step::Claim { most: 1 });
    sale.run(&Step::Answer { task: 0 });
    sale.run(&Step::Arrive { call: 0 });
    sale.run(&Step::Settle { task: 0 });
    serve(&mut sale, 1);
    assert!(status(&sale, &first).parked, "the seat that came back is gone");
    sale.run(&Step::Advance { seconds: 1 });
    serve(&mut sale, 1);
    assert_eq!(status(&sale, &lost).state, BookingState::Reserved);
    finish(&mut sale);
}

/// Of all that has ended, only what was claimed once needs no release.
#[test]
fn a_booking_that_was_never_lost_ends_without_a_release() {
    let mut sale = sale(SaleRules::default(), false);
    for client in 0..CLIENTS {
        sale.join(client, 2, 3);
    }
    serve(&mut sale, 1);
    sale.run(&Step::Claim { most: 9 });
    assert!(sale.hand.is_empty());
    assert_eq!(sale.queue.snapshot(sale.now).totals.sold_out, CLIENTS);
    assert_eq!(sale.queue.snapshot(sale.now).totals.claimed, 1);
}
