//! The loop of a queue's managed Redis of three: keeps a primary and its replicas, as long as the
//! queue's own loop runs. A loop of its own, so that a node that does not answer delays no other
//! queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::runtime::events::EventType;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::context::{DesiredState, LoopContext, RedisPassword, WriteScope};
use super::observation::RedisObservation;
use super::worker_rollout::workers_follow;
use crate::build::component::ObjectKind;
use crate::build::names;
use crate::object_cache::ObjectName;
use crate::queue::{QueueKey, log_name};
use crate::redis_failover::cluster::{ClusterSurroundings, PodStates};
use crate::redis_failover::driver::{FailoverDriver, FailoverReport};
use crate::redis_failover::plan::FailoverState;
use crate::redis_failover::surroundings::DesiredFailover;
use crate::redis_failover::view::{FailoverGoal, NODES, NodeIndex};
use crate::target::QueueTarget;

/// Time between two passes.
const PERIOD: Duration = Duration::from_secs(1);
/// Passes in a row while there is something to do.
const IN_A_ROW: usize = 20;
/// How long too few nodes must have the data before it is reported: replicas connect after an
/// election.
const LOST_FOR: Duration = Duration::from_secs(3);

/// Runs until it is dropped.
pub(super) async fn run(
    context: Arc<LoopContext>,
    key: QueueKey,
    mut desired: watch::Receiver<DesiredState>,
    observed: watch::Sender<Option<RedisObservation>>,
) {
    let mut redis =
        RedisLoop { context, key, driver: None, lost: None, before: None, served: None, observed };
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let state = desired.borrow_and_update().clone();
        if state.scope == WriteScope::Nothing {
            if desired.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(goal) = state.target.failover else {
            redis.forget(&state.target);
            if desired.changed().await.is_err() {
                return;
            }
            continue;
        };
        // Boxed: a thousand idle loops would each hold this large future.
        Box::pin(redis.tick(&state, goal)).await;
        tokio::select! {
            _ = ticks.tick() => {}
            changed = desired.changed() => if changed.is_err() { return },
        }
    }
}

/// A driver, and the password that it uses.
struct PasswordedDriver {
    password: Option<RedisPassword>,
    driver: FailoverDriver<ClusterSurroundings>,
}

struct RedisLoop {
    context: Arc<LoopContext>,
    key: QueueKey,
    driver: Option<PasswordedDriver>,
    /// Since when too few nodes have the data.
    lost: Option<Instant>,
    /// The last observation.
    before: Option<RedisObservation>,
    /// The term and the primary when it served last.
    served: Option<(u64, NodeIndex)>,
    observed: watch::Sender<Option<RedisObservation>>,
}

impl RedisLoop {
    /// The queue has no Redis of three (any more).
    fn forget(&mut self, target: &QueueTarget) {
        self.context.metrics.forget_failover(&target.namespace, &target.name);
        (self.driver, self.before, self.served) = (None, None, None);
        self.observed.send_replace(None);
    }

    async fn tick(&mut self, state: &DesiredState, goal: FailoverGoal) {
        for _ in 0..IN_A_ROW {
            let desired = self.desired(&state.target, goal).await;
            let report = self.driver(state).pass(desired, usize::MAX).await;
            self.observe(state, report).await;
            let electing = !matches!(
                report.state,
                FailoverState::Serving { .. } | FailoverState::Copying | FailoverState::QuorumLost
            );
            if report.done == 0 || !electing {
                return;
            }
        }
    }

    fn driver(&mut self, state: &DesiredState) -> &mut FailoverDriver<ClusterSurroundings> {
        let QueueTarget { name, namespace, owner, plan, .. } = &*state.target;
        let old = self.driver.take().filter(|old| old.password == state.redis_password);
        let context = &self.context;
        let driver = old.unwrap_or_else(|| {
            let (client, fence) = (context.client.clone(), context.fence.clone());
            let surroundings = ClusterSurroundings::new(client, fence, namespace, name, &owner.uid);
            let address =
                |index| (names::redis_host(namespace, name, index), names::REDIS_PORT as u16);
            let password = state.redis_password.clone();
            let text = password.as_ref().map(|password| &*password.0);
            let addresses = std::array::from_fn(address);
            let driver = FailoverDriver::new(plan.queue.clone(), addresses, text, surroundings);
            PasswordedDriver { password, driver }
        });
        &mut self.driver.insert(driver).driver
    }

