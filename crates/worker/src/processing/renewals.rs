//! Renews the leases of tasks in hand.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Executor;

/// Renews every held lease at a third of its length, until dropped. A task whose lease was lost
/// continues: its calls are idempotent, and the store refuses its settlement as stale.
pub async fn renew_leases(executor: Arc<Executor>, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = executor.held();
        if held.is_empty() {
            continue;
        }
        match executor.store.store().renew(held.clone(), lease).await {
            Ok(renewed) => {
                for (lost, _) in held.iter().zip(renewed).filter(|(_, renewed)| !renewed) {
                    info!(client_id = %lost.client, booking_id = %lost.booking, "lost the lease of a task");
                }
            }
            Err(error) => {
                executor.metrics.store_failed(&error);
                warn!(%error, held = held.len(), "cannot renew leases");
            }
        }
    }
}
