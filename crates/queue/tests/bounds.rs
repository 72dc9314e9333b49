//! Limits of values that arrive without one.

use std::time::Duration;

use bookingq_queue::bounds::{LONGEST, reason, span};

#[test]
fn a_long_reason_is_cut_between_characters() {
    let long = "é".repeat(300);
    assert_eq!(reason(&long).len(), 512);
    assert_eq!(reason(&format!("x{long}")).len(), 511);
    assert_eq!(reason("no\nmoney\0"), "no money ");
    assert_eq!(reason("sold to another"), "sold to another");
}

#[test]
fn an_endless_span_is_cut() {
    assert_eq!(span(Duration::MAX), LONGEST);
}
