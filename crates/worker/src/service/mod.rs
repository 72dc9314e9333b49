//! The gRPC service: one method for each RPC. A method parses its request, calls the store through
//! group commit, and responds.

mod follow_queue;
pub mod parse;
mod payment;
mod reader;
mod sale;
mod status_batch;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::Booking;
use bookingq_proto::error::{ApiError, reason_word};
use bookingq_proto::v1::booking_worker_service_server::BookingWorkerService;
use bookingq_proto::v1::{self, enqueue_result};
use bookingq_serve::trace;
use bookingq_store::group::GroupCommit;
use bookingq_store::{Enqueued, reacquired_for};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::debug;

use crate::feed::QueueFeed;
use crate::processing::{Executor, Wake};
use crate::store_readings::StoreReadings;
pub use follow_queue::MAX_FOLLOWERS;
use parse::Parser;
pub use reader::BookingReader;

/// All that the methods share.
pub struct WorkerService {
    /// Reads requests.
    pub parser: Parser,
    /// Reads and shows bookings.
    pub reader: Arc<BookingReader>,
    /// The store.
    pub store: GroupCommit,
    /// The data that the store has, and its clock.
    pub readings: Arc<StoreReadings>,
    /// Limits requests in progress.
    pub requests: Semaphore,
    /// Limits open WatchStatus streams.
    pub watches: Arc<Semaphore>,
    /// Limits open FollowQueue streams.
    pub followers: Arc<Semaphore>,
    /// What FollowQueue streams send.
    pub feed: Arc<QueueFeed>,
    /// Executes confirmations.
    pub executor: Arc<Executor>,
    /// Confirmations in progress: they outlive the request that started them.
    pub confirmations: TaskTracker,
    /// Wakes the claim loop of this worker.
    pub wake: Arc<Wake>,
    /// Length of a confirmation's lease.
    pub lease: Duration,
    /// Set when this worker is draining: streams end, so that clients open them elsewhere.
    pub draining: CancellationToken,
}

type RpcResult<R> = Result<Response<R>, Status>;

#[tonic::async_trait]
impl BookingWorkerService for WorkerService {
    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> RpcResult<v1::EnqueueResponse> {
        let enqueue = async {
            let trace = trace::incoming(request.metadata());
            let enqueue = self.parser.enqueue(request.get_ref(), trace)?;
            let enqueued = self.store.enqueue(enqueue).await;
            let enqueued = enqueued.map_err(|error| self.reader.failed(error))?;
            let Enqueued { booking, existing } = enqueued?;
            self.wake.joined();
            Ok(self.joined(&booking, existing))
        };
        self.observed("Enqueue", enqueue).await
    }

