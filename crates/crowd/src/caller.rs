//! One client's calls: each try goes to the next worker and is recorded with its answer.

use std::sync::Arc;
use std::time::Duration;

use bookingq_client::retry::{RetryDecision, decide};
use bookingq_client::{
    CallEvent, CallPolicy, ChannelPool, WorkerCall, WorkerCallError, WorkerClient,
};
use bookingq_core::retry::Retry;
use bookingq_core::{BookingId, ClientId, PaymentId, RequestId};
use bookingq_proto::error::{reason_of, reason_word};
use bookingq_proto::v1;
use bookingq_proto::v1::ErrorReason;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use crate::call::{BookingSnapshot, CallAnswer, CallKind, malformed};
use crate::config::CrowdConfig;
use crate::demand::Wanted;
use crate::gateway::{GatewayClient, GatewayPool};
use crate::progress::CrowdCounters;
use crate::report::CrowdLatencies;

/// What all clients share.
#[derive(Debug)]
pub struct CrowdContext {
    pub config: CrowdConfig,
    pub connections: Connections,
    pub policy: Arc<CallPolicy>,
    pub progress: Arc<CrowdCounters>,
    pub latencies: CrowdLatencies,
}

/// The connections that all clients share.
#[derive(Debug)]
pub enum Connections {
    /// To workers.
    Workers(Arc<ChannelPool>),
    /// To gateways.
    Gateways(Arc<GatewayPool>),
}

/// How one client's calls reach the queue.
#[derive(Debug, Clone)]
pub enum Route {
    /// Over gRPC, to any worker.
    Worker(WorkerClient),
    /// Over HTTP, to any gateway.
    Gateway(GatewayClient),
}

/// An answer, with the duration of its try.
pub type TimedAnswer = Result<(BookingSnapshot, Duration), WorkerCallError>;

/// Calls in one client's name.
#[derive(Debug)]
pub struct Caller {
    pub context: Arc<CrowdContext>,
    pub client: ClientId,
    pub wanted: Wanted,
    pub route: Route,
    chance: SmallRng,
}

impl Caller {
    /// Callers with different seeds begin at different workers, or gateways.
    pub fn new(context: Arc<CrowdContext>, client: ClientId, wanted: Wanted, seed: u64) -> Self {
        let route = match &context.connections {
            Connections::Workers(pool) => {
                Route::Worker(WorkerClient::new(pool.clone(), context.policy.clone(), seed))
            }
            Connections::Gateways(pool) => Route::Gateway(GatewayClient::new(pool.clone(), seed)),
        };
        Self { context, client, wanted, route, chance: SmallRng::seed_from_u64(seed) }
    }

    /// A second caller in the same name, for calls at the same time. It has the same place token.
    pub fn twin(&self, seed: u64) -> Self {
        let mut twin =
            Self::new(self.context.clone(), self.client.clone(), self.wanted.clone(), seed);
        if let Route::Gateway(client) = &self.route {
            twin.route = Route::Gateway(client.clone());
        }
        twin
    }

    /// Retries a call until its answer is final.
    ///
    /// # Errors
    /// A refusal that a retry would not change, or an answer without a well-formed booking.
    pub async fn call(&mut self, kind: &CallKind) -> TimedAnswer {
        if matches!(self.route, Route::Gateway(_)) {
            return self.call_gateway(kind).await;
        }
        let config = &self.context.config;
        let (queue, client_id) = (config.queue.to_string(), self.client.to_string());
        match kind {
            CallKind::Enqueue { request } => {
                let message = v1::EnqueueRequest {
                    queue,
                    client_id,
                    request_id: request.to_string(),
                    item: self.wanted.item.to_string(),
                    quantity: self.wanted.quantity.get() as i32,
                    payload: Vec::new().into(),
                };
                self.send(kind, message, |answer| parse(answer.booking.as_ref(), answer.existing))
                    .await
            }
            CallKind::Status | CallKind::Watch => {
                let message = v1::GetStatusRequest { queue, client_id };
                self.send(kind, message, |answer| parse(answer.booking.as_ref(), false)).await
            }
            CallKind::Cancel { of } => {
                let message = v1::CancelRequest { queue, client_id, booking_id: of.to_string() };
                self.send(kind, message, |answer| parse(answer.booking.as_ref(), false)).await
            }
            CallKind::Pay { of, payment, reacquire } => {
                let message = v1::ConfirmPaymentRequest {
                    queue,
                    client_id,
                    booking_id: of.to_string(),
                    payment_id: payment.to_string(),
                    reacquire: *reacquire,
                };
                self.send(kind, message, |answer| parse(answer.booking.as_ref(), false)).await
            }
        }
    }

