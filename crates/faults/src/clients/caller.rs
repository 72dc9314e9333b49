//! One client's calls: each sent to some worker, answered or not, recorded, and repeated as it was
//! when nobody knows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::backoff::Backoff;
use bookingq_core::{BookingId, ClientId, QueueName, RequestId};
use bookingq_proto::error::{reason_of, reason_word};
use bookingq_proto::v1;
use bookingq_proto::v1::ErrorReason;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::recorder::Recorder;
use bookingq_faults::record::{Operation, Outcome, Seen};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries of the same call.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(20), max: Duration::from_secs(1) };
/// Connections to each worker.
const CONNECTIONS: usize = 2;

/// Where the workers are, what is recorded, and when everybody gives up.
pub struct Hall {
    pub(super) queue: QueueName,
    pub(super) recorder: Recorder,
    /// Everybody gives up.
    pub(super) over: CancellationToken,
    doors: Vec<Channel>,
}

impl Hall {
    /// With these workers.
    pub fn open(
        queue: QueueName,
        doors: &[SocketAddr],
        recorder: Recorder,
        over: CancellationToken,
    ) -> Result<Self> {
        let mut channels = Vec::new();
        for door in doors.iter().flat_map(|door| std::iter::repeat_n(door, CONNECTIONS)) {
            let endpoint =
                Endpoint::from_shared(format!("http://{door}"))?.connect_timeout(PATIENCE);
            channels.push(endpoint.connect_lazy());
        }
        Ok(Self { queue, recorder, over, doors: channels })
    }

    /// What was recorded.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The recorder, when everybody has left.
    pub fn close(self) -> Recorder {
        self.recorder
    }
}

/// One client.
#[derive(Clone)]
pub struct Caller {
    pub(super) hall: Arc<Hall>,
    pub(super) client: ClientId,
    pub(super) chance: SmallRng,
}

impl Caller {
    /// Sends a call until its outcome is known. `None` when the run was over first.
    pub(super) async fn insist(&mut self, operation: &Operation) -> Option<Outcome> {
        let mut tries = 0;
        while !self.hall.over.is_cancelled() {
            match self.send(operation).await {
                Outcome::Unknown { .. } => {}
                Outcome::Refused { reason } if reason == reason_word(ErrorReason::Overloaded) => {}
                known => return Some(known),
            }
            tries += 1;
            let wait = sleep(BACKOFF.delay(tries, self.chance.random()));
            let over = self.hall.over.clone();
            over.run_until_cancelled(wait).await;
        }
        None
    }

    /// Sends a call once, and records it.
    pub(super) async fn send(&mut self, operation: &Operation) -> Outcome {
        let door = self.hall.doors[self.chance.random_range(0..self.hall.doors.len())].clone();
        let start = self.hall.recorder.now();
        let answer = timeout(PATIENCE, self.ask(door, operation)).await;
        let outcome = match answer {
            Err(_) => Outcome::Unknown { error: "no answer in time".into() },
            Ok(Err(status)) => judge(&status),
            Ok(Ok((booking, existing))) => match seen(booking, existing) {
                Some(seen) => Outcome::Ok(seen),
                None => Outcome::Unknown { error: "an answer that is none".into() },
            },
        };
        self.hall.recorder.record(&self.client, operation, start, outcome.clone());
        outcome
    }

    async fn ask(
        &self,
        door: Channel,
        operation: &Operation,
    ) -> Result<(Option<v1::Booking>, bool), Status> {
        let mut worker = BookingWorkerServiceClient::new(door);
        let (queue, client_id) = (self.hall.queue.to_string(), self.client.to_string());
        match operation {
            Operation::Enqueue { request } => {
                let request_id = request.to_string();
                let message =
                    v1::EnqueueRequest { queue, client_id, request_id, ..Default::default() };
                let answer = worker.enqueue(bounded(message)).await?.into_inner();
                Ok((answer.booking, answer.existing))
            }
            Operation::Status => {
                let message = v1::GetStatusRequest { queue, client_id };
                Ok((worker.get_status(bounded(message)).await?.into_inner().booking, false))
            }
            Operation::Cancel { of } => {
                let message = v1::CancelRequest { queue, client_id, booking_id: of.to_string() };
                Ok((worker.cancel(bounded(message)).await?.into_inner().booking, false))
            }
            Operation::Pay { of, payment } => {
                let (booking_id, payment_id) = (of.to_string(), payment.to_string());
                let message =
                    v1::ConfirmPaymentRequest { queue, client_id, booking_id, payment_id };
                Ok((worker.confirm_payment(bounded(message)).await?.into_inner().booking, false))
            }
        }
    }
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// Only a reason of ours says that nothing was done, and one of those says that nobody knows.
fn judge(status: &Status) -> Outcome {
    match reason_of(status) {
        None | Some(ErrorReason::StoreUnavailable) => {
            Outcome::Unknown { error: status.message().to_owned() }
        }
        Some(reason) => Outcome::Refused { reason: reason_word(reason).to_owned() },
    }
}

fn seen(booking: Option<v1::Booking>, existing: bool) -> Option<Seen> {
    let booking = booking?;
    Some(Seen {
        booking: BookingId::new(&booking.booking_id).ok()?,
        request: RequestId::new(&booking.request_id).ok()?,
        place: booking.place(),
        state: booking.state().to_core()?,
        follows: booking.outcome().to_core(),
        deadline_ms: booking
            .deadline
            .as_ref()
            .map(|at| bookingq_proto::convert::from_timestamp(at).0),
        existing,
    })
}
