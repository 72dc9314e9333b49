//! Writes the status of a queue when it changes.

use std::collections::HashMap;
use std::time::Duration;

use bookingq_api::status::{BookingQueueStatus, GatewayStatus};
use bookingq_api::{BookingQueue, DurationString};
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;

use crate::autoscaler::scaling;
use crate::build::names::{self, Part};
use crate::conditions::hold_down::HoldDown;
use crate::conditions::update::update_status;
use crate::conditions::{StatusInputs, conditions};
use crate::error::{ApiCallError, call};
use crate::queue::{QueueKey, WatchedQueue};

/// Writes statuses. Remembers the last one of each queue and the version it was based on, because
/// the watch lags behind.
pub struct StatusWriter {
    client: Client,
    written: Mutex<HashMap<QueueKey, (Option<String>, BookingQueueStatus)>>,
    hold_down: HoldDown,
}

impl StatusWriter {
    /// Writes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, written: Mutex::default(), hold_down: HoldDown::default() }
    }

    /// Writes the status that follows from `inputs`, unless the queue has it already. Returns when
    /// to look again although nothing changes.
    pub async fn write(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
        inputs: &StatusInputs<'_>,
    ) -> Result<Option<Duration>, ApiCallError> {
        let version = queue.meta().resource_version.clone();
        let written = self.written.lock().get(key).cloned();
        let before = match &queue.0 {
            Ok(queue) => {
                let written = written.filter(|(base, _)| *base == version);
                written.map(|(_, status)| status).or_else(|| queue.status.clone())
            }
            // Its status cannot be decoded either.
            Err(_) => written.map(|(_, status)| status),
        };
        let before = before.unwrap_or_default();
        let mut status = compose(&key.name, inputs, &before);
        let again = self.hold_down.settle(key, &before.conditions, &mut status.conditions);
        if status == before {
            return Ok(again);
        }
        self.patch(&queue.namespace().unwrap_or_default(), &key.name, &status).await?;
        self.written.lock().insert(key.clone(), (version, status));
        Ok(again)
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.written.lock().remove(key);
        self.hold_down.forget(key);
    }

    async fn patch(
        &self,
        namespace: &str,
        name: &str,
        status: &BookingQueueStatus,
    ) -> Result<(), ApiCallError> {
        let resource = ApiResource::erase::<BookingQueue>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        // Server-side apply removes fields that the new status leaves out.
        // The loop of the Redis of three alone writes its record.
        let status = BookingQueueStatus { redis: None, ..status.clone() };
        let patch = Patch::Apply(json!({
            "apiVersion": BookingQueue::api_version(&()),
            "kind": BookingQueue::kind(&()),
            "status": status,
        }));
        let parameters = PatchParams::apply(names::MANAGER).force();
        match call("write the status", api.patch_status(name, &parameters, &patch)).await {
            Ok(_) => Ok(()),
            // Deleted meanwhile.
            Err(error) if error.code() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The whole status. Numbers that the queue loop has not read yet stay as they were.
fn compose(
    queue: &str,
    inputs: &StatusInputs<'_>,
    before: &BookingQueueStatus,
) -> BookingQueueStatus {
    let line = inputs.observation.and_then(|seen| seen.line);
    let scaling = inputs.observation.and_then(|seen| seen.scaling.clone());
    let now = scaling::now();
    BookingQueueStatus {
        conditions: conditions(inputs, &before.conditions, &now),
        observed_generation: inputs.generation,
        replicas: inputs.workers.map_or(0, |workers| workers.replicas),
        selector: Some(names::selector_text(queue, Part::Worker)),
        backlog: line.map(|line| line.backlog).or(before.backlog),
        in_flight: line.map(|line| line.in_flight).or(before.in_flight),
        holds: line.map(|line| line.holds).or(before.holds),
        parked: line.map(|line| line.parked).or(before.parked),
        oldest_wait: line
            .map(|line| DurationString::from_secs(line.oldest_wait.as_secs()).to_string())
            .or_else(|| before.oldest_wait.clone()),
        last_scaling: scaling.or_else(|| before.last_scaling.clone()),
        gateway: gateway(inputs, before.gateway.as_ref()),
        update: update_status(&inputs.update, before.update.as_ref(), &now),
        redis: before.redis.clone(),
    }
}

/// The gateways; `None` if the spec has none. An invalid spec leaves them as they were.
fn gateway(inputs: &StatusInputs<'_>, before: Option<&GatewayStatus>) -> Option<GatewayStatus> {
    match inputs.target {
        Some(target) if target.plan.gateway.is_none() => return None,
        None => return before.cloned(),
        Some(_) => {}
    }
    let seen = inputs.gateways.observation;
    Some(GatewayStatus {
        replicas: inputs.gateways.deployment.map_or(0, |gateways| gateways.replicas),
        connections: seen
            .and_then(|seen| seen.connections)
            .or_else(|| before.and_then(|before| before.connections)),
        last_scaling: seen
            .and_then(|seen| seen.scaling.clone())
            .or_else(|| before.and_then(|before| before.last_scaling.clone())),
    })
}
