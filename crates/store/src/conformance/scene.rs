//! The words in which the cases are told: clients that come, pay and leave; workers that claim and
//! settle.

use std::time::Duration;

use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, EventSeq, PaymentId, Refusal, RequestId,
    ReservationId, Timestamp,
};

use super::Subject;
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Scope, Settled, Settlement,
    Store, Task, TaskOutcome, Try,
};

/// How long claimed tasks are somebody's.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// Time to pay.
pub(super) const HOLD: Duration = Duration::from_secs(100);
/// Slot time of each task.
pub(super) const BUSY: Duration = Duration::from_millis(3);
/// The smallest step of time.
pub(super) const MS: Duration = Duration::from_millis(1);

/// One store, and short words for what is done to it.
pub(super) struct Scene<'a> {
    subject: &'a dyn Subject,
}

pub(super) fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub(super) fn enqueue(name: &str, request: &str) -> Enqueue {
    Enqueue {
        client: client(name),
        request: RequestId::new(request).unwrap(),
        booking: BookingId::generate(),
        details: Details::new("stalls", 2, b"\x00\xff").unwrap(),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

pub(super) fn reserved() -> TaskOutcome {
    TaskOutcome::Reserved { reservation: ReservationId::new("seat 7").unwrap(), hold: HOLD }
}

pub(super) fn retry(after: Duration, counts: Try) -> TaskOutcome {
    TaskOutcome::Retry { after, counts }
}

pub(super) fn give_up(reason: &str) -> TaskOutcome {
    TaskOutcome::GiveUp { reason: reason.to_owned() }
}

impl<'a> Scene<'a> {
    pub(super) fn new(subject: &'a dyn Subject) -> Self {
        Self { subject }
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.subject.store()
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.subject.advance(by).await;
    }

    pub(super) async fn now(&self) -> Timestamp {
        self.store().snapshot().await.unwrap().now
    }

    /// Joins with a request of the client's own name.
    pub(super) async fn joins(&self, name: &str) -> Enqueued {
        self.asks(enqueue(name, name)).await.unwrap()
    }

    pub(super) async fn asks(&self, asked: Enqueue) -> Result<Enqueued, Refusal> {
        self.store().enqueue(vec![asked]).await.unwrap().remove(0)
    }

    pub(super) async fn claims(&self, max: usize) -> Vec<Task> {
        self.claim(max, Scope::Everything).await.tasks
    }

    pub(super) async fn claim(&self, max: usize, scope: Scope) -> Claim {
        self.store().claim(max, LEASE, scope).await.unwrap()
    }

    /// The one task there is.
    pub(super) async fn claims_one(&self) -> Task {
        let mut tasks = self.claims(2).await;
        assert_eq!(tasks.len(), 1, "exactly one task should be there: {tasks:?}");
        tasks.remove(0)
    }

    pub(super) async fn settles(&self, task: &Task, outcome: TaskOutcome) -> Settled {
        let settlement = Settlement { lease: task.lease(), outcome, busy: BUSY };
        self.store().settle(vec![settlement]).await.unwrap()[0]
    }

    /// Joins, is claimed and reserved.
    pub(super) async fn gets_a_hold(&self, name: &str) -> Task {
        self.joins(name).await;
        let task = self.claims_one().await;
        assert_eq!(self.settles(&task, reserved()).await, Settled::Applied(BookingState::Reserved));
        task
    }

    pub(super) async fn pays(&self, name: &str, payment: &str) -> Result<Confirmed, Refusal> {
        let paid = Confirm {
            client: client(name),
            booking: None,
            payment: PaymentId::new(payment).unwrap(),
        };
        self.store().confirm(vec![paid], LEASE).await.unwrap().remove(0)
    }

    /// Pays in time; the task that follows.
    pub(super) async fn pays_in_time(&self, name: &str) -> Task {
        match self.pays(name, "payment").await {
            Ok(Confirmed::Won(task, booking)) => {
                assert_eq!(booking.state, BookingState::Confirming);
                *task
            }
            other => panic!("a payment in time must win: {other:?}"),
        }
    }

    pub(super) async fn leaves(&self, name: &str) -> Result<Booking, Refusal> {
        self.store()
            .cancel(vec![Cancel { client: client(name), booking: None }])
            .await
            .unwrap()
            .remove(0)
    }

    pub(super) async fn booking(&self, name: &str) -> Booking {
        self.store()
            .status(vec![client(name)])
            .await
            .unwrap()
            .remove(0)
            .expect("the client has a booking")
    }

    pub(super) async fn state(&self, name: &str) -> BookingState {
        self.booking(name).await.state
    }

    /// Does whatever task comes next for the client, as a worker would that always succeeds.
    pub(super) async fn is_released(&self, name: &str) -> BookingState {
        let task = self.claims_one().await;
        assert_eq!((task.client.as_str(), task.kind.as_str()), (name, "release"));
        match self.settles(&task, TaskOutcome::Released).await {
            Settled::Applied(state) => state,
            other => panic!("the release must be taken: {other:?}"),
        }
    }

    pub(super) async fn events(&self, after: EventSeq) -> Events {
        self.store().events(after, 1000, Duration::ZERO).await.unwrap()
    }
}
