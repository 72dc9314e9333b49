//! Keeps the leases of tasks in hand from running out while they are worked on.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Executor;

/// Renews every held lease at a third of its length, for ever; ends when dropped. A task that was
/// lost is let go on: its calls are idempotent, and its settlement will be told that it is stale.
pub async fn renew_leases(executor: Arc<Executor>, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = executor.held();
        if held.is_empty() {
            continue;
        }
        match executor.store().store().renew(held.clone(), lease).await {
            Ok(renewed) => {
                for lost in
                    held.iter().zip(renewed).filter(|(_, renewed)| !renewed).map(|(held, _)| held)
                {
                    info!(client_id = %lost.client, booking_id = %lost.booking, "lost the lease of a task");
                }
            }
            Err(error) => {
                executor.metrics().store_failed(&error);
                warn!(%error, held = held.len(), "can't renew leases");
            }
        }
    }
}
