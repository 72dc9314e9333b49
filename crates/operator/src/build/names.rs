//! The names, labels and annotations of the objects of a queue.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The field manager, and the label `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "bookingq-operator";
/// Selects the objects of the operator.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by=bookingq-operator";
/// Annotation of a BookingQueue: while it is `true`, the operator writes no object of the queue.
pub const PAUSED: &str = "bookingqueue.dev/paused";
/// Annotation of Pod templates: the versions of their Secrets.
pub const SECRETS: &str = "bookingqueue.dev/secrets";
/// Annotation of every object: a digest of the last apply, to detect drift.
pub const APPLIED: &str = "bookingqueue.dev/applied";
/// Annotation of the gateways' Pod template: a digest of their configuration.
pub const CONFIG: &str = "bookingqueue.dev/config";
/// Annotation of objects with a template of Pods: which operator made the template.
pub const TEMPLATE: &str = "bookingqueue.dev/template";
/// The same of a template that waits.
pub const UPDATE_READY: &str = "bookingqueue.dev/update-ready";
/// Annotation of a queue: the update that may begin at once.
pub const UPDATE: &str = "bookingqueue.dev/update";
/// Key of the password in the Secret of a managed Redis.
pub const PASSWORD_KEY: &str = "password";

/// gRPC port of the workers.
pub const GRPC_PORT: i32 = 50051;
/// Public port of the gateways: HTTP, WebSockets and the page.
pub const PUBLIC_PORT: i32 = 8080;
/// Port of the gateways on which the seller's backend confirms payments.
pub const BACKEND_PORT: i32 = 8081;
/// Port of `/healthz`, `/readyz` and `/metrics`.
pub const ADMIN_PORT: i32 = 9090;
/// The volume of a Pod of the managed Redis.
pub const REDIS_DATA: &str = "data";
/// Where it is in the containers.
pub const REDIS_FOLDER: &str = "/data";
/// The volume with the backup that a managed Redis starts with.
pub const BACKUP: &str = "backup";
/// Component label of the Pods that take backups: the operator's, and those of users.
const BACKUP_COMPONENT: &str = "backup";
/// Label of what the operator creates for a BookingQueueBackup: its name.
pub const BACKUP_OF: &str = "bookingqueue.dev/backup";
/// Port of a managed Redis.
pub const REDIS_PORT: i32 = 6379;

/// The part of a queue that an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The workers and their Services.
    Worker,
    /// The sweepers.
    Sweeper,
    /// The managed Redis.
    Redis,
    /// The gateways and their Services.
    Gateway,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Sweeper, Self::Redis, Self::Gateway];

    /// The part of this label.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == label)
    }

    /// `app.kubernetes.io/component`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Sweeper => "sweeper",
            Self::Redis => "redis",
            Self::Gateway => "gateway",
        }
    }
}

/// The Deployment, ServiceAccount, PodDisruptionBudget and NetworkPolicy of the workers.
pub fn worker(queue: &str) -> String {
    format!("{queue}-worker")
}

/// The headless Service, for clients that balance their requests over the workers.
pub fn headless(queue: &str) -> String {
    format!("{queue}-workers")
}

/// The CronJob.
pub fn sweeper(queue: &str) -> String {
    format!("{queue}-sweep")
}

/// The StatefulSet, Service, Secret, PodDisruptionBudget and NetworkPolicy of the managed Redis.
pub fn redis(queue: &str) -> String {
    format!("{queue}-redis")
}

/// The queue whose managed Redis this StatefulSet may be, by its name.
pub fn queue_of_redis(stateful_set: &str) -> Option<&str> {
    stateful_set.strip_suffix("-redis")
}

/// A Job of the sweeper. Kubernetes names it after the minute of its start.
pub fn sweep(queue: &str, minute: i64) -> String {
    format!("{}-{minute}", sweeper(queue))
}

/// The queue whose sweeper this Job may be, by its name.
pub fn queue_of_sweep(job: &str) -> Option<&str> {
    let (sweeper, minute) = job.rsplit_once('-')?;
    minute.parse::<i64>().ok()?;
    sweeper.strip_suffix("-sweep")
}

/// A Pod of the managed Redis.
pub fn redis_pod(queue: &str, ordinal: usize) -> String {
    format!("{}-{ordinal}", redis(queue))
}

/// The PersistentVolumeClaim of that Pod.
pub fn redis_volume(queue: &str, ordinal: usize) -> String {
    format!("{REDIS_DATA}-{}", redis_pod(queue, ordinal))
}

/// The name in the cluster of a Pod of the managed Redis, which it keeps when it moves.
pub fn redis_host(namespace: &str, queue: &str, ordinal: usize) -> String {
    format!("{}.{}.{namespace}.svc", redis_pod(queue, ordinal), redis(queue))
}

/// The Deployment, ServiceAccount, PodDisruptionBudget, NetworkPolicy, ConfigMap, public Service,
/// Ingress and HTTPRoute of the gateways.
pub fn gateway(queue: &str) -> String {
    format!("{queue}-gateway")
}

/// The Service of the gateways for the seller's backend.
pub fn gateway_backend(queue: &str) -> String {
    format!("{queue}-gateway-backend")
}

/// The name that most objects of a part have.
pub fn of(queue: &str, part: Part) -> String {
    match part {
        Part::Worker => worker(queue),
        Part::Sweeper => sweeper(queue),
        Part::Redis => redis(queue),
        Part::Gateway => gateway(queue),
    }
}

/// Whether an object of this name may be the queue's: every name is that of the queue, or extends
/// it after a hyphen. Another queue may have such a name too, so compare owners as well.
pub fn is_of(object: &str, queue: &str) -> bool {
    object.strip_prefix(queue).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The labels that select the Pods of one part of a queue. They must never change, because the
/// selector of a Deployment is immutable.
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

/// Selects the Pods that copy the data of a queue. Users may run such Pods, too, and label them so.
pub fn backup_selector(queue: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(backup_selector_labels(queue)), ..LabelSelector::default() }
}

fn backup_selector_labels(queue: &str) -> BTreeMap<String, String> {
    let mut labels = selector_labels(queue, Part::Redis);
    labels.insert("app.kubernetes.io/component".to_owned(), BACKUP_COMPONENT.to_owned());
    labels
}

/// All labels of what the operator creates for the BookingQueueBackup `backup`.
pub fn backup_labels(queue: &str, backup: &str) -> BTreeMap<String, String> {
    let mut labels = backup_selector_labels(queue);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    labels.insert(BACKUP_OF.to_owned(), backup.to_owned());
    labels
}

/// The Job or the CronJob of a BookingQueueBackup. No object of a queue ends so.
pub fn backup(name: &str) -> String {
    format!("{name}-backup")
}

/// The selector as text, for `kubectl -l` and the scale subresource.
pub fn selector_text(queue: &str, part: Part) -> String {
    let labels = selector_labels(queue, part);
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
