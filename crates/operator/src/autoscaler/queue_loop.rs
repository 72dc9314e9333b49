//! The loop of one queue: reads, decides, scales, observes, once a second, until the queue is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::plan::{RedisSource, ScalingPlan};
use bookingq_api::status::LastScaling;
use bookingq_core::Timestamp;
use bookingq_core::autoscale::Situation;
use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
use bookingq_store::{Snapshot, Store, StoreError};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::observation::{Line, Observation, SWEEP_PATIENCE, StoreHealth, SweeperHealth};
use super::scaling::{self, FIXED};
use super::{Order, Shared};
use crate::build::names;
use crate::cached_object::{CachedObject, Workers};
use crate::caches::{Key, told};
use crate::error::{CallError, call};

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// A reading takes no longer than this.
const DEADLINE: Duration = Duration::from_millis(900);
/// Between two tellings of numbers that merely move.
const TELL: Duration = Duration::from_secs(10);
/// How long our own write of the number is believed before the watch has shown it.
const BELIEF: Duration = Duration::from_secs(5);
/// Told in the Redis condition.
const NOT_READY: &str =
    "the queue's own Redis is not ready: see the StatefulSet's Pod, its events and its log";
/// Who writes the number of workers.
const SCALER: &str = "bookingq-autoscaler";

/// Runs until the queue is gone.
pub(super) async fn run(
    shared: Arc<Shared>,
    key: Key,
    mut orders: watch::Receiver<Order>,
    observed: watch::Sender<Observation>,
) {
    let order = orders.borrow_and_update().clone();
    let uid = order.target.owner.uid.clone();
    let mut member = Member::new(shared, key, order, observed);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let queue = member.shared.queues.get(&member.key);
        if queue.and_then(|queue| queue.uid()).as_ref() != Some(&uid) {
            return;
        }
        match orders.has_changed() {
            Ok(true) => member.follow(orders.borrow_and_update().clone()),
            Ok(false) => {}
            // The controller is gone.
            Err(_) => return,
        }
        // On the heap: a thousand loops that wait would hold a thousand of these futures.
        Box::pin(member.tick()).await;
    }
}

struct Member {
    shared: Arc<Shared>,
    key: Key,
    order: Order,
    /// Opened when it is needed: a Redis of our own that is not ready is not even looked up.
    store: Option<Result<Opening, StoreError>>,
    driver: ScalingDriver,
    /// Names the data that was read last, to notice that it is other data now.
    epoch: String,
    seen: Observation,
    observed: watch::Sender<Observation>,
    told: Instant,
    written: Option<(u32, Instant)>,
    sweeper_due: Option<Instant>,
}

/// A store, and what was found when it was opened since it last failed.
struct Opening {
    store: Arc<dyn Store>,
    warnings: Option<Vec<String>>,
}

impl Member {
    fn new(
        shared: Arc<Shared>,
        key: Key,
        order: Order,
        observed: watch::Sender<Observation>,
    ) -> Self {
        let seen = observed.borrow().clone();
        Self {
            store: None,
            shared,
            key,
            order,
            driver: ScalingDriver::new(),
            epoch: String::new(),
            seen,
            observed,
            told: Instant::now(),
            written: None,
            sweeper_due: None,
        }
    }

    fn follow(&mut self, order: Order) {
        if order.redis != self.order.redis {
            self.store = None;
            self.driver.reset_rates();
            self.epoch = String::new();
        }
        self.order = order;
    }

    async fn tick(&mut self) {
        let snapshot = self.read().await;
        let up = i64::from(snapshot.is_some());
        self.shared.metrics.store_up.with_label_values(&self.labels()).set(up);
        if let Some(snapshot) = &snapshot {
            self.seen.line = Some(Line::of(snapshot));
            self.compare(snapshot).await;
            self.admit(snapshot).await;
        }
        if let Some(deployment) = self.deployment() {
            let workers = deployment.facts();
            self.look_at_pods(workers);
            self.scale(workers, snapshot.as_ref()).await;
        }
        self.judge_sweeper(snapshot.as_ref());
        self.tell();
    }

    fn labels(&self) -> [&str; 2] {
        [&self.order.target.namespace, &self.order.target.name]
    }

    fn deployment(&self) -> Option<Arc<CachedObject<Deployment>>> {
        let target = &self.order.target;
        let deployment = self.shared.caches.get(&target.namespace, &names::worker(&target.name));
        deployment.filter(|found| found.belongs_to(&target.owner.uid))
    }

