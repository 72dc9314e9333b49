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
mod defer;
pub mod report;
pub mod stamp;
pub mod templates;
