//! Waiting for a thing, with a limit.

use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// What the cluster does takes no longer than this, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Looks until it is so.
pub async fn until(what: &str, limit: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        tokio::time::sleep(LOOK).await;
    }
}