    /// Whether asking makes sense: a Redis of our own has to be ready, by its own probe. That of
    /// somebody else may be there.
    fn redis_is_there(&self) -> bool {
        let target = &self.order.target;
        if !matches!(target.plan.redis.source, RedisSource::Managed(_)) {
            return true;
        }
        let set =
            self.shared.caches.get::<StatefulSet>(&target.namespace, &names::redis(&target.name));
        set.is_some_and(|set| *set.facts() > 0)
    }

    /// The queue as a whole, or why it could not be read.
    async fn read(&mut self) -> Option<Snapshot> {
        if !self.redis_is_there() {
            // One that comes back has another address, and may have other settings.
            self.store = None;
            self.seen.store = StoreHealth::Unreachable { why: NOT_READY.to_owned() };
            return None;
        }
        let answer = match self.store.get_or_insert_with(|| connect(&self.order)) {
            Ok(opening) => match tokio::time::timeout(DEADLINE, opening.read()).await {
                Ok(answer) => answer,
                Err(_) => Err(StoreError::Timeout(DEADLINE)),
            },
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok((snapshot, warnings)) => {
                self.seen.store = StoreHealth::Reachable { warnings };
                Some(snapshot)
            }
            Err(error) => {
                if let Some(Ok(opening)) = &mut self.store {
                    opening.warnings = None;
                }
                self.seen.store = StoreHealth::Unreachable { why: reason(&error) };
                None
            }
        }
    }

    /// Tells a person when the queue's data is not what it was: nothing in the cluster has changed,
    /// and everybody's place is gone.
    async fn compare(&mut self, snapshot: &Snapshot) {
        if snapshot.set_back || (!self.epoch.is_empty() && snapshot.epoch != self.epoch) {
            let note = "Redis has lost this queue's data, all of it or what was newest: who was in line and is not any more must ask \
                        for a place again, and what the Booking Service still holds for them must time out there";
            self.shared
                .events
                .warning(&self.order.about, "DataLost", "ReadQueue", note.to_owned())
                .await;
        }
        self.epoch.clone_from(&snapshot.epoch);
        if let (true, Some(Ok(opening))) =
            (self.epoch.is_empty() || snapshot.set_back, &mut self.store)
        {
            // Marks it as new data, should no worker be there to do so; under which name, the next
            // reading tells.
            opening.warnings = None;
            self.epoch.clear();
        }
    }

    /// Opens, pauses or closes the queue if the store has it otherwise.
    async fn admit(&self, snapshot: &Snapshot) {
        let wanted = self.order.target.plan.admission;
        let Some(Ok(opening)) = &self.store else { return };
        if snapshot.admission == wanted {
            return;
        }
        match tokio::time::timeout(DEADLINE, opening.store.set_admission(wanted)).await {
            Ok(Ok(())) => {
                let note = format!(
                    "the queue was {} and is {} now",
                    snapshot.admission.as_str(),
                    wanted.as_str()
                );
                let action = format!("Set{}", wanted.as_str());
                self.shared
                    .events
                    .normal(&self.order.about, "AdmissionChanged", &action, note)
                    .await;
            }
            Ok(Err(error)) => {
                warn!(queue = told(&self.key), %error, "admission was not written; trying again");
            }
            Err(_) => {
                warn!(queue = told(&self.key), "admission was not written in time; trying again");
            }
        }
    }

    /// Counts the workers that cannot be scheduled, while not all are ready.
    fn look_at_pods(&mut self, workers: &Workers) {
        let target = &self.order.target;
        self.seen.unschedulable = if workers.ready >= workers.wanted {
            0
        } else {
            self.shared.caches.unschedulable(&target.namespace, &target.name) as u32
        };
    }

    async fn scale(&mut self, workers: &Workers, snapshot: Option<&Snapshot>) {
        let current = self.current(workers);
        // The spec decides: the store may still say Open for a moment after the spec says Paused.
        let admission = self.order.target.plan.admission;
        let measurement = snapshot.map(|now| Measurement { admission, ..now.into() });
        let situation = self.driver.observe(measurement, current, self.seen.unschedulable);
        let change = match &self.order.target.plan.scaling {
            ScalingPlan::Fixed(replicas) => self.fixed(*replicas, &situation),
            ScalingPlan::Automatic(policy) => {
                scaling::change(&self.driver.decide(policy, situation))
            }
        };
        if let Some(change) = change {
            self.write(change).await;
        }
        let wanted = i64::from(self.written.map_or(current, |(number, _)| number));
        self.shared.metrics.workers_wanted.with_label_values(&self.labels()).set(wanted);
    }

