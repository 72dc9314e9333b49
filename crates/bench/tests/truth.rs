//! The age of a position that a client sees.

use std::time::{Duration, Instant};

use bookingq_bench::watch::Truth;

#[test]
fn a_position_is_wrong_since_the_next_client_left() {
    let mut truth = Truth::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let age = |truth: &Truth, number, shown| truth.age(number, shown, at(30));
    assert_eq!(truth.age(5, 5, at(9)), Some(Duration::ZERO), "no client has left");
    truth.leave(1, at(10));
    truth.leave(2, at(20));
    assert_eq!(age(&truth, 5, 5), Some(Duration::from_secs(20)));
    assert_eq!(age(&truth, 5, 4), Some(Duration::from_secs(10)));
    assert_eq!(age(&truth, 5, 3), Some(Duration::from_secs(10)), "it was correct for no time");
    assert_eq!(age(&truth, 5, 2), Some(Duration::ZERO));
    assert_eq!(age(&truth, 3, 3), None, "it has left");
}
