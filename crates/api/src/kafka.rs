//! The Kafka of a queue, which users provide.

use bookingq_core::SaslMechanism;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::secret_key::SecretKey;

/// Brokers of Kafka that store the queue, instead of a Redis. The operator makes its topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    (
        "self.topicPrefix == oldSelf.topicPrefix",
        "topicPrefix is immutable: the bookings would be left in the old topics; create a new queue",
    ),
    (
        "!has(self.sasl) || self.sasl.mechanism != 'PLAIN' || has(self.tls)",
        "sasl.mechanism PLAIN sends the password: set tls, or use SCRAM-SHA-512",
    ),
])))]
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
    /// TLS to the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTlsSpec>,
    /// Login at the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSaslSpec>,
}

/// TLS to the brokers, whose certificates must name the hosts of their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTlsSpec {
    /// Secret with ca.crt, the authority that signs the brokers' certificates, or tls.crt and
    /// tls.key, the certificate that is presented to them, or all three. Without it, the system's
    /// authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Login at the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSaslSpec {
    /// How the password is proved. Plain sends it, and needs tls.
    #[serde(default)]
    pub mechanism: KafkaSaslMechanism,
    /// The user.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// Secret key with the password.
    pub password_secret: SecretKey,
}

/// How the password is proved.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum KafkaSaslMechanism {
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "PLAIN")]
    Plain,
}

impl From<KafkaSaslMechanism> for SaslMechanism {
    fn from(mechanism: KafkaSaslMechanism) -> Self {
        match mechanism {
            KafkaSaslMechanism::ScramSha512 => Self::ScramSha512,
            KafkaSaslMechanism::ScramSha256 => Self::ScramSha256,
            KafkaSaslMechanism::Plain => Self::Plain,
        }
    }
}

/// Most workers of a queue in Kafka: each of them reads the whole log.
pub const MAX_WORKERS: u32 = 16;

fn default_prefix() -> String {
    "bookingq".to_owned()
}

fn default_replication() -> i32 {
    3
}
