//! The `BookingQueue` resource: what a person writes, what it defaults to, and what a program may
//! rely on afterwards.
//!
//! ```text
//!   spec + downstream + redis + worker + scaling   what is written (serde, JSON schema, CEL rules)
//!        |
//!        |  resolve: every rule the schema cannot say, all problems at once
//!        v
//!   plan                                           what is meant: typed, in range, nothing optional that has a default
//!
//!   status   what the operator reports back          crd   the CustomResourceDefinition as YAML
//! ```

mod cel;
pub mod crd;
pub mod downstream;
pub mod duration;
pub mod plan;
mod quantity;
pub mod redis;
pub mod resolve;
pub mod scaling;
mod schema;
pub mod spec;
pub mod status;
pub mod strict;
pub mod worker;

pub use crate::duration::DurationString;
pub use crate::plan::Plan;
pub use crate::resolve::{Problem, Problems};
pub use crate::spec::{BookingQueue, BookingQueueSpec};
pub use crate::status::BookingQueueStatus;
