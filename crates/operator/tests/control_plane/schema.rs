//! A CustomResourceDefinition that is older than the operator, and the two versions of the
//! resource. Each has a control plane of its own, because the definition is the whole cluster's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::BookingQueue;
use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::wait::eventually;
use bookingq_store::Store;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::Testbed;

const NAME: &str = "bookingqueues.bookingqueue.dev";

async fn own_cluster(name: &str, crd: &CustomResourceDefinition) -> Testbed {
    let cluster = ControlPlane::start_with(crd, &[]).await.unwrap();
    Testbed::of(Arc::new(cluster), name).await
}

/// The definition without these fields of the spec, as an older release has it.
fn older(fields: &[&str]) -> CustomResourceDefinition {
    let mut crd = serde_json::to_value(bookingq_api::crd::definition()).unwrap();
    for version in crd["spec"]["versions"].as_array_mut().unwrap() {
        let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for field in fields {
            let mut parent = &mut *spec;
            let mut path: Vec<_> = field.split('.').collect();
            let last = path.pop().unwrap();
            for part in path {
                parent = &mut parent["properties"][part];
            }
            parent["properties"].as_object_mut().unwrap().remove(last).unwrap();
        }
        // Rules of fields that are gone, and a default that has them.
        for part in ["outflow", "autoscaling"] {
            if let Some(part) = spec["properties"].get_mut(part).and_then(Value::as_object_mut) {
                part.remove("x-kubernetes-validations");
            }
        }
    }
    serde_json::from_value(crd).unwrap()
}

async fn install(testbed: &Testbed, crd: &CustomResourceDefinition) {
    let api: Api<CustomResourceDefinition> = Api::all(testbed.client.clone());
    let mut crd = crd.clone();
    crd.metadata.resource_version = api.get(NAME).await.unwrap().metadata.resource_version;
    api.replace(NAME, &kube::api::PostParams::default(), &crd).await.unwrap();
}

async fn per_minute(store: &dyn Store) -> Option<u32> {
    store.snapshot().await.ok()?.rules.outflow.per_minute
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_definition_is_named_and_a_limit_that_it_drops_stays() {
    let testbed = own_cluster("schema", &bookingq_api::crd::definition()).await;
    let redis = redis_server();
    let operator = testbed.operator(Budget::unlimited());
    let fields = json!({ "redis": { "url": redis.url() }, "outflow": { "perMinute": 600 } });
    testbed.create(fields.clone()).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    eventually("the limit", LIMIT, async || per_minute(&*store).await == Some(600)).await;
    until_replicas(&testbed, "a worker", |n| n == 1).await;
    // A new definition is in no document of the API server for a while.
    let is_read = async || testbed.condition("SchemaBehind").await.is_null();
    eventually("the schema to be read", LIMIT, is_read).await;

    install(&testbed, &older(&["outflow.perMinute", "hibernate"])).await;
    let start = Instant::now();
    let message = testbed.until_condition("SchemaBehind", "True", "FieldsMissing").await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(message.contains("spec.hibernate, spec.outflow.perMinute."), "{message}");
    testbed.until_condition("Stalled", "True", "SchemaBehind").await;
    testbed.until_event("SchemaBehind", "").await;

    // The field is gone from what the operator reads, and the limit stays; also after a restart.
    testbed.change(json!({ "worker": { "grace": "31s" } })).await.unwrap();
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create_named("new", fields).await;
    join(&*store, 0..400).await;
    eventually("the new queue to say why it waits", LIMIT, async || {
        let new = testbed.api::<BookingQueue>().get("new").await.unwrap();
        let all = new.status.unwrap_or_default().conditions;
        ["SchemaBehind", "Stalled"]
            .iter()
            .all(|&type_| all.iter().any(|one| one.type_ == type_ && one.status == "True"))
    })
    .await;
    testbed.until_backlog(400).await;
    let queue = testbed.queue().await;
    assert_eq!(queue.status.unwrap().observed_generation, queue.metadata.generation, "for kstatus");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(per_minute(&*store).await, Some(600), "nothing fails open");
    until_replicas(&testbed, "the same number: the limits may be lost", |n| n == 1).await;
    assert!(testbed.find::<k8s_openapi::api::core::v1::Service>("new").await.is_none());

    install(&testbed, &bookingq_api::crd::definition()).await;
    let start = Instant::now();
    testbed.until_gone("SchemaBehind").await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    testbed.until_argument("--grace=31s").await;
    testbed.change(json!({ "outflow": { "perMinute": 300 } })).await.unwrap();
    eventually("the next limit", LIMIT, async || per_minute(&*store).await == Some(300)).await;
    operator.stop().await;
}

/// The queues in one version.
fn in_version(testbed: &Testbed, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("bookingqueue.dev", version, "BookingQueue");
    let resource = ApiResource::from_gvk_with_plural(&kind, "bookingqueues");
    Api::namespaced_with(testbed.client.clone(), &testbed.namespace, &resource)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_are_one_queue_and_the_stored_one_can_be_changed() {
    let testbed = own_cluster("versions", &bookingq_api::crd::definition()).await;
    let operator = testbed.operator(Budget::unlimited());
    let beta = in_version(&testbed, "v1beta1");
    let manifest = "# kept\napiVersion: bookingqueue.dev/v1alpha1\nkind: BookingQueue\n\
                    metadata: { name: concert }\n\
                    spec: { booking: { endpoint: \"http://a:1\" }, hold: { timeout: 7m } }\n";
    let (text, changed) = bookingq_api::convert::convert(manifest).unwrap();
    assert_eq!(changed, 1);
    let queue: DynamicObject = serde_saphyr::from_str(&text).unwrap();
    beta.create(&kube::api::PostParams::default(), &queue).await.unwrap();
    testbed.until_argument("--hold=7m").await;
    let alpha: BookingQueue = testbed.queue().await;
    let read = beta.get("concert").await.unwrap();
    assert_eq!(read.data["spec"], serde_json::to_value(&alpha).unwrap()["spec"]);

    // docs/kubernetes.md: store the new version, write each queue once, forget the old one.
    let crds: Api<CustomResourceDefinition> = Api::all(testbed.client.clone());
    let mut crd = serde_json::to_value(bookingq_api::crd::definition()).unwrap();
    crd["spec"]["versions"][0]["storage"] = json!(false);
    crd["spec"]["versions"][1]["storage"] = json!(true);
    install(&testbed, &serde_json::from_value(crd).unwrap()).await;
    eventually("both to count as stored", LIMIT, async || {
        let status = crds.get(NAME).await.unwrap().status.unwrap();
        status.stored_versions == Some(vec!["v1alpha1".to_owned(), "v1beta1".to_owned()])
    })
    .await;
    // The operator may write the status in between.
    eventually("it to be written", LIMIT, async || {
        let read = beta.get("concert").await.unwrap();
        beta.replace("concert", &kube::api::PostParams::default(), &read).await.is_ok()
    })
    .await;
    let only = Patch::Merge(json!({ "status": { "storedVersions": ["v1beta1"] } }));
    crds.patch_status(NAME, &PatchParams::default(), &only).await.unwrap();
    testbed.change(json!({ "hold": { "timeout": "8m" } })).await.unwrap();
    testbed.until_argument("--hold=8m").await;
    let read = beta.get("concert").await.unwrap();
    assert_eq!(
        (read.name_any().as_str(), &read.data["spec"]["hold"]["timeout"]),
        ("concert", &json!("8m"))
    );
    operator.stop().await;
}
