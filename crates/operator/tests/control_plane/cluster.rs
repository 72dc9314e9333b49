//! The control plane of these tests: one, shared by those that run at the same time, gone with the
//! last.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bookingq_harness::control_plane::ControlPlane;

/// What the cluster does takes no longer than this, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A control plane that some tests share.
type SharedPlane = tokio::sync::Mutex<Weak<ControlPlane>>;

/// The one that runs, or a new one.
pub async fn shared() -> Arc<ControlPlane> {
    static RUNNING: SharedPlane = SharedPlane::const_new(Weak::new());
    running(&RUNNING, &[]).await
}

/// Another one, in which StatefulSets create their Pods and volume claims.
pub async fn with_stateful_sets() -> Arc<ControlPlane> {
    static RUNNING: SharedPlane = SharedPlane::const_new(Weak::new());
    let further = ["statefulset-controller", "persistentvolumeclaim-protection-controller"];
    running(&RUNNING, &further).await
}

async fn running(shared: &SharedPlane, further: &[&str]) -> Arc<ControlPlane> {
    let mut running = shared.lock().await;
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let started = ControlPlane::start_with(&bookingq_api::crd::definition(), further).await;
    let cluster = Arc::new(started.unwrap());
    cluster.install(&bookingq_api::crd::backup_definition()).await.unwrap();
    *running = Arc::downgrade(&cluster);
    cluster
}
