//! The Service of a managed Redis: headless. It leads to the one Pod, or it gives each of three a
//! name.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::build::names::{self, Part};
use crate::build::service::port;
use crate::target::QueueTarget;

/// The Service.
pub fn build(target: &QueueTarget) -> Option<Service> {
    target.managed_redis()?;
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        selector: Some(names::selector_labels(&target.name, Part::Redis)),
        ports: Some(vec![port(names::REDIS_PORT, "redis")]),
        type_: Some("ClusterIP".to_owned()),
        // The nodes and the operator reach a Pod before it is ready.
        publish_not_ready_addresses: target.failover.map(|_| true),
        ..ServiceSpec::default()
    };
    Some(Service {
        metadata: target.metadata(names::redis(&target.name), Part::Redis),
        spec: Some(spec),
        ..Service::default()
    })
}
