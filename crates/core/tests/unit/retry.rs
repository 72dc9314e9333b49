//! Back-off, retries and the pace of a line.

use std::cell::Cell;
use std::time::Duration;

use bookingq_core::Timestamp;
use bookingq_core::backoff::Backoff;
use bookingq_core::pace::Pace;
use bookingq_core::retry::Retry;
use tokio::time::Instant;

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(1) };

#[tokio::test(start_paused = true)]
async fn it_retries_transient_errors_until_the_limit_and_returns_the_last() {
    let tries = Cell::new(0);
    let start = Instant::now();
    let answer: Result<(), u32> = Retry::within(BACKOFF, Duration::from_secs(5))
        .run(
            |_| true,
            || {
                tries.set(tries.get() + 1);
                std::future::ready(Err(tries.get()))
            },
        )
        .await;
    assert_eq!(answer, Err(tries.get()));
    assert!(tries.get() >= 5, "{}", tries.get());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_an_error_that_a_retry_cannot_repair() {
    let answer: Result<(), &str> = Retry::forever(BACKOFF)
        .run(|error| *error == "busy", || std::future::ready(Err("no such queue")))
        .await;
    assert_eq!(answer, Err("no such queue"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_more_time_gets_it() {
    let mut retry = Retry::forever(BACKOFF);
    assert_eq!(retry.next_delay(Duration::from_secs(9), 0.5), Some(Duration::from_secs(9)));
    assert_eq!(retry.failures(), 1);
    retry.reset();
    assert_eq!(retry.next_delay(Duration::ZERO, 0.0), Some(BACKOFF.initial / 2));
}

#[test]
fn it_doubles_to_its_cap_and_stays_in_the_upper_half() {
    let backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) };
    assert_eq!(backoff.delay(1, 0.0), Duration::from_millis(50));
    assert_eq!(backoff.delay(3, 1.0), Duration::from_millis(400));
    assert_eq!(backoff.delay(40, 1.0), Duration::from_secs(5));
    assert_eq!(backoff.delay(u32::MAX, 0.0), Duration::from_millis(2500));
}

#[test]
fn a_steady_line_gives_its_rate_and_the_eta_follows() {
    let mut pace = Pace::default();
    for second in 0..30 {
        pace.observe(Timestamp(second * 1000), second * 50);
    }
    assert!((pace.rate().unwrap() - 50.0).abs() < 1e-9);
    assert_eq!(pace.eta(100).unwrap(), Duration::from_secs(2));
}

#[test]
fn a_line_that_stands_has_no_eta_and_a_lost_counter_resets_the_rate() {
    let mut pace = Pace::default();
    pace.observe(Timestamp(0), 100);
    assert_eq!(pace.rate(), None);
    pace.observe(Timestamp(1000), 100);
    assert_eq!(pace.eta(1), None);
    pace.observe(Timestamp(2000), 3);
    assert_eq!(pace.rate(), None);
}
