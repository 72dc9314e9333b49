//! The one retry helper: waits between tries of the same call, and says when to stop trying.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;

/// Counts the failures of one call and waits longer after each.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use std::time::Duration;
/// # use bookingq_core::{backoff::Backoff, retry::Retry};
/// const BACKOFF: Backoff =
///     Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(5) };
///
/// let mut tries = 0;
/// let answer: Result<u32, &str> = Retry::within(BACKOFF, Duration::from_secs(1))
///     .run(|_| true, || {
///         tries += 1;
///         std::future::ready(if tries < 3 { Err("not yet") } else { Ok(tries) })
///     })
///     .await;
/// assert_eq!(answer, Ok(3));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Retry {
    backoff: Backoff,
    /// No try starts after this moment; `None` retries without end.
    deadline: Option<Instant>,
    failures: u32,
}

impl Retry {
    /// Retries without end. The caller stops by dropping the future, or on an error that a retry
    /// cannot repair.
    pub fn forever(backoff: Backoff) -> Self {
        Self { backoff, deadline: None, failures: 0 }
    }

    /// Starts no further try once `limit` has passed from now.
    pub fn within(backoff: Backoff, limit: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(limit), ..Self::forever(backoff) }
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The next failure waits as short as the first one did.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns the time to wait before the next try, at least `asked` (what a
    /// server asked for). `None` when the limit would have passed by then. `chance` is drawn evenly
    /// from `[0, 1)`.
    pub fn next_delay(&mut self, asked: Duration, chance: f64) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let delay = self.backoff.delay(self.failures, chance).max(asked);
        let in_time = self.deadline.is_none_or(|deadline| Instant::now() + delay < deadline);
        in_time.then_some(delay)
    }

    /// Counts a failure and waits before the next try. Returns `false` at once when the limit would
    /// have passed by then.
    pub async fn wait(&mut self) -> bool {
        let Some(delay) = self.next_delay(Duration::ZERO, rand::random()) else { return false };
        sleep(delay).await;
        true
    }

    /// Repeats `call` while it fails with an error that `is_transient`, until it succeeds.
    ///
    /// # Errors
    /// The first error that is not transient, or the last one before the limit.
    pub async fn run<T, E, F>(
        mut self,
        is_transient: impl Fn(&E) -> bool,
        mut call: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        loop {
            match call().await {
                Err(error) if is_transient(&error) => {
                    if !self.wait().await {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }
}
