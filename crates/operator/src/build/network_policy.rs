//! The NetworkPolicies of the workers and of a managed Redis.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::BuildInputs;
use super::names::{self, Part};
use crate::target::QueueTarget;

/// Allows connections to the gRPC and admin ports from everywhere. Egress is not limited: the
/// operator does not know the addresses of the services.
pub fn workers(target: &QueueTarget) -> NetworkPolicy {
    let rule = NetworkPolicyIngressRule {
        ports: Some(vec![port(names::GRPC_PORT), port(names::ADMIN_PORT)]),
        ..NetworkPolicyIngressRule::default()
    };
    let spec = NetworkPolicySpec {
        pod_selector: Some(names::selector(&target.name, Part::Worker)),
        ingress: Some(vec![rule]),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ..NetworkPolicySpec::default()
    };
    policy(target, names::worker(&target.name), Part::Worker, spec)
}

/// Allows connections to a managed Redis from the workers, the sweepers and the operator, and none
/// from it.
pub fn redis(inputs: &BuildInputs<'_>) -> Option<NetworkPolicy> {
    let BuildInputs { target, environment, .. } = inputs;
    target.managed_redis()?;
    let own = |part| NetworkPolicyPeer {
        pod_selector: Some(names::selector(&target.name, part)),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(matching("kubernetes.io/metadata.name", &environment.namespace)),
        pod_selector: Some(matching("app.kubernetes.io/component", "operator")),
        ..NetworkPolicyPeer::default()
    };
    let rule = NetworkPolicyIngressRule {
        from: Some(vec![own(Part::Worker), own(Part::Sweeper), operator]),
        ports: Some(vec![port(names::REDIS_PORT)]),
    };
    let spec = NetworkPolicySpec {
        pod_selector: Some(names::selector(&target.name, Part::Redis)),
        ingress: Some(vec![rule]),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ..NetworkPolicySpec::default()
    };
    Some(policy(target, names::redis(&target.name), Part::Redis, spec))
}

fn policy(
    target: &QueueTarget,
    name: String,
    part: Part,
    spec: NetworkPolicySpec,
) -> NetworkPolicy {
    NetworkPolicy { metadata: target.metadata(name, part), spec: Some(spec) }
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
