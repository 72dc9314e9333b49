//! Where bookings live.
//!
//! ```text
//!   Store (this crate's contract: one method for each transition, each takes a batch)
//!     |- memory::MemoryStore   the embedded store, and the reference model the other is tested against
//!     |- redis::RedisStore     one Lua file for each transition
//!     '- group::GroupCommit    in front of either: single calls in, batches out
//!   conformance                one suite, run against each
//! ```
//!
//! A store belongs to one queue. Each method is one atomic step, is safe to repeat, and decides by
//! the store's own clock.

mod bounds;
pub mod conformance;
pub mod error;
pub mod group;
pub mod memory;
pub mod redis;
pub mod task;
pub mod view;

use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Admission, Booking, ClientId, EventSeq, QueueName, Refusal};

pub use crate::error::StoreError;
pub use crate::task::{Claim, Lease, Scope, Settled, Settlement, Task, TaskKind, Try, Verdict};
pub use crate::view::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, Events, NotifierLease, Opened, Snapshot, Swept,
    Totals,
};

/// What every method answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// One queue's bookings.
///
/// Batches may be of any size; a store splits what is over
/// [`MAX_STORE_BATCH`](bookingq_core::limits::MAX_STORE_BATCH) into steps of that size. Answers
/// come in the order of the batch. An error means the outcome of the whole call is unknown: repeat
/// it as it was.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The queue's name.
    fn queue(&self) -> &QueueName;

    /// Checks what must hold before serving: the schema version (a newer one is refused), and the
    /// server's settings. Marks a new store with its schema version and epoch, and one that was
    /// [set back](Snapshot::set_back) with another epoch. Called at start, and when a snapshot
    /// shows other data than before.
    async fn open(&self) -> Result<Opened>;

    /// Gives places in line. The same request returns the same booking; another request of a client
    /// with an active booking returns that booking; otherwise a new one joins at the end.
    async fn enqueue(
        &self,
        batch: Vec<Enqueue>,
    ) -> Result<Vec<std::result::Result<Enqueued, Refusal>>>;

    /// Takes tasks: first those whose lease has ended (retries, dead workers' tasks, releases that
    /// are due), earliest lease end first, then, if the scope allows and the queue is not
    /// paused, the front of the line in the order of their places.
    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim>;

    /// Extends leases from now. `false` where the fence is not the current one: somebody else has
    /// the task.
    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>>;

    /// Records outcomes. Only the holder of the current fence changes anything; repeating a
    /// settlement is harmless.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>>;

    /// Payments have arrived: reserved becomes confirming if the deadline has not passed, with a
    /// lease for the caller.
    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<std::result::Result<Confirmed, Refusal>>>;

    /// Clients leave. Queued: cancelled at once. Reserving: marked, and released as soon as its
    /// task is settled. Reserved: a release becomes due now.
    async fn cancel(
        &self,
        batch: Vec<Cancel>,
    ) -> Result<Vec<std::result::Result<Booking, Refusal>>>;

    /// The newest booking of each client, with its exact position.
    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>>;

    /// Turns at most `limit` overdue holds into releases that are due now, and records the
    /// sweeper's heartbeat.
    async fn sweep(&self, limit: usize) -> Result<Swept>;

    /// The queue as a whole, in one cheap read.
    async fn snapshot(&self) -> Result<Snapshot>;

    /// Opens, pauses or closes the queue.
    async fn set_admission(&self, admission: Admission) -> Result<()>;

    /// Events after `after`, oldest first, at most about `max` of them (whole outbox entries).
    /// Waits up to `wait` for the first one; an empty answer is normal.
    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events>;

    /// The position just after the newest event: where a new follower starts.
    async fn latest_event(&self) -> Result<EventSeq>;

    /// Places waiting in the line after `after`, ascending, at most `max`: the line in pieces.
    async fn waiting(
        &self,
        after: bookingq_core::Place,
        max: usize,
    ) -> Result<Vec<bookingq_core::Place>>;

    /// Takes, keeps or is refused the right to notify, for `lease` from now; stores `done` as the
    /// point up to which everything is told. Only one owner at a time; `None` means somebody
    /// else is it.
    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>>;
}
