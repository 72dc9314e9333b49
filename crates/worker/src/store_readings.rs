//! The newest reading of the store by this process: which data it has, and its clock.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Admission, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// How far the store's clock is extrapolated from the newest reading. While the store does not
/// answer, the clock stands still then, so that no reader takes old data for new.
const EXTRAPOLATED: Duration = Duration::from_secs(5);

/// What a reading of the queue says about its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreReading {
    /// Identifies the data.
    pub epoch: Arc<str>,
    /// Whether the queue accepts and processes bookings.
    pub admission: Admission,
    /// The store's clock at the reading.
    at: Timestamp,
    /// This process's clock at the reading.
    taken: Instant,
}

impl StoreReading {
    /// The store's clock now, as far as this process knows.
    pub fn now(&self) -> Timestamp {
        self.at + self.taken.elapsed().min(EXTRAPOLATED)
    }
}

/// The newest reading; one writer, many readers.
#[derive(Debug)]
pub struct StoreReadings {
    newest: watch::Sender<Option<StoreReading>>,
}

impl Default for StoreReadings {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None) }
    }
}

impl StoreReadings {
    /// Takes a reading of the data of `epoch`. A store that has not been opened has no epoch.
    pub fn record(&self, epoch: &str, admission: Admission, at: Timestamp) {
        if epoch.is_empty() {
            return;
        }
        let before = self.newest.borrow().as_ref().map(|before| Arc::clone(&before.epoch));
        let epoch = before.filter(|before| **before == *epoch).unwrap_or_else(|| epoch.into());
        let reading = StoreReading { epoch, admission, at, taken: Instant::now() };
        self.newest.send_replace(Some(reading));
    }

    /// The newest reading; `None` before the first.
    pub fn newest(&self) -> Option<StoreReading> {
        self.newest.borrow().clone()
    }

    /// The newest reading; waits for the first one, at most for `limit`.
    pub async fn known(&self, limit: Duration) -> Option<StoreReading> {
        let mut readings = self.newest.subscribe();
        let known = readings.wait_for(Option::is_some);
        tokio::time::timeout(limit, known).await.ok()?.ok()?.clone()
    }
}
