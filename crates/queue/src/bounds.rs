//! Limits of every store for values that arrive without one: spans of time, and reasons.

use std::time::Duration;

pub use bookingq_core::limits::reason;
use bookingq_core::time;

/// Longest lease, hold, retry wait or retention: 100 years. It keeps every moment below 10^14 ms,
/// the largest whole number that Lua writes without an exponent.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The span, at most [`LONGEST`].
pub fn span(duration: Duration) -> Duration {
    duration.min(LONGEST)
}

/// The span in milliseconds, as scripts and records count it.
pub fn millis(duration: Duration) -> u64 {
    time::millis(span(duration))
}

/// A task's slot time in microseconds, at most a year, so that the sum over a batch stays a whole
/// number in Lua.
pub fn busy_us(duration: Duration) -> u64 {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    u64::try_from(duration.min(YEAR).as_micros()).unwrap_or(u64::MAX)
}
