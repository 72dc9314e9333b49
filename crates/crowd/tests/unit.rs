//! Latencies, and the lines of the history.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, PaymentId};
use bookingq_crowd::call::{CallAnswer, CallKind, RecordedCall};
use bookingq_crowd::latency::{Latency, LatencySummary};

#[test]
fn the_summary_is_in_milliseconds_and_a_day_is_the_longest() {
    let mut latency = Latency::new();
    assert_eq!(latency.summary(), LatencySummary::default());
    for ms in 1..=100 {
        latency.record(Duration::from_millis(ms));
    }
    let summary = latency.summary();
    assert_eq!(summary.count, 100);
    assert!((summary.p50 - 50.0).abs() < 1.0, "{summary:?}");
    assert!((summary.p99 - 99.0).abs() < 1.5, "{summary:?}");
    latency.record(Duration::MAX);
    assert!(latency.summary().max >= 86_400_000.0);
}

#[test]
fn a_line_of_the_history_reads_as_documented_and_can_be_read_back() {
    let booking = BookingId::from_u128(1);
    let call = RecordedCall {
        client: ClientId::new("c1").unwrap(),
        kind: CallKind::Pay {
            of: booking,
            payment: PaymentId::new("p1").unwrap(),
            reacquire: false,
        },
        start: 5,
        end: 9,
        answer: CallAnswer::Refused { reason: "HOLD_EXPIRED".into() },
    };
    let line = serde_json::to_string(&call).unwrap();
    let wanted = format!(
        r#"{{"client":"c1","op":"pay","of":"{booking}","payment":"p1","start":5,"end":9,{}}}"#,
        r#""outcome":"refused","reason":"HOLD_EXPIRED""#
    );
    assert_eq!(line, wanted);
    assert_eq!(serde_json::from_str::<RecordedCall>(&line).unwrap(), call);
}
