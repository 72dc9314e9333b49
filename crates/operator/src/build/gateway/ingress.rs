//! The Ingress of the gateways.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::wanted;
use crate::build::names::{self, Part};
use crate::target::QueueTarget;

/// The Ingress, if the spec asks for one.
pub fn build(target: &QueueTarget) -> Option<Ingress> {
    let gateway = &wanted(target)?.spec;
    let asked = gateway.ingress.as_ref()?;
    let host = gateway.host.clone();
    let service = IngressServiceBackend {
        name: names::gateway(&target.name),
        port: Some(ServiceBackendPort {
            name: Some("public".to_owned()),
            ..ServiceBackendPort::default()
        }),
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend { service: Some(service), ..IngressBackend::default() },
    };
    let tls = asked.tls_secret_name.clone().map(|secret| {
        vec![IngressTLS { hosts: host.clone().map(|host| vec![host]), secret_name: Some(secret) }]
    });
    let rule = IngressRule { host, http: Some(HTTPIngressRuleValue { paths: vec![path] }) };
    let mut metadata = target.metadata(names::gateway(&target.name), Part::Gateway);
    metadata.annotations =
        Some(asked.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let spec = IngressSpec {
        ingress_class_name: asked.class_name.clone(),
        rules: Some(vec![rule]),
        tls,
        ..IngressSpec::default()
    };
    Some(Ingress { metadata, spec: Some(spec), ..Ingress::default() })
}
