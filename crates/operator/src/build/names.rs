//! Every name, label and annotation of the objects of a queue, in one place.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::target::Target;

/// Who writes: the field manager of every apply, and `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "bookingq-operator";
/// Finds everything that the operator made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by=bookingq-operator";
/// On Pod templates: the Secrets they were made with.
pub const SECRETS: &str = "bookingqueue.dev/secrets";
/// On every object: a digest of what was applied, so that a field we no longer want is noticed.
pub const APPLIED: &str = "bookingqueue.dev/applied";
/// Key of the password in the Secret of a managed Redis.
pub const PASSWORD_KEY: &str = "password";

/// gRPC port of the workers.
pub const GRPC_PORT: i32 = 50051;
/// Port of `/healthz`, `/readyz` and `/metrics`.
pub const ADMIN_PORT: i32 = 9090;
/// Port of a managed Redis.
pub const REDIS_PORT: i32 = 6379;

/// Which part of a queue an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The workers, and the door to them.
    Worker,
    /// The sweepers.
    Sweeper,
    /// The managed Redis.
    Redis,
}

impl Part {
    /// `app.kubernetes.io/component`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Sweeper => "sweeper",
            Self::Redis => "redis",
        }
    }
}

/// The Deployment, ServiceAccount, PodDisruptionBudget and NetworkPolicy of the workers.
pub fn worker(queue: &str) -> String {
    format!("{queue}-worker")
}

/// The Service that clients come in by.
pub fn door(queue: &str) -> String {
    queue.to_owned()
}

/// The headless Service, for clients that choose a worker themselves.
pub fn headless(queue: &str) -> String {
    format!("{queue}-workers")
}

/// The CronJob.
pub fn sweeper(queue: &str) -> String {
    format!("{queue}-sweep")
}

/// The StatefulSet, Service, Secret and NetworkPolicy of the managed Redis.
pub fn redis(queue: &str) -> String {
    format!("{queue}-redis")
}

/// All of them.
pub fn all(queue: &str) -> [String; 5] {
    [worker(queue), door(queue), headless(queue), sweeper(queue), redis(queue)]
}

/// The labels that select the Pods of one part of a queue. Never changed: a Deployment's selector
/// cannot be.
pub fn selector_labels(queue: &str, part: Part) -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/component", part.as_str()),
        ("app.kubernetes.io/instance", queue),
        ("app.kubernetes.io/name", "bookingq"),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// All labels of an object.
pub fn labels(queue: &str, part: Part) -> BTreeMap<String, String> {
    let mut labels = selector_labels(queue, part);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    labels
}

/// Selects the Pods of one part of a queue.
pub fn selector(queue: &str, part: Part) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(queue, part)), ..LabelSelector::default() }
}

/// The same as text, as `kubectl -l` and the scale subresource take it.
pub fn selector_text(queue: &str, part: Part) -> String {
    let labels = selector_labels(queue, part);
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Metadata of an object of the queue.
pub fn metadata(target: &Target, name: String, part: Part) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(target.namespace.clone()),
        labels: Some(labels(&target.name, part)),
        owner_references: Some(vec![target.owner.clone()]),
        ..ObjectMeta::default()
    }
}
