//! Rounding of the line in the status.

use bookingq_core::{Admission, Place, SaleRules, Timestamp};
use bookingq_operator::autoscaler::observation::ObservedLine;
use bookingq_store::{Snapshot, Totals};

fn observed(backlog: u64, waited: u64) -> (i64, u64) {
    let line = ObservedLine::of(&Snapshot {
        now: Timestamp(waited * 1000),
        epoch: String::new(),
        set_back: false,
        admission: Admission::Open,
        rules: SaleRules::default(),
        rules_set: false,
        backlog,
        parked: 0,
        claimable: backlog,
        in_flight: 0,
        due: 0,
        holds: 0,
        overdue: 0,
        front: Some((Place::default(), Timestamp(0))),
        totals: Totals::default(),
        swept_at: None,
        workforce: None,
        outbox: 0,
    });
    (line.backlog, line.oldest_wait.as_secs())
}

#[test]
fn numbers_keep_two_digits_and_waits_their_step() {
    let rounded = [0, 7, 99, 100, 104, 1299, 123_456].map(|backlog| observed(backlog, 0).0);
    assert_eq!(rounded, [0, 7, 99, 100, 100, 1200, 120_000]);
    let stepped = [0, 3, 59, 61, 4000, 1_000_000].map(|waited| observed(0, waited).1);
    assert_eq!(stepped, [0, 2, 30, 60, 3600, 86_400]);
}
