//! Whether this worker has the notifier lease, for what only one worker of a queue does.

use std::sync::Arc;
use std::time::Duration;

use bookingq_store::Store;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

/// Length of the notifier lease.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// Until when this worker has the lease, by its own clock: never longer than by the store's, since
/// it counts from before the call.
#[derive(Debug, Default)]
pub(crate) struct NotifierHold(Mutex<Option<Instant>>);

impl NotifierHold {
    /// Whether this worker has the lease.
    pub(crate) fn is_held(&self) -> bool {
        self.0.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Records the answer to a call that was sent at `sent`.
    pub(crate) fn answered(&self, sent: Instant, is_held: bool) {
        *self.0.lock() = is_held.then_some(sent + LEASE);
    }
}

/// Competes for the lease in a queue without a Realtime Service, whose notifier would. Runs until
/// dropped.
pub(crate) async fn compete(owner: String, store: Arc<dyn Store>, hold: Arc<NotifierHold>) {
    loop {
        let sent = Instant::now();
        match store.notifier(&owner, LEASE, None).await {
            Ok(lease) => hold.answered(sent, lease.is_some()),
            // The lease that it had ends by itself.
            Err(error) => debug!(%error, "the notifier lease was not renewed"),
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Time between two calls.
const PERIOD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bookingq_core::QueueName;
    use bookingq_harness::wait::eventually;
    use bookingq_store::MemoryConfig;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn one_of_two_workers_has_the_lease_and_the_other_one_after_it() {
        let name = QueueName::new("concert").unwrap();
        let store = bookingq_store::open(MemoryConfig::new(name)).unwrap();
        let start = |owner: &str| {
            let hold = Arc::new(NotifierHold::default());
            let competing = compete(owner.to_owned(), Arc::clone(&store), Arc::clone(&hold));
            (hold, tokio::spawn(competing))
        };
        let (first, task) = start("first");
        eventually("the first to have it", LIMIT, async || first.is_held()).await;
        let (second, _second_task) = start("second");
        // It asks every two seconds.
        tokio::time::sleep(PERIOD + Duration::from_millis(500)).await;
        assert!(first.is_held() && !second.is_held());
        task.abort();
        store.notifier("first", Duration::from_millis(1), None).await.unwrap();
        eventually("the second to have it", LIMIT, async || second.is_held()).await;
        assert!(store.notifier("first", LEASE, None).await.unwrap().is_none());
    }
}
