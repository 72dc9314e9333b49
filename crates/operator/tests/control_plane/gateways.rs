//! Gateways: their objects come and go with `spec.gateway`, their number follows their connections,
//! and a cluster may lack the Gateway API. The tests play the kubelet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::redis_server;
use crate::testbed::{Running, Testbed};

/// A queue with gateways in its own namespace, and their keys.
async fn with_gateway(name: &str, redis: &str, gateway: Value) -> (Testbed, Running) {
    let testbed = Testbed::new(name).await;
    let operator = testbed.operator(Budget::unlimited());
    create_keys(&testbed).await;
    let mut fields = json!({ "keys": { "secretName": "keys" } });
    bookingq_operator::merge::overlay(&mut fields, &gateway);
    testbed.create(json!({ "redis": { "url": redis }, "gateway": fields })).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    (testbed, operator)
}

async fn create_keys(testbed: &Testbed) {
    let keys: Secret = serde_json::from_value(json!({
        "metadata": { "name": "keys" }, "stringData": { "place-1.json": "{}" },
    }))
    .unwrap();
    testbed.api::<Secret>().create(&PostParams::default(), &keys).await.unwrap();
}

async fn gateways(testbed: &Testbed) -> Option<i32> {
    let found = testbed.find::<Deployment>("concert-gateway").await?;
    found.spec.and_then(|spec| spec.replicas)
}

async fn until_gateways(testbed: &Testbed, what: &str, wanted: i32) {
    eventually(what, LIMIT, async || gateways(testbed).await == Some(wanted)).await;
}

