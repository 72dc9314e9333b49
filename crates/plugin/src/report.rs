//! `kubectl bookingqueue report`: one archive for support. What cannot be read is listed in it, and
//! is no error.

use bookingq_api::{BookingQueue, BookingQueueBackup};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, LogParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::archive::Archive;
use crate::cluster::Cluster;
use crate::error::{PluginError, said};
use crate::facts::{QueueFacts, of_queue};
use crate::redaction::Redaction;
use crate::{explanation, page};

/// The kinds of a queue's objects: group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 14] = [
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("batch", "v1", "Job", "jobs"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
];

/// At most so many objects of a kind.
const OBJECTS: u32 = 200;
/// Of each container's log, at most so many lines and bytes.
const LOG_LINES: i64 = 2_000;
const LOG_BYTES: i64 = 1 << 20;
/// The admin port of workers, gateways and operators.
const ADMIN_PORT: u16 = 9090;

/// What to report about.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Name of the BookingQueue
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Namespace of the operator, whose logs are added
    #[arg(
        long,
        env = "BOOKINGQ_PLUGIN_OPERATOR_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "bookingq-system"
    )]
    pub operator_namespace: String,
}

/// The bytes of a `.tar.gz`.
///
/// # Errors
/// When the queue does not exist or cannot be read.
pub async fn report(cluster: &Cluster, args: &ReportArgs) -> Result<Vec<u8>, PluginError> {
    let facts = QueueFacts::read(cluster, &args.name).await?;
    let mut missing = Vec::new();
    let backups = backups(cluster, &args.name, &mut missing).await;
    let redaction = known_secrets(cluster, &facts.queue, &backups, &mut missing).await;
    let now = Timestamp::now();
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let archive = Archive::new(format!("bookingqueue-{}", args.name), seconds);
    let mut report = Report { cluster, archive, redaction, missing };
    report.text("status.txt", &page::page(&facts, now))?;
    report.text("why.txt", &explanation::explain(&facts))?;
    report.object("queue.json", &facts.queue)?;
    report.object("events.json", &facts.events)?;
    report.object("backups.json", &backups)?;
    report.objects(&args.name).await?;
    for pod in &facts.pods {
        report.pod(pod).await?;
    }
    let operators = Cluster { namespace: args.operator_namespace.clone(), ..cluster.clone() };
    let selected = "app.kubernetes.io/name=bookingq,app.kubernetes.io/component=operator";
    let selected = ListParams::default().labels(selected).limit(OBJECTS);
    match operators.api::<Pod>().list(&selected).await {
        Ok(pods) => {
            for pod in &pods.items {
                report.pod(pod).await?;
            }
        }
        Err(error) => report.missing.push(format!("the operator's Pods: {}", said(&error))),
    }
    report.finish()
}

/// An archive that grows.
struct Report<'a> {
    cluster: &'a Cluster,
    archive: Archive,
    redaction: Redaction,
    /// What could not be read.
    missing: Vec<String>,
}

