//! The step of a reconcile that lets updates wait.

use bookingq_api::status::BookingQueueStatus;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::EventType;

use super::decision::{LineLoad, QueueLoad, UpdateDecision, UpdateQuestion, decide};
use super::report::{UpdateEvent, UpdateReport, sentence};
use super::templates::{PendingUpdate, Templates};
use crate::autoscaler::observation::{Observation, StoreHealth};
use crate::build::{Manifest, names};
use crate::object_cache::ObjectName;
use crate::queue::QueueKey;
use crate::reconcile::ReconcileContext;
use crate::target::QueueTarget;

impl ReconcileContext {
    /// Stamps the templates among `manifests`. Those that an update changes which has to wait are
    /// replaced by those that the cluster has.
    pub(crate) async fn defer_updates(
        &self,
        key: &QueueKey,
        target: &QueueTarget,
        manifests: &mut [Manifest],
        about: &ObjectReference,
        before: Option<&BookingQueueStatus>,
    ) {
        let live = |manifest: &Manifest| {
            self.objects
                .get(&ObjectName::of(manifest))
                .filter(|live| live.belongs_to(&target.owner.uid))
        };
        let templates = Templates::compare(manifests, &self.environment, live);
        let observation = self.autoscaler.observation(key);
        let has_looked = observation.as_ref().is_some_and(Observation::has_looked);
        let load = self.load(target, observation.as_ref(), before);
        let has_begun = |id: &str| self.updates.has_begun(key, id);
        let report = report(&templates, target, load, has_begun);
        templates.write(manifests, report.waiting().is_some());
        // Before it has read the line, it cannot say what there is to wait for.
        let report = match report {
            UpdateReport::Waits(..) if !has_looked => UpdateReport::Unread,
            report => report,
        };
        self.updates.set(key, report.clone());
        match &report {
            UpdateReport::Waits(update, wait)
                if self.updates.is_new(key, UpdateEvent::Waits, &update.id) =>
            {
                let note = sentence(update, wait);
                self.publish_update(about, "UpdatePending", update, note).await;
            }
            UpdateReport::Begins(update)
                if self.updates.is_new(key, UpdateEvent::Begins, &update.id) =>
            {
                self.publish_update(about, STARTED, update, from_to(update)).await;
            }
            _ => {}
        }
        if let Some(update) = templates.taken()
            && self.updates.is_new(key, UpdateEvent::Taken, &update.id)
        {
            let note = format!("{}, with a change of the spec", from_to(&update));
            self.publish_update(about, STARTED, &update, note).await;
        }
    }

    fn load(
        &self,
        target: &QueueTarget,
        observation: Option<&Observation>,
        before: Option<&BookingQueueStatus>,
    ) -> QueueLoad {
        let QueueTarget { name, namespace, .. } = target;
        let pods = |name: &str| self.objects.status::<Deployment>(namespace, name);
        let (workers, gateways) = (pods(&names::worker(name)), pods(&names::gateway(name)));
        let is_read = observation.filter(|seen| {
            matches!(seen.store, StoreHealth::Reachable { .. } | StoreHealth::TooFewReplicas(_))
        });
        let line = is_read.and_then(|seen| seen.line).map(|line| LineLoad {
            waiting: line.backlog + line.parked,
            in_flight: line.in_flight,
            holds: line.holds,
        });
        // Gateways of a queue that wants no workers say that it is closed, and go on doing so.
        let has_no_pods = workers.is_some_and(|workers| workers.replicas == 0)
            && (target.plan.wants_no_worker()
                || gateways.is_none_or(|gateways| gateways.replicas == 0));
        QueueLoad { line, has_no_pods, is_down: is_down(before, target, Timestamp::now()) }
    }

    async fn publish_update(
        &self,
        about: &ObjectReference,
        reason: &'static str,
        update: &PendingUpdate,
        note: String,
    ) {
        let action = format!("Update{}", update.id);
        self.events.publish(EventType::Normal, about, reason, &action, note).await;
    }
}

/// How long no worker, or no Redis, must have been available for an update to begin beside a line.
const DOWN_FOR: SignedDuration = SignedDuration::from_mins(2);
const STARTED: &str = "UpdateStarted";

fn from_to(update: &PendingUpdate) -> String {
    let PendingUpdate { from, to, parts, .. } = update;
    format!("{parts}: from {from} to {to}")
}

/// Whether what the queue cannot do without has been away for long, by its conditions.
fn is_down(before: Option<&BookingQueueStatus>, target: &QueueTarget, now: Timestamp) -> bool {
    let owns_one_redis = target.managed_redis().is_some() && target.failover.is_none();
    before.into_iter().flat_map(|status| &status.conditions).any(|condition| {
        let matters = condition.type_ == "WorkersAvailable"
            || (condition.type_ == "RedisReady" && owns_one_redis);
        let since = now.duration_since(condition.last_transition_time.0);
        matters && condition.status == "False" && since >= DOWN_FOR
    })
}

fn report(
    templates: &Templates,
    target: &QueueTarget,
    load: QueueLoad,
    has_begun: impl Fn(&str) -> bool,
) -> UpdateReport {
    let Some(update) = templates.pending() else {
        return templates.taken().map_or(UpdateReport::Nothing, UpdateReport::Taken);
    };
    let question = UpdateQuestion {
        id: &update.id,
        plan: &target.plan.update,
        approved: has_begun(&update.id)
            .then_some(update.id.as_str())
            .or(target.approved_update.as_deref()),
        load,
        now: Timestamp::now(),
    };
    match decide(&question) {
        UpdateDecision::Begin => UpdateReport::Begins(update),
        UpdateDecision::Wait(wait) => UpdateReport::Waits(update, wait),
    }
}
