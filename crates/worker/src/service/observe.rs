//! What every request has in common: the concurrency limit, metrics, and a refusal as a gRPC
//! status.

use std::future::Future;

use bookingq_proto::error::{ApiError, reason_word};
use tokio::time::Instant;
use tonic::{Response, Status};
use tracing::debug;

use super::WorkerService;

impl WorkerService {
    /// Executes one request within the concurrency limit, and counts it.
    pub(super) async fn observed<R>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<R, ApiError>>,
    ) -> Result<Response<R>, Status> {
        let start = Instant::now();
        let result = match self.limits.request() {
            Ok(_permit) => work.await,
            Err(overloaded) => Err(overloaded),
        };
        let metrics = &self.metrics.server;
        let reason = result.as_ref().map_or_else(|error| reason_word(error.reason()), |_| "OK");
        metrics.requests.with_label_values(&[method, reason]).inc();
        metrics.duration.with_label_values(&[method]).observe(start.elapsed().as_secs_f64());
        result.map(Response::new).map_err(|error| {
            debug!(method, %error, "refused");
            error.into()
        })
    }
}
