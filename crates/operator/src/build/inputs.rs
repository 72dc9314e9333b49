//! The inputs of every builder.

use crate::environment::OperatorEnvironment;
use crate::secrets::Secrets;
use crate::target::QueueTarget;

/// Everything that the objects of a queue depend on.
#[derive(Clone, Copy)]
pub struct BuildInputs<'a> {
    /// The queue.
    pub target: &'a QueueTarget,
    /// Versions and keys of its Secrets.
    pub secrets: &'a Secrets,
    /// The operator's surroundings.
    pub environment: &'a OperatorEnvironment,
}
