//! The loop of one queue: reads, plans, scales and observes once a second, until the queue is
//! deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::Plan;
use bookingq_api::plan::ScalingPlan;
use bookingq_api::status::LastScaling;
use bookingq_core::Timestamp;
use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
use bookingq_store::{Snapshot, StoreError};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt as _;
use kube::runtime::events::EventType;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::context::{DesiredState, LoopContext, WriteScope, may_scale};
use super::observation::{Observation, ObservedLine, SWEEP_LIMIT, StoreHealth, SweeperHealth};
use super::queue_source::{QueueSource, cause};
use super::replicas::DeploymentReplicas;
use super::scaling::{self, OnceChange};
use super::settings::{self, SettingChange};
use crate::build::component::ObjectKind;
use crate::build::names::{self, Part};
use crate::cached_object::ObjectStatus;
use crate::object_cache::ObjectName;
use crate::queue::{QueueKey, log_name};
use crate::target::QueueTarget;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// Deadline of a reading.
const DEADLINE: Duration = Duration::from_millis(900);
/// Time between two reports of moving numbers.
const REPORT: Duration = Duration::from_secs(10);

const NOT_READY: &str = "The managed Redis is not ready: see the Pod of its StatefulSet.";

/// Runs until the queue is deleted.
pub(super) async fn run(
    context: Arc<LoopContext>,
    key: QueueKey,
    mut desired: watch::Receiver<DesiredState>,
    observed: watch::Sender<Observation>,
) {
    let state = desired.borrow_and_update().clone();
    let uid = state.target.owner.uid.clone();
    let mut queue_loop = QueueLoop::new(context, key, state, observed);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let changed = tokio::select! {
            _ = ticks.tick() => false,
            // A change of the spec does not wait for the next tick.
            changed = desired.changed() => match changed {
                Ok(()) => true,
                // The controller has ended.
                Err(_) => return,
            },
        };
        let queue = queue_loop.context.queues.get(&queue_loop.key);
        if queue.and_then(|queue| queue.uid()).as_ref() != Some(&uid) {
            return;
        }
        if changed {
            queue_loop.update(desired.borrow_and_update().clone());
        }
        // Boxed: a thousand idle loops would each hold this large future.
        Box::pin(queue_loop.tick()).await;
    }
}

struct QueueLoop {
    context: Arc<LoopContext>,
    key: QueueKey,
    desired: DesiredState,
    /// Opened on demand: a managed Redis that is not ready is not even resolved.
    store: Option<Result<QueueSource, StoreError>>,
    driver: ScalingDriver,
    /// Identifies the data of the last reading.
    epoch: String,
    /// Whether the last reading was of data that is set back.
    set_back: bool,
    seen: Observation,
    observed: watch::Sender<Observation>,
    reported: Instant,
    replicas: DeploymentReplicas,
    sweeper_due: Option<Instant>,
}

impl QueueLoop {
    fn new(
        context: Arc<LoopContext>,
        key: QueueKey,
        desired: DesiredState,
        observed: watch::Sender<Observation>,
    ) -> Self {
        let seen = observed.borrow().clone();
        Self {
            store: None,
            context,
            key,
            desired,
            driver: ScalingDriver::new(),
            epoch: String::new(),
            set_back: false,
            seen,
            observed,
            reported: Instant::now(),
            replicas: DeploymentReplicas::default(),
            sweeper_due: None,
        }
    }

    fn update(&mut self, desired: DesiredState) {
        if desired.store != self.desired.store {
            self.store = None;
            self.driver.reset_rates();
            self.epoch = String::new();
        }
        self.desired = desired;
    }

