//! The rules of a sale in the words of an event.

use bookingq_core::{Outflow, SaleRules, SoldOutRule, SoldOutRules, Timestamp};
use bookingq_operator::autoscaler::rules::{action, sentence};

#[test]
fn a_change_of_rules_is_a_sentence_and_other_rules_are_another_event() {
    let none = sentence(&SaleRules::default());
    assert_eq!(none, "the queue serves at once, without a limit; sold out items: Wait");
    let rules = SaleRules {
        opens_at: Some(Timestamp(1_796_151_600_000)),
        outflow: Outflow { per_minute: Some(600), burst: None, max_holds: Some(5000) },
        sold_out: SoldOutRules {
            default: SoldOutRule::Wait,
            items: [("camping".into(), SoldOutRule::Wait), ("day".into(), SoldOutRule::End)].into(),
        },
    };
    let all = sentence(&rules);
    assert_eq!(
        all,
        "the queue opens at 2026-12-01T19:00:00Z, at most 600 bookings per minute, 5000 \
         reservations; sold out items: Wait, End for \"day\""
    );
    assert_ne!(action(&none), action(&all));
}
