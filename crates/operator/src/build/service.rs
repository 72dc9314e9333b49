//! The two Services of the workers: with a cluster IP, and headless for client-side balancing.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{self, Part};
use crate::target::QueueTarget;

/// For a Gateway: every worker serves every request.
pub fn cluster_ip(target: &QueueTarget) -> Service {
    service(target, target.name.clone(), None)
}

/// Resolves to each worker, so that a client can balance its requests: a gRPC connection stays with
/// one worker.
pub fn headless(target: &QueueTarget) -> Service {
    service(target, names::headless(&target.name), Some("None".to_owned()))
}

fn service(target: &QueueTarget, name: String, cluster_ip: Option<String>) -> Service {
    // Proxies speak the protocol that this names.
    let protocol = match target.plan.worker.tls {
        Some(_) => "https",
        None => "kubernetes.io/h2c",
    };
    let grpc =
        ServicePort { app_protocol: Some(protocol.to_owned()), ..port(names::GRPC_PORT, "grpc") };
    let spec = ServiceSpec {
        cluster_ip,
        selector: Some(names::selector_labels(&target.name, Part::Worker)),
        ports: Some(vec![grpc]),
        type_: Some("ClusterIP".to_owned()),
        ..ServiceSpec::default()
    };
    Service {
        metadata: target.metadata(name, Part::Worker),
        spec: Some(spec),
        ..Service::default()
    }
}

/// A TCP port that targets the container port of the same name.
pub(super) fn port(port: i32, name: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