/// Lets the first gateway Pod run at this address, as a kubelet would report it.
async fn run_one(testbed: &Testbed, address: IpAddr) {
    let pods = testbed.api::<Pod>();
    let ours = ListParams::default().labels("app.kubernetes.io/component=gateway");
    let mut name = None;
    eventually("a gateway Pod", LIMIT, async || {
        name = pods.list(&ours).await.unwrap().items.first().map(kube::ResourceExt::name_any);
        name.is_some()
    })
    .await;
    let status = json!({ "status": {
        "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    }});
    let (name, parameters) = (name.unwrap(), PatchParams::default());
    pods.patch_status(&name, &parameters, &Patch::Merge(status)).await.unwrap();
}

/// The admin port of a gateway with this many connections.
async fn serve_metrics(address: IpAddr, connections: Arc<AtomicU64>) -> JoinHandle<()> {
    let listener = TcpListener::bind((address, 9090)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let now = connections.load(Ordering::Relaxed);
            let body =
                format!("bookingqueue_gateway_connections{{transport=\"websocket\"}} {now}\n");
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_come_and_go_with_the_spec_and_an_idle_operator_writes_nothing() {
    let testbed = Testbed::new("gateway").await;
    let operator = testbed.operator(Budget::unlimited());
    let gateway = json!({
        "keys": { "secretName": "keys" }, "host": "wait.example.com", "ingress": {},
        "trustedProxies": ["10.0.0.0/8"],
    });
    testbed.create(json!({ "gateway": gateway })).await;
    let message = testbed.until_condition("Degraded", "True", "SecretMissing").await;
    assert!(message.contains("spec.gateway.keys.secretName"), "{message}");
    create_keys(&testbed).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    until_gateways(&testbed, "the minimum of gateways", 2).await;
    testbed.until_condition("GatewayAvailable", "False", "NoGatewaysReady").await;
    for service in ["concert-gateway", "concert-gateway-backend"] {
        assert!(testbed.find::<Service>(service).await.is_some(), "{service}");
    }
    assert!(testbed.find::<Ingress>("concert-gateway").await.is_some());
    assert!(testbed.find::<NetworkPolicy>("concert-gateway").await.is_some());
    // The last to come: it may pass by itself, so that it is shown after a while.
    testbed.until_condition("Reconciling", "True", "WorkersStarting").await;
    operator.rests().await;
    let writes = operator.budget.done();
    operator.rests().await;
    assert_eq!(operator.budget.done(), writes, "an idle operator writes nothing");

    testbed.change(json!({ "gateway": { "brand": { "title": "Festival" } } })).await.unwrap();
    eventually("the title in the configuration", LIMIT, async || {
        let config = testbed.find::<ConfigMap>("concert-gateway").await.unwrap().data.unwrap();
        config["gateway.yaml"].contains("title: Festival")
    })
    .await;

    testbed.change(json!({ "gateway": null })).await.unwrap();
    eventually("the gateways to be pruned", LIMIT, async || {
        testbed.objects().await.keys().all(|name| !name.contains("gateway"))
    })
    .await;
    assert!(testbed.find::<ConfigMap>("concert-gateway").await.is_none());
    assert!(testbed.find::<Ingress>("concert-gateway").await.is_none());
    eventually("the status without gateways", LIMIT, async || {
        let status = testbed.queue().await.status.unwrap();
        status.gateway.is_none() && status.conditions.iter().all(|c| c.type_ != "GatewayAvailable")
    })
    .await;
    assert!(testbed.deployment().await.is_some(), "the workers stay");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_gateways_follows_their_connections() {
    let (redis, address) = (redis_server(), IpAddr::from([127, 0, 90, 1]));
    let (testbed, operator) = with_gateway(
        "sockets",
        &redis.url(),
        json!({ "autoscaling": {
            "minReplicas": 1, "maxReplicas": 8, "connectionsPerReplica": 100,
            "scaleDownWindow": "0s",
        }}),
    )
    .await;
    until_gateways(&testbed, "the minimum of gateways", 1).await;
    let connections = Arc::new(AtomicU64::new(350));
    let port = serve_metrics(address, connections.clone()).await;
    run_one(&testbed, address).await;
    until_gateways(&testbed, "a gateway for each 100 connections", 4).await;
    eventually("the status", LIMIT, async || {
        let gateway = testbed.queue().await.status.unwrap_or_default().gateway;
        gateway.is_some_and(|gateway| {
            gateway.connections == Some(350)
                && gateway
                    .last_scaling
                    .is_some_and(|last| (last.to, &*last.reason) == (4, "Demand"))
        })
    })
    .await;

    // A gateway that does not answer is not an empty one.
    port.abort();
    let _ = port.await;
    operator.rests().await;
    assert_eq!(gateways(&testbed).await, Some(4));

    connections.store(0, Ordering::Relaxed);
    let port = serve_metrics(address, connections).await;
    until_gateways(&testbed, "the minimum again", 1).await;
    port.abort();
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_number_of_gateways_is_written_once() {
    let redis = redis_server();
    let (testbed, operator) = with_gateway("few", &redis.url(), json!({ "replicas": 3 })).await;
    until_gateways(&testbed, "the fixed number", 3).await;
    operator.rests().await;
    let five = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let deployments = testbed.api::<Deployment>();
    deployments.patch_scale("concert-gateway", &PatchParams::default(), &five).await.unwrap();
    operator.rests().await;
    assert_eq!(gateways(&testbed).await, Some(5), "another writer's number is left alone");
    testbed.change(json!({ "gateway": { "replicas": 4 } })).await.unwrap();
    until_gateways(&testbed, "the other fixed number", 4).await;
    operator.stop().await;
}

/// The HTTPRoute of the Gateway API, without its schema.
fn http_route_crd() -> CustomResourceDefinition {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    serde_json::from_value(json!({
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" },
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": { "kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_route_waits_until_the_cluster_has_the_gateway_api() {
    let (redis, address) = (redis_server(), IpAddr::from([127, 0, 90, 2]));
    let (testbed, operator) = with_gateway(
        "route",
        &redis.url(),
        json!({
            "replicas": 1, "host": "wait.example.com", "trustedProxies": ["10.0.0.0/8"],
            "httpRoute": { "parentRefs": [{ "name": "public" }] },
        }),
    )
    .await;
    run_one(&testbed, address).await;
    let message = testbed.until_condition("GatewayAvailable", "True", "RouteUnsupported").await;
    assert!(message.contains("HTTPRoute (gateway.networking.k8s.io/v1)"), "{message}");

    let crds: Api<CustomResourceDefinition> = Api::all(testbed.client.clone());
    crds.create(&PostParams::default(), &http_route_crd()).await.unwrap();
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    let routes: Api<DynamicObject> =
        Api::namespaced_with(testbed.client.clone(), &testbed.namespace, &kind);
    let mut route = None;
    eventually("the route", 2 * LIMIT, async || {
        route = routes.get_opt("concert-gateway").await.ok().flatten();
        route.is_some()
    })
    .await;
    let route = route.unwrap();
    assert_eq!(route.data["spec"]["rules"][0]["timeouts"]["request"], "0s");
    assert_eq!(route.owner_references()[0].name, "concert");
    testbed.until_condition("GatewayAvailable", "True", "GatewaysReady").await;

    testbed.change(json!({ "gateway": { "httpRoute": null } })).await.unwrap();
    eventually("the route to be pruned", 2 * LIMIT, async || {
        routes.get_opt("concert-gateway").await.unwrap().is_none()
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_configuration_no_gateway_is_replaced_and_nothing_is_pruned() {
    let redis = redis_server();
    let fields = json!({
        "host": "wait.example.com", "ingress": {}, "trustedProxies": ["10.0.0.0/8"],
    });
    let (testbed, operator) = with_gateway("unread", &redis.url(), fields).await;
    operator.stop().await;
    let template = async || {
        let found = testbed.find::<Deployment>("concert-gateway").await.unwrap();
        serde_json::to_value(found.spec.unwrap().template).unwrap()
    };
    let before = template().await;

    let change = json!({
        "gateway": { "brand": { "title": "Festival" }, "ingress": null },
        "worker": { "concurrency": 77 } });
    testbed.change(change).await.unwrap();
    let operator = testbed.operator(Budget::hanging("/configmaps/concert-gateway"));
    testbed.until_condition("Degraded", "True", "ApiServerUnavailable").await;
    testbed.until_argument("--concurrency=77").await;
    // Not the first words, that it takes long: the end of a whole reconcile.
    eventually("the ConfigMap to be named", LIMIT, async || {
        let degraded = testbed.condition("Degraded").await;
        degraded["reason"] == "ApiServerUnavailable"
            && degraded["message"]
                .as_str()
                .is_some_and(|message| message.starts_with("apply ConfigMap concert-gateway: "))
    })
    .await;
    assert_eq!(template().await, before, "its Pods would read the old file");
    assert!(testbed.find::<Ingress>("concert-gateway").await.is_some(), "nothing replaces it");
    operator.kill();

    let operator = testbed.operator(Budget::unlimited());
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    assert_ne!(template().await, before);
    assert!(testbed.find::<Ingress>("concert-gateway").await.is_none());
    operator.stop().await;
}
