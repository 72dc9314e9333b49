//! The plugin against a real API server. There is no kubelet: Pods have the status that a test
//! gives them, and no logs.
#![allow(clippy::unwrap_used)]

mod backups;

use std::fmt::Write as _;
use std::io::Read as _;

use bookingq_api::spec::AdmissionSpec;
use bookingq_api::{BookingQueue, BookingQueueBackup};
use bookingq_harness::control_plane::ControlPlane;
use bookingq_plugin::cluster::Cluster;
use bookingq_plugin::facts::QueueFacts;
use bookingq_plugin::hibernation::HibernateArgs;
use bookingq_plugin::report::{ReportArgs, report};
use bookingq_plugin::{PluginError, admission, hibernation, page, top};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, CustomResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What must not be in the archive.
const PLANTED: &str = "s3cr3t-of-the-queue";
const PLANTED_BASE64: &str = "czNjcjN0LW9mLXRoZS1xdWV1ZQ==";

async fn create<K>(cluster: &Cluster, object: Value) -> K
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let object: K = serde_json::from_value(object).unwrap();
    cluster.api::<K>().create(&PostParams::default(), &object).await.unwrap()
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/name": "bookingq", "app.kubernetes.io/instance": "concert",
            "app.kubernetes.io/component": "worker" })
}

async fn backup_to_a_bucket(cluster: &Cluster) {
    let key = json!({ "AWS_SECRET_ACCESS_KEY": "the-key-of-a-bucket" });
    create::<Secret>(cluster, json!({ "metadata": { "name": "s3" }, "stringData": key })).await;
    let bucket = json!({ "url": "s3://sale/backups", "secretName": "s3" });
    for (name, queue) in [("hourly", "concert"), ("other", "festival")] {
        let backup = json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueueBackup",
            "metadata": { "name": name },
            "spec": { "queue": queue, "schedule": "17 * * * *", "s3": bucket },
        });
        create::<BookingQueueBackup>(cluster, backup).await;
    }
}

/// A namespace with the queue `concert`, as an operator and a kubelet would leave it.
async fn testbed(control_plane: &ControlPlane) -> Cluster {
    let client = control_plane.client().unwrap();
    let namespace = json!({ "metadata": { "name": "tickets" } });
    let namespace: Namespace = serde_json::from_value(namespace).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let cluster = Cluster { client, namespace: "tickets".to_owned() };
    create::<BookingQueue>(
        &cluster,
        json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
            "metadata": { "name": "concert" },
            "spec": {
                "booking": { "endpoint": "https://booking:443", "tls": { "secretName": "named" } },
                "worker": { "podTemplate": { "spec": { "containers": [{ "name": "worker",
                    "env": [{ "name": "MY_PASSWORD", "value": "in-the-spec" }] }] } } },
            },
        }),
    )
    .await;
    let applied = format!("{{\"stringData\":{{\"password\":\"{PLANTED}\"}}}}");
    let annotations = json!({ "kubectl.kubernetes.io/last-applied-configuration": applied });
    let password = json!({ "password": PLANTED });
    let metadata =
        json!({ "name": "concert-redis", "labels": labels(), "annotations": annotations });
    create::<Secret>(&cluster, json!({ "metadata": metadata, "stringData": password })).await;
    let named =
        json!({ "metadata": { "name": "named" }, "stringData": { "k": "named-by-the-spec" } });
    create::<Secret>(&cluster, named).await;
    backup_to_a_bucket(&cluster).await;
    // Where nothing but its value gives it away.
    let text = format!(
        "log the-key-of-a-bucket {PLANTED} {PLANTED_BASE64} named-by-the-spec redis://u:elsewhere@h:1"
    );
    let metadata = json!({ "name": "concert-gateway", "labels": labels() });
    create::<ConfigMap>(&cluster, json!({ "metadata": metadata, "data": { "a": text } })).await;
    let pod = json!({
        "metadata": { "name": "concert-worker-a", "labels": labels() },
        "spec": { "containers": [{ "name": "worker", "image": "x" }] },
    });
    create::<Pod>(&cluster, pod).await;
    let waiting = json!({ "status": { "containerStatuses": [{
        "name": "worker", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ImagePullBackOff", "message": "not found" } },
    }] } });
    let (pods, merge) = (cluster.api::<Pod>(), Patch::Merge(waiting));
    pods.patch_status("concert-worker-a", &PatchParams::default(), &merge).await.unwrap();
    let event = json!({
        "metadata": { "name": "concert.1" }, "reason": "Scaled", "message": "workers 1 -> 2",
        "involvedObject": { "kind": "BookingQueue", "name": "concert", "namespace": "tickets" },
        "lastTimestamp": "2026-12-01T19:58:00Z", "type": "Normal",
    });
    create::<Event>(&cluster, event).await;
    cluster
}

