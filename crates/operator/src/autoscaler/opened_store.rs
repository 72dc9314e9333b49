//! The store of a queue as its loop uses it: opened before it is read, and again after an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_store::{Opened, RedisConfig, Snapshot, Store, StoreError};

use super::observation::StoreHealth;

/// How often the replicas are counted, where calls wait for them.
const COUNT_REPLICAS: Duration = Duration::from_secs(5);

/// A store, and when it was opened last with which findings; `None` after an error.
pub(super) struct OpenedStore {
    pub(super) store: Arc<dyn Store>,
    opened: Option<(Instant, Opened)>,
    counts_replicas: bool,
    /// Whether the last read must not have written: connections since then have not opened it.
    only_read: bool,
}

impl OpenedStore {
    /// Connects at the first read.
    pub(super) fn connect(config: &RedisConfig) -> Result<Self, StoreError> {
        let counts_replicas = config.acknowledge_replicas > 0;
        let store = bookingq_store::open(config.clone())?;
        Ok(Self { store, opened: None, counts_replicas, only_read: false })
    }

    /// The next read opens the store again.
    pub(super) fn forget(&mut self) {
        self.opened = None;
    }

    /// Reads the queue, and opens the store before if it is due and `may_open`: opening writes.
    pub(super) async fn read(
        &mut self,
        may_open: bool,
    ) -> Result<(Snapshot, StoreHealth), StoreError> {
        // A connection breaks at any moment, and another one would write what opening writes.
        self.store.connect_read_only(!may_open);
        if std::mem::replace(&mut self.only_read, !may_open) && may_open {
            self.forget();
        }
        let keeps = !self.counts_replicas || !may_open;
        let is_fresh = |(at, _): &(Instant, Opened)| keeps || at.elapsed() < COUNT_REPLICAS;
        let (at, opened) = match self.opened.take().filter(is_fresh) {
            Some(found) => found,
            None if may_open => (Instant::now(), self.store.open().await?),
            None => {
                let health = StoreHealth::Reachable { warnings: Vec::new() };
                return Ok((self.store.snapshot().await?, health));
            }
        };
        let health = match opened.missing_replicas {
            Some(missing) => StoreHealth::TooFewReplicas(missing),
            None => StoreHealth::Reachable { warnings: opened.warnings.clone() },
        };
        self.opened = Some((at, opened));
        Ok((self.store.snapshot().await?, health))
    }
}
