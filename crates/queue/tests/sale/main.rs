//! A sale of three items with random clients, workers and holds: no client is sent away while a
//! ticket may still be theirs, and nothing stays unsold while a client waits.
//!
//! The Booking Service answers at one moment and a worker settles at another, in any order, so that
//! every interleaving of refusals, returns and claims comes up.

mod interleavings;
mod late;
mod sale;

use bookingq_core::{Outflow, SaleRules, SoldOutRule, SoldOutRules};
use proptest::prelude::*;

use crate::sale::{CLIENTS, Sale, Step};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..CLIENTS, 0..3usize, 1..4i32)
            .prop_map(|(client, item, quantity)| Step::Join { client, item, quantity }),
        4 => (1..6usize).prop_map(|most| Step::Claim { most }),
        8 => (0..8usize).prop_map(|task| Step::Answer { task }),
        8 => (0..8usize).prop_map(|task| Step::Settle { task }),
        2 => (0..CLIENTS).prop_map(|client| Step::Pay { client }),
        1 => (0..CLIENTS).prop_map(|client| Step::Cancel { client }),
        1 => (1..40u64).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Sweep),
        1 => (0..3usize, 1..3u64).prop_map(|(item, quantity)| Step::Return { item, quantity }),
    ]
}

fn rules(rule: SoldOutRule) -> SaleRules {
    let sold_out = SoldOutRules { default: rule, ..SoldOutRules::default() };
    SaleRules { sold_out, ..SaleRules::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_client_is_sent_away_and_nothing_stays_unsold_while_one_waits(
        steps in prop::collection::vec(step(), 0..160), counts in any::<bool>(),
    ) {
        let mut sale = Sale::new(rules(SoldOutRule::Wait), counts);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
        prop_assert!(sale.stock.reserved.is_empty(), "a reservation is forgotten");
        for item in sale.queue.closed_items(9) {
            prop_assert_eq!((item.unsettled, item.waiting), (0, 0), "{:?}", item);
        }
    }

    #[test]
    fn a_limited_sale_ends_as_well_and_keeps_its_limits(
        steps in prop::collection::vec(step(), 0..120), per_minute in 12u32..60,
        max_holds in 1u32..6,
    ) {
        let outflow =
            Outflow { per_minute: Some(per_minute), burst: None, max_holds: Some(max_holds) };
        let mut sale = Sale::new(SaleRules { outflow, ..SaleRules::default() }, true);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
    }

    #[test]
    fn under_the_rule_end_no_client_waits_for_a_sold_out_item(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut sale = Sale::new(rules(SoldOutRule::End), false);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
    }
}
