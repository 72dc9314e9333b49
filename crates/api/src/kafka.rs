//! The Kafka of a queue, which users provide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;

/// Brokers of Kafka that store the queue, instead of a Redis. The operator makes its topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rule(
    "self.topicPrefix == oldSelf.topicPrefix",
    "topicPrefix is immutable: the bookings would be left in the old topics; create a new queue",
)))]
pub struct KafkaSpec {
    /// Addresses of some brokers, each HOST:PORT, separated by commas, as in bootstrap.servers. The
    /// operator connects too, so names need their namespace.
    #[schemars(
        length(min = 3, max = 4096),
        regex(pattern = "^[^/@ ]+:[0-9]+( *, *[^/@ ]+:[0-9]+)*$")
    )]
    pub bootstrap: String,
    /// What the names of topics begin with: PREFIX.NAMESPACE.NAME and
    /// PREFIX.NAMESPACE.NAME.SNAPSHOTS of this queue, and PREFIX.READINGS of all queues. Immutable.
    #[serde(default = "default_prefix")]
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9._-]+$"))]
    pub topic_prefix: String,
    /// Replicas of a topic that the operator makes. Topics that are there already are used as they
    /// are.
    #[serde(default = "default_replication")]
    #[schemars(range(min = 1, max = 9))]
    pub replication: i32,
}

/// Most workers of a queue in Kafka: each of them reads the whole log.
pub const MAX_WORKERS: u32 = 16;

fn default_prefix() -> String {
    "bookingq".to_owned()
}

fn default_replication() -> i32 {
    3
}
