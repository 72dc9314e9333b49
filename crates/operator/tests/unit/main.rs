//! The parts of the operator that need no cluster.
#![allow(clippy::unwrap_used)]

mod backups;
mod cache;
mod conditions;
mod creation;
mod error;
mod gateways;
mod hold_down;
mod kafka_conditions;
mod merge;
mod metrics;
mod observation;
mod pod_faults;
mod pod_states;
mod rivalry;
mod scaling;
mod schema;
mod secret_cache;
mod settings;
mod updates;
mod worker_rollout;
