//! Publishes a reading of the queue once a second for the operator, where the store is one that the
//! operator cannot read: from the worker that has the notifier lease.

use std::sync::Arc;
use std::time::Duration;

use bookingq_store::{Store, StoreError};
use tokio::time::{MissedTickBehavior, timeout};
use tracing::debug;

use crate::notifier_hold::NotifierHold;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest that a reading may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Wait after a failure: the topic may be missing, as on a computer without an operator.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Publishes until dropped.
pub(crate) async fn publish_readings(store: Arc<dyn Store>, hold: Arc<NotifierHold>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !hold.is_held() {
            continue;
        }
        let published = timeout(DEADLINE, publish(&*store)).await;
        if let Err(error) = published.unwrap_or(Err(StoreError::Timeout(DEADLINE))) {
            debug!(%error, "a reading was not published");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

async fn publish(store: &dyn Store) -> Result<(), StoreError> {
    let snapshot = store.snapshot().await?;
    store.publish_reading(&snapshot).await
}
