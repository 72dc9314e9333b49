//! The number of replicas of a Deployment: that of the watch, or one that was written a moment ago.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::timeout_at;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::build::component::ObjectKind;
use crate::cached_object::ObjectStatus;
use crate::error::{ApiCallError, call};

/// How long a written number is trusted before the watch shows it.
const TRUST: Duration = Duration::from_secs(5);
/// How long the loop waits for a write: it reads nothing meanwhile. The write goes on.
const WAIT: Duration = Duration::from_secs(4);
/// Field manager of the numbers.
pub(crate) const SCALER: &str = "bookingq-autoscaler";
/// Time between two writes over the number of another writer, and after its last write until it
/// counts as gone.
const TRUCE: Duration = Duration::from_secs(600);

/// The replicas of one Deployment.
#[derive(Debug, Default)]
pub(super) struct DeploymentReplicas {
    written: Option<(u32, Instant)>,
    rivalry: Rivalry,
    /// A number that is being written.
    in_flight: Option<(u32, WriteInFlight)>,
}

type WriteInFlight = AbortOnDropHandle<Result<(), ApiCallError>>;

/// Another writer of the same number: a HorizontalPodAutoscaler of the Deployment, or a person.
#[derive(Debug, Default)]
pub struct Rivalry {
    /// The other writer, and when its last write was seen, or was in the way of one.
    rival: Option<(String, Instant)>,
    /// The present number, if it is that of the other writer.
    held: Option<u32>,
    /// When its number was replaced last.
    reversed: Option<Instant>,
    /// The number that was written, or else the first one seen.
    own: Option<u32>,
    /// The number that was seen last.
    seen: Option<u32>,
    /// The number that was replaced last, until another one is seen: the watch may lag.
    replaced: Option<u32>,
}

/// A writer whose field manager the API server has not recorded: it does so only once the number
/// has been applied.
const UNKNOWN: &str = "an unknown writer";

impl Rivalry {
    /// Notes the present number, and the field manager that wrote it last, if that is recorded.
    pub fn look(&mut self, number: u32, scaler: Option<&str>, now: Instant) {
        let own = *self.own.get_or_insert(number);
        let other = match scaler {
            None => (number != own && self.replaced != Some(number)).then_some(UNKNOWN),
            Some(scaler) => (scaler != SCALER).then_some(scaler),
        };
        self.seen = Some(number);
        self.replaced.take_if(|replaced| *replaced != number);
        let before = std::mem::replace(&mut self.held, other.map(|_| number));
        if let Some(other) = other {
            let is_renamed = self.rival.as_ref().is_some_and(|(known, _)| known != other);
            // A number that stays is no new write.
            if before != self.held || is_renamed {
                self.rival = Some((other.to_owned(), now));
            }
        }
        if self.rival.as_ref().is_some_and(|(_, seen)| now.duration_since(*seen) >= TRUCE) {
            self.rival = None;
        }
    }

    /// The other writer, until it has written nothing, and been in the way of nothing, for ten
    /// minutes.
    pub fn rival(&self) -> Option<&str> {
        self.rival.as_ref().map(|(rival, _)| rival.as_str())
    }

    /// Whether a number of the autoscaler may be written: always over its own one, and once in ten
    /// minutes over that of another writer, which would otherwise write again, and so on.
    pub fn may_write(&mut self, now: Instant) -> bool {
        let may = self.held.is_none()
            || self.reversed.is_none_or(|last| now.duration_since(last) >= TRUCE);
        if let (false, Some((_, seen))) = (may, &mut self.rival) {
            *seen = now;
        }
        may
    }

    /// Notes a write.
    pub fn wrote(&mut self, number: u32, now: Instant) {
        self.own = Some(number);
        self.replaced = self.seen;
        if self.held.take().is_some() {
            self.reversed = Some(now);
            if let Some((_, seen)) = &mut self.rival {
                *seen = now;
            }
        }
    }
}

impl DeploymentReplicas {
    /// The current number, where the watch shows `shown`.
    pub(super) fn current(&mut self, shown: i32) -> u32 {
        self.settle();
        let shown = u32::try_from(shown).unwrap_or(1);
        match self.written {
            Some((number, at)) if number != shown && at.elapsed() < TRUST => number,
            _ => {
                self.written = None;
                shown
            }
        }
    }

