//! Programs with a time limit.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use xtask::within::{Look, run, until};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_program_gets_its_input_and_its_output_is_returned() {
    assert_eq!(run(&["cat"], Some("hello"), LIMIT).unwrap(), "hello");
}

#[test]
fn a_program_that_fails_is_reported_with_its_standard_error() {
    let words = ["sh", "-c", "echo no such thing >&2; exit 3"];
    let error = run(&words, None, LIMIT).unwrap_err().to_string();
    assert!(error.contains("3): no such thing"), "{error}");
    let error = run(&["no-such-program"], None, LIMIT).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let start = Instant::now();
    let error = run(&["sleep", "60"], None, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.to_string(), "`sleep 60` did not end within 0 s");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_condition_that_never_holds_is_reported_with_the_last_state() {
    let look = || Ok(Look::<()>::NotYet("2 of 3".to_owned()));
    let error = until("3 workers", Duration::ZERO, look).unwrap_err().to_string();
    assert_eq!(error, "waited 0 s for 3 workers; at last: 2 of 3");
    let mut looks = 0;
    let found = until("luck", LIMIT, || {
        looks += 1;
        anyhow::ensure!(looks > 1, "not this time");
        Ok(Look::Done(looks))
    });
    assert_eq!(found.unwrap(), 2);
}
