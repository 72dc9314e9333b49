//! Unary calls: typed by their message, each try with a deadline, retried at the next worker.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_proto::v1;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Response, Status};

use crate::channels::{ChannelPool, ChannelUse, GrpcClient, NEVER};
use crate::retry::{RetryDecision, decide};

/// A request message, which names its method and its response.
pub trait WorkerCall: Clone + Send + Sync + 'static {
    /// The response message.
    type Response: Send;

    /// Sends the request once.
    fn send(
        worker: BookingWorker,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send;
}

/// One worker's generated client; only this crate makes one.
#[derive(Debug)]
pub struct BookingWorker(GrpcClient);

macro_rules! worker_calls {
    ($($request:ident, $method:ident => $response:ident;)*) => {$(
        impl WorkerCall for v1::$request {
            type Response = v1::$response;

            async fn send(
                mut worker: BookingWorker,
                request: Request<Self>,
            ) -> Result<Response<Self::Response>, Status> {
                worker.0.$method(request).await
            }
        }
    )*};
}

worker_calls! {
    EnqueueRequest, enqueue => EnqueueResponse;
    EnqueueBatchRequest, enqueue_batch => EnqueueBatchResponse;
    GetStatusRequest, get_status => GetStatusResponse;
    GetStatusBatchRequest, get_status_batch => GetStatusBatchResponse;
    CancelRequest, cancel => CancelResponse;
    ConfirmPaymentRequest, confirm_payment => ConfirmPaymentResponse;
    GetQueueRequest, get_queue => GetQueueResponse;
    SetOutflowRequest, set_outflow => SetOutflowResponse;
    RestockedRequest, restocked => RestockedResponse;
}

/// How long to wait, and when to stop trying.
#[derive(Debug, Clone)]
pub struct CallPolicy {
    /// Limit of one try; the worker learns it too.
    pub deadline: Duration,
    /// Limit of a call with all its tries; `None`: retry until an answer comes.
    pub limit: Option<Duration>,
    /// The wait between two tries.
    pub backoff: Backoff,
    /// Once cancelled, no further try starts.
    pub stop: CancellationToken,
}

impl CallPolicy {
    pub(crate) fn retry(&self) -> Retry {
        match self.limit {
            Some(limit) => Retry::within(self.backoff, limit),
            None => Retry::forever(self.backoff),
        }
    }

    /// Waits for `ready`, at most for `left`.
    ///
    /// # Errors
    /// When the caller stops or the time ends first.
    pub(crate) async fn wait<T>(
        &self,
        left: Option<Duration>,
        ready: impl Future<Output = T>,
    ) -> Result<T, WorkerCallError> {
        if self.stop.is_cancelled() {
            return Err(WorkerCallError::Stopped);
        }
        let in_time = timeout(left.unwrap_or(NEVER), ready);
        let in_time = self.stop.run_until_cancelled(in_time).await;
        let too_late = |_| WorkerCallError::NoAnswer(Status::unavailable("no worker was free"));
        in_time.ok_or(WorkerCallError::Stopped)?.map_err(too_late)
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerCallError {
    /// The worker refused it, and a retry would not change that.
    #[error("{0}")]
    Refused(Status),
    /// No try was answered within the limit: whether the call took effect is unknown.
    #[error("no answer in time: {0}")]
    NoAnswer(Status),
    /// The caller stopped first.
    #[error("stopped before an answer came")]
    Stopped,
}

/// What happens to each try of a call, for callers that record or count them.
#[derive(Debug)]
pub enum CallEvent<'a, T> {
    /// The try is sent. If no [`Self::Answered`] follows, its outcome is unknown.
    Sent(Instant),
    /// The try ended.
    Answered {
        /// The answer.
        answer: Result<&'a T, &'a Status>,
        /// This worker did not process the call, and another one is tried at once: no failure of
        /// the queue.
        redirected: bool,
    },
}

/// Calls workers on behalf of one client: each try goes to the next worker.
#[derive(Debug, Clone)]
pub struct WorkerClient {
    pub(crate) pool: Arc<ChannelPool>,
    pub(crate) policy: Arc<CallPolicy>,
    /// Which worker and channel comes next.
    turn: usize,
    chance: SmallRng,
    /// The `traceparent` of the request that causes the calls.
    trace: Option<MetadataValue<Ascii>>,
}

impl WorkerClient {
    /// The seed decides the waits between tries and the first worker, so that a run can be
    /// repeated.
    pub fn new(pool: Arc<ChannelPool>, policy: Arc<CallPolicy>, seed: u64) -> Self {
        let chance = SmallRng::seed_from_u64(seed);
        Self { pool, policy, turn: seed as usize, chance, trace: None }
    }