impl Report<'_> {
    fn text(&mut self, path: &str, text: &str) -> Result<(), PluginError> {
        Ok(self.archive.add(path, &self.redaction.text(text))?)
    }

    fn object(&mut self, path: &str, object: &impl serde::Serialize) -> Result<(), PluginError> {
        let value = serde_json::to_value(object).map_err(std::io::Error::other)?;
        let clean = match value {
            Value::Array(items) => {
                items.into_iter().map(|item| self.redaction.object(item)).collect()
            }
            one => self.redaction.object(one),
        };
        let text = serde_json::to_string_pretty(&clean).map_err(std::io::Error::other)?;
        Ok(self.archive.add(path, &text)?)
    }

    async fn objects(&mut self, name: &str) -> Result<(), PluginError> {
        let selected = ListParams::default().labels(&of_queue(name)).limit(OBJECTS);
        for (group, version, kind, plural) in KINDS {
            let kind = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, plural);
            let (client, namespace) = (self.cluster.client.clone(), &self.cluster.namespace);
            let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
            match api.list(&selected).await {
                Ok(found) => {
                    // Items of a list do not name their kind, which the redaction looks at.
                    let named = |item: DynamicObject| {
                        let mut item = serde_json::to_value(item).unwrap_or_default();
                        item["kind"] = Value::String(kind.kind.clone());
                        item
                    };
                    let items: Vec<_> = found.items.into_iter().map(named).collect();
                    self.object(&format!("objects/{plural}.json"), &items)?;
                }
                Err(error) => self.missing.push(format!("{plural}: {}", said(&error))),
            }
        }
        Ok(())
    }

    /// Logs of all containers, also of those that have ended, and metrics.
    async fn pod(&mut self, pod: &Pod) -> Result<(), PluginError> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &namespace);
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for container in containers.map(|container| &container.name) {
            for (previous, ending) in [(false, "log"), (true, "previous.log")] {
                let wanted = LogParams {
                    container: Some(container.clone()),
                    previous,
                    tail_lines: Some(LOG_LINES),
                    limit_bytes: Some(LOG_BYTES),
                    timestamps: true,
                    ..LogParams::default()
                };
                match api.logs(&name, &wanted).await {
                    Ok(log) if log.is_empty() => {}
                    Ok(log) => self.text(&format!("logs/{name}/{container}.{ending}"), &log)?,
                    // Most containers have no earlier run.
                    Err(_) if previous => {}
                    Err(error) => {
                        let why = said(&error);
                        self.missing.push(format!("log of {name}/{container}: {why}"));
                    }
                }
            }
        }
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{ADMIN_PORT}/proxy/metrics");
        match http::Request::get(path).body(Vec::new()) {
            Ok(request) => match self.cluster.client.request_text(request).await {
                Ok(metrics) => self.text(&format!("metrics/{name}.txt"), &metrics)?,
                Err(error) => self.missing.push(format!("metrics of {name}: {}", said(&error))),
            },
            Err(error) => self.missing.push(format!("metrics of {name}: {error}")),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, PluginError> {
        let mut missing = self.missing.join("\n");
        missing.insert_str(0, "What could not be read, and why:\n");
        self.text("missing.txt", &missing)?;
        Ok(self.archive.finish()?)
    }
}

/// The backups of the queue.
async fn backups(
    cluster: &Cluster,
    queue: &str,
    missing: &mut Vec<String>,
) -> Vec<BookingQueueBackup> {
    let all = ListParams::default().limit(OBJECTS);
    match cluster.api::<BookingQueueBackup>().list(&all).await {
        Ok(found) => found.items.into_iter().filter(|one| one.spec.queue == queue).collect(),
        Err(error) => {
            missing.push(format!("bookingqueuebackups: {}", said(&error)));
            Vec::new()
        }
    }
}

/// What the Secrets of the queue contain: those that belong to it, and those that its spec and its
/// backups name.
async fn known_secrets(
    cluster: &Cluster,
    queue: &BookingQueue,
    backups: &[BookingQueueBackup],
    missing: &mut Vec<String>,
) -> Redaction {
    let api: Api<Secret> = cluster.api();
    let mut secrets = Vec::new();
    let mut failed = |error: kube::Error| {
        missing.push(format!("Secrets, so that their values may remain in logs: {}", said(&error)));
    };
    let owned = ListParams::default().labels(&of_queue(&queue.name_any())).limit(OBJECTS);
    match api.list(&owned).await {
        Ok(found) => secrets.extend(found.items),
        Err(error) => failed(error),
    }
    let mut names = Vec::new();
    names_of_secrets(&serde_json::to_value(&queue.spec).unwrap_or_default(), &mut names);
    for backup in backups {
        names_of_secrets(&serde_json::to_value(&backup.spec).unwrap_or_default(), &mut names);
    }
    for name in names {
        match api.get_opt(&name).await {
            Ok(found) => secrets.extend(found),
            Err(error) => failed(error),
        }
    }
    Redaction::of(&secrets)
}

/// Values of fields such as `secretName`, and the names in `secretRef`, `urlSecret` and the like.
fn names_of_secrets(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names_of_secrets(item, names)),
        Value::Object(fields) => {
            for (field, value) in fields {
                let lower = field.to_lowercase();
                let itself = lower.ends_with("secretname").then_some(value);
                let inside = lower.contains("secret").then(|| value.get("name")).flatten();
                names.extend(itself.or(inside).and_then(Value::as_str).map(str::to_owned));
                names_of_secrets(value, names);
            }
        }
        _ => {}
    }
}
