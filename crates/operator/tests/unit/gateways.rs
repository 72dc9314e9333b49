//! What the operator reads of gateways: their Pods and their metrics.

use std::net::IpAddr;

use bookingq_operator::autoscaler::connections::connections;
use bookingq_operator::pods::PodCache;
use bookingq_operator::pods::record::GatewayPod;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

#[test]
fn the_connections_of_all_transports_are_added() {
    let text = "# HELP bookingqueue_gateway_connections Open connections\n\
                # TYPE bookingqueue_gateway_connections gauge\n\
                bookingqueue_gateway_connections{transport=\"websocket\"} 15900\n\
                bookingqueue_gateway_connections{transport=\"events\",queue=\"a } b\"} 100\n\
                bookingqueue_gateway_connections_total{transport=\"websocket\"} 7\n\
                bookingqueue_gateway_frames_total{type=\"tick\"} 9\n";
    assert_eq!(connections(text), Some(16_000));
    assert_eq!(connections("bookingqueue_gateway_connections 12\n"), Some(12));
    assert_eq!(connections("bookingqueue_gateway_connections 1.2e+06\n"), Some(1_200_000));
}

#[test]
fn metrics_without_connections_are_not_taken_for_an_empty_gateway() {
    assert_eq!(connections(""), None);
    assert_eq!(connections("bookingqueue_gateway_connections{transport=\"a\"} many\n"), None);
    assert_eq!(connections("bookingqueue_gateway_connections_total 12\n"), None);
}

fn pod(name: &str, queue: &str, status: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "sale",
            "labels": {
                "app.kubernetes.io/instance": queue, "app.kubernetes.io/component": "gateway",
            },
        },
        "status": status,
    }))
    .unwrap()
}

#[test]
fn a_pod_is_read_while_it_runs() {
    let pods = PodCache::default();
    let event = |status| drop(pods.on_event(&Event::Apply(pod("a", "concert", &status))));
    let seen = || pods.gateways("sale", "concert");
    let address: IpAddr = "10.1.2.3".parse().unwrap();
    event(json!({ "phase": "Pending" }));
    assert_eq!(seen(), [GatewayPod { running_at: None, unschedulable: false }]);
    let unschedulable = json!({
        "phase": "Pending",
        "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }],
    });
    event(unschedulable);
    assert_eq!(seen(), [GatewayPod { running_at: None, unschedulable: true }]);
    event(json!({ "phase": "Running", "podIP": "10.1.2.3" }));
    assert_eq!(seen(), [GatewayPod { running_at: Some(address), unschedulable: false }]);
    pods.on_event(&Event::Apply(pod("b", "other", &json!({ "phase": "Running" }))));
    assert_eq!(seen().len(), 1, "a Pod of another queue");
    event(json!({ "phase": "Failed", "podIP": "10.1.2.3" }));
    assert_eq!(seen(), []);
}

#[test]
fn a_pod_that_a_new_list_leaves_out_is_forgotten() {
    let pods = PodCache::default();
    let running = || json!({ "phase": "Running", "podIP": "10.1.2.3" });
    pods.on_event(&Event::Apply(pod("a", "concert", &running())));
    pods.on_event(&Event::Init);
    pods.on_event(&Event::InitApply(pod("b", "concert", &running())));
    pods.on_event(&Event::InitDone);
    assert_eq!(pods.gateways("sale", "concert").len(), 1);
}