    /// Continues the trace of the request that causes the calls: its `traceparent`, or the current
    /// span if this process records it.
    #[must_use]
    pub fn with_trace(mut self, traceparent: Option<String>) -> Self {
        self.trace = traceparent.and_then(|trace| trace.parse().ok());
        self
    }

    /// Calls until there is an answer.
    ///
    /// # Errors
    /// [`WorkerCallError`]
    pub async fn call<M: WorkerCall>(
        &mut self,
        message: M,
    ) -> Result<M::Response, WorkerCallError> {
        self.call_observed(message, |_| {}).await
    }

    /// Calls until there is an answer; `observe` sees each try. Dropping the future abandons the
    /// current try; `policy.stop` lets it end first.
    ///
    /// # Errors
    /// [`WorkerCallError`]
    pub async fn call_observed<M: WorkerCall>(
        &mut self,
        message: M,
        mut observe: impl FnMut(CallEvent<'_, M::Response>),
    ) -> Result<M::Response, WorkerCallError> {
        let policy = self.policy.clone();
        let until = policy.limit.map(|limit| Instant::now() + limit);
        let (mut retry, mut redirects) = (policy.retry(), 0);
        loop {
            let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
            let turn = self.next_turn();
            let pool = self.pool.clone();
            let (worker, permit) = policy.wait(left(), pool.pick(turn, ChannelUse::Call)).await?;
            let deadline = left().map_or(policy.deadline, |left| left.min(policy.deadline));
            observe(CallEvent::Sent(Instant::now()));
            let request = self.request(message.clone(), deadline);
            let status = match send_once(worker, request, deadline).await {
                Ok(response) => {
                    observe(CallEvent::Answered { answer: Ok(&response), redirected: false });
                    return Ok(response);
                }
                Err(status) => status,
            };
            let decision = decide(&status);
            let redirected = self.redirects(decision, &mut redirects);
            observe(CallEvent::Answered { answer: Err(&status), redirected });
            if redirected {
                continue;
            }
            let delay = match decision {
                RetryDecision::Never => return Err(WorkerCallError::Refused(status)),
                RetryDecision::AtAnotherWorker => Duration::ZERO,
                RetryDecision::Later(asked) => asked,
            };
            let Some(delay) = retry.next_delay(delay, self.chance.random()) else {
                return Err(WorkerCallError::NoAnswer(status));
            };
            drop(permit);
            policy.wait(None, sleep(delay)).await?;
        }
    }

    fn request<M>(&self, message: M, deadline: Duration) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        if let Some(trace) = &self.trace {
            request.metadata_mut().insert("traceparent", trace.clone());
            bookingq_serve::trace::inject(request.metadata_mut());
        }
        request
    }

    pub(crate) fn next_turn(&mut self) -> usize {
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        turn
    }

    /// Whether to try the next worker at once: not after every worker had its turn.
    pub(crate) fn redirects(&self, decision: RetryDecision, redirects: &mut usize) -> bool {
        let again = decision == RetryDecision::AtAnotherWorker && *redirects + 1 < self.pool.len();
        *redirects = if again { *redirects + 1 } else { 0 };
        again
    }

    pub(crate) fn draw(&mut self) -> f64 {
        self.chance.random()
    }
}

async fn send_once<M: WorkerCall>(
    worker: GrpcClient,
    request: Request<M>,
    deadline: Duration,
) -> Result<M::Response, Status> {
    match timeout(deadline, M::send(BookingWorker(worker), request)).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the call was not answered")),
    }
}
