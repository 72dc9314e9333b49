//! The contract of every store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{
    Admission, Booking, ClientId, EventSeq, ItemState, Outflow, Place, QueueName, SaleRules,
    Workforce,
};
use bookingq_queue::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Scope,
    Settled, Settlement, Snapshot, Swept,
};

use crate::error::{OrRefusal, Result};

/// One queue's bookings.
///
/// A batch can have any size; a store splits one over
/// [`MAX_STORE_BATCH`](bookingq_core::limits::MAX_STORE_BATCH) into steps of that size. Answers
/// come in the order of the batch. After an error the outcome of the whole call is unknown: repeat
/// it unchanged.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The queue's name.
    fn queue(&self) -> &QueueName;

    /// Checks the preconditions of serving: the schema version (a newer one is refused) and the
    /// server's settings. Gives new data its schema version and an epoch, and data that was
    /// [set back](Snapshot::set_back) another epoch. Call it at the start, and whenever a snapshot
    /// has another epoch than before.
    async fn open(&self) -> Result<Opened>;

    /// Makes connections from now on leave the data as it is, or lets each give new data a schema
    /// version and an epoch, as [`Self::open`] does. For a reader that must not write. What other
    /// methods write is not restricted; a store that writes nothing when it connects ignores it.
    fn connect_read_only(&self, _read_only: bool) {}

    /// Adds clients to the line. The same request returns the same booking; another request of a
    /// client with an active booking returns that booking; otherwise a new booking joins at the
    /// end.
    async fn enqueue(&self, batch: Vec<Enqueue>) -> Result<Vec<OrRefusal<Enqueued>>>;

    /// Claims tasks: first due ones (retries, tasks of dead workers, releases), earliest lease end
    /// first; then, as far as the scope, the admission and the rules of the sale allow, who waits,
    /// smallest place first. Who wants an item that is sold out at the moment is parked.
    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim>;

    /// Extends leases from now. `false` where the fence is not the newest: another worker has the
    /// task.
    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>>;

    /// Records the outcomes of tasks. Only the holder of the newest fence changes anything.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>>;

    /// Accepts payments: a reserved booking whose deadline has not passed becomes confirming, with
    /// a lease for the caller. After the deadline, `reacquire` asks for another booking.
    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<OrRefusal<Confirmed>>>;

    /// Cancels bookings. Queued: at once, or by a release if it was refused before. Reserving:
    /// flags the task, whose settlement releases the booking. Reserved: makes a release due now.
    async fn cancel(&self, batch: Vec<Cancel>) -> Result<Vec<OrRefusal<Booking>>>;

    /// Reads the newest booking of each client, with its exact position.
    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>>;

    /// Turns at most `limit` overdue holds into releases that are due now, and records the
    /// sweeper's heartbeat.
    async fn sweep(&self, limit: usize) -> Result<Swept>;

    /// Reads the queue as a whole, cheaply.
    async fn snapshot(&self) -> Result<Snapshot>;

    /// Opens, pauses or closes the queue.
    async fn set_admission(&self, admission: Admission) -> Result<()>;

    /// Reads events after `after`, oldest first, about `max` of them (whole outbox entries). Waits
    /// up to `wait` for the first one; an empty answer is normal.
    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events>;

    /// Reads the newest event's sequence number: where a new follower starts.
    async fn latest_event(&self) -> Result<EventSeq>;

    /// Reads at most `max` places after `after`, ascending: one page of the line, or of the
    /// bookings that are parked for `item`.
    async fn waiting(&self, item: Option<Arc<str>>, after: Place, max: usize)
    -> Result<Vec<Place>>;

    /// Sets the rules of the sale, for all workers from their next claim on.
    async fn set_rules(&self, rules: SaleRules) -> Result<()>;

    /// Limits the outflow, for all workers from their next claim on. The other rules stay as they
    /// are, written or not.
    async fn set_outflow(&self, outflow: Outflow) -> Result<()>;

    /// Records the workers of the queue, for those that look at it. Write it when it has changed.
    async fn set_workforce(&self, workforce: &Workforce) -> Result<()>;

    /// Reads at most `max` items that are sold out, at the moment or for good, in no particular
    /// order.
    async fn closed_items(&self, max: usize) -> Result<Vec<ItemState>>;

    /// Reads what is known of each item.
    async fn items(&self, batch: Vec<Arc<str>>) -> Result<Vec<ItemState>>;

    /// Opens an item that is available again, with `left` of it if that is known.
    async fn restocked(&self, item: Arc<str>, left: Option<u64>) -> Result<()>;

    /// How often this process has loaded the state of the queue again, because it could not go on
    /// from the state that it had. Only a store on a log does so.
    fn reloads(&self) -> u64 {
        0
    }

    /// How often another process has claimed a state of the queue that is wrong, as far as this
    /// process knows. Only processes of a store on a log compare themselves.
    fn wrong_claims(&self) -> u64 {
        0
    }

    /// Writes down what shortens the start of a process, and drops what nothing needs any more, if
    /// it is time for that. The sweeper calls it each minute; it may take as long. Only a store on
    /// a log has something to do.
    async fn compact(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the operator reads the queue from what [`Store::publish_reading`] publishes, because
    /// it cannot read the store itself.
    fn wants_readings(&self) -> bool {
        false
    }

    /// Publishes a snapshot of the queue for the operator. The worker that publishes the outbox
    /// calls it once a second.
    async fn publish_reading(&self, _: &Snapshot) -> Result<()> {
        Ok(())
    }

    /// Acquires or renews the right to publish the outbox for `lease` from now, and records that
    /// everything up to `done` is published. `None` while another owner has the right.
    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>>;
}

/// The findings of [`Store::open`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Identifies this store's data. Another epoch means that data was lost: all of it, or the
    /// newest changes.
    pub epoch: String,
    /// Settings of the server that are unsafe for bookings, for an operator to read.
    pub warnings: Vec<String>,
    /// Set while the server has fewer replicas than a call must wait for: joins, payments,
    /// cancellations, settlements and claims then fail with
    /// [`StoreError::NotReplicated`](crate::StoreError::NotReplicated).
    pub missing_replicas: Option<MissingReplicas>,
}

/// Too few replicas follow the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingReplicas {
    /// Replicas that a call waits for.
    pub wanted: u8,
    /// Replicas that follow the primary.
    pub connected: u8,
}
