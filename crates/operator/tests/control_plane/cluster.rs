//! The control plane of these tests: one, shared by those that run at the same time, gone with the
//! last.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bookingq_api::BookingQueue;
use bookingq_harness::control_plane::ControlPlane;
use kube::CustomResourceExt as _;

/// What the cluster does takes no longer than this, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The one that runs, or a new one.
pub async fn shared() -> Arc<ControlPlane> {
    static RUNNING: tokio::sync::Mutex<Weak<ControlPlane>> =
        tokio::sync::Mutex::const_new(Weak::new());
    let mut running = RUNNING.lock().await;
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(ControlPlane::start(&BookingQueue::crd()).await.unwrap());
    *running = Arc::downgrade(&cluster);
    cluster
}
