//! Looks at the Pods of a queue: why they do not start, for conditions and events; and replaces the
//! one that Kubernetes never replaces.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::events::EventType;
use tracing::warn;

use crate::build::component::ObjectKind;
use crate::build::names::{self, Part};
use crate::error::call;
use crate::object_cache::ObjectName;
use crate::pods::creation::MissingOf;
use crate::pods::pod_fault::{FaultReason, PodFault};
use crate::pods::record::PodRecord;
use crate::pods::stuck::{StuckPod, stuck};
use crate::pods::tracker::{FaultLook, PartLook};
use crate::queue::QueueKey;
use crate::reconcile::ReconcileContext;
use crate::target::QueueTarget;

/// Time in which a controller creates a Pod.
const CREATED_WITHIN: Duration = Duration::from_secs(5);
/// Longest time to another look at a Pod that is missing.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Time for which a sweeper is missed: its Job ends then.
const MISSED_FOR: Duration = Duration::from_secs(120);

impl ReconcileContext {
    /// Looks at the Pods of a queue, and publishes an event for each new fault. A part that the
    /// queue does not have any more, as a sweeper that is suspended, has no fault.
    pub(crate) async fn look_at_pods(
        &self,
        key: &QueueKey,
        target: Option<&QueueTarget>,
        about: &ObjectReference,
    ) -> FaultLook {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let (mut parts, mut soon, now) = (Vec::new(), None, Timestamp::now());
        let has = |part: &Part| target.is_none_or(|target| target.has(*part));
        for part in Part::ALL {
            if !has(&part) {
                self.creation_failures.note_complete(key, part, now);
                continue;
            }
            let pods = self.pods.of_part(namespace, &key.name, part);
            let missing = match part {
                Part::Redis => self.missing_redis(namespace, &key.name),
                Part::Sweeper => self.missing_sweeper(namespace, &key.name, &pods, now),
                // The status of a Deployment says it.
                Part::Worker | Part::Gateway => None,
            };
            let (refused, again) = self.refused(key, part, &pods, (missing, now));
            soon = soon.into_iter().chain(again).min();
            parts.push(PartLook { part, pods, refused });
        }
        let mut look = self.faults.look(key, &parts, now);
        look.again = look.again.into_iter().chain(soon).min();
        for (part, fault) in &look.new {
            let (reason, action) = (fault.reason.as_str(), format!("Start{part:?}"));
            let note = fault.detail.clone();
            self.events.publish(EventType::Warning, about, reason, &action, note).await;
        }
        look
    }

    /// Deletes a Pod of a managed Redis that the StatefulSet never replaces itself. The driver of
    /// the failover replaces those of a Redis of three. Returns when to look again.
    pub(crate) async fn replace_stuck(
        &self,
        target: &QueueTarget,
        about: &ObjectReference,
    ) -> Option<Duration> {
        let QueueTarget { name, namespace, .. } = target;
        if target.managed_redis().is_none() || target.failover.is_some() {
            return None;
        }
        let kind = ObjectKind::of::<StatefulSet>();
        let set = self.objects.get(&ObjectName::new(kind, namespace, &names::redis(name)))?;
        let (status, uid) = (set.status.as_deref()?, set.uid.as_deref()?);
        let pods = self.pods.of_part(namespace, name, Part::Redis);
        let pod = match stuck(status, uid, &pods, Timestamp::now())? {
            StuckPod::Replace(pod) => pod,
            StuckPod::LookAgain(wait) => return Some(wait),
        };
        let why = pod.fault.as_ref().map_or("it was never ready", |one| one.reason.as_str());
        // With its version: a Pod that has become ready meanwhile stays.
        let preconditions = Preconditions {
            uid: Some(pod.uid.clone()),
            resource_version: Some(pod.version.clone()),
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let parameters = DeleteParams::default().preconditions(preconditions);
        match call("delete a stuck Pod of Redis", api.delete(&pod.name, &parameters)).await {
            Ok(_) => {
                let note = format!(
                    "Pod {} has an older template and does not start ({why}); it was deleted, so \
                     that the StatefulSet creates one of the present template",
                    pod.name
                );
                let events = &self.events;
                events
                    .publish(EventType::Normal, about, "StuckPodReplaced", "DeletePod", note)
                    .await;
                None
            }
            // Gone, or changed meanwhile: the watch brings the change.
            Err(error) if matches!(error.code(), Some(404 | 409)) => Some(CREATED_WITHIN),
            Err(error) => {
                warn!(queue = %about.name.as_deref().unwrap_or_default(), %error, "retrying");
                Some(CREATED_WITHIN)
            }
        }
    }

    /// Why the Pod that is missing was not created, if that is known, and when to look again: after
    /// as much time as it is missing already. A refusal counts after some seconds, because a
    /// controller may succeed at once when it tries again.
    fn refused(
        &self,
        key: &QueueKey,
        part: Part,
        pods: &[PodRecord],
        (missing, now): (Option<MissingOf>, Timestamp),
    ) -> (Option<PodFault>, Option<Duration>) {
        let failures = &self.creation_failures;
        let Some(missing) = missing else {
            failures.note_complete(key, part, now);
            return (None, None);
        };
        let missed_for = failures.note_missing(key, part, Instant::now());
        let newest_pod = pods.iter().map(|pod| pod.created).max();
        let refusal = failures.refusal_of(key, part, &missing, newest_pod);
        // It may be older than this process.
        let refused_for = refusal.as_ref().map_or(Duration::ZERO, |refusal| {
            Duration::try_from(now.duration_since(refusal.since)).unwrap_or_default()
        });
        let lasted = missed_for.max(refused_for);
        if lasted < CREATED_WITHIN {
            return (None, Some(CREATED_WITHIN.saturating_sub(lasted)));
        }
        let of = match &missing {
            MissingOf::StatefulSet(_) => format!("StatefulSet {}", names::redis(&key.name)),
            MissingOf::Job(name) => format!("Job {name}"),
        };
        let fault = refusal.map(|refusal| PodFault {
            reason: FaultReason::PodCreationFailed,
            detail: format!("{of}: {}", refusal.message),
            since: refusal.since,
            pod: String::new(),
        });
        (fault, Some(lasted.min(LOOK_AGAIN)))
    }

    fn missing_redis(&self, namespace: &str, queue: &str) -> Option<MissingOf> {
        let kind = ObjectKind::of::<StatefulSet>();
        let set = self.objects.get(&ObjectName::new(kind, namespace, &names::redis(queue)))?;
        let status = set.status.as_deref()?;
        let uid = set.uid.as_deref().unwrap_or_default().to_owned();
        (status.replicas < status.desired).then_some(MissingOf::StatefulSet(uid))
    }

    /// The last Job of the CronJob must have a Pod.
    fn missing_sweeper(
        &self,
        namespace: &str,
        queue: &str,
        pods: &[PodRecord],
        now: Timestamp,
    ) -> Option<MissingOf> {
        let name = names::sweeper(queue);
        let started = self.objects.status::<CronJob>(namespace, &name)?.last_schedule?;
        let since = now.duration_since(started.0).unsigned_abs();
        if since > MISSED_FOR || pods.iter().any(|pod| pod.created >= started.0) {
            return None;
        }
        Some(MissingOf::Job(names::sweep(queue, started.0.as_second() / 60)))
    }
}
