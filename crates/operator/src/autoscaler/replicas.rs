//! The number of replicas of a Deployment: that of the watch, or one that was written a moment ago.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;

use crate::build::component::ObjectKind;
use crate::error::{ApiCallError, call};

/// How long a written number is trusted before the watch shows it.
const TRUST: Duration = Duration::from_secs(5);
/// Field manager of the numbers.
const SCALER: &str = "bookingq-autoscaler";

/// The replicas of one Deployment.
#[derive(Debug, Default)]
pub(super) struct DeploymentReplicas {
    written: Option<(u32, Instant)>,
}

impl DeploymentReplicas {
    /// The current number, where the watch shows `shown`.
    pub(super) fn current(&mut self, shown: i32) -> u32 {
        let shown = u32::try_from(shown).unwrap_or(1);
        match self.written {
            Some((number, at)) if number != shown && at.elapsed() < TRUST => number,
            _ => {
                self.written = None;
                shown
            }
        }
    }

    /// The number that was written a moment ago, or else `current`.
    pub(super) fn wanted(&self, current: u32) -> u32 {
        self.written.map_or(current, |(number, _)| number)
    }

    /// Writes a number to the scale subresource.
    pub(super) async fn write(
        &mut self,
        client: Client,
        namespace: &str,
        deployment: &str,
        number: u32,
    ) -> Result<(), ApiCallError> {
        let deployments: Api<DynamicObject> =
            Api::namespaced_with(client, namespace, &ObjectKind::of::<Deployment>().resource());
        let parameters =
            PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "spec": { "replicas": number } }));
        let written = deployments.patch_scale(deployment, &parameters, &patch);
        call(format!("scale Deployment {deployment}"), written).await?;
        self.written = Some((number, Instant::now()));
        Ok(())
    }
}
