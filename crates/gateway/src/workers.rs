//! The workers of one queue.

use std::sync::Arc;

use bookingq_client::{CallPolicy, ChannelPool, WorkerClient};

/// The workers of one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueWorkers {
    /// Their connections.
    pub pool: Arc<ChannelPool>,
    /// Deadlines and retries of the calls.
    pub policy: Arc<CallPolicy>,
}

impl QueueWorkers {
    /// A client that begins at a random worker. Do not clone it for another task: the clone would
    /// call the same workers in the same order.
    pub fn client(&self) -> WorkerClient {
        WorkerClient::new(Arc::clone(&self.pool), Arc::clone(&self.policy), rand::random())
    }
}