    async fn tick(&mut self) {
        let snapshot = self.read().await;
        let rests = self.seen.store == StoreHealth::NoReadings
            && self.desired.target.plan.wants_no_worker();
        let up = i64::from(snapshot.is_some() || rests);
        self.context.metrics.store_up.with_label_values(&self.labels()).set(up);
        if let Some(snapshot) = &snapshot {
            let opens_at = self.desired.target.plan.rules.opens_at;
            self.seen.line = Some(ObservedLine::of(snapshot));
            self.seen.not_open = opens_at.is_some_and(|opens_at| snapshot.now < opens_at);
            self.detect_data_loss(snapshot).await;
            self.write_settings(snapshot).await;
        } else {
            self.without_reading().await;
        }
        self.report_topics().await;
        if let Some(workers) = self.workers() {
            self.count_unschedulable(&workers);
            let wanted = self.scale(&workers, snapshot.as_ref()).await;
            self.record_workforce(&workers, wanted, snapshot.as_ref()).await;
        }
        self.check_sweeper(snapshot.as_ref());
        self.report();
    }

    fn labels(&self) -> [&str; 2] {
        [&self.desired.target.namespace, &self.desired.target.name]
    }

    async fn publish(&self, type_: EventType, reason: &str, action: &str, note: String) {
        self.context.events.publish(type_, &self.desired.about, reason, action, note).await;
    }

    /// Status of the workers' Deployment, if it is the queue's.
    fn workers(&self) -> Option<ObjectStatus> {
        let QueueTarget { name, namespace, owner, .. } = &*self.desired.target;
        let name = ObjectName::new(ObjectKind::of::<Deployment>(), namespace, &names::worker(name));
        let found = self.context.objects.get(&name)?;
        found.belongs_to(&owner.uid).then(|| found.status.as_deref().cloned())?
    }

    /// Whether to connect: only if the Pod of a managed Redis is ready.
    fn redis_may_answer(&self) -> bool {
        let QueueTarget { name, namespace, .. } = &*self.desired.target;
        if self.desired.target.managed_redis().is_none() {
            return true;
        }
        let redis = self.context.objects.status::<StatefulSet>(namespace, &names::redis(name));
        redis.is_some_and(|redis| redis.ready > 0)
    }

    async fn read(&mut self) -> Option<Snapshot> {
        if !self.redis_may_answer() {
            // It comes back with another address, and maybe with other settings.
            self.store = None;
            self.seen.store = StoreHealth::Unreachable { why: NOT_READY.to_owned() };
            return None;
        }
        let (access, followers) = (&self.desired.store, &self.context.followers);
        let answer = match self.store.get_or_insert_with(|| QueueSource::connect(access, followers))
        {
            Ok(source) => source.read(DEADLINE, self.desired.scope).await,
            Err(error) => Err(StoreHealth::Unreachable { why: cause(error) }),
        };
        let (snapshot, health) = match answer {
            Ok((snapshot, health)) => (Some(snapshot), health),
            Err(health) => (None, health),
        };
        self.seen.store = health;
        snapshot
    }

    /// What is to do while the queue cannot be read.
    async fn without_reading(&mut self) {
        let (Some(Ok(source)), WriteScope::All) = (&mut self.store, self.desired.scope) else {
            return;
        };
        let asserted = source.assert(&self.desired.target.plan);
        let asserted = tokio::time::timeout(DEADLINE, asserted).await;
        if let Err(error) = asserted.unwrap_or(Err(StoreError::Timeout(DEADLINE))) {
            warn!(queue = log_name(&self.key), %error, "the settings were not sent; retrying");
        }
    }

    /// Reports topics that were made.
    async fn report_topics(&mut self) {
        let Some(Ok(source)) = &mut self.store else { return };
        let made = source.take_made();
        if !made.is_empty() {
            let note = format!("made the topics {}", made.join(", "));
            self.publish(EventType::Normal, "TopicsCreated", "CreateTopics", note).await;
        }
    }

