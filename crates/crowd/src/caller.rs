//! One client's calls: each is sent to the next worker, recorded with its answer, and repeated as
//! it was until the answer is final.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::retry::Retry;
use bookingq_core::{BookingId, ClientId, PaymentId, RequestId};
use bookingq_proto::error::{reason_of, reason_word};
use bookingq_proto::v1;
use bookingq_proto::v1::ErrorReason;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status};

use crate::Shared;
use crate::call::{CallAnswer, CallKind, Shown};
use crate::pool::{Use, WorkerClient};

/// Whether a repeat of the same call may be answered otherwise: everything but a decided refusal.
pub fn may_retry(status: &Status) -> bool {
    match reason_of(status) {
        Some(reason) => matches!(reason, ErrorReason::Overloaded | ErrorReason::StoreUnavailable),
        None => !matches!(
            status.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
                | Code::OutOfRange
        ),
    }
}

/// Calls workers in one client's name.
#[derive(Debug)]
pub struct Caller {
    pub shared: Arc<Shared>,
    pub client: ClientId,
    /// Selects the next worker and channel.
    pub turn: usize,
    /// The client's random numbers.
    pub chance: SmallRng,
}

impl Caller {
    /// A second caller in the same name, for calls at the same time.
    pub fn twin(&mut self) -> Self {
        let chance = SmallRng::seed_from_u64(self.chance.random());
        Self {
            shared: Arc::clone(&self.shared),
            client: self.client.clone(),
            turn: self.turn + 1,
            chance,
        }
    }

    /// Sends a call until its answer is final. Returns the answer and how long its try took.
    ///
    /// # Errors
    /// A refusal that a repeat would not change.
    pub async fn call_until_final(&mut self, kind: &CallKind) -> Result<(Shown, Duration), Status> {
        let mut retry = Retry::forever(self.shared.config.backoff);
        loop {
            match self.call(kind).await {
                Err(status) if may_retry(&status) => {
                    let delay = retry.next_delay(Duration::ZERO, self.chance.random());
                    sleep(delay.unwrap_or_default()).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a call once.
    ///
    /// # Errors
    /// Whatever the worker or the connection answered.
    pub async fn call(&mut self, kind: &CallKind) -> Result<(Shown, Duration), Status> {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.pool.turn().await;
        let worker = shared.pool.pick(self.turn, Use::Call).await;
        let (limit, sent) = (shared.config.timeout, Instant::now());
        let mut record = Pending::new(self, kind.clone());
        let answer = timeout(limit, self.send(worker, kind))
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        self.turn += 1;
        record.end(answer.as_ref());
        let answer = answer.inspect_err(|status| shared.progress.failed(status))?;
        Ok((answer, sent.elapsed()))
    }

    async fn send(&self, mut worker: WorkerClient, kind: &CallKind) -> Result<Shown, Status> {
        let config = &self.shared.config;
        let (queue, client_id) = (config.queue.to_string(), self.client.to_string());
        let mut existing = false;
        let booking = match kind {
            CallKind::Enqueue { request } => {
                let message = v1::EnqueueRequest {
                    queue,
                    client_id,
                    request_id: request.to_string(),
                    item: config.details.item.to_string(),
                    quantity: config.details.quantity.get() as i32,
                    payload: config.details.payload.to_vec().into(),
                };
                let answer = worker.enqueue(self.request(message)).await?.into_inner();
                existing = answer.existing;
                answer.booking
            }
            CallKind::Status | CallKind::Watch => {
                let message = v1::GetStatusRequest { queue, client_id };
                worker.get_status(self.request(message)).await?.into_inner().booking
            }
            CallKind::Cancel { of } => {
                let message = v1::CancelRequest { queue, client_id, booking_id: of.to_string() };
                worker.cancel(self.request(message)).await?.into_inner().booking
            }
            CallKind::Pay { of, payment } => {
                let (booking_id, payment_id) = (of.to_string(), payment.to_string());
                let message =
                    v1::ConfirmPaymentRequest { queue, client_id, booking_id, payment_id };
                worker.confirm_payment(self.request(message)).await?.into_inner().booking
            }
        };
        let shown = booking.as_ref().and_then(|booking| Shown::from_proto(booking, existing));
        shown.ok_or_else(malformed)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.shared.config.timeout);
        request
    }

    /// Enqueue with this request id.
    pub async fn enqueue(&mut self, request: &RequestId) -> Result<(Shown, Duration), Status> {
        self.call_until_final(&CallKind::Enqueue { request: request.clone() }).await
    }

    /// ConfirmPayment with this card.
    pub async fn pay(&mut self, of: BookingId, card: &str) -> Result<(Shown, Duration), Status> {
        let payment = PaymentId::new(&format!("{card}-{of}"))
            .map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        self.call_until_final(&CallKind::Pay { of, payment }).await
    }
}

/// Final and without one of our reasons, so that the checker reports it.
pub fn malformed() -> Status {
    Status::out_of_range("an answer without a well-formed booking")
}

/// A call in flight. Dropped before its answer, it is recorded as one with an unknown outcome:
/// the worker may have done it.
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
    client: ClientId,
    kind: CallKind,
    start: u64,
    ended: bool,
}

impl Pending {
    pub fn new(caller: &Caller, kind: CallKind) -> Self {
        let (shared, client) = (Arc::clone(&caller.shared), caller.client.clone());
        let start = shared.config.recorder.as_ref().map_or(0, |recorder| recorder.now());
        Self { shared, client, kind, start, ended: false }
    }

    /// Not recorded when dropped without an answer.
    pub fn unrecorded(mut self) -> Self {
        self.ended = true;
        self
    }

    /// Records an answer. A watch gets many.
    pub fn end(&mut self, answer: Result<&Shown, &Status>) {
        self.ended = true;
        if let Some(recorder) = &self.shared.config.recorder {
            let answer = match answer {
                Ok(shown) => CallAnswer::Ok(shown.clone()),
                Err(status) => classify(status),
            };
            recorder.record(&self.client, &self.kind, self.start, answer);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Err(&Status::cancelled("the client left before the answer")));
        }
    }
}

/// Only a final refusal says that nothing was done, and `OVERLOADED`, which comes before all work.
fn classify(status: &Status) -> CallAnswer {
    match reason_of(status) {
        Some(reason) if reason != ErrorReason::StoreUnavailable => {
            CallAnswer::Refused { reason: reason_word(reason).to_owned() }
        }
        None if !may_retry(status) => {
            CallAnswer::Refused { reason: format!("{:?}", status.code()) }
        }
        _ => CallAnswer::Unknown { error: status.message().to_owned() },
    }
}
