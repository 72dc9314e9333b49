//! The operator's own surroundings, which appear in the objects that it builds.

/// Image and namespace of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEnvironment {
    /// Image of the workers, sweepers and gateways of queues that name none. By default the
    /// operator's own, so that all are of one release.
    pub image: String,
    /// The namespace of the operator, which may connect to every managed Redis.
    pub namespace: String,
}
