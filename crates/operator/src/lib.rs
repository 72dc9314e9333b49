//! The operator: creates the objects of each `BookingQueue`, scales its workers, and takes its
//! backups.
//!
//! ```text
//!   reconcile:  target (validate) ─> dereference ─> build (pure) ─> apply ─> prune ─> status
//! ```

mod apply;
mod applying;
pub mod autoscaler;
pub mod backups;
pub mod build;
pub mod cached_object;
pub mod conditions;
pub mod controller;
mod converge;
mod dereference;
pub mod environment;
pub mod error;
mod events;
mod fault_report;
mod followed;
pub mod leader;
pub mod leader_fence;
pub mod merge;
pub mod metrics;
pub mod object_cache;
pub mod operator;
pub mod pods;
pub mod queue;
mod reconcile;
pub mod redis_failover;
mod restricted;
pub mod schema;
pub mod secret_cache;
pub mod secrets;
pub mod shared_parts;
#[cfg(test)]
mod slow_api;
mod status;
pub mod target;
pub mod update;
pub mod watch;
mod watch_backoff;
mod watched_collector;
