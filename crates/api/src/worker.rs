//! The worker Pods of a queue.

use bookingq_core::defaults;
use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cel;
use crate::duration::DurationString;

/// The worker Pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("duration(self.linger) <= duration(self.grace)", "linger must not be longer than grace"),
    ("duration(self.lease) <= duration(self.grace)", "lease must not be longer than grace: a worker that shuts down must keep its tasks until they finish"),
])))]
pub struct WorkerSpec {
    /// Container image. Defaults to the operator's own image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Maximum number of tasks that one worker runs at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: i32,
    /// Time after which another worker may claim the task of a silent one. 1s to 10m.
    pub lease: DurationString,
    /// Time a worker has to shut down after SIGTERM: it finishes its tasks, and returns those it
    /// cannot finish.
    pub grace: DurationString,
    /// Part of grace during which a worker that shuts down still accepts connections, because
    /// endpoints lag.
    pub linger: DurationString,
    /// TLS of the gRPC port. By default it speaks plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<WorkerTlsSpec>,
    /// Compute resources of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// A PodTemplateSpec that is merged into the worker Pods, for node selectors, tolerations,
    /// labels and the like. Scheduling and image pull settings apply to sweepers too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<Map<String, Value>>,
}

impl Default for WorkerSpec {
    fn default() -> Self {
        Self {
            image: None,
            concurrency: defaults::CONCURRENCY as i32,
            lease: DurationString::new(defaults::LEASE),
            grace: DurationString::new(defaults::GRACE),
            linger: DurationString::new(defaults::LINGER),
            tls: None,
            resources: None,
            pod_template: None,
        }
    }
}

/// TLS of the workers' gRPC port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerTlsSpec {
    /// Secret in the same namespace with the workers' certificate in tls.crt and its key in
    /// tls.key. The gateway trusts the authority in ca.crt, or those of the system if there is
    /// none. Workers read a renewed certificate without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Secret in the same namespace whose ca.crt signs the certificates of callers. Workers refuse
    /// callers without such a certificate (mTLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_ca_secret_name: Option<String>,
    /// Name in the workers' certificate, which the gateway expects. Defaults to NAME.NAMESPACE.svc,
    /// the name of the workers' Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

pub(crate) fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
