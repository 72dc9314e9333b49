//! The loop of a queue's gateways: reads their connections, plans and scales, as long as the
//! queue's own loop runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::plan::{GatewayPlan, GatewayScaling};
use bookingq_api::status::GatewayScalingStatus;
use bookingq_core::Timestamp;
use bookingq_core::autoscale::sockets::{SocketDecision, SocketPlanner, SocketSituation};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::events::EventType;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::connections;
use super::context::{DesiredState, LoopContext, WriteScope, may_scale};
use super::observation::{GatewayObservation, round};
use super::replicas::DeploymentReplicas;
use super::scaling::{self, FIXED};
use crate::build::component::ObjectKind;
use crate::build::names;
use crate::cached_object::ObjectStatus;
use crate::object_cache::ObjectName;
use crate::queue::{QueueKey, log_name};
use crate::target::QueueTarget;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(2);
/// Time between two reports of moving numbers.
const REPORT: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(super) async fn run(
    context: Arc<LoopContext>,
    key: QueueKey,
    mut desired: watch::Receiver<DesiredState>,
    observed: watch::Sender<GatewayObservation>,
) {
    let mut gateways = GatewayLoop::new(context, key, observed);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let state = desired.borrow_and_update().clone();
        if state.target.plan.gateway.is_none() {
            gateways.forget(&state.target);
            if desired.changed().await.is_err() {
                return;
            }
            continue;
        }
        // Boxed: a thousand idle loops would each hold this large future.
        Box::pin(gateways.tick(&state)).await;
        tokio::select! {
            _ = ticks.tick() => {}
            // A change of the spec does not wait for the next tick.
            changed = desired.changed() => if changed.is_err() { return },
        }
    }
}

struct GatewayLoop {
    context: Arc<LoopContext>,
    key: QueueKey,
    planner: SocketPlanner,
    /// The planner's clock.
    start: Instant,
    replicas: DeploymentReplicas,
    seen: GatewayObservation,
    observed: watch::Sender<GatewayObservation>,
    reported: Instant,
}

impl GatewayLoop {
    fn new(
        context: Arc<LoopContext>,
        key: QueueKey,
        observed: watch::Sender<GatewayObservation>,
    ) -> Self {
        let seen = observed.borrow().clone();
        let start = Instant::now();
        let (planner, replicas) = (SocketPlanner::new(), DeploymentReplicas::default());
        Self { context, key, planner, start, replicas, seen, observed, reported: start }
    }

    /// The queue has no gateways (any more).
    fn forget(&mut self, target: &QueueTarget) {
        self.context.metrics.forget_gateways(&target.namespace, &target.name);
        self.planner = SocketPlanner::new();
        self.seen = GatewayObservation::default();
        self.observed.send_replace(GatewayObservation::default());
    }

    async fn tick(&mut self, state: &DesiredState) {
        let target = &*state.target;
        let (Some(gateway), Some(deployment)) = (&target.plan.gateway, self.deployment(target))
        else {
            return;
        };
        let pods = self.context.pods.gateways(&target.namespace, &target.name);
        let reading =
            connections::read(pods.iter().filter_map(|pod| pod.running_at).collect()).await;
        let unschedulable = pods.iter().filter(|pod| pod.unschedulable).count() as u32;
        self.seen.unschedulable =
            if deployment.ready >= deployment.desired { 0 } else { unschedulable };
        // A partial sum would look like clients that have left.
        if let Some(reading) = reading.filter(|reading| reading.complete) {
            self.seen.connections = Some(round(reading.sockets));
        }
        let current = self.replicas.current(deployment.desired);
        let rival = self.replicas.rival(&deployment);
        self.publish_rival(state, rival, deployment.desired).await;
        let situation = SocketSituation {
            now: Timestamp(self.start.elapsed().as_millis() as u64),
            reading,
            current,
            unschedulable: self.seen.unschedulable,
        };
        if let Some(change) =
            self.change(gateway, situation, state.scope).filter(|_| may_scale(state, current))
        {
            self.write(state, change).await;
        }
        self.measure(target, situation);
        self.report();
    }

    fn measure(&self, target: &QueueTarget, situation: SocketSituation) {
        let (metrics, labels) = (&self.context.metrics, [&*target.namespace, &*target.name]);
        let wanted = i64::from(self.replicas.wanted(situation.current));
        metrics.gateways_desired.with_label_values(&labels).set(wanted);
        if let Some(reading) = situation.reading {
            let sockets = i64::try_from(reading.sockets).unwrap_or(i64::MAX);
            metrics.gateway_connections.with_label_values(&labels).set(sockets);
        }
    }