    /// Retries at the next gateway what workers would retry at the next worker.
    async fn call_gateway(&mut self, kind: &CallKind) -> TimedAnswer {
        let Self { context, client, wanted, chance, route } = self;
        let Route::Gateway(gateway) = route else { return Err(WorkerCallError::Stopped) };
        let CrowdContext { config, policy, .. } = &**context;
        let pool = gateway.pool();
        let mut retry = Retry::forever(policy.backoff);
        loop {
            let permit = policy.stop.run_until_cancelled(GatewayClient::permit(&pool)).await;
            let permit = permit.ok_or(WorkerCallError::Stopped)?;
            let in_flight = CallInFlight { context, client, kind, sent: Some(Instant::now()) };
            let answer = gateway.send(config, client, wanted, kind);
            let answer = timeout(policy.deadline, answer).await;
            let answer = answer
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("the call was not answered")));
            let took = in_flight.end(&answer);
            drop(permit);
            let status = match answer {
                Ok(booking) => return Ok((booking, took)),
                Err(status) => status,
            };
            context.progress.call_failed(&status);
            let asked = match decide(&status) {
                RetryDecision::Never => return Err(WorkerCallError::Refused(status)),
                RetryDecision::AtAnotherWorker => Duration::ZERO,
                RetryDecision::Later(asked) => asked,
            };
            let Some(delay) = retry.next_delay(asked, chance.random()) else {
                return Err(WorkerCallError::NoAnswer(status));
            };
            let slept = policy.stop.run_until_cancelled(sleep(delay)).await;
            slept.ok_or(WorkerCallError::Stopped)?;
        }
    }

    async fn send<M: WorkerCall>(
        &mut self,
        kind: &CallKind,
        message: M,
        parse: fn(&M::Response) -> Result<BookingSnapshot, Status>,
    ) -> TimedAnswer {
        let Self { context, client, route, .. } = self;
        let Route::Worker(worker) = route else { return Err(WorkerCallError::Stopped) };
        let mut in_flight: Option<CallInFlight<'_>> = None;
        let mut last = None;
        let observe = |event: CallEvent<'_, M::Response>| match event {
            CallEvent::Sent(sent) => {
                in_flight = Some(CallInFlight { context, client, kind, sent: Some(sent) });
            }
            CallEvent::Answered { answer, redirected } => {
                let answer = answer.map_err(Clone::clone).and_then(parse);
                if let Err(status) = &answer
                    && !redirected
                {
                    context.progress.call_failed(status);
                }
                let took = in_flight.take().map_or(Duration::ZERO, |call| call.end(&answer));
                last = Some((answer, took));
            }
        };
        worker.call_observed(message, observe).await?;
        let (answer, took) = last.unwrap_or_else(|| (Err(malformed()), Duration::ZERO));
        answer.map(|booking| (booking, took)).map_err(WorkerCallError::Refused)
    }

    /// Enqueue with this request id.
    pub async fn enqueue(&mut self, request: &RequestId) -> TimedAnswer {
        self.call(&CallKind::Enqueue { request: request.clone() }).await
    }

    /// ConfirmPayment with this card; `reacquire` asks for another reservation if the hold is over.
    pub async fn pay(&mut self, of: BookingId, card: &str, reacquire: bool) -> TimedAnswer {
        let payment = PaymentId::new(&format!("{card}-{of}")).map_err(|invalid| {
            WorkerCallError::Refused(Status::invalid_argument(invalid.to_string()))
        })?;
        self.call(&CallKind::Pay { of, payment, reacquire }).await
    }
}

fn parse(booking: Option<&v1::Booking>, existing: bool) -> Result<BookingSnapshot, Status> {
    let snapshot = booking.and_then(|booking| BookingSnapshot::from_proto(booking, existing));
    snapshot.ok_or_else(malformed)
}

/// A try in flight. Dropped before its answer, it is recorded with an unknown outcome, because it
/// may have taken effect.
struct CallInFlight<'a> {
    context: &'a CrowdContext,
    client: &'a ClientId,
    kind: &'a CallKind,
    /// `None` once it is recorded.
    sent: Option<Instant>,
}

impl CallInFlight<'_> {
    /// Records the answer; returns the duration of the try.
    fn end(mut self, answer: &Result<BookingSnapshot, Status>) -> Duration {
        let Some(sent) = self.sent.take() else { return Duration::ZERO };
        record(self.context, self.client, self.kind, sent, answer.as_ref());
        sent.elapsed()
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.sent {
            let status = Status::cancelled("the client left before the answer");
            record(self.context, self.client, self.kind, sent, Err(&status));
        }
    }
}

/// Records an answer to a call or watch that began at `start`.
pub fn record(
    context: &CrowdContext,
    client: &ClientId,
    kind: &CallKind,
    start: Instant,
    answer: Result<&BookingSnapshot, &Status>,
) {
    let Some(recorder) = &context.config.recorder else { return };
    let answer = match answer {
        Ok(booking) => CallAnswer::Ok(booking.clone()),
        Err(status) => classify(status),
    };
    recorder.record(client, kind, start, answer);
}

/// A final refusal has no effect, and neither has `OVERLOADED`, which precedes all work.
fn classify(status: &Status) -> CallAnswer {
    match reason_of(status) {
        Some(reason) if reason != ErrorReason::StoreUnavailable => {
            CallAnswer::Refused { reason: reason_word(reason).to_owned() }
        }
        None if decide(status) == RetryDecision::Never => {
            CallAnswer::Refused { reason: format!("{:?}", status.code()) }
        }
        _ => CallAnswer::Unknown { error: status.message().to_owned() },
    }
}
