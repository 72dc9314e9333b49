//! The `BookingQueue` resource, from the manifest to the command line of a worker; and the resource
//! of its backups.
//!
//! ```text
//!   spec + downstream + redis + kafka + worker + scaling + sale + gateway + deletion + update
//!                                                  the manifest (serde, CEL)
//!        |  resolve: the rules that the schema cannot express; all problems at once
//!        v
//!   plan                                           typed and in range, defaults filled in
//!        |  of
//!        v
//!   args                                           the flags of worker, sweeper and gateway
//!
//!   status   the operator's report             crd   the CustomResourceDefinition as YAML
//!   convert  manifests of an older version     backup   the BookingQueueBackup resource
//!   gateway_file   the settings of a gateway's queues
//! ```

pub mod args;
pub mod backup;
mod cel;
pub mod convert;
pub mod crd;
pub mod deletion;
pub mod downstream;
pub mod duration;
pub mod gateway;
pub mod gateway_file;
pub mod kafka;
pub mod plan;
mod quantity;
pub mod redis;
pub mod resolve;
pub mod sale;
pub mod scaling;
mod schema;
pub mod secret_key;
pub mod spec;
pub mod status;
pub mod strict;
pub mod time;
pub mod update;
mod web;
pub mod worker;

pub use crate::backup::status::BookingQueueBackupStatus;
pub use crate::backup::{BookingQueueBackup, BookingQueueBackupSpec};
pub use crate::duration::DurationString;
pub use crate::plan::Plan;
pub use crate::resolve::{FieldProblem, Problems};
pub use crate::spec::{BookingQueue, BookingQueueSpec};
pub use crate::status::BookingQueueStatus;
pub use crate::time::TimeString;
