//! A process that is killed at one of its steps.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Kills who takes a step of the logs.
pub struct Crash {
    /// Steps that are taken before.
    left: AtomicU64,
    /// Whether the step that is its last takes effect.
    takes_effect: bool,
    pub happened: Notify,
}

impl Crash {
    pub fn new(after: u64, takes_effect: bool) -> Self {
        Self { left: AtomicU64::new(after), takes_effect, happened: Notify::new() }
    }

    /// Counts a step. Whether it is one that is not taken.
    pub fn comes_before(&self) -> bool {
        !self.takes_effect && self.is_last()
    }

    /// Counts a step. Whether it is the last one.
    pub fn comes_after(&self) -> bool {
        self.takes_effect && self.is_last()
    }

    fn is_last(&self) -> bool {
        let count = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_err()
    }

    /// From here on the process does nothing more.
    pub async fn happens(&self) {
        self.happened.notify_one();
        std::future::pending::<()>().await;
    }
}
