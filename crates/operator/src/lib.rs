//! The operator: keeps what each `BookingQueue` asks for, and as many workers as its line needs.
//!
//! ```text
//!   reconcile:  dereference ─> validate (target) ─> build (pure) ─> apply ─> prune ─> status
//! ```

pub mod apply;
pub mod autoscaler;
pub mod build;
pub mod cached_object;
pub mod caches;
pub mod conditions;
pub mod controller;
pub mod dereference;
pub mod environment;
pub mod error;
pub mod events;
pub mod fence;
pub mod leader;
pub mod merge;
pub mod metrics;
pub mod operator;
pub mod reconcile;
pub mod secret_cache;
pub mod secrets;
pub mod status;
pub mod target;
