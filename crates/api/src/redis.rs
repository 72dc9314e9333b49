//! Where a queue's Redis is: one we run, or one that is there already.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::downstream::Tls;

/// Where the queue's data lives. Without any of managed, url, urlSecret, sentinel and cluster, a
/// Redis is run for the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    (
        "[has(self.managed), has(self.url), has(self.urlSecret), has(self.sentinel), has(self.cluster)].filter(x, x).size() <= 1",
        "give only one of managed, url, urlSecret, sentinel and cluster",
    ),
    (
        "[has(self.url), has(self.urlSecret), has(self.sentinel), has(self.cluster)].exists(x, x) == [has(oldSelf.url), has(oldSelf.urlSecret), has(oldSelf.sentinel), has(oldSelf.cluster)].exists(x, x)",
        "a queue cannot move between a managed Redis and another one: the bookings would be left behind; make a new queue",
    ),
])))]
pub struct Redis {
    /// Run a Redis for this queue: a StatefulSet with a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedRedis>,
    /// A Redis that is there already, such as redis://redis:6379/0, or rediss:// for TLS. No
    /// password here: use passwordSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^rediss?://.+$"))]
    pub url: Option<String>,
    /// A key of a Secret that holds the whole URL, password included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<SecretKey>,
    /// A Redis watched by sentinels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// A Redis Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// A key of a Secret that holds the password, for url, sentinel and cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Trust and identity for rediss://, sentinel and cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A Redis run for this queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("self.storage == oldSelf.storage", "storage cannot be changed: the volume is there already; make it larger through its PersistentVolumeClaim"),
    (
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storageClassName cannot be changed: the volume is there already",
    ),
])))]
pub struct ManagedRedis {
    /// Container image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Size of its volume, as a Kubernetes quantity such as 8Gi.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub storage: String,
    /// Storage class of its volume; the cluster's default when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// When Redis puts what it has acknowledged on the disk: always, or everysec, which is faster
    /// and can lose the last second when the machine fails.
    pub appendfsync: AppendFsync,
    /// CPU and memory of its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of its Pods, besides ours.
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
            resources: None,
            labels: BTreeMap::new(),
        }
    }
}

/// When Redis puts what it has acknowledged on the disk.
// The variants carry no docs of their own: a documented variant becomes a oneOf branch, which a CRD
// may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum AppendFsync {
    #[default]
    Always,
    Everysec,
}

impl AppendFsync {
    /// The word in Redis's configuration and in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
        }
    }
}

/// One key of a Secret in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A Redis watched by sentinels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// The name the sentinels know the primary by.
    #[schemars(length(min = 1, max = 128))]
    pub primary_name: String,
    /// The sentinels, each HOST:PORT.
    #[schemars(length(min = 1, max = 16), inner(length(min = 3, max = 259)))]
    pub nodes: Vec<String>,
}

/// A Redis Cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Some of its nodes, each HOST:PORT; the others are found through them.
    #[schemars(length(min = 1, max = 64), inner(length(min = 3, max = 259)))]
    pub nodes: Vec<String>,
}
