//! The HTTPRoute of the gateways, of the Gateway API. Not every cluster has that API, and
//! `k8s-openapi` does not have its types.

use serde_json::{Value, json};

use super::{service, wanted};
use crate::build::component::ObjectKind;
use crate::build::names::{self, Part};
use crate::merge;
use crate::target::QueueTarget;

/// The kind. It may be missing in a cluster.
pub const KIND: &ObjectKind = &ObjectKind::optional("HTTPRoute", GROUP, "v1", "httproutes");
const GROUP: &str = "gateway.networking.k8s.io";

/// The HTTPRoute, if the spec asks for one. WebSockets and event streams have no time limit, where
/// implementations end a request after some seconds otherwise (Envoy: 15).
pub fn build(target: &QueueTarget) -> Option<Value> {
    let gateway = &wanted(target)?.spec;
    let asked = gateway.http_route.as_ref()?;
    // Defaults are written too, or every comparison would find a difference.
    let parents = asked.parent_refs.iter().map(|parent| {
        let mut parent = json!(parent);
        merge::overlay(&mut parent, &json!({ "group": GROUP, "kind": "Gateway" }));
        parent
    });
    let backend = json!([{
        "group": "",
        "kind": "Service",
        "weight": 1,
        "name": names::gateway(&target.name),
        "port": service::public_port(gateway.tls.is_some()),
    }]);
    let queue = &target.plan.queue;
    let exact = |stream: &str| {
        let path = format!("/v1/queues/{queue}/{stream}");
        json!({ "path": { "type": "Exact", "value": path } })
    };
    Some(json!({
        "apiVersion": KIND.api_version(),
        "kind": KIND.name,
        "metadata": target.metadata(names::gateway(&target.name), Part::Gateway),
        "spec": {
            "parentRefs": parents.collect::<Vec<_>>(),
            "hostnames": gateway.host.as_ref().map(|host| vec![host]),
            "rules": [
                {
                    "matches": [exact("socket"), exact("events")],
                    "timeouts": { "request": "0s" },
                    "backendRefs": backend,
                },
                {
                    "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                    "backendRefs": backend,
                },
            ],
        },
    }))
}