    /// The number asked for at present: what the watch shows, or what we have written a moment ago.
    fn current(&mut self, workers: &Workers) -> u32 {
        let shown = u32::try_from(workers.wanted).unwrap_or(1);
        match self.written {
            Some((number, at)) if number != shown && at.elapsed() < BELIEF => number,
            _ => {
                self.written = None;
                shown
            }
        }
    }

    /// A fixed number is set once. Whoever changes the Deployment after that, a person or another
    /// autoscaler, is right.
    fn fixed(&mut self, wanted: u32, situation: &Situation) -> Option<LastScaling> {
        let set = |last: &LastScaling| last.reason == FIXED && last.to == wanted as i32;
        if self.seen.scaling.as_ref().is_some_and(set) {
            return None;
        }
        let change = scaling::fixed(wanted, situation);
        if situation.current == wanted {
            // Nothing to write; remembered, so that it is not set later either.
            self.seen.scaling = Some(change);
            return None;
        }
        Some(change)
    }

    async fn write(&mut self, change: LastScaling) {
        match self.patch(&change).await {
            Ok(()) => {
                let note = scaling::sentence(&change);
                info!(
                    queue = told(&self.key),
                    from = change.from,
                    to = change.to,
                    reason = change.reason,
                    "scaled"
                );
                let direction = if change.to > change.from { "up" } else { "down" };
                self.shared.metrics.scalings.with_label_values(&[direction]).inc();
                let action = format!("Scale{}To{}", change.from, change.to);
                self.written = Some((change.to as u32, Instant::now()));
                self.seen.scaling = Some(change);
                self.tell();
                self.shared.events.normal(&self.order.about, "Scaled", &action, note).await;
            }
            Err(error) => {
                warn!(queue = told(&self.key), %error, "the number of workers was not written; trying again");
            }
        }
    }

    async fn patch(&self, change: &LastScaling) -> Result<(), CallError> {
        let target = &self.order.target;
        let deployments: Api<Deployment> =
            Api::namespaced(self.shared.client.clone(), &target.namespace);
        let parameters =
            PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "spec": { "replicas": change.to } }));
        let name = names::worker(&target.name);
        call("scale the workers", deployments.patch_scale(&name, &parameters, &patch))
            .await
            .map(drop)
    }

    /// A sweeper is silent if one has been started long enough ago and the store has not heard from
    /// it since.
    fn judge_sweeper(&mut self, snapshot: Option<&Snapshot>) {
        let target = &self.order.target;
        let Some(snapshot) = snapshot else { return };
        let job =
            self.shared.caches.get::<CronJob>(&target.namespace, &names::sweeper(&target.name));
        let Some(started) = job.as_ref().and_then(|job| job.facts().as_ref()) else {
            self.seen.sweeper = SweeperHealth::Unknown;
            return;
        };
        let started = Timestamp(u64::try_from(started.0.as_millisecond()).unwrap_or(0));
        if snapshot.swept_at.is_some_and(|beat| beat >= started) {
            self.sweeper_due = None;
            self.seen.sweeper = SweeperHealth::Running;
        } else if self.sweeper_due.get_or_insert_with(Instant::now).elapsed() > SWEEP_PATIENCE {
            self.seen.sweeper = SweeperHealth::NotReporting;
        }
    }

    /// Tells what is seen, if it is worth it, and wakes the reconciler.
    fn tell(&mut self) {
        let differs = *self.observed.borrow() != self.seen;
        let urgent = self.seen.differs_in_kind(&self.observed.borrow());
        if !differs || !(urgent || self.told.elapsed() >= TELL) {
            return;
        }
        // A full queue of wakes means that the reconciler is busy; the next tick tries again.
        if self.shared.wake.try_send(self.key.clone()).is_ok() {
            self.observed.send_replace(self.seen.clone());
            self.told = Instant::now();
        }
    }
}

impl Opening {
    async fn read(&mut self) -> Result<(Snapshot, Vec<String>), StoreError> {
        let warnings = match &self.warnings {
            Some(warnings) => warnings.clone(),
            None => self.warnings.insert(self.store.open().await?.warnings).clone(),
        };
        Ok((self.store.snapshot().await?, warnings))
    }
}

/// For the status. The same store fails with another text each second (connecting, looking up,
/// timed out); a status that repeated them would be written each second. The log has the details.
fn reason(error: &StoreError) -> String {
    if error.is_transient() {
        "Redis cannot be reached or does not answer in time; the operator's log says more"
            .to_owned()
    } else {
        error.to_string()
    }
}

fn connect(order: &Order) -> Result<Opening, StoreError> {
    Ok(Opening { store: bookingq_store::open(order.redis.clone())?, warnings: None })
}
