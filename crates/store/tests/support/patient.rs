//! A store that repeats a call until the server is there again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{
    Admission, Booking, ClientId, EventSeq, ItemState, Outflow, Place, QueueName, SaleRules,
    Workforce,
};
use bookingq_store::redis::RedisStore;
use bookingq_store::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    OrRefusal, Result, Scope, Settled, Settlement, Snapshot, Store, StoreError, Swept,
};

/// Right where a failed call has changed nothing: while a slot moves, and in a planned failover.
pub struct PatientStore(pub RedisStore);

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(5), max: Duration::from_millis(50) };
const LIMIT: Duration = Duration::from_secs(20);

macro_rules! patient {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for PatientStore {
            fn queue(&self) -> &QueueName {
                self.0.queue()
            }

            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                let call = || self.0.$name($($argument.clone()),*);
                Retry::within(BACKOFF, LIMIT).run(StoreError::is_transient, call).await
            })*

            async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
                let call = || self.0.set_workforce(workforce);
                Retry::within(BACKOFF, LIMIT).run(StoreError::is_transient, call).await
            }

            async fn notifier(
                &self,
                owner: &str,
                lease: Duration,
                done: Option<EventSeq>,
            ) -> Result<Option<NotifierLease>> {
                let call = || self.0.notifier(owner, lease, done);
                Retry::within(BACKOFF, LIMIT).run(StoreError::is_transient, call).await
            }
        }
    };
}

patient! {
    open() -> Opened;
    enqueue(batch: Vec<Enqueue>) -> Vec<OrRefusal<Enqueued>>;
    claim(max: usize, lease: Duration, scope: Scope) -> Claim;
    renew(batch: Vec<Lease>, lease: Duration) -> Vec<bool>;
    settle(batch: Vec<Settlement>) -> Vec<Settled>;
    confirm(batch: Vec<Confirm>, lease: Duration) -> Vec<OrRefusal<Confirmed>>;
    cancel(batch: Vec<Cancel>) -> Vec<OrRefusal<Booking>>;
    status(batch: Vec<ClientId>) -> Vec<Option<Booking>>;
    sweep(limit: usize) -> Swept;
    snapshot() -> Snapshot;
    set_admission(admission: Admission) -> ();
    events(after: EventSeq, max: usize, wait: Duration) -> Events;
    latest_event() -> EventSeq;
    waiting(item: Option<Arc<str>>, after: Place, max: usize) -> Vec<Place>;
    set_rules(rules: SaleRules) -> ();
    set_outflow(outflow: Outflow) -> ();
    closed_items(max: usize) -> Vec<ItemState>;
    items(batch: Vec<Arc<str>>) -> Vec<ItemState>;
    restocked(item: Arc<str>, left: Option<u64>) -> ();
}
