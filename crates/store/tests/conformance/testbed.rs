//! A store under test, driven by short calls: clients join, pay and cancel; workers claim and
//! settle.

use std::time::Duration;

use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, EventSeq, ItemChange, ItemState,
    OutboxEvent, PaymentId, Quantity, Refusal, RequestId, ReservationId, SaleRules, SoldOutRule,
    SoldOutRules, Timestamp,
};
use bookingq_store::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Scope, Settled, Settlement,
    Store, Task, TaskOutcome, Try,
};

use super::Subject;

/// Lease of claimed tasks.
pub const LEASE: Duration = Duration::from_secs(10);
/// Time to pay.
pub const HOLD: Duration = Duration::from_secs(100);
/// Slot time of each task.
pub const BUSY: Duration = Duration::from_millis(3);
/// Time between two probes of a closed item.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// The smallest step of time.
pub const MS: Duration = Duration::from_millis(1);

pub struct Testbed<'a> {
    pub store: &'a dyn Store,
    subject: &'a dyn Subject,
}

pub fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub fn enqueue(name: &str, request: &str) -> Enqueue {
    Enqueue {
        client: client(name),
        request: RequestId::new(request).unwrap(),
        booking: BookingId::generate(),
        details: Details::new("stalls", 2, b"\x00\xff").unwrap(),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

/// A request for some of an item, by a client whose request id is its name.
pub fn wants(name: &str, item: &str, quantity: i32) -> Enqueue {
    Enqueue { details: Details::new(item, quantity, b"").unwrap(), ..enqueue(name, name) }
}

pub fn quantity(quantity: i32) -> Quantity {
    Quantity::new(quantity).unwrap()
}

pub fn names(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.client.as_str()).collect()
}

pub fn reserved() -> TaskOutcome {
    TaskOutcome::Reserved {
        reservation: ReservationId::new("seat 7").unwrap(),
        hold: HOLD,
        left: None,
    }
}

pub fn retry(after: Duration, counts: Try) -> TaskOutcome {
    TaskOutcome::Retry { after, counts }
}

pub fn give_up(reason: &str) -> TaskOutcome {
    TaskOutcome::GiveUp { reason: reason.to_owned() }
}

impl<'a> Testbed<'a> {
    pub fn new(subject: &'a dyn Subject) -> Self {
        Self { store: subject.store(), subject }
    }

    pub async fn advance(&self, by: Duration) {
        self.subject.advance(by).await;
    }

    pub async fn now(&self) -> Timestamp {
        self.store.snapshot().await.unwrap().now
    }

    /// Enqueues a client whose request id is its name.
    pub async fn join(&self, name: &str) -> Enqueued {
        self.enqueue(enqueue(name, name)).await.unwrap()
    }

    pub async fn enqueue(&self, request: Enqueue) -> Result<Enqueued, Refusal> {
        self.store.enqueue(vec![request]).await.unwrap().remove(0)
    }

    /// Enqueues clients, in this order, each for this quantity of an item.
    pub async fn join_for(&self, item: &str, clients: &[(&str, i32)]) {
        for (name, quantity) in clients {
            self.enqueue(wants(name, item, *quantity)).await.unwrap();
        }
    }

    pub async fn item(&self, item: &str) -> ItemState {
        self.store.items(vec![item.into()]).await.unwrap().remove(0)
    }

    pub async fn set_sold_out(&self, default: SoldOutRule, items: &[(&str, SoldOutRule)]) {
        let items = items.iter().map(|(item, rule)| ((*item).into(), *rule)).collect();
        let sold_out = SoldOutRules { default, items };
        self.store.set_rules(SaleRules { sold_out, ..SaleRules::default() }).await.unwrap();
    }

    /// The changes of items so far.
    pub async fn item_changes(&self) -> Vec<(String, ItemChange)> {
        let events = self.events(EventSeq::START).await.events;
        let change = |event| match event {
            OutboxEvent::Item(event) => Some((event.item.to_string(), event.change)),
            OutboxEvent::Booking(_) => None,
        };
        events.into_iter().filter_map(change).collect()
    }

    pub async fn set_back(&self, by: Duration) {
        self.subject.set_back(by).await;
    }

    pub async fn claim(&self, max: usize) -> Vec<Task> {
        self.claim_in(max, Scope::Everything).await.tasks
    }

    pub async fn claim_in(&self, max: usize, scope: Scope) -> Claim {
        self.store.claim(max, LEASE, scope).await.unwrap()
    }

    /// Claims the only claimable task.
    pub async fn claim_one(&self) -> Task {
        let mut tasks = self.claim(2).await;
        assert_eq!(tasks.len(), 1, "exactly one task must be claimable: {tasks:?}");
        tasks.remove(0)
    }

    pub async fn settle(&self, task: &Task, outcome: TaskOutcome) -> Settled {
        let settlement = Settlement { lease: task.lease(), outcome, busy: BUSY };
        self.store.settle(vec![settlement]).await.unwrap()[0]
    }

    /// Settles as refused at the moment; returns the state after it.
    pub async fn refuse(&self, task: &Task) -> BookingState {
        match self.settle(task, TaskOutcome::SOLD_OUT).await {
            Settled::Applied(state) => state,
            other => panic!("a refusal must be applied: {other:?}"),
        }
    }

    /// Enqueues, claims and reserves; returns the settled task.
    pub async fn hold(&self, name: &str) -> Task {
        self.join(name).await;
        let task = self.claim_one().await;
        assert_eq!(self.settle(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
        task
    }

    pub async fn pay(&self, name: &str, payment: &str) -> Result<Confirmed, Refusal> {
        self.confirm(name, None, payment, None).await
    }

    pub async fn confirm(
        &self,
        name: &str,
        booking: Option<BookingId>,
        payment: &str,
        reacquire: Option<BookingId>,
    ) -> Result<Confirmed, Refusal> {
        let payment = PaymentId::new(payment).unwrap();
        let confirm = Confirm { client: client(name), booking, payment, reacquire };
        self.store.confirm(vec![confirm], LEASE).await.unwrap().remove(0)
    }

    /// Pays before the deadline; returns the task to confirm the booking.
    pub async fn pay_in_time(&self, name: &str) -> Task {
        match self.pay(name, "payment").await {
            Ok(Confirmed::Won(task, booking)) => {
                assert_eq!(booking.state, BookingState::Confirming);
                *task
            }
            other => panic!("a payment before the deadline must win: {other:?}"),
        }
    }

    pub async fn cancel(&self, name: &str) -> Result<Booking, Refusal> {
        let cancel = Cancel { client: client(name), booking: None };
        self.store.cancel(vec![cancel]).await.unwrap().remove(0)
    }

    pub async fn booking(&self, name: &str) -> Booking {
        let mut found = self.store.status(vec![client(name)]).await.unwrap();
        found.remove(0).expect("the client has a booking")
    }

    pub async fn state(&self, name: &str) -> BookingState {
        self.booking(name).await.state
    }

    /// Claims the client's release and settles it as done; returns the final state.
    pub async fn release(&self, name: &str) -> BookingState {
        let task = self.claim_one().await;
        assert_eq!((task.client.as_str(), task.kind.as_str()), (name, "release"));
        match self.settle(&task, TaskOutcome::Released).await {
            Settled::Applied(state) => state,
            other => panic!("the release must be applied: {other:?}"),
        }
    }

    pub async fn events(&self, after: EventSeq) -> Events {
        self.store.events(after, 1000, Duration::ZERO).await.unwrap()
    }
}
