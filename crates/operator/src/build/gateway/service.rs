//! The two Services of the gateways. The backend port has its own, so that whatever exposes the
//! public one to browsers cannot expose it too.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::wanted;
use crate::build::names::{self, Part};
use crate::build::service::port;
use crate::target::QueueTarget;

/// For browsers and apps.
pub fn public(target: &QueueTarget) -> Option<Service> {
    let encrypted = wanted(target)?.spec.tls.is_some();
    // Proxies that know it keep a WebSocket open.
    let protocol = if encrypted { "kubernetes.io/wss" } else { "kubernetes.io/ws" };
    let public = ServicePort {
        port: public_port(encrypted),
        app_protocol: Some(protocol.to_owned()),
        ..port(names::PUBLIC_PORT, "public")
    };
    Some(service(target, names::gateway(&target.name), public))
}

/// For the seller's backend, which confirms payments.
pub fn backend(target: &QueueTarget) -> Option<Service> {
    let protocol = if wanted(target)?.spec.tls.is_some() { "https" } else { "http" };
    let backend = ServicePort {
        app_protocol: Some(protocol.to_owned()),
        ..port(names::BACKEND_PORT, "backend")
    };
    Some(service(target, names::gateway_backend(&target.name), backend))
}

/// Port of the public Service.
pub fn public_port(encrypted: bool) -> i32 {
    if encrypted { 443 } else { 80 }
}

fn service(target: &QueueTarget, name: String, port: ServicePort) -> Service {
    let spec = ServiceSpec {
        selector: Some(names::selector_labels(&target.name, Part::Gateway)),
        ports: Some(vec![port]),
        type_: Some("ClusterIP".to_owned()),
        ..ServiceSpec::default()
    };
    Service {
        metadata: target.metadata(name, Part::Gateway),
        spec: Some(spec),
        ..Service::default()
    }
}
