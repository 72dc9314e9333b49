//! How the workers of a queue run.

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cel;
use crate::duration::DurationString;

/// How the workers run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("duration(self.linger) <= duration(self.grace)", "linger must not be longer than grace"),
    ("duration(self.lease) <= duration(self.grace)", "lease must not be longer than grace: a leaving worker must be able to keep its tasks until they are done"),
])))]
pub struct Worker {
    /// Container image; the operator's own when not set, so that both are of one release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Tasks one worker runs at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: i32,
    /// How long a claimed task stays a silent worker's own; after that another worker takes it
    /// over. 1s to 10m.
    pub lease: DurationString,
    /// Whole time a worker has to leave after SIGTERM: to hand back what it has not started and
    /// finish what it has.
    pub grace: DurationString,
    /// How long a leaving worker still takes connections, because endpoints lag behind; part of
    /// grace.
    pub linger: DurationString,
    /// CPU and memory of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Anything else of the Pods (a PodTemplateSpec), laid over what the operator builds: node
    /// selectors, tolerations, labels … What says where Pods run and how their images are
    /// pulled is for the sweepers too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<Map<String, Value>>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            image: None,
            concurrency: 32,
            lease: DurationString::from_secs(10),
            grace: DurationString::from_secs(25),
            linger: DurationString::from_secs(2),
            resources: None,
            pod_template: None,
        }
    }
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
