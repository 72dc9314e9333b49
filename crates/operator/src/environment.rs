//! What the operator knows of itself and puts into what it builds.

/// The operator's own surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEnvironment {
    /// Image of the workers and sweepers of queues that name none: the operator's own, so that
    /// both are of one release.
    pub image: String,
    /// The namespace the operator runs in: from there it may reach the Redis of each queue.
    pub namespace: String,
}
