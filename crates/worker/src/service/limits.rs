//! Limits requests and streams in progress: further ones are refused at once, with the time to retry.

use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// When a refused caller should retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of requests in progress, and of open streams.
#[derive(Debug)]
pub struct ConcurrencyLimits {
    requests: Semaphore,
    watches: Arc<Semaphore>,
}

impl ConcurrencyLimits {
    /// At most this many at once.
    pub fn new(requests: usize, watches: usize) -> Self {
        Self { requests: Semaphore::new(requests), watches: Arc::new(Semaphore::new(watches)) }
    }

    /// Permission for one request.
    ///
    /// # Errors
    /// `OVERLOADED` when all are taken.
    pub fn request(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.requests.try_acquire().map_err(|_| ApiError::Overloaded { retry_after: RETRY_AFTER })
    }

    /// Permission for one stream.
    ///
    /// # Errors
    /// `OVERLOADED` when all are taken.
    pub fn watch(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| ApiError::Overloaded { retry_after: RETRY_AFTER })
    }
}