    async fn enqueue_batch(
        &self,
        request: Request<v1::EnqueueBatchRequest>,
    ) -> RpcResult<v1::EnqueueBatchResponse> {
        self.observed("EnqueueBatch", self.enqueue_all(&request)).await
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> RpcResult<v1::GetStatusResponse> {
        let status = async {
            let v1::GetStatusRequest { queue, client_id } = request.get_ref();
            let booking = self.reader.newest(self.parser.client(queue, client_id)?).await?;
            Ok(v1::GetStatusResponse { booking: Some(self.reader.show(&booking)) })
        };
        self.observed("GetStatus", status).await
    }

    type WatchStatusStream = watch::WatchStream;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> RpcResult<Self::WatchStatusStream> {
        let open = async {
            let v1::WatchStatusRequest { queue, client_id } = request.get_ref();
            let client = self.parser.client(queue, client_id)?;
            let permit = Arc::clone(&self.watches).try_acquire_owned();
            let permit = permit.map_err(|_| ApiError::overloaded())?;
            let reader = Arc::clone(&self.reader);
            watch::open(reader, client, self.draining.clone(), permit).await
        };
        self.observed("WatchStatus", open).await
    }

    async fn get_status_batch(
        &self,
        request: Request<v1::GetStatusBatchRequest>,
    ) -> RpcResult<v1::GetStatusBatchResponse> {
        self.observed("GetStatusBatch", self.status_batch(request.get_ref())).await
    }

    type FollowQueueStream = follow_queue::FollowStream;

    async fn follow_queue(
        &self,
        request: Request<v1::FollowQueueRequest>,
    ) -> RpcResult<Self::FollowQueueStream> {
        let open = async {
            let from = self.parser.follow(request.get_ref())?;
            let permit = Arc::clone(&self.followers).try_acquire_owned();
            let permit = permit.map_err(|_| ApiError::overloaded())?;
            let (reader, feed) = (Arc::clone(&self.reader), Arc::clone(&self.feed));
            follow_queue::open(reader, feed, from, self.draining.clone(), permit).await
        };
        self.observed("FollowQueue", open).await
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> RpcResult<v1::CancelResponse> {
        let cancel = async {
            let cancelled = self.store.cancel(self.parser.cancel(request.get_ref())?).await;
            let booking = cancelled.map_err(|error| self.reader.failed(error))??;
            self.wake.due();
            Ok(v1::CancelResponse { booking: Some(self.reader.show(&booking)) })
        };
        self.observed("Cancel", cancel).await
    }

    async fn confirm_payment(
        &self,
        request: Request<v1::ConfirmPaymentRequest>,
    ) -> RpcResult<v1::ConfirmPaymentResponse> {
        let confirm = async {
            let booking = self.confirm(self.parser.confirm(request.get_ref())?).await?;
            let reacquired_for = reacquired_for(&booking.request);
            Ok(v1::ConfirmPaymentResponse {
                booking: Some(self.reader.show(&booking)),
                reacquired_for: reacquired_for.map(|id| id.to_string()).unwrap_or_default(),
            })
        };
        self.observed("ConfirmPayment", confirm).await
    }

    async fn get_queue(
        &self,
        request: Request<v1::GetQueueRequest>,
    ) -> RpcResult<v1::GetQueueResponse> {
        self.observed("GetQueue", self.queue(request.into_inner())).await
    }

    async fn set_outflow(
        &self,
        request: Request<v1::SetOutflowRequest>,
    ) -> RpcResult<v1::SetOutflowResponse> {
        self.observed("SetOutflow", self.limit(request.get_ref())).await
    }

    async fn restocked(
        &self,
        request: Request<v1::RestockedRequest>,
    ) -> RpcResult<v1::RestockedResponse> {
        self.observed("Restocked", self.restock(request.get_ref())).await
    }
}

impl WorkerService {
    /// Executes one request within the concurrency limit, and counts it.
    async fn observed<R>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<R, ApiError>>,
    ) -> RpcResult<R> {
        let start = Instant::now();
        let result = match self.requests.try_acquire() {
            Ok(_permit) => work.await,
            Err(_) => Err(ApiError::overloaded()),
        };
        let metrics = &self.reader.metrics.server;
        let reason = result.as_ref().map_or_else(|error| reason_word(error.reason()), |_| "OK");
        metrics.requests.with_label_values(&[method, reason]).inc();
        metrics.duration.with_label_values(&[method]).observe(start.elapsed().as_secs_f64());
        result.map(Response::new).map_err(|error| {
            debug!(method, %error, "refused");
            error.into()
        })
    }

    /// The answer to an Enqueue. Counts a new booking as demand.
    fn joined(&self, booking: &Booking, existing: bool) -> v1::EnqueueResponse {
        if !existing {
            self.reader.followed.demand.joined(&booking.item, booking.quantity);
        }
        v1::EnqueueResponse { booking: Some(self.reader.show(booking)), existing }
    }

    async fn enqueue_all(
        &self,
        request: &Request<v1::EnqueueBatchRequest>,
    ) -> Result<v1::EnqueueBatchResponse, ApiError> {
        let trace = trace::incoming(request.metadata());
        let requests = &request.get_ref().requests;
        Parser::check_batch(requests.len())?;
        let (mut valid, mut refused) = (Vec::with_capacity(requests.len()), Vec::new());
        for (index, request) in requests.iter().enumerate() {
            match self.parser.enqueue(request, trace.clone()) {
                Ok(enqueue) => valid.push(enqueue),
                Err(error) => refused.push((index, error)),
            }
        }
        // The caller has already made a batch: it bypasses group commit.
        let enqueued = self.store.store().enqueue(valid).await;
        let enqueued = enqueued.map_err(|error| self.reader.failed(error))?;
        self.wake.joined();
        let mut results: Vec<_> = enqueued
            .into_iter()
            .map(|enqueued| match enqueued {
                Ok(Enqueued { booking, existing }) => {
                    enqueue_result::Result::Response(self.joined(&booking, existing))
                }
                Err(refusal) => enqueue_error(&refusal.into()),
            })
            .collect();
        // In ascending order, so that each index is the one in the request.
        for (index, error) in refused {
            results.insert(index.min(results.len()), enqueue_error(&error));
        }
        let results = results.into_iter().map(|result| v1::EnqueueResult { result: Some(result) });
        Ok(v1::EnqueueBatchResponse { results: results.collect() })
    }
}

fn enqueue_error(error: &ApiError) -> enqueue_result::Result {
    enqueue_result::Result::Error(v1::EnqueueError {
        reason: error.reason().into(),
        message: error.to_string(),
        field: error.field().to_owned(),
    })
}
