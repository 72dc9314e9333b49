//! Updates: what another release or image of the operator changes in the Pods of a queue waits, as
//! `spec.update` says. What the spec changes does not.
//!
//! ```text
//!   build ──manifests──> templates (compare with the cluster: change, stamp)
//!                             |
//!                             |- decision (policy, line, window, annotation)
//!                             v
//!                        manifests, some with the template that is there ──> apply
//! ```

pub mod change;
pub mod decision;
pub mod stamp;
pub mod templates;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::EventType;
use parking_lot::Mutex;

use self::decision::{
    LineLoad, QueueLoad, UpdateDecision, UpdateQuestion, UpdateWait, WaitsFor, decide,
};
use self::templates::{PendingUpdate, Templates};
use crate::autoscaler::observation::{Observation, StoreHealth};
use crate::build::{Manifest, names};
use crate::object_cache::ObjectName;
use crate::queue::QueueKey;
use crate::reconcile::ReconcileContext;
use crate::target::QueueTarget;

/// What became of the last comparison of a queue with the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpdateReport {
    /// There was none yet.
    #[default]
    Unknown,
    /// Nothing waits.
    Nothing,
    /// An update waits.
    Waits(PendingUpdate, UpdateWait),
    /// An update begins, because it may.
    Begins(PendingUpdate),
    /// An update begins, because the spec changes the same templates.
    Taken(PendingUpdate),
}

impl UpdateReport {
    /// The update that waits, and for what.
    pub fn waiting(&self) -> Option<(&PendingUpdate, &UpdateWait)> {
        match self {
            Self::Waits(update, wait) => Some((update, wait)),
            _ => None,
        }
    }

    /// How long until a window opens that it waits for.
    pub fn look_again(&self, now: Timestamp) -> Option<Duration> {
        let begins = self.waiting()?.1.window?;
        Some(Duration::try_from(begins - now).unwrap_or_default() + Duration::from_secs(1))
    }
}

/// The reports of all queues.
#[derive(Default)]
pub struct UpdateReports(Mutex<HashMap<QueueKey, KnownReport>>);

/// A report, and the update that was announced by an event.
#[derive(Default)]
struct KnownReport {
    report: UpdateReport,
    announced: String,
}

impl UpdateReports {
    /// That of a queue.
    pub fn of(&self, key: &QueueKey) -> UpdateReport {
        self.0.lock().get(key).map(|known| known.report.clone()).unwrap_or_default()
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.0.lock().remove(key);
    }

    fn set(&self, key: &QueueKey, report: UpdateReport) {
        self.0.lock().entry(key.clone()).or_default().report = report;
    }

    /// Whether the update of this identity was not announced before.
    fn announces(&self, key: &QueueKey, id: &str) -> bool {
        let mut all = self.0.lock();
        let known = all.entry(key.clone()).or_default();
        let is_new = known.announced != id;
        id.clone_into(&mut known.announced);
        is_new
    }
}

impl ReconcileContext {
    /// Stamps the templates among `manifests`. Those that an update changes which has to wait are
    /// replaced by those that the cluster has.
    pub(crate) async fn hold_updates(
        &self,
        key: &QueueKey,
        target: &QueueTarget,
        manifests: &mut [Manifest],
        about: &ObjectReference,
    ) {
        let live = |manifest: &Manifest| {
            let name = ObjectName::new(manifest.kind, manifest.namespace(), manifest.name());
            self.objects.get(&name).filter(|live| live.belongs_to(&target.owner.uid))
        };
        let templates = Templates::compare(manifests, &self.environment, live);
        let observation = self.autoscaler.observation(key);
        let has_looked = observation.as_ref().is_some_and(Observation::has_looked);
        let load = self.load(target, observation.as_ref());
        let report = report(&templates, target, load);
        templates.write(manifests, report.waiting().is_some());
        self.updates.set(key, report.clone());
        match &report {
            UpdateReport::Waits(update, wait) => {
                // Before it has read the line, it cannot say what there is to wait for.
                if has_looked && self.updates.announces(key, &update.id) {
                    let note = sentence(update, wait);
                    self.publish_update(about, "UpdatePending", update, note).await;
                }
            }
            UpdateReport::Begins(update) => {
                self.publish_update(about, STARTED, update, from_to(update)).await;
            }
            UpdateReport::Unknown | UpdateReport::Nothing | UpdateReport::Taken(_) => {}
        }
        if let Some(update) = templates.taken() {
            let note = format!("{}, with a change of the spec", from_to(&update));
            self.publish_update(about, STARTED, &update, note).await;
        }
    }

    fn load(&self, target: &QueueTarget, observation: Option<&Observation>) -> QueueLoad {
        let QueueTarget { name, namespace, .. } = target;
        let pods = [names::worker(name), names::gateway(name)];
        let pods = pods.map(|name| self.objects.status::<Deployment>(namespace, &name));
        let is_read = observation.filter(|seen| {
            matches!(seen.store, StoreHealth::Reachable { .. } | StoreHealth::TooFewReplicas(_))
        });
        let line = is_read.and_then(|seen| seen.line).map(|line| LineLoad {
            waiting: line.backlog + line.parked,
            in_flight: line.in_flight,
            holds: line.holds,
        });
        let has_no_pods = pods.iter().flatten().all(|status| status.replicas == 0);
        QueueLoad { line, has_no_pods }
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

const STARTED: &str = "UpdateStarted";

fn from_to(update: &PendingUpdate) -> String {
    let PendingUpdate { from, to, parts, .. } = update;
    format!("{parts}: from {from} to {to}")
}

fn report(templates: &Templates, target: &QueueTarget, load: QueueLoad) -> UpdateReport {
    let Some(update) = templates.pending() else {
        return templates.taken().map_or(UpdateReport::Nothing, UpdateReport::Taken);
    };
    let question = UpdateQuestion {
        id: &update.id,
        plan: &target.plan.update,
        approved: target.approved_update.as_deref(),
        load,
        now: Timestamp::now(),
    };
    match decide(&question) {
        UpdateDecision::Begin => UpdateReport::Begins(update),
        UpdateDecision::Wait(wait) => UpdateReport::Waits(update, wait),
    }
}

/// What waits for what.
pub fn sentence(update: &PendingUpdate, wait: &UpdateWait) -> String {
    let PendingUpdate { id, from, to, parts } = update;
    let meanwhile = &wait.meanwhile;
    let until = match (wait.waits_for, wait.window) {
        (WaitsFor::Annotation, _) => "an approval".to_owned(),
        (_, Some(window)) => format!("an empty line, or the window at {window} ({meanwhile})"),
        (_, None) => format!("an empty line ({meanwhile})"),
    };
    format!(
        "{parts}: {from} runs; {to} is ready and waits for {until}. To begin now, set the \
         annotation {}: {id}",
        names::UPDATE
    )
}
