//! Times in claims: whole seconds since 1970 (RFC 7519, NumericDate), and what is checked of them.

use std::time::Duration;

use bookingq_core::Timestamp;

use crate::error::TokenError;
use crate::lifetimes::{CLOCK_LEEWAY, FOREIGN_LIFETIME};

/// Whole seconds, rounded down: a token never lives longer than it may.
pub(crate) const fn seconds(time: Timestamp) -> u64 {
    time.0 / 1000
}

/// The moment of a number of seconds: a whole second even at the end of time, so that a token
/// that is signed again says the same.
pub(crate) fn moment(seconds: u64) -> Timestamp {
    Timestamp(seconds.min(u64::MAX / 1000) * 1000)
}

/// Checks that `exp` has not passed.
pub(crate) fn check_expiry(exp: u64, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
    if now < moment(exp) + leeway {
        return Ok(());
    }
    Err(TokenError::Expired { seconds: now.since(moment(exp)).as_secs() })
}

/// Checks the times of a token that a seller signed.
pub(crate) fn check_foreign(
    exp: u64,
    not_before: Option<u64>,
    issued_at: Option<u64>,
    now: Timestamp,
) -> Result<(), TokenError> {
    check_expiry(exp, now, CLOCK_LEEWAY)?;
    let left = moment(exp).since(now);
    if left > FOREIGN_LIFETIME + CLOCK_LEEWAY {
        let allowed = FOREIGN_LIFETIME.as_secs();
        return Err(TokenError::LivesTooLong { seconds: left.as_secs(), allowed });
    }
    for (claim, time) in [("nbf", not_before), ("iat", issued_at)] {
        if time.is_some_and(|time| moment(time) > now + CLOCK_LEEWAY) {
            return Err(TokenError::NotYetValid(claim));
        }
    }
    Ok(())
}