    /// Publishes an event when the store has lost data: nothing else in the cluster shows it.
    async fn detect_data_loss(&mut self, snapshot: &Snapshot) {
        let lost = snapshot.set_back || (!self.epoch.is_empty() && snapshot.epoch != self.epoch);
        // Data that is set back stays so until it is opened, which a paused queue waits for.
        let known = std::mem::replace(&mut self.set_back, snapshot.set_back);
        if lost && !known {
            let note = self.desired.store.data_lost();
            self.publish(EventType::Warning, "DataLost", "ReadQueue", note).await;
        }
        self.epoch.clone_from(&snapshot.epoch);
        if let (true, Some(Ok(opened))) =
            (self.epoch.is_empty() || snapshot.set_back, &mut self.store)
        {
            // Opening the store again gives the data a new epoch, even where no worker runs.
            opened.forget();
            self.epoch.clear();
        }
    }

    /// Writes admission and rules of the spec to the store.
    async fn write_settings(&self, snapshot: &Snapshot) {
        let (Some(Ok(opened)), WriteScope::All) = (&self.store, self.desired.scope) else { return };
        let (plan, mut changes) = (&self.desired.target.plan, Vec::new());
        let write = settings::write(opened.settings(), plan, snapshot, &mut changes);
        let written = tokio::time::timeout(DEADLINE, write).await;
        if let Err(error) = written.unwrap_or(Err(StoreError::Timeout(DEADLINE))) {
            let queue = log_name(&self.key);
            warn!(queue, %error, "admission or rules were not written to the store; retrying");
        }
        for SettingChange { reason, action, note } in changes {
            self.publish(EventType::Normal, reason, &action, note).await;
        }
    }

    /// Counts the workers that cannot be scheduled, unless all are ready.
    fn count_unschedulable(&mut self, workers: &ObjectStatus) {
        let QueueTarget { name, namespace, .. } = &*self.desired.target;
        self.seen.unschedulable = if workers.ready >= workers.desired {
            0
        } else {
            self.context.pods.unschedulable(namespace, name, Part::Worker) as u32
        };
    }

    /// Returns the number of workers wanted.
    async fn scale(&mut self, workers: &ObjectStatus, snapshot: Option<&Snapshot>) -> u32 {
        let current = self.replicas.current(workers.desired);
        let rival = self.replicas.rival(workers);
        self.publish_rival(rival, workers.desired).await;
        // The spec decides: the store may still say Open for a moment after the spec says Paused.
        let Plan { admission, rules, .. } = &self.desired.target.plan;
        let measurement = snapshot.map(|now| Measurement {
            admission: *admission,
            opens_at: rules.opens_at,
            outflow: rules.outflow,
            ..now.into()
        });
        let situation = self.driver.observe(measurement, current, self.seen.unschedulable);
        let change = match &self.desired.target.plan.scaling {
            _ if self.desired.target.plan.hibernate => {
                let change = scaling::asleep(self.seen.scaling.as_ref(), &situation);
                self.recorded(change).filter(|_| self.replicas.may_write())
            }
            ScalingPlan::Fixed(replicas) => {
                let last = self.seen.scaling.as_ref();
                let change = scaling::fixed_once(last, *replicas, &situation);
                self.recorded(change)
            }
            ScalingPlan::Automatic(policy) => {
                let decision = self.driver.decide(policy, situation);
                scaling::change(&decision).filter(|_| self.replicas.may_write())
            }
        };
        if let Some(change) = change.filter(|_| may_scale(&self.desired, current)) {
            self.write(change).await;
        }
        let wanted = self.replicas.wanted(current);
        let gauge = self.context.metrics.workers_desired.with_label_values(&self.labels());
        gauge.set(i64::from(wanted));
        wanted
    }

    /// Publishes an event when another writer of the number of workers appears.
    async fn publish_rival(&mut self, rival: Option<String>, number: i32) {
        let known = rival == self.seen.scaled_by;
        if let Some(rival) = rival.as_ref().filter(|_| !known) {
            let note = scaling::rivalry("workers", "spec.replicas", rival);
            let action = format!("ScaledTo{number}");
            self.publish(EventType::Warning, "ScaledByOther", &action, note).await;
        }
        self.seen.scaled_by = rival;
    }

