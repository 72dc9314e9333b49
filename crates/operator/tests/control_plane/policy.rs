//! The sample ValidatingAdmissionPolicy refuses what it says, and nothing else.

use std::fs;
use std::path::Path;

use bookingq_api::BookingQueue;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ClusterResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::LIMIT;
use crate::testbed::Testbed;

/// The documents of the sample.
fn sample() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples");
    let text = fs::read_to_string(folder.join("admission-policy.yaml")).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind<K: DeserializeOwned>(documents: &[Value], kind: &str) -> K {
    let found = documents.iter().find(|document| document["kind"] == kind);
    serde_json::from_value(found.unwrap().clone()).unwrap()
}

async fn apply<K>(client: &Client, object: &K)
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api: Api<K> = Api::all(client.clone());
    let force = PatchParams::apply("tests").force();
    api.patch(&object.name_any(), &force, &Patch::Apply(object)).await.unwrap();
}

/// Installs the sample, and puts the namespace under it.
async fn install(testbed: &Testbed) {
    let documents = sample();
    let client = &testbed.client;
    let parameters: ConfigMap = of_kind(&documents, "ConfigMap");
    let force = PatchParams::apply("tests").force();
    Api::<ConfigMap>::namespaced(client.clone(), "default")
        .patch(&parameters.name_any(), &force, &Patch::Apply(&parameters))
        .await
        .unwrap();
    apply::<ValidatingAdmissionPolicy>(client, &of_kind(&documents, "ValidatingAdmissionPolicy"))
        .await;
    let binding = of_kind(&documents, "ValidatingAdmissionPolicyBinding");
    apply::<ValidatingAdmissionPolicyBinding>(client, &binding).await;
    let label = json!({ "metadata": { "labels": { "bookingqueue.dev/policy": "strict" } } });
    Api::<Namespace>::all(client.clone())
        .patch(&testbed.namespace, &PatchParams::default(), &Patch::Merge(label))
        .await
        .unwrap();
}

/// Why a queue with these fields is refused; nothing is stored.
async fn refusal(testbed: &Testbed, fields: &Value) -> Option<String> {
    let mut spec = json!({ "booking": { "endpoint": "https://booking:443" } });
    bookingq_operator::merge::overlay(&mut spec, fields);
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert" }, "spec": spec,
    }))
    .unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    testbed.api::<BookingQueue>().create(&dry, &queue).await.err().map(|error| error.to_string())
}

/// Each of the policy's rules, broken.
fn broken() -> Vec<(Value, &'static str)> {
    let pods = |spec: Value| json!({ "worker": { "podTemplate": { "spec": spec } } });
    let container = |fields: Value| {
        let mut container = json!({ "name": "worker" });
        bookingq_operator::merge::overlay(&mut container, &fields);
        pods(json!({ "containers": [container] }))
    };
    let secret =
        json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    let volume = |kind: &str| pods(json!({ "volumes": [{ "name": "v", kind: {} }] }));
    vec![
        (json!({ "worker": { "image": "evil.example/bookingq:1" } }), "evil.example/bookingq:1"),
        (json!({ "redis": { "managed": { "image": "redis:7" } } }), "images must begin with"),
        (pods(json!({ "serviceAccountName": "admin" })), "ServiceAccount"),
        (pods(json!({ "automountServiceAccountToken": true })), "ServiceAccount"),
        (volume("secret"), "configMap and emptyDir"),
        (volume("hostPath"), "configMap and emptyDir"),
        (pods(json!({ "containers": [{ "name": "side" }] })), "must not add containers"),
        (pods(json!({ "initContainers": [{ "name": "side" }] })), "must not add containers"),
        (container(json!({ "image": "ghcr.io/bookingqueue/other" })), "must not add containers"),
        (container(json!({ "command": ["sh"] })), "must not add containers"),
        (container(json!({ "env": [secret] })), "must not add containers"),
        (pods(json!({ "hostNetwork": true })), "the host's network"),
        (json!({ "replicas": 51 }), "at most 50 workers"),
        (json!({ "autoscaling": { "min": 1, "max": 51 } }), "at most 50 workers"),
        (json!({ "booking": { "endpoint": "http://booking:80" } }), "must begin with https://"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_an_admission_policy_refuses_what_it_says_and_nothing_else() {
    let (strict, free) = (Testbed::new("strict").await, Testbed::new("free").await);
    install(&strict).await;
    let rules = broken();
    eventually("the policy to hold", LIMIT, async || refusal(&strict, &rules[0].0).await.is_some())
        .await;
    for (fields, why) in &rules {
        let refused = refusal(&strict, fields).await;
        assert!(refused.as_ref().is_some_and(|text| text.contains(why)), "{fields}: {refused:?}");
        assert_eq!(refusal(&free, fields).await, None, "{fields}");
    }
    let allowed = json!({
        "replicas": 50,
        "worker": { "image": "ghcr.io/bookingqueue/bookingq:1", "podTemplate": { "spec": {
            "nodeSelector": { "zone": "a" },
            "volumes": [{ "name": "v", "configMap": { "name": "c" } }],
            "containers": [{ "name": "worker", "env": [{ "name": "A", "value": "b" }] }],
        } } },
    });
    assert_eq!(refusal(&strict, &allowed).await, None);
    // `kubectl scale` is not a way around it.
    let queue = json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert" },
        "spec": { "booking": { "endpoint": "https://booking:443" } },
    });
    let api: Api<BookingQueue> = strict.api();
    let queue: BookingQueue = serde_json::from_value(queue).unwrap();
    api.create(&PostParams::default(), &queue).await.unwrap();
    let scale = |replicas: i32| Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    let refused = api.patch_scale("concert", &PatchParams::default(), &scale(51)).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("at most 50 workers")));
    api.patch_scale("concert", &PatchParams::default(), &scale(50)).await.unwrap();
}
