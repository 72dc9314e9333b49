//! The gRPC service: parses requests, calls the store through group commit, responds.

mod confirm;
mod enqueue;
pub mod limits;
mod observe;
pub mod parse;
mod queue;
mod status;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::Booking;
use bookingq_follow::FollowedQueue;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1::booking_worker_service_server::BookingWorkerService;
use bookingq_proto::{convert, v1};
use bookingq_serve::trace;
use bookingq_store::StoreError;
use bookingq_store::group::GroupCommit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::metrics::WorkerMetrics;
use crate::processing::{Executor, Wake};
use limits::ConcurrencyLimits;
use parse::Parser;

/// All that the handlers share.
pub struct WorkerService {
    /// Reads requests.
    pub parser: Parser,
    /// The store.
    pub store: GroupCommit,
    /// Limits requests and streams in progress.
    pub limits: ConcurrencyLimits,
    /// Positions, pace and subscribers.
    pub followed: Arc<FollowedQueue>,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
    /// Executes confirmations.
    pub executor: Arc<Executor>,
    /// Confirmations in progress: they outlive the request that started them.
    pub confirmations: TaskTracker,
    /// Wakes the claim loop of this worker.
    pub wake: Wake,
    /// Length of a confirmation's lease.
    pub lease: Duration,
    /// Set when this worker is draining: streams end, so that clients open them elsewhere.
    pub draining: CancellationToken,
}

/// Cheap to clone: what tonic needs for each connection.
#[derive(Clone)]
pub struct Handlers(Arc<WorkerService>);

impl Handlers {
    /// Around one service.
    pub fn new(service: WorkerService) -> Self {
        Self(Arc::new(service))
    }
}

impl WorkerService {
    fn show(&self, booking: &Booking) -> v1::Booking {
        let eta = booking.position.and_then(|position| self.followed.line.eta(position));
        convert::booking(self.parser.queue(), booking, eta)
    }

    /// The error of a request whose store call failed.
    fn store_error(&self, error: StoreError) -> ApiError {
        self.metrics.store_failed(&error);
        match error {
            StoreError::Overloaded { .. } => {
                ApiError::Overloaded { retry_after: Duration::from_secs(1) }
            }
            error => ApiError::StoreUnavailable { cause: error.to_string() },
        }
    }
}

#[tonic::async_trait]
impl BookingWorkerService for Handlers {
    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueResponse>, Status> {
        let trace = trace::incoming(request.metadata());
        self.0.observed("Enqueue", self.0.enqueue(request.into_inner(), trace)).await
    }

    async fn enqueue_batch(
        &self,
        request: Request<v1::EnqueueBatchRequest>,
    ) -> Result<Response<v1::EnqueueBatchResponse>, Status> {
        let trace = trace::incoming(request.metadata());
        self.0.observed("EnqueueBatch", self.0.enqueue_batch(request.into_inner(), trace)).await
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.0.observed("GetStatus", self.0.get_status(request.into_inner())).await
    }

    type WatchStatusStream = watch::WatchStream;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let service = Arc::clone(&self.0);
        self.0.observed("WatchStatus", watch::open(service, request.into_inner())).await
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        self.0.observed("Cancel", self.0.cancel(request.into_inner())).await
    }

    async fn confirm_payment(
        &self,
        request: Request<v1::ConfirmPaymentRequest>,
    ) -> Result<Response<v1::ConfirmPaymentResponse>, Status> {
        self.0.observed("ConfirmPayment", self.0.confirm_payment(request.into_inner())).await
    }

    async fn get_queue(
        &self,
        request: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::GetQueueResponse>, Status> {
        self.0.observed("GetQueue", self.0.get_queue(request.into_inner())).await
    }
}
