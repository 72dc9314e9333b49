//! What the deletion of a queue leaves behind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the deletion of the BookingQueue leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeletionSpec {
    /// The volumes of a managed Redis. Retain: they stay, and a queue of the same name goes on with
    /// their bookings. Delete: they are deleted with the queue.
    pub data: DataDeletion,
}

/// What happens to the volumes of a managed Redis.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum DataDeletion {
    #[default]
    Retain,
    Delete,
}

impl DataDeletion {
    /// The value in the resource, and in the policy of a StatefulSet.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}