/// The files of a `.tar.gz`, as one text with their names.
fn unpacked(archive: &[u8]) -> String {
    let mut all = String::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        writeln!(all, "== {}", entry.path().unwrap().display()).unwrap();
        entry.read_to_string(&mut all).unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_shown_paused_and_reported_without_its_secrets() {
    let control_plane = ControlPlane::start(&BookingQueue::crd()).await.unwrap();
    control_plane.install(&bookingq_api::crd::backup_definition()).await.unwrap();
    let cluster = testbed(&control_plane).await;

    let missing = admission::set(&cluster, "absent", AdmissionSpec::Open).await.unwrap_err();
    assert!(matches!(missing, PluginError::NoQueue { .. }), "{missing}");
    for (wanted, words) in [
        (AdmissionSpec::Paused, "concert: Paused; clients may join, and none is served"),
        (AdmissionSpec::Closed, "concert: Closed; no client may join"),
        (AdmissionSpec::Open, "concert: Open; clients may join, and the line is served"),
    ] {
        let said = admission::set(&cluster, "concert", wanted).await.unwrap();
        assert!(said.starts_with(words), "{said}");
        assert_eq!(cluster.queue("concert").await.unwrap().spec.admission, wanted);
    }

    for (hibernate, words) in [(true, "concert: hibernates; no worker"), (false, "concert: wakes;")]
    {
        let args = HibernateArgs { name: "concert".to_owned(), force: false };
        let said = if hibernate {
            hibernation::hibernate(&cluster, &args).await.unwrap()
        } else {
            hibernation::resume(&cluster, "concert").await.unwrap()
        };
        assert!(said.starts_with(words), "{said}");
        assert_eq!(cluster.queue("concert").await.unwrap().spec.hibernate, hibernate);
    }

    let facts = QueueFacts::read(&cluster, "concert").await.unwrap();
    let page = page::page(&facts, Timestamp::now());
    assert!(page.starts_with("concert in tickets: not observed by an operator yet\n"), "{page}");
    assert!(page.contains("  concert-worker-a: worker: ImagePullBackOff: not found\n"), "{page}");
    assert!(page.contains("Scaled: workers 1 -> 2\n"), "{page}");
    assert!(top::table(&cluster.queues().await.unwrap()).contains("\nconcert  -      Open"));

    let args =
        ReportArgs { name: "concert".to_owned(), operator_namespace: "bookingq-system".to_owned() };
    let all = unpacked(&report(&cluster, &args).await.unwrap());
    for file in ["status.txt", "why.txt", "queue.json", "events.json", "objects/pods.json"] {
        assert!(all.contains(&format!("== bookingqueue-concert/{file}\n")), "{file}: {all}");
    }
    // No kubelet: what is missing is said.
    assert!(all.contains("\nmetrics of concert-worker-a: "), "{all}");
    assert!(all.contains("concert-redis") && all.contains("\"password\": \"(left out)\""));
    assert!(all.contains("\"hourly\"") && !all.contains("festival"), "the queue's backups: {all}");
    let others = ["named-by-the-spec", "in-the-spec", "elsewhere", "the-key-of-a-bucket"];
    for secret in [PLANTED, PLANTED_BASE64].into_iter().chain(others) {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}
