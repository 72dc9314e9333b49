//! The leader's fence: no write leaves this process unless it is the leader at that moment.
//!
//! The tasks of a process that was stopped for a minute do not know that it has lost the lease.
//! Each write checks the monotonic clock, which went on meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request};
use parking_lot::Mutex;
use tower::{BoxError, Layer, Service};

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
}

impl<S> Layer<S> for LeaderFence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { fence: self.clone(), inner }
    }
}

/// A client behind a fence. Reads are always allowed.
#[derive(Debug, Clone)]
pub struct Fenced<S> {
    fence: LeaderFence,
    inner: S,
}

impl<S, B> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() != Method::GET && !self.fence.is_open() {
            return Box::pin(async { Err(BoxError::from(NotLeading)) });
        }
        let answer = self.inner.call(request);
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}
