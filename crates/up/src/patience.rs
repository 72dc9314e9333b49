//! Asking a store again while it may only be starting.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_store::StoreError;
use tokio::time::{Instant, sleep};

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// Repeats `call` while it fails for reasons that pass, for at most `limit`.
///
/// # Errors
/// The last one.
pub async fn insist<T, F>(limit: Duration, mut call: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + limit;
    let mut tries = 0;
    loop {
        match call().await {
            Err(error) if error.is_transient() && Instant::now() < until => {
                tries += 1;
                sleep(BACKOFF.delay(tries, rand::random())).await;
            }
            answer => return answer,
        }
    }
}
