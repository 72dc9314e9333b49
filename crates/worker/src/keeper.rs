//! Keeps an eye on the store: opens it when it comes up, reads the queue each second, says loudly
//! what is unsafe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_store::{Store, StoreError};
use tracing::{error, info, warn};

use crate::admin::Readiness;
use crate::follow::line_view::LineView;
use crate::metrics::Metrics;

/// How often the queue is read.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Waits between tries to open the store. No end: a worker may be started before its Redis.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Opens the store, trying until it is reached.
///
/// # Errors
/// What waiting does not mend: data of a newer release.
pub async fn open(
    store: &dyn Store,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        match store.open().await {
            Ok(opened) => {
                for warning in &opened.warnings {
                    error!(queue = %store.queue(), "UNSAFE STORE: {warning}");
                }
                metrics.store_unsafe_settings.set(opened.warnings.len() as i64);
                readiness.opened();
                info!(queue = %store.queue(), epoch = opened.epoch, "the store is open");
                return Ok(());
            }
            Err(error) if error.is_transient() => {
                tries += 1;
                metrics.store_failed(&error);
                metrics.store_up.set(0.0);
                if tries == 1 {
                    warn!(%error, "can't open the store; trying until it works");
                }
                tokio::time::sleep(BACKOFF.delay(tries, rand::random())).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads the queue each second, for the metrics and the pace, until dropped. When it is not the
/// data of before, the store has lost that, or what was newest of it: it is marked as a new one,
/// and `anew` tells the follower that what it knows is not true any more.
pub async fn read_queue(
    store: Arc<dyn Store>,
    line: Arc<LineView>,
    anew: Arc<AtomicBool>,
    metrics: Metrics,
) {
    let mut ticks = tokio::time::interval(READ_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_up = true;
    let mut known = String::new();
    loop {
        ticks.tick().await;
        match store.snapshot().await {
            Ok(snapshot) => {
                if snapshot.set_back || (!known.is_empty() && known != snapshot.epoch) {
                    let opened = match store.open().await {
                        Ok(opened) => opened,
                        Err(error) => {
                            warn!(%error, "the store has lost data and could not be marked as new; trying again");
                            continue;
                        }
                    };
                    metrics.store_losses.inc();
                    error!(
                        queue = %store.queue(), epoch = opened.epoch, waiting = snapshot.backlog,
                        "the store has lost data, all of it or what was newest: who was in line and is not any more must ask \
                         for a place again"
                    );
                    anew.store(true, Ordering::Relaxed);
                    known = opened.epoch;
                } else {
                    known.clone_from(&snapshot.epoch);
                }
                metrics.queue_read(&snapshot);
                line.observe(&snapshot);
                if !was_up {
                    info!("the store answers again");
                }
                was_up = true;
            }
            Err(error) => {
                metrics.store_failed(&error);
                metrics.store_up.set(0.0);
                if was_up {
                    warn!(%error, "the store does not answer");
                }
                was_up = false;
            }
        }
    }
}
