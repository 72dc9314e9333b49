//! Waiting for a thing, with a limit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Looks until it is so; a look that fails ends the wait.
///
/// # Errors
/// When it was not so within `limit`, or a look failed.
pub async fn until(
    what: &str,
    limit: Duration,
    mut is_so: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !is_so().await? {
        if start.elapsed() >= limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
