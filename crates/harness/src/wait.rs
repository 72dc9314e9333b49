//! Waits for a condition, with a limit: the alternative to a sleep that hopes.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two checks.
const INTERVAL: Duration = Duration::from_millis(20);

/// The condition did not hold in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("waited {} s for {what}", limit.as_secs())]
pub struct TimedOut {
    /// The condition.
    pub what: String,
    /// The longest wait.
    pub limit: Duration,
}

/// Checks `condition` until it holds. An error of the check ends the wait.
///
/// # Errors
/// [`TimedOut`] after `limit`, or the error of a check.
pub async fn until<E: From<TimedOut>>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool, E>,
) -> Result<(), E> {
    let start = Instant::now();
    while !condition().await? {
        if start.elapsed() >= limit {
            return Err(TimedOut { what: what.to_owned(), limit }.into());
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// The same for tests, whose checks do not fail.
///
/// # Panics
/// When the condition does not hold within `limit`.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let waited = until::<TimedOut>(what, limit, async || Ok(condition().await)).await;
    assert!(waited.is_ok(), "waited {limit:?} for {what}");
}

/// The answer to a request that may be repeated, for tests: a server on a busy disk may let one
/// pass.
///
/// # Panics
/// When each request within `limit` fails.
pub async fn answered<T, E: Display>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < limit, "no answer within {limit:?}: {error}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
