//! The components of a queue: every object that the operator creates, in the order of creation.

use std::collections::BTreeSet;

use bookingq_api::Problems;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{ApiResource, GroupVersionKind};
use serde::Serialize;
use serde_json::Value;

use super::inputs::BuildInputs;
use super::names::Part;
use super::{cron_job, deployment, disruption_budget, gateway, network_policy, redis};
use super::{service, service_account};
use crate::target::problem;

/// One object that a queue may have.
pub struct Component {
    /// Its kind.
    pub kind: &'static ObjectKind,
    build: fn(&BuildInputs<'_>) -> Result<Option<Value>, Problems>,
}

macro_rules! component {
    ($kind:ty, $build:expr) => {
        Component {
            kind: ObjectKind::of::<$kind>(),
            build: |inputs| {
                let build: fn(&BuildInputs<'_>) -> Result<Option<$kind>, Problems> = $build;
                build(inputs)?.map(|object| to_value(&object)).transpose()
            },
        }
    };
}

/// To add an object, add its line here, in the place where the others need it, and the right to
/// write its kind in `charts/bookingq/templates/rbac.yaml`. Watching, applying and pruning follow.
pub const COMPONENTS: [Component; 20] = [
    component!(ServiceAccount, |inputs| Ok(service_account::build(inputs.target, Part::Worker))),
    component!(NetworkPolicy, |inputs| Ok(Some(network_policy::workers(inputs.target)))),
    component!(NetworkPolicy, |inputs| Ok(network_policy::redis(inputs))),
    component!(Service, |inputs| Ok(Some(service::cluster_ip(inputs.target)))),
    component!(Service, |inputs| Ok(Some(service::headless(inputs.target)))),
    component!(Service, |inputs| Ok(redis::service::build(inputs.target))),
    component!(StatefulSet, |inputs| Ok(redis::stateful_set::build(inputs))),
    component!(PodDisruptionBudget, |inputs| Ok(inputs
        .target
        .failover
        .and_then(|_| disruption_budget::build(inputs.target, Part::Redis)))),
    component!(Deployment, |inputs| deployment::build(inputs).map(Some)),
    component!(PodDisruptionBudget, |inputs| Ok(disruption_budget::build(
        inputs.target,
        Part::Worker
    ))),
    component!(CronJob, cron_job::build),
    component!(ServiceAccount, |inputs| Ok(service_account::build(inputs.target, Part::Gateway))),
    component!(NetworkPolicy, |inputs| Ok(network_policy::gateways(inputs.target))),
    component!(ConfigMap, |inputs| gateway::config_map::build(inputs.target)),
    component!(Service, |inputs| Ok(gateway::service::public(inputs.target))),
    component!(Service, |inputs| Ok(gateway::service::backend(inputs.target))),
    component!(Deployment, gateway::deployment::build),
    component!(PodDisruptionBudget, |inputs| Ok(disruption_budget::build(
        inputs.target,
        Part::Gateway
    ))),
    component!(Ingress, |inputs| Ok(gateway::ingress::build(inputs.target))),
    Component {
        kind: gateway::http_route::KIND,
        build: |inputs| Ok(gateway::http_route::build(inputs.target)),
    },
];

/// Each kind among the components, once.
pub fn kinds() -> Vec<&'static ObjectKind> {
    let kinds: BTreeSet<_> = COMPONENTS.iter().map(|component| component.kind).collect();
    kinds.into_iter().collect()
}

/// Builds the objects that the queue needs.
///
/// # Errors
/// [`Problems`] if a `podTemplate` does not fit.
pub fn build(inputs: &BuildInputs<'_>) -> Result<Vec<Manifest>, Problems> {
    let built = COMPONENTS.iter().map(|component| {
        let value = (component.build)(inputs)?;
        Ok(value.map(|value| Manifest { kind: component.kind, value }))
    });
    built.filter_map(Result::transpose).collect()
}

/// An object as JSON.
pub(crate) fn to_value(object: &impl Serialize) -> Result<Value, Problems> {
    let unfit = |error: serde_json::Error| problem("spec", error.to_string(), "JSON values");
    serde_json::to_value(object).map_err(|error| Problems(vec![unfit(error)]))
}

/// A kind of object, as the API server names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKind {
    /// `kind`.
    pub name: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    /// Whether a cluster may lack the kind.
    pub optional: bool,
}

impl ObjectKind {
    /// Sorts before every kind.
    pub const LOWEST: &'static Self = &Self::optional("", "", "", "");

    /// A kind that a cluster may lack, in a group.
    pub const fn optional(
        name: &'static str,
        group: &'static str,
        version: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { name, group, version, plural, optional: true }
    }

    /// The kind of a type.
    pub const fn of<K: k8s_openapi::Resource>() -> &'static Self {
        const {
            &Self {
                name: K::KIND,
                group: K::GROUP,
                version: K::VERSION,
                plural: K::URL_PATH_SEGMENT,
                optional: false,
            }
        }
    }

    /// `apiVersion` of a kind in a group.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// The same for an [`Api`](kube::Api) of dynamic objects, which is compiled once for all kinds.
    pub fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}

/// An object to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub kind: &'static ObjectKind,
    /// The whole object.
    pub value: Value,
}

impl Manifest {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"].as_str().unwrap_or_default()
    }
}
