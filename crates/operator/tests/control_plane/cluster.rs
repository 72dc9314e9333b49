//! The control plane of these tests: one, shared by those that run at the same time, gone with the
//! last.

use std::sync::{Arc, Weak};

use bookingq_trial::control_plane::ControlPlane;

/// The one that runs, or a new one.
pub async fn shared() -> Arc<ControlPlane> {
    static RUNNING: tokio::sync::Mutex<Weak<ControlPlane>> =
        tokio::sync::Mutex::const_new(Weak::new());
    let mut running = RUNNING.lock().await;
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(ControlPlane::start().await.unwrap());
    *running = Arc::downgrade(&cluster);
    cluster
}
