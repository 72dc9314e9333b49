//! Watches the store: opens it once it is up, reads the queue and its closed items every second,
//! reports unsafe settings and lost data.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::eta::EtaReading;
use bookingq_core::retry::Retry;
use bookingq_follow::FollowedQueue;
use bookingq_follow::items::MAX_CLOSED_ITEMS;
use bookingq_serve::Readiness;
use bookingq_serve::metrics::set_total;
use bookingq_store::{Snapshot, Store, StoreError, Totals};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::metrics::WorkerMetrics;
use crate::processing::Executor;
use crate::store_readings::StoreReadings;

/// Time between readings of the queue.
const READ_EVERY: Duration = Duration::from_secs(1);
/// From a reading of the closed items to the next one, when many items change.
const ITEMS_PAUSE: Duration = Duration::from_millis(100);
/// Waits between attempts to open the store. No limit: a worker may start before its Redis.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Opens the store, retrying until it is reached.
///
/// # Errors
/// What a retry cannot mend: data of a newer release.
pub async fn open(
    store: &dyn Store,
    metrics: &WorkerMetrics,
    readiness: &Readiness,
) -> Result<(), StoreError> {
    let mut retry = Retry::forever(BACKOFF);
    let opened = loop {
        match store.open().await {
            Ok(opened) => break opened,
            Err(error) if error.is_transient() => {
                metrics.store_failed(&error);
                if retry.failures() == 0 {
                    warn!(%error, "cannot open the store; retrying");
                }
                retry.wait().await;
            }
            Err(error) => return Err(error),
        }
    };
    for warning in &opened.warnings {
        error!(queue = %store.queue(), "UNSAFE STORE: {warning}");
    }
    metrics.store.unsafe_settings.set(opened.warnings.len() as i64);
    readiness.set_ready();
    info!(queue = %store.queue(), epoch = opened.epoch, "the store is open");
    Ok(())
}

/// Reads the queue every second: for the metrics, the waits and the other readers of this process.
pub struct StoreMonitor {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Takes readings for the waits and the chances.
    pub queue: Arc<FollowedQueue>,
    /// Takes which data the store has.
    pub readings: Arc<StoreReadings>,
    /// Set when the store has lost data or has loaded its state again, so that the follower reads
    /// the line again.
    pub resync: Arc<AtomicBool>,
    /// The metrics.
    pub metrics: Arc<WorkerMetrics>,
    /// What executes tasks, once there is one.
    pub executor: Arc<OnceLock<Arc<Executor>>>,
}

impl StoreMonitor {
    /// Reads until dropped. When the data is not what it was, the store has lost all of it or the
    /// newest part: the monitor marks what the store has as new.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_up = true;
        let mut seen = MonitoredData::default();
        loop {
            ticks.tick().await;
            match self.read(&mut seen).await {
                Ok(()) => {
                    if !was_up {
                        info!("the store answers again");
                    }
                    was_up = true;
                }
                Err(error) => {
                    self.metrics.store_failed(&error);
                    self.metrics.store.up.set(0);
                    if was_up {
                        warn!(%error, "the store does not answer");
                    }
                    was_up = false;
                }
            }
        }
    }

    async fn read(&self, seen: &mut MonitoredData) -> Result<(), StoreError> {
        let MonitoredData { epoch, reloads } = seen;
        set_total(&self.metrics.store.wrong_claims, self.store.wrong_claims());
        let loaded = self.store.reloads();
        if std::mem::replace(reloads, loaded) != loaded {
            set_total(&self.metrics.store.reloads, loaded);
            // The follower has applied events of a state that may have been wrong.
            self.resync.store(true, Ordering::Relaxed);
        }
        let snapshot = self.store.snapshot().await?;
        let same = same_data(&*self.store, &snapshot, epoch).await?;
        // Before `resync`, so that what is read again counts as the new data.
        self.readings.record(epoch, snapshot.admission, snapshot.now);
        if !same {
            self.metrics.store.losses.inc();
            self.resync.store(true, Ordering::Relaxed);
        }
        self.metrics.queue_read(&snapshot);
        observe(&self.queue, &snapshot, self.executor.get());
        Ok(())
    }
}

/// The data that was read last.
#[derive(Default)]
struct MonitoredData {
    epoch: String,
    /// How often its state had been loaded again.
    reloads: u64,
}

/// Takes a reading for the waits and the chances.
fn observe(queue: &FollowedQueue, snapshot: &Snapshot, executor: Option<&Arc<Executor>>) {
    let read = EtaReading {
        at: snapshot.now,
        in_flight: snapshot.in_flight,
        slots: executor.map_or(0, |executor| executor.slots as u64),
        admission: snapshot.admission,
        opens_at: snapshot.rules.opens_at,
        outage: executor.is_some_and(|executor| executor.booking.breaker.is_open()),
        outflow: snapshot.rules.outflow,
    };
    let Totals { dispatched, confirmed, expired, failed, .. } = snapshot.totals;
    queue.line.observe(read, dispatched);
    queue.demand.observe(confirmed, confirmed + expired + failed);
}

/// Reads the closed items, if there are any, and sends what is news to the watchers, until dropped:
/// once a second, and when an item has changed. Reads what is left of the items that clients want.
pub async fn follow_items(
    store: Arc<dyn Store>,
    queue: Arc<FollowedQueue>,
    metrics: Arc<WorkerMetrics>,
) {
    loop {
        let changed = tokio::time::timeout(READ_EVERY, queue.items.changed()).await.is_ok();
        if changed || !queue.items.closed().is_empty() {
            let items = store.closed_items(MAX_CLOSED_ITEMS).await;
            let items = items.inspect_err(|error| metrics.store_failed(error)).ok();
            queue.refresh_items(items);
            metrics.closed_items(queue.items.closed().len());
        }
        let wanted = queue.demand.items();
        if !wanted.is_empty()
            && let Ok(items) = store.items(wanted).await
        {
            queue.demand.read(items);
        }
        tokio::time::sleep(ITEMS_PAUSE).await;
    }
}

/// Whether the store has kept its data since the last reading. If not, marks what it has as new.
async fn same_data(
    store: &dyn Store,
    snapshot: &Snapshot,
    epoch: &mut String,
) -> Result<bool, StoreError> {
    let same = !snapshot.set_back && (epoch.is_empty() || *epoch == snapshot.epoch);
    if same {
        epoch.clone_from(&snapshot.epoch);
        return Ok(true);
    }
    *epoch = store.open().await?.epoch;
    error!(
        queue = %store.queue(), epoch, waiting = snapshot.backlog,
        "the store has lost data, all of it or the newest part: clients that are no longer in line \
         must enqueue again"
    );
    Ok(false)
}
