//! Status: what the operator reports back, written only when it says something new.

use std::collections::HashMap;

use bookingq_api::status::BookingQueueStatus;
use bookingq_api::{BookingQueue, DurationString};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;

use crate::autoscaler::scaling_now;
use crate::build::names::{self, Part};
use crate::caches::{Key, Watched};
use crate::conditions::{StatusInputs, conditions};
use crate::error::{CallError, call};

/// Writes statuses, and remembers what it wrote on top of which version: the watch lags behind our
/// own writes.
pub struct StatusWriter {
    client: Client,
    written: Mutex<HashMap<Key, (Option<String>, BookingQueueStatus)>>,
}

impl StatusWriter {
    /// Writes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, written: Mutex::default() }
    }

    /// Writes what `inputs` amounts to, if the queue's status does not say so already.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn write(
        &self,
        key: &Key,
        queue: &BookingQueue,
        inputs: &StatusInputs<'_>,
    ) -> Result<(), CallError> {
        let version = queue.resource_version();
        let last = self.written.lock().get(key).filter(|(seen, _)| *seen == version).cloned();
        let before =
            last.map(|(_, status)| status).or_else(|| queue.status.clone()).unwrap_or_default();
        let status = compose(queue, inputs, &before);
        if status == before {
            return Ok(());
        }
        self.patch(&queue.namespace().unwrap_or_default(), &queue.name_any(), &status).await?;
        self.written.lock().insert(key.clone(), (version, status));
        Ok(())
    }

    /// Writes the status of a queue that could not be decoded.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn write_undecodable(
        &self,
        key: &Key,
        queue: &Watched,
        inputs: &StatusInputs<'_>,
    ) -> Result<(), CallError> {
        let generation = queue.meta().generation;
        let known = self
            .written
            .lock()
            .get(key)
            .is_some_and(|(_, status)| status.observed_generation == generation);
        if known {
            return Ok(());
        }
        let status = BookingQueueStatus {
            conditions: conditions(inputs, &[], &scaling_now()),
            observed_generation: generation,
            ..BookingQueueStatus::default()
        };
        let namespace = queue.meta().namespace.clone().unwrap_or_default();
        self.patch(&namespace, &queue.name_any(), &status).await?;
        self.written.lock().insert(key.clone(), (queue.meta().resource_version.clone(), status));
        Ok(())
    }

    /// Forgets a queue that is gone.
    pub fn forget(&self, key: &Key) {
        self.written.lock().remove(key);
    }

    async fn patch(
        &self,
        namespace: &str,
        name: &str,
        status: &BookingQueueStatus,
    ) -> Result<(), CallError> {
        let api: Api<BookingQueue> = Api::namespaced(self.client.clone(), namespace);
        // Applied, so that a field we no longer say goes away.
        let patch = Patch::Apply(json!({
            "apiVersion": BookingQueue::api_version(&()),
            "kind": BookingQueue::kind(&()),
            "status": status,
        }));
        let parameters = PatchParams::apply(names::MANAGER).force();
        match call("write the status", api.patch_status(name, &parameters, &patch)).await {
            // The answer cannot be decoded where the queue cannot; it was written all the same.
            Ok(_) | Err(CallError::Failed { cause: kube::Error::SerdeError(_), .. }) => Ok(()),
            // Gone in the meantime.
            Err(error) if error.code() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The whole status. What the queue's loop has not seen yet stays as it was told last.
fn compose(
    queue: &BookingQueue,
    inputs: &StatusInputs<'_>,
    before: &BookingQueueStatus,
) -> BookingQueueStatus {
    let line = inputs.observation.and_then(|seen| seen.line);
    let scaling = inputs.observation.and_then(|seen| seen.scaling.clone());
    BookingQueueStatus {
        conditions: conditions(inputs, &before.conditions, &scaling_now()),
        observed_generation: inputs.generation,
        replicas: inputs.workers.map_or(0, |workers| workers.replicas),
        selector: Some(names::selector_text(&queue.name_any(), Part::Worker)),
        backlog: line.map(|line| line.backlog).or(before.backlog),
        in_flight: line.map(|line| line.in_flight).or(before.in_flight),
        holds: line.map(|line| line.holds).or(before.holds),
        oldest_wait: line
            .map(|line| DurationString::from_secs(line.oldest_wait.as_secs()).to_string())
            .or_else(|| before.oldest_wait.clone()),
        last_scaling: scaling.or_else(|| before.last_scaling.clone()),
    }
}
