//! The gateways of a queue: every object is `None` without `spec.gateway`.
//!
//! ```text
//!   config_map ─> deployment <─ service (public, backend) <─ ingress, http_route
//! ```

pub mod config_map;
pub mod deployment;
pub mod http_route;
pub mod ingress;
pub mod service;

use bookingq_api::plan::GatewayPlan;

use crate::target::QueueTarget;

/// The target with its gateway, if it has one.
fn wanted(target: &QueueTarget) -> Option<&GatewayPlan> {
    target.plan.gateway.as_ref()
}
