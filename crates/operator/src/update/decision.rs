//! Whether an update may begin. Pure.

use std::fmt::Write as _;

use bookingq_api::update::{UpdatePlan, UpdatePolicy};
use jiff::Timestamp;

/// What runs, and what would be interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Bookings; `None` if the store could not be read just now.
    pub line: Option<LineLoad>,
    /// Whether the queue has no Pods of workers and gateways.
    pub has_no_pods: bool,
    /// Whether no worker, or no managed Redis of one Pod, has been available for minutes. What runs
    /// serves no client then, and an update may be what mends it.
    pub is_down: bool,
}

/// The bookings of a queue that are not decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineLoad {
    /// In the line, also those that wait for a sold out item.
    pub waiting: i64,
    /// Being processed.
    pub in_flight: i64,
    /// Reserved and unpaid.
    pub holds: i64,
}

impl QueueLoad {
    fn is_idle(&self) -> bool {
        self.has_no_pods || self.is_down || self.line == Some(LineLoad::default())
    }
}

/// What decides about an update.
#[derive(Debug, Clone, Copy)]
pub struct UpdateQuestion<'a> {
    /// Identifies the update.
    pub id: &'a str,
    /// The spec.
    pub plan: &'a UpdatePlan,
    /// The update that the annotation names.
    pub approved: Option<&'a str>,
    /// The queue.
    pub load: QueueLoad,
    /// The time.
    pub now: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateDecision {
    /// Begin now.
    Begin,
    /// Wait.
    Wait(UpdateWait),
}

/// What an update waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateWait {
    /// The kind.
    pub waits_for: WaitsFor,
    /// The beginning of the next window.
    pub window: Option<Timestamp>,
    /// What there is meanwhile, as a clause.
    pub meanwhile: String,
}

/// A kind of wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// No line and no holds.
    Idle,
    /// The same, or a window.
    Window,
    /// The annotation.
    Annotation,
}

impl WaitsFor {
    /// The reason of the condition.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Idle => "WaitsForIdle",
            Self::Window => "WaitsForWindow",
            Self::Annotation => "WaitsForAnnotation",
        }
    }

    /// `status.update.waitsFor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Window => "Window",
            Self::Annotation => "Annotation",
        }
    }
}

/// Decides about an update.
pub fn decide(question: &UpdateQuestion<'_>) -> UpdateDecision {
    let UpdateQuestion { id, plan, approved, load, now } = *question;
    let is_open = plan.windows.iter().any(|window| window.is_open(now));
    let may_begin = approved == Some(id)
        || match plan.policy {
            UpdatePolicy::Immediate => true,
            UpdatePolicy::WhenIdle => load.is_idle() || is_open,
            UpdatePolicy::Manual => false,
        };
    if may_begin {
        return UpdateDecision::Begin;
    }
    let by_time = plan.policy == UpdatePolicy::WhenIdle;
    let window = plan.windows.iter().filter_map(|window| window.begins_after(now)).min();
    let window = window.filter(|_| by_time);
    let waits_for = match (plan.policy, window) {
        (UpdatePolicy::Manual, _) => WaitsFor::Annotation,
        (_, Some(_)) => WaitsFor::Window,
        (_, None) => WaitsFor::Idle,
    };
    UpdateDecision::Wait(UpdateWait { waits_for, window, meanwhile: meanwhile(load) })
}

fn meanwhile(load: QueueLoad) -> String {
    let Some(LineLoad { waiting, in_flight, holds }) = load.line else {
        return "the line cannot be read".to_owned();
    };
    let mut text = format!("{waiting} in line, {holds} reserved and unpaid");
    if in_flight > 0 {
        _ = write!(text, ", {in_flight} in progress");
    }
    text
}
