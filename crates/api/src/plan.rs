//! The plan of a `BookingQueue`: its spec, validated and typed, with every default filled in.

use std::time::Duration;

use bookingq_core::autoscale::Policy;
use bookingq_core::autoscale::sockets::SocketPolicy;
use bookingq_core::backoff::RetryPolicy;
use bookingq_core::sale::SaleRules;
use bookingq_core::{Admission, QueueName};
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Map, Value};

use crate::deletion::DataDeletion;
use crate::downstream::{Endpoint, TlsSpec};
use crate::gateway::GatewaySpec;
use crate::kafka::{KafkaSaslSpec, KafkaTlsSpec};
use crate::redis::{ManagedRedis, RedisCluster, RedisSentinel};
use crate::secret_key::SecretKey;
use crate::update::UpdatePlan;
use crate::worker::WorkerTlsSpec;

/// A whole queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name in the store.
    pub queue: QueueName,
    /// The Booking Service.
    pub booking: ServicePlan,
    /// The Ticket Service, if there is one.
    pub ticket: Option<ServicePlan>,
    /// The Realtime Service, if there is one.
    pub realtime: Option<ServicePlan>,
    /// Where its bookings are.
    pub store: StorePlan,
    /// Its workers.
    pub worker: WorkerPlan,
    /// The number of workers.
    pub scaling: ScalingPlan,
    /// Time to pay.
    pub hold: Duration,
    /// Time for which a decided booking can still be looked up.
    pub retention: Duration,
    /// When a sweeper starts, as five cron fields; `None` when suspended.
    pub sweep: Option<String>,
    /// Retries of calls to the Booking Service.
    pub retry: RetryPolicy,
    /// Whether the queue accepts and serves bookings.
    pub admission: Admission,
    /// When it opens, how fast it serves, and what a sold out item means.
    pub rules: SaleRules,
    /// Whether it sleeps: no workers, no sweepers.
    pub hibernate: bool,
    /// Its gateways, if it has any.
    pub gateway: Option<GatewayPlan>,
    /// What happens to the volumes of a managed Redis when the queue is deleted.
    pub data_deletion: DataDeletion,
    /// When its Pods follow another release of the operator.
    pub update: UpdatePlan,
}

impl Plan {
    /// Whether it is to have no worker.
    pub fn wants_no_worker(&self) -> bool {
        self.hibernate || self.scaling == ScalingPlan::Fixed(0)
    }
}

/// A service the workers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    /// Its address.
    pub endpoint: Endpoint,
    /// Deadline of one call.
    pub timeout: Duration,
    /// Certificates; only with `https://`.
    pub tls: Option<TlsSpec>,
}

/// The workers.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPlan {
    /// Container image; the operator's own when not set.
    pub image: Option<String>,
    /// Tasks one worker runs at once; at least 1.
    pub concurrency: u32,
    /// Time after which another worker may claim the task of a silent one.
    pub lease: Duration,
    /// Time to shut down after SIGTERM.
    pub grace: Duration,
    /// Part of it during which connections are still accepted.
    pub linger: Duration,
    /// TLS of the gRPC port; plain text when not set.
    pub tls: Option<WorkerTlsSpec>,
    /// Compute resources.
    pub resources: Option<ResourceRequirements>,
    /// Merged into the Pods that the operator builds.
    pub pod_template: Option<Map<String, Value>>,
}

/// The number of workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScalingPlan {
    /// Always this many.
    Fixed(u32),
    /// The number that the line needs.
    Automatic(Policy),
}

/// The gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayPlan {
    /// The spec, whose other fields are valid as they are.
    pub spec: GatewaySpec,
    /// What the page offers.
    pub items: Vec<OfferPlan>,
    /// Connections open at once on one gateway.
    pub max_connections: u32,
    /// Time to close WebSockets after SIGTERM.
    pub drain: Duration,
    /// The number of gateways.
    pub scaling: GatewayScaling,
}

/// An item that the page offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferPlan {
    /// Its name.
    pub name: String,
    /// Its text on the page; the name when not set.
    pub title: Option<String>,
    /// The largest quantity, at least 1.
    pub max_quantity: u32,
}

/// The number of gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayScaling {
    /// Always this many.
    Fixed(u32),
    /// The number that the open WebSockets need.
    Automatic(SocketPolicy),
}

/// Where the bookings of a queue are.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a queue has one")]
pub enum StorePlan {
    /// In a Redis.
    Redis(RedisPlan),
    /// In every worker, from a log in Kafka.
    Kafka(KafkaPlan),
}

impl Default for StorePlan {
    /// A Redis that the operator runs.
    fn default() -> Self {
        Self::Redis(RedisPlan {
            source: RedisSource::Managed(Box::default()),
            password: None,
            tls: None,
            acknowledge_replicas: 0,
        })
    }
}

impl StorePlan {
    /// The Redis, if it is one.
    pub fn redis(&self) -> Option<&RedisPlan> {
        match self {
            Self::Redis(redis) => Some(redis),
            Self::Kafka(_) => None,
        }
    }

    /// The Kafka, if it is one.
    pub fn kafka(&self) -> Option<&KafkaPlan> {
        match self {
            Self::Kafka(kafka) => Some(kafka),
            Self::Redis(_) => None,
        }
    }
}

/// The Kafka of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaPlan {
    /// Some brokers, each HOST:PORT; at least one.
    pub brokers: Vec<String>,
    /// What the names of topics begin with.
    pub topic_prefix: String,
    /// Replicas of a topic that is made, at least 1.
    pub replication: u16,
    /// TLS to the brokers.
    pub tls: Option<KafkaTlsSpec>,
    /// Login at the brokers.
    pub sasl: Option<KafkaSaslSpec>,
}

impl KafkaPlan {
    /// The address, as `--store` takes it.
    pub fn address(&self) -> String {
        format!("kafka://{}/{}", self.brokers.join(","), self.topic_prefix)
    }
}

/// The Redis of a queue, and its credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisPlan {
    /// Its address.
    pub source: RedisSource,
    /// The password, if the URL does not contain it.
    pub password: Option<SecretKey>,
    /// Certificates.
    pub tls: Option<TlsSpec>,
    /// Replicas that must have a write before it is acknowledged.
    pub acknowledge_replicas: u8,
}

/// The address of a Redis.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisSource {
    /// The operator runs one for the queue.
    Managed(Box<ManagedRedis>),
    /// An existing Redis at this URL, which has no password.
    Url(String),
    /// An existing Redis; a Secret contains its URL.
    UrlSecret(SecretKey),
    /// An existing Redis behind Sentinel.
    Sentinel(RedisSentinel),
    /// An existing Redis Cluster.
    Cluster(RedisCluster),
}
