//! The Redis of a queue: managed by the operator, or provided by the user.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::place::RestoreSource;
use crate::cel;
use crate::downstream::TlsSpec;
use crate::secret_key::SecretKey;

/// The Redis that stores the queue. At most one of managed, url, urlSecret, sentinel and cluster
/// may be set; without any, the operator runs a Redis for the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    (
        "[has(self.managed), has(self.url), has(self.urlSecret), has(self.sentinel), has(self.cluster)].filter(x, x).size() <= 1",
        "give only one of managed, url, urlSecret, sentinel and cluster",
    ),
])))]
pub struct RedisSpec {
    /// Runs a Redis for this queue: a StatefulSet with one Pod and one volume, or three of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedRedis>,
    /// Address of an existing Redis, such as redis://redis:6379/0, or rediss:// for TLS. Of several
    /// hosts, as in redis://a:6379,b:6379, workers use the primary. Must not contain a password: use
    /// passwordSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^rediss?://.+$"))]
    pub url: Option<String>,
    /// Secret key with the whole URL of an existing Redis, password included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<SecretKey>,
    /// An existing Redis behind Sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<RedisSentinel>,
    /// An existing Redis Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<RedisCluster>,
    /// What a write must have survived before the caller gets an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<AcknowledgeSpec>,
    /// Secret key with the password, for url, sentinel and cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Certificates for rediss://, sentinel and cluster, which use TLS if it is given; without
    /// serverName: the certificate must name the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}

/// A Redis that the operator runs for this queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("self.storage == oldSelf.storage", "storage is immutable: resize the PersistentVolumeClaim instead"),
    (
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storageClassName is immutable",
    ),
    (
        "self.replicas == 1 || self.appendfsync == 'always'",
        "with replicas: 3, appendfsync must be always",
    ),
    (
        "self.replicas == 1 || !has(self.restoreFrom)",
        "with restoreFrom, replicas must be 1: once the queue is ready, remove restoreFrom and ask for 3",
    ),
])))]
pub struct ManagedRedis {
    /// Container image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Size of the volume, such as 8Gi. Immutable.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub storage: String,
    /// StorageClass of the volume. Defaults to that of the cluster. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// When Redis syncs acknowledged writes to disk: always, or everysec, which is faster and may
    /// lose the last second if the node fails.
    pub appendfsync: AppendFsync,
    /// Number of Redis Pods: 1, or 3 of which one takes the writes, the others copy it, and the
    /// operator elects another one when it is lost. May be changed while the queue runs.
    #[schemars(extend("enum" = [1, 3]))]
    pub replicas: i32,
    /// Backup to start a new queue with. The queue has the name of the one in the backup, its
    /// volume is empty, and replicas is 1. What was booked after the backup is gone from the queue.
    /// Remove it once the queue is ready; this restarts Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreSource>,
    /// Compute resources of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Additional labels of its Pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for ManagedRedis {
    fn default() -> Self {
        Self {
            image: "docker.io/library/redis:7.4".to_owned(),
            storage: "8Gi".to_owned(),
            storage_class_name: None,
            appendfsync: AppendFsync::Always,
            replicas: 1,
            restore_from: None,
            resources: None,
            labels: BTreeMap::new(),
        }
    }
}

/// When Redis syncs acknowledged writes to disk.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum AppendFsync {
    #[default]
    Always,
    Everysec,
}

impl AppendFsync {
    /// The value in Redis's configuration and in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
        }
    }
}

/// What a write must have survived before the caller gets an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcknowledgeSpec {
    /// Replicas that must have a join, a payment, a cancellation or a settlement, and a claim
    /// before its tasks run, 0 to 2. With too few replicas these calls fail as unavailable and the
    /// line stands until enough are back. Defaults to 1 for a managed Redis of three, and to 0
    /// otherwise. In a managed Redis of three it holds as soon as so many replicas have copied the
    /// data for the first time.
    #[schemars(range(min = 0, max = 2))]
    pub replicas: i32,
}

/// An existing Redis behind Sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisSentinel {
    /// Name of the primary in Sentinel's configuration.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9._-]+$"))]
    pub primary_name: String,
    /// Addresses of the sentinels, each HOST or HOST:PORT.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 259), regex(pattern = "^[^@/#,?]+$"))
    )]
    pub nodes: Vec<String>,
    /// User of the sentinels, if they have users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub username: Option<String>,
    /// Secret key with the password of the sentinels. passwordSecret has that of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Number of the database. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1023))]
    pub database: Option<i32>,
}

/// An existing Redis Cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisCluster {
    /// Addresses of some of its nodes, each HOST or HOST:PORT; workers discover the others.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 259), regex(pattern = "^[^@/#,?]+$"))
    )]
    pub nodes: Vec<String>,
}
