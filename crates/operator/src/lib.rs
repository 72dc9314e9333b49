//! The operator: creates the objects of each `BookingQueue` and scales its workers.
//!
//! ```text
//!   reconcile:  target (validate) ─> dereference ─> build (pure) ─> apply ─> prune ─> status
//! ```

pub mod apply;
pub mod autoscaler;
pub mod build;
pub mod cached_object;
pub mod conditions;
pub mod controller;
pub mod dereference;
pub mod environment;
pub mod error;
pub mod events;
pub mod leader;
pub mod leader_fence;
pub mod merge;
pub mod metrics;
pub mod object_cache;
pub mod operator;
pub mod pending_pods;
pub mod queue;
pub mod reconcile;
pub mod secret_cache;
pub mod secrets;
pub mod status;
pub mod target;
pub mod watch;