    /// Records the workers in the store when they have changed: workers and gateways cannot read
    /// the resource. Data without an epoch is left alone until it is opened.
    async fn record_workforce(
        &self,
        workers: &ObjectStatus,
        wanted: u32,
        snapshot: Option<&Snapshot>,
    ) {
        let (Some(Ok(opened)), Some(snapshot)) = (&self.store, snapshot) else { return };
        let now = scaling::workforce(workers, wanted, self.seen.scaling.as_ref());
        let paused = self.desired.scope == WriteScope::Nothing;
        if paused || snapshot.workforce.as_ref() == Some(&now) || snapshot.epoch.is_empty() {
            return;
        }
        let written = tokio::time::timeout(DEADLINE, opened.settings().set_workforce(&now)).await;
        if let Err(error) = written.unwrap_or(Err(StoreError::Timeout(DEADLINE))) {
            warn!(queue = log_name(&self.key), %error, "the workers were not recorded; retrying");
        }
    }

    /// Records a change that is there already; returns one that is to be written.
    fn recorded(&mut self, change: OnceChange) -> Option<LastScaling> {
        match change {
            OnceChange::Write(change) => return Some(change),
            OnceChange::Record(change) if self.desired.scope == WriteScope::All => {
                self.seen.scaling = Some(change);
            }
            OnceChange::Record(_) | OnceChange::Done => {}
        }
        None
    }

    async fn write(&mut self, change: LastScaling) {
        let queue = log_name(&self.key);
        let QueueTarget { name, namespace, .. } = &*self.desired.target;
        let (client, deployment) = (self.context.client.clone(), names::worker(name));
        let to = change.to as u32;
        if let Err(error) = self.replicas.write(client, namespace, &deployment, to).await {
            warn!(queue, %error, "the number of workers was not written; retrying");
            return;
        }
        let LastScaling { from, to, .. } = change;
        info!(queue, from, to, reason = change.reason, "scaled");
        let direction = if to > from { "up" } else { "down" };
        self.context.metrics.scalings.with_label_values(&[direction]).inc();
        let (action, note) = (format!("Scale{from}To{to}"), scaling::sentence(&change));
        self.seen.scaling = Some(change);
        self.report();
        self.publish(EventType::Normal, "Scaled", &action, note).await;
    }

    /// Compares the last start of a sweeper with its last report to the store.
    fn check_sweeper(&mut self, snapshot: Option<&Snapshot>) {
        let QueueTarget { name, namespace, .. } = &*self.desired.target;
        let Some(snapshot) = snapshot else { return };
        let job = self.context.objects.status::<CronJob>(namespace, &names::sweeper(name));
        let Some(started) = job.and_then(|job| job.last_schedule) else {
            self.seen.sweeper = SweeperHealth::Unknown;
            return;
        };
        let started = Timestamp(u64::try_from(started.0.as_millisecond()).unwrap_or(0));
        if snapshot.swept_at.is_some_and(|swept| swept >= started) {
            self.sweeper_due = None;
            self.seen.sweeper = SweeperHealth::Running;
        } else if self.sweeper_due.get_or_insert_with(Instant::now).elapsed() > SWEEP_LIMIT {
            self.seen.sweeper = SweeperHealth::NotReporting;
        }
    }

    /// Passes a changed observation to the reconciler.
    fn report(&mut self) {
        let differs = *self.observed.borrow() != self.seen;
        let urgent = self.seen.is_urgent(&self.observed.borrow(), self.desired.awaits_idle);
        if !differs || !(urgent || self.reported.elapsed() >= REPORT) {
            return;
        }
        // The channel is full while the reconciler is busy; the next tick tries again.
        if self.context.wake.try_send(self.key.clone()).is_ok() {
            self.observed.send_replace(self.seen.clone());
            self.reported = Instant::now();
        }
    }
}
