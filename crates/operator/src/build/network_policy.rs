//! The NetworkPolicies of the workers, of the gateways and of a managed Redis.

use std::collections::BTreeMap;

use bookingq_api::backup::place::{BackupPlace, RestoreSource};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::BuildInputs;
use super::names::{self, Part};
use crate::target::QueueTarget;

/// Ports of the cluster's name servers. A NetworkPolicy names the port of the Pod, not of the
/// Service: OpenShift's name servers listen on 5353.
const DNS_PORTS: [i32; 2] = [53, 5353];

/// Allows connections to the admin port from everywhere, and to the gRPC port from everywhere or,
/// with `spec.gateway.exclusive`, from the gateways only. Egress is not limited: the operator does
/// not know the addresses of the services.
pub fn workers(target: &QueueTarget) -> NetworkPolicy {
    let exclusive = target.plan.gateway.as_ref().is_some_and(|gateway| gateway.spec.exclusive);
    let rules = if exclusive {
        vec![
            allow(Some(vec![own(target, Part::Gateway)]), &[names::GRPC_PORT]),
            allow(None, &[names::ADMIN_PORT]),
        ]
    } else {
        vec![allow(None, &[names::GRPC_PORT, names::ADMIN_PORT])]
    };
    policy(target, Part::Worker, ingress(target, Part::Worker, rules))
}

/// Allows connections to the public and admin ports from everywhere, and to the backend port from
/// the namespaces in the spec, by default the queue's own. Egress is not limited: the operator does
/// not know the address of the collector of traces.
pub fn gateways(target: &QueueTarget) -> Option<NetworkPolicy> {
    let gateway = target.plan.gateway.as_ref()?;
    let backends = match gateway.spec.backend.namespaces.as_slice() {
        [] => vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }],
        namespaces => namespaces.iter().map(|name| within(name)).collect(),
    };
    let rules = vec![
        allow(None, &[names::PUBLIC_PORT, names::ADMIN_PORT]),
        allow(Some(backends), &[names::BACKEND_PORT]),
    ];
    Some(policy(target, Part::Gateway, ingress(target, Part::Gateway, rules)))
}

/// Allows connections to a managed Redis from the workers, the sweepers, backups and the operator.
/// From it, none, or those among its three nodes; all while it may start with a backup from a
/// bucket, whose address the operator does not know.
pub fn redis(inputs: &BuildInputs<'_>) -> Option<NetworkPolicy> {
    let BuildInputs { target, environment, .. } = inputs;
    let managed = target.managed_redis()?;
    let operator = NetworkPolicyPeer {
        pod_selector: Some(matching("app.kubernetes.io/component", "operator")),
        ..within(&environment.namespace)
    };
    let backups = NetworkPolicyPeer {
        pod_selector: Some(names::backup_selector(&target.name)),
        ..NetworkPolicyPeer::default()
    };
    let mut peers = vec![own(target, Part::Worker), own(target, Part::Sweeper), backups, operator];
    let source = managed.restore_from.as_ref().and_then(RestoreSource::place);
    let downloads = matches!(source, Some(BackupPlace::Bucket(_)));
    let mut egress = downloads.then(|| vec![NetworkPolicyEgressRule::default()]);
    if target.failover.is_some() {
        peers.push(own(target, Part::Redis));
        egress = Some(to_each_other(target));
    }
    let rules = vec![allow(Some(peers), &[names::REDIS_PORT])];
    let spec = NetworkPolicySpec {
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        egress,
        ..ingress(target, Part::Redis, rules)
    };
    Some(policy(target, Part::Redis, spec))
}

/// The other nodes of a Redis of three, and the names of the cluster.
fn to_each_other(target: &QueueTarget) -> Vec<NetworkPolicyEgressRule> {
    let nodes = NetworkPolicyEgressRule {
        to: Some(vec![own(target, Part::Redis)]),
        ports: Some(vec![port(names::REDIS_PORT)]),
    };
    let dns = DNS_PORTS.iter().flat_map(|&number| {
        ["UDP", "TCP"].map(|protocol| NetworkPolicyPort {
            protocol: Some(protocol.to_owned()),
            ..port(number)
        })
    });
    vec![nodes, NetworkPolicyEgressRule { to: None, ports: Some(dns.collect()) }]
}

fn policy(target: &QueueTarget, part: Part, spec: NetworkPolicySpec) -> NetworkPolicy {
    let metadata = target.metadata(names::of(&target.name, part), part);
    NetworkPolicy { metadata, spec: Some(spec) }
}

fn ingress(
    target: &QueueTarget,
    part: Part,
    rules: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(names::selector(&target.name, part)),
        ingress: Some(rules),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ..NetworkPolicySpec::default()
    }
}

/// Allows connections to `ports` from these peers, or from everywhere.
fn allow(from: Option<Vec<NetworkPolicyPeer>>, ports: &[i32]) -> NetworkPolicyIngressRule {
    let ports = ports.iter().map(|&number| port(number)).collect();
    NetworkPolicyIngressRule { from, ports: Some(ports) }
}

/// The Pods of one part of the queue.
fn own(target: &QueueTarget, part: Part) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(names::selector(&target.name, part)),
        ..NetworkPolicyPeer::default()
    }
}

/// All Pods of a namespace.
fn within(namespace: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(matching("kubernetes.io/metadata.name", namespace)),
        ..NetworkPolicyPeer::default()
    }
}

fn port(port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    }
}

fn matching(key: &str, value: &str) -> LabelSelector {
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
