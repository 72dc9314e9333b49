//! Where bookings live.
//!
//! ```text
//!   open          the only way in: settings -> Arc<dyn Store>
//!   contract      the Store trait: one method for each transition, each takes a batch
//!     |- memory        the engine of bookingq-queue behind a lock: the embedded store
//!     |    engine        the contract for stores that run that engine
//!     |- replicated    the same engine, driven by a log of commands in Kafka
//!     |- redis         one Lua script for each transition
//!     '- group         in front of each: single calls in, batches out
//!   backup        copies the data of a Redis, and restores it
//!   s3            where backups may be
//! ```
//!
//! A store belongs to one queue. Each method is one atomic step, is safe to repeat, and decides by
//! the store's own clock. Every store passes the suite in `tests/conformance`; only the replicated
//! one waits while the clock of its log is behind.

pub mod backup;
mod contract;
mod engine;
pub mod error;
pub mod group;
pub mod memory;
mod open;
mod pem;
pub mod redis;
pub mod replicated;
pub mod s3;
mod tls_client;

pub use bookingq_queue::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Scope,
    Settled, Settlement, Snapshot, Swept, Task, TaskKind, TaskOutcome, Totals, Try, reacquired_for,
};

pub use crate::contract::{MissingReplicas, Opened, Store};
pub use crate::error::{OrRefusal, Result, StoreError};
pub use crate::memory::MemoryConfig;
pub use crate::open::{StoreConfig, open};
pub use crate::pem::PemSource;
pub use crate::redis::{RedisConfig, read_booking, read_events};
