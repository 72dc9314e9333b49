//! Bounds what is worked on at once: what is over is refused at once, with the time to come back.

use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// When a refused caller should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Two bounds: requests, and open streams.
#[derive(Debug)]
pub struct Gate {
    requests: Semaphore,
    watches: Arc<Semaphore>,
}

impl Gate {
    /// At most so many at once.
    pub fn new(requests: usize, watches: usize) -> Self {
        Self { requests: Semaphore::new(requests), watches: Arc::new(Semaphore::new(watches)) }
    }

    /// A place for one request.
    ///
    /// # Errors
    /// `OVERLOADED` when all are taken.
    pub fn request(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.requests.try_acquire().map_err(|_| ApiError::Overloaded { retry_after: RETRY_AFTER })
    }

    /// A place for one stream.
    ///
    /// # Errors
    /// `OVERLOADED` when all are taken.
    pub fn watch(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| ApiError::Overloaded { retry_after: RETRY_AFTER })
    }
}
