//! The report of a whole run adds up.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use xtask::check_report::check;

fn clean() -> Value {
    json!({
        "moment": "in_motion", "sound": true, "audit_gaps": 0,
        "enqueued": 100, "waiting": 10, "in_progress": 5,
        "final": { "confirmed": 60, "expired": 10, "cancelled": 5, "sold_out": 8, "rejected": 1, "failed": 1 },
        "ledger": {
            "stock": 140, "available": 10, "held": 6, "confirmed": 124, "held_bookings": 3,
            "confirmed_bookings": 62,
        },
        "violations": {
            "lost": 0, "duplicated": 0, "dispatch_inversions": 0, "double_reservations": 0, "orphans": 0,
            "oversold": 0, "illegal_transitions": 0,
        },
    })
}

#[test]
fn a_report_that_adds_up_passes() {
    assert_eq!(check(&clean(), Some(100)).unwrap(), [""; 0]);
}

#[test]
fn each_sum_that_is_wrong_is_named() {
    for (path, value, named) in [
        ("/enqueued", 101, "enqueued is 101"),
        ("/final/expired", 9, "enqueued is 100"),
        ("/ledger/stock", 139, "a stock of 139"),
        ("/ledger/confirmed_bookings", 59, "59 are sold"),
        ("/ledger/confirmed_bookings", 66, "66 are sold"),
        ("/ledger/held_bookings", 6, "holds 6"),
        ("/violations/lost", 1, "violations.lost is 1"),
        ("/violations/illegal_transitions", 2, "violations.illegal_transitions is 2"),
        ("/audit_gaps", 1, "1 gaps"),
    ] {
        let mut report = clean();
        *report.pointer_mut(path).unwrap() = value.into();
        let wrong = check(&report, Some(100)).unwrap();
        assert!(wrong.iter().any(|line| line.contains(named)), "{path} = {value}: {wrong:?}");
    }
    assert!(check(&clean(), Some(101)).unwrap()[0].contains("only 100 got a place"));

    let mut unsound = clean();
    unsound["sound"] = false.into();
    assert!(check(&unsound, None).unwrap()[0].contains("a promise was broken"));
}

#[test]
fn at_rest_the_ledger_and_the_store_agree_exactly() {
    let mut report = clean();
    report["moment"] = "at_rest".into();
    assert!(check(&report, None).unwrap()[0].contains("62 are sold"));
    report["ledger"]["confirmed_bookings"] = 60.into();
    assert_eq!(check(&report, None).unwrap(), [""; 0]);
}

#[test]
fn a_report_without_a_number_is_no_report() {
    let mut report = clean();
    report["violations"].as_object_mut().unwrap().remove("orphans");
    assert!(check(&report, None).unwrap_err().to_string().contains("/violations/orphans"));
}