    /// Status of the gateways' Deployment, if it is the queue's.
    fn deployment(&self, target: &QueueTarget) -> Option<ObjectStatus> {
        let QueueTarget { name, namespace, owner, .. } = target;
        let kind = ObjectKind::of::<Deployment>();
        let found =
            self.context.objects.get(&ObjectName::new(kind, namespace, &names::gateway(name)))?;
        found.belongs_to(&owner.uid).then(|| found.status.as_deref().cloned())?
    }

    fn change(
        &mut self,
        gateway: &GatewayPlan,
        situation: SocketSituation,
        scope: WriteScope,
    ) -> Option<GatewayScalingStatus> {
        match &gateway.scaling {
            GatewayScaling::Fixed(replicas) => self.fixed(*replicas, situation, scope),
            GatewayScaling::Automatic(policy) => {
                let decision = self.planner.decide(policy, situation);
                let changes = decision.replicas != situation.current && self.replicas.may_write();
                changes.then(|| decided(&decision))
            }
        }
    }

    /// A fixed number is written once. A later change of the Deployment, by a person or another
    /// autoscaler, is left alone.
    fn fixed(
        &mut self,
        wanted: u32,
        situation: SocketSituation,
        scope: WriteScope,
    ) -> Option<GatewayScalingStatus> {
        let set = |last: &GatewayScalingStatus| last.reason == FIXED && last.to == wanted as i32;
        if self.seen.scaling.as_ref().is_some_and(set) {
            return None;
        }
        let change = record(FIXED, wanted, wanted, situation);
        if situation.current == wanted {
            // Recorded, so that it is not written later either.
            if scope == WriteScope::All {
                self.seen.scaling = Some(change);
            }
            return None;
        }
        Some(change)
    }

    /// Publishes an event when another writer of the number of gateways appears.
    async fn publish_rival(&mut self, state: &DesiredState, rival: Option<String>, number: i32) {
        let known = rival == self.seen.scaled_by;
        if let Some(rival) = rival.as_ref().filter(|_| !known) {
            let note = scaling::rivalry("gateways", "spec.gateway.replicas", rival);
            let (action, events) = (format!("GatewaysScaledTo{number}"), &self.context.events);
            events.publish(EventType::Warning, &state.about, "ScaledByOther", &action, note).await;
        }
        self.seen.scaled_by = rival;
    }

    async fn write(&mut self, state: &DesiredState, change: GatewayScalingStatus) {
        let (queue, target) = (log_name(&self.key), &state.target);
        let (client, deployment) = (self.context.client.clone(), names::gateway(&target.name));
        let written =
            self.replicas.write(client, &target.namespace, &deployment, change.to as u32).await;
        if let Err(error) = written {
            warn!(queue, %error, "the number of gateways was not written; retrying");
            return;
        }
        let GatewayScalingStatus { from, to, .. } = change;
        info!(queue, from, to, reason = change.reason, "scaled the gateways");
        let direction = if to > from { "up" } else { "down" };
        self.context.metrics.gateway_scalings.with_label_values(&[direction]).inc();
        let (action, note) = (format!("ScaleGateways{from}To{to}"), sentence(&change));
        self.seen.scaling = Some(change);
        self.report();
        let events = &self.context.events;
        events.publish(EventType::Normal, &state.about, "GatewaysScaled", &action, note).await;
    }

    /// Passes a changed observation to the reconciler.
    fn report(&mut self) {
        let differs = *self.observed.borrow() != self.seen;
        let urgent = self.seen.differs_in_kind(&self.observed.borrow());
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

fn decided(decision: &SocketDecision) -> GatewayScalingStatus {
    record(decision.reason.as_str(), decision.replicas, decision.wanted, decision.situation)
}

fn record(reason: &str, to: u32, wanted: u32, situation: SocketSituation) -> GatewayScalingStatus {
    let sockets = situation.reading.map_or(0, |reading| reading.sockets);
    GatewayScalingStatus {
        at: scaling::now(),
        from: situation.current as i32,
        to: to as i32,
        wanted: wanted as i32,
        reason: reason.to_owned(),
        connections: i64::try_from(sockets).unwrap_or(i64::MAX),
        unschedulable: situation.unschedulable as i32,
    }
}

/// A sentence for an event.
fn sentence(change: &GatewayScalingStatus) -> String {
    let GatewayScalingStatus { from, to, connections, .. } = change;
    let numbers = format!("gateways {from} -> {to}");
    match change.reason.as_str() {
        FIXED => format!("{numbers}: spec.gateway.replicas is {to}"),
        "NoReading" => format!(
            "{numbers}: to stay within minReplicas and maxReplicas; a gateway cannot be read"
        ),
        _ => format!("{numbers}: {connections} open connections"),
    }
}
