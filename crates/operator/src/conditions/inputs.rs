//! What the conditions depend on.

use crate::autoscaler::observation::{GatewayObservation, Observation, RedisObservation};
use crate::build::component::ObjectKind;
use crate::build::names::Part;
use crate::cached_object::ObjectStatus;
use crate::error::ReconcileError;
use crate::pods::pod_fault::PodFault;
use crate::pods::tracker::PartFaults;
use crate::target::QueueTarget;
use crate::update::report::UpdateReport;

/// Everything that the conditions depend on.
#[derive(Default)]
pub struct StatusInputs<'a> {
    /// `metadata.generation` of the spec that they describe.
    pub generation: Option<i64>,
    /// The validated spec; `None` if it is invalid.
    pub target: Option<&'a QueueTarget>,
    /// Why the last reconcile failed.
    pub error: Option<&'a ReconcileError>,
    /// Status of the workers' Deployment; `None` if there is no Deployment.
    pub workers: Option<&'a ObjectStatus>,
    /// Last observation of the queue loop.
    pub observation: Option<&'a Observation>,
    /// Last observation of a managed Redis of three.
    pub redis: Option<RedisObservation>,
    /// Why Pods do not start.
    pub faults: Option<&'a PartFaults>,
    /// The gateways.
    pub gateways: GatewayInputs<'a>,
    /// Whether an update of the operator waits.
    pub update: UpdateReport,
    /// Whether an annotation keeps the operator from writing.
    pub paused: bool,
    /// Fields of the operator's types that the installed definition lacks.
    pub missing_fields: &'a [String],
}

impl StatusInputs<'_> {
    pub(super) fn fault(&self, part: Part) -> Option<&PodFault> {
        self.faults?.of(part)
    }

    pub(super) fn hibernates(&self) -> bool {
        self.target.is_some_and(|target| target.plan.hibernate)
    }
}

/// What the condition of the gateways depends on.
#[derive(Clone, Copy, Default)]
pub struct GatewayInputs<'a> {
    /// Status of their Deployment; `None` if there is none.
    pub deployment: Option<&'a ObjectStatus>,
    /// Last observation of their loop.
    pub observation: Option<&'a GatewayObservation>,
    /// A kind of their objects that the cluster lacks.
    pub missing: Option<&'static ObjectKind>,
}
