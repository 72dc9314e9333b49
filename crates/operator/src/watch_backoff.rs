//! The back-off of watches.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use kube::runtime::utils::Backoff as StreamBackoff;
use tokio::time::Instant;

/// Of a kind that every cluster has: the API server is back soon, and a queue waits for it.
const REQUIRED: Backoff =
    Backoff { initial: Duration::from_millis(800), max: Duration::from_secs(5) };
/// Of a kind that the cluster may lack for ever.
const OPTIONAL: Backoff =
    Backoff { initial: Duration::from_millis(800), max: Duration::from_secs(30) };
/// A failure so long after the last one is the first of others.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// How long a watch waits after failures that follow one another.
///
/// That of kube-runtime 5.0 starts again with each success, and its watches announce each list as a
/// success before they ask for it: a list that fails was repeated each second for ever.
#[derive(Debug)]
pub struct WatchBackoff {
    limits: Backoff,
    failures: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    /// Of a kind that every cluster has.
    pub fn required() -> Self {
        Self { limits: REQUIRED, failures: 0, last: None }
    }

    /// Of a kind that the cluster may lack.
    pub fn optional() -> Self {
        Self { limits: OPTIONAL, ..Self::required() }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now > last + FORGET_AFTER) {
            self.failures = 0;
        }
        self.last = Some(now);
        self.failures = self.failures.saturating_add(1);
        Some(self.limits.delay(self.failures, rand::random()))
    }
}

impl StreamBackoff for WatchBackoff {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_though_each_list_is_announced_and_start_again_after_a_while() {
        for (mut backoff, most) in [(WatchBackoff::required(), 5), (WatchBackoff::optional(), 30)] {
            let mut waits = Vec::new();
            for _ in 0..10 {
                backoff.reset();
                let wait = backoff.next().unwrap_or_default();
                tokio::time::advance(wait).await;
                waits.push(wait);
            }
            let most = Duration::from_secs(most);
            assert!(waits[0] < Duration::from_secs(1), "{waits:?}");
            assert!(waits[7..].iter().all(|&wait| wait >= most / 2 && wait <= most), "{waits:?}");
            tokio::time::advance(FORGET_AFTER + Duration::from_secs(1)).await;
            assert!(backoff.next().is_some_and(|wait| wait < Duration::from_secs(1)));
        }
    }
}