    /// Asks the API server only while the StatefulSet counts Pods of an older template.
    async fn desired(&self, target: &QueueTarget, goal: FailoverGoal) -> DesiredFailover {
        let QueueTarget { name, namespace, owner, .. } = target;
        let (objects, client) = (&self.context.objects, self.context.client.clone());
        let mut desired = DesiredFailover {
            goal,
            outdated: [false; NODES],
            ready: [true; NODES],
            workers_follow: false,
        };
        if goal == FailoverGoal::Shrink {
            desired.workers_follow = self.workers_follow(target);
            return desired;
        }
        let Some(set) = objects.status::<StatefulSet>(namespace, &names::redis(name)) else {
            return desired;
        };
        if set.observed_generation < set.generation || set.updated >= set.replicas {
            return desired;
        }
        let fence = self.context.fence.clone();
        let pods = ClusterSurroundings::new(client, fence, namespace, name, &owner.uid);
        match pods.pods().await {
            Ok(PodStates { outdated, ready }) => {
                (desired.outdated, desired.ready) = (outdated, ready);
            }
            Err(error) => {
                warn!(queue = log_name(&self.key), %error, "the Pods of Redis are unknown");
            }
        }
        // Workers of an older template may know one address only.
        desired.workers_follow = self.workers_follow(target);
        desired
    }

    fn workers_follow(&self, target: &QueueTarget) -> bool {
        let QueueTarget { name, namespace, .. } = target;
        let kind = ObjectKind::of::<Deployment>();
        let workers = ObjectName::new(kind, namespace, &names::worker(name));
        let found = self.context.objects.get(&workers);
        found.is_some_and(|found| workers_follow(&found, target))
    }

    async fn observe(&mut self, state: &DesiredState, report: FailoverReport) {
        let seen = match report.state {
            FailoverState::QuorumLost | FailoverState::Copying => {
                let since = *self.lost.get_or_insert_with(Instant::now);
                let before = self.before.map_or(FailoverState::Starting, |before| before.state);
                if since.elapsed() < LOST_FOR { before } else { report.state }
            }
            seen => {
                self.lost = None;
                seen
            }
        };
        let observation = RedisObservation { state: seen, record: report.record };
        let before = self.before.replace(observation);
        self.measure(&state.target, &observation);
        if before == Some(observation) {
            return;
        }
        self.observed.send_replace(Some(observation));
        // If the channel is full, the reconciler is busy, and reads the observation later.
        self.context.wake.try_send(self.key.clone()).ok();
        if let Some(before) = before {
            self.publish(state, before, observation).await;
        }
        if matches!(observation.state, FailoverState::Serving { .. }) {
            self.served = observation.election();
        }
    }

    fn measure(&self, target: &QueueTarget, seen: &RedisObservation) {
        let (metrics, labels) = (&self.context.metrics, [&*target.namespace, &*target.name]);
        if let Some(record) = seen.record {
            let term = i64::try_from(record.term).unwrap_or(i64::MAX);
            metrics.redis_term.with_label_values(&labels).set(term);
        }
        let replicas = match seen.state {
            FailoverState::Serving { replicas } => replicas as i64,
            // The primary may serve; only this operator does not reach it.
            FailoverState::Suspect => return,
            _ => 0,
        };
        metrics.redis_replicas.with_label_values(&labels).set(replicas);
    }

    async fn publish(&self, state: &DesiredState, before: RedisObservation, now: RedisObservation) {
        let term = now.record.map_or(0, |record| record.term);
        let pod = now.record.map(|record| names::redis_pod(&state.target.name, record.primary));
        let pod = pod.unwrap_or_default();
        let serves = |seen: FailoverState| matches!(seen, FailoverState::Serving { .. });
        let (type_, reason, note) = match now.state {
            FailoverState::FailingOver if serves(before.state) || is_suspect(before.state) => {
                let note = format!("the primary of term {term} is lost; electing another one");
                (EventType::Warning, "FailoverStarted", note)
            }
            FailoverState::QuorumLost => {
                let note = "fewer than two Redis Pods with data answer; nothing is promoted, so \
                            that no acknowledged booking is lost";
                (EventType::Warning, "QuorumLost", note.to_owned())
            }
            FailoverState::Serving { .. }
                if now.election() != before.election() || !serves(before.state) =>
            {
                if is_suspect(before.state) && now.election() == before.election() {
                    return;
                }
                if now.election() != self.served {
                    let labels = [&*state.target.namespace, &*state.target.name];
                    self.context.metrics.redis_failovers.with_label_values(&labels).inc();
                }
                (EventType::Normal, "FailoverEnded", format!("{pod} is the primary of term {term}"))
            }
            _ => return,
        };
        // Another action for each term, so that events are not counted as one.
        let action = format!("Term{term}");
        self.context.events.publish(type_, &state.about, reason, &action, note).await;
    }
}

fn is_suspect(state: FailoverState) -> bool {
    state == FailoverState::Suspect
}
