//! What the controllers of queues and of backups share.

use kube::Client;
use kube::runtime::reflector::Store;

use crate::environment::OperatorEnvironment;
use crate::events::EventRecorder;
use crate::metrics::Metrics;
use crate::queue::WatchedQueue;
use crate::schema::SchemaWatch;
use crate::watch::WatchScope;

/// The parts of an operator that both controllers use. Cheap to clone.
#[derive(Clone)]
pub struct SharedParts {
    /// Calls the API server; writes only while this operator is the leader.
    pub client: Client,
    /// Where it looks for resources.
    pub scope: WatchScope,
    /// The operator's surroundings.
    pub environment: OperatorEnvironment,
    /// The queues, as the watch last saw them.
    pub queues: Store<WatchedQueue>,
    /// The served schema of queues.
    pub schema: SchemaWatch,
    /// Publishes events.
    pub events: EventRecorder,
    /// The metrics.
    pub metrics: Metrics,
}
