//! A managed Redis of three nodes: elects a primary, and keeps the others behind it.
//!
//! ```text
//!   nodes (ROLE, progress) ─> view ─> plan (pure) ─> steps ─> REPLICAOF, FAILOVER, status.redis
//! ```

pub mod cluster;
pub mod driver;
pub mod plan;
pub mod surroundings;
pub mod view;