    /// Notes who wrote the number that the watch shows; returns the other writer, if there is one.
    pub(super) fn rival(&mut self, shown: &ObjectStatus) -> Option<String> {
        let now = Instant::now();
        let lags = self.written.is_some_and(|(_, at)| at.elapsed() < TRUST);
        if !lags {
            let number = u32::try_from(shown.desired).unwrap_or(1);
            self.rivalry.look(number, shown.scaler.as_deref(), now);
        }
        self.rivalry.rival().map(str::to_owned)
    }

    /// Whether the autoscaler may write a number now.
    pub(super) fn may_write(&mut self) -> bool {
        self.rivalry.may_write(Instant::now())
    }

    /// The number that was written a moment ago, or else `current`.
    pub(super) fn wanted(&self, current: u32) -> u32 {
        self.written.map_or(current, |(number, _)| number)
    }

    /// Writes a number to the scale subresource. One that takes long goes on, and the next call
    /// waits for it instead of repeating it.
    pub(super) async fn write(
        &mut self,
        client: Client,
        namespace: &str,
        deployment: &str,
        number: u32,
    ) -> Result<(), ApiCallError> {
        let kind = ObjectKind::of::<Deployment>().resource();
        let deployments = Api::namespaced_with(client, namespace, &kind);
        let until = tokio::time::Instant::now() + WAIT;
        let late = || ApiCallError::late(format!("scale Deployment {deployment}"), WAIT);
        loop {
            let (begun, task) = self
                .in_flight
                .get_or_insert_with(|| (number, begin(deployments.clone(), deployment, number)));
            let begun = *begun;
            let Ok(ended) = timeout_at(until, task).await else { return Err(late()) };
            self.in_flight = None;
            // A task that ends with a panic has no outcome.
            let outcome = ended.unwrap_or_else(|_| Err(late()));
            if outcome.is_ok() {
                self.note(begun);
            }
            if begun == number {
                return outcome;
            }
        }
    }

    /// Notes a write that has ended since the loop has ceased to wait for it.
    fn settle(&mut self) {
        let Some((number, task)) = &mut self.in_flight else { return };
        let (number, ended) = (*number, task.now_or_never());
        if let Some(outcome) = ended {
            self.in_flight = None;
            match outcome {
                Ok(Ok(())) => {
                    info!(number, "a number of replicas was written that had taken long");
                    self.note(number);
                }
                Ok(Err(error)) => warn!(%error, "a number of replicas was not written"),
                Err(_) => {}
            }
        }
    }

    fn note(&mut self, number: u32) {
        let now = Instant::now();
        self.written = Some((number, now));
        self.rivalry.wrote(number, now);
    }
}

fn begin(deployments: Api<DynamicObject>, deployment: &str, number: u32) -> WriteInFlight {
    // An apply, because the API server does not record who updates a number that nothing has
    // applied: later, other writers could not be named.
    let parameters = PatchParams::apply(SCALER).force();
    let deployment = deployment.to_owned();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let patch = Patch::Apply(json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": { "name": deployment }, "spec": { "replicas": number },
        }));
        let written = deployments.patch_scale(&deployment, &parameters, &patch);
        call(format!("scale Deployment {deployment}"), written).await.map(|_| ())
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::slow_api::{SLOW, slow_api};

    #[tokio::test(start_paused = true)]
    async fn a_slow_write_is_not_waited_for_to_its_end_nor_repeated_but_it_goes_on() {
        let (client, requests) = slow_api();
        let mut replicas = DeploymentReplicas::default();
        let begin = tokio::time::Instant::now();
        let late = replicas.write(client.clone(), "default", "concert", 3).await.unwrap_err();
        assert!(late.to_string().contains("did not answer within 4s"), "{late}");
        assert!(begin.elapsed() < SLOW, "{:?}", begin.elapsed());
        assert_eq!(replicas.current(1), 1, "it is not known yet");
        replicas.write(client.clone(), "default", "concert", 3).await.unwrap();
        assert!(begin.elapsed() <= SLOW + Duration::from_millis(100), "{:?}", begin.elapsed());
        assert_eq!((replicas.current(1), requests.load(Ordering::SeqCst)), (3, 1));

        // One that ends while the loop does something else is noted.
        replicas.write(client, "default", "concert", 5).await.unwrap_err();
        tokio::time::sleep(SLOW).await;
        assert_eq!((replicas.current(1), requests.load(Ordering::SeqCst)), (5, 2));
    }
}
