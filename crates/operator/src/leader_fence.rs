//! The leader's fence: no write leaves this process unless it is the leader at that moment.
//!
//! The tasks of a process that was stopped for a minute do not know that it has lost the lease.
//! Each write checks the monotonic clock, which went on meanwhile.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request};
use kube::client::Body;
use parking_lot::Mutex;
use tower::BoxError;
use tower::filter::{FilterLayer, Predicate};

/// Until when this process may write. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LeaderFence {
    until: Arc<Mutex<Option<Instant>>>,
}

/// The write was not sent, because another operator may be the leader by now.
#[derive(Debug, thiserror::Error)]
#[error("not the leader: this write was not sent")]
pub struct NotLeading;

impl LeaderFence {
    /// Allows writes until then.
    pub fn open_until(&self, until: Instant) {
        *self.until.lock() = Some(until);
    }

    /// Allows no further writes.
    pub fn close(&self) {
        *self.until.lock() = None;
    }

    /// Whether a write is allowed now.
    pub fn is_open(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Rejects the writes of a client while the fence is closed. Reads are always allowed.
    pub fn layer(&self) -> FilterLayer<Writes> {
        FilterLayer::new(Writes(self.clone()))
    }
}

/// Whether a request may be sent.
#[derive(Debug, Clone)]
pub struct Writes(LeaderFence);

impl Predicate<Request<Body>> for Writes {
    type Request = Request<Body>;

    fn check(&mut self, request: Request<Body>) -> Result<Request<Body>, BoxError> {
        let allowed = request.method() == Method::GET || self.0.is_open();
        if allowed { Ok(request) } else { Err(NotLeading.into()) }
    }
}
