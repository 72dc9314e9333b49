//! The fence: no write leaves this process unless it leads at that very moment.
//!
//! A process that was stopped and goes on a minute later is no leader any more, but its tasks do
//! not know yet. Each write asks the fence first, and the fence asks the monotonic clock, which
//! went on all the while.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request};
use parking_lot::Mutex;
use tower::{BoxError, Layer, Service};

/// Until when this process may write.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    until: Arc<Mutex<Option<Instant>>>,
}

/// A write was refused, because another operator may lead by now.
#[derive(Debug, thiserror::Error)]
#[error("not the leader (any more): this write was not sent")]
pub struct NotLeading;

impl Fence {
    /// Writes are allowed until then.
    pub fn open_until(&self, until: Instant) {
        *self.until.lock() = Some(until);
    }

    /// No writes from now on.
    pub fn close(&self) {
        *self.until.lock() = None;
    }

    /// Whether a write is allowed now.
    pub fn is_open(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { fence: self.clone(), inner }
    }
}

/// A client behind a fence. Reading is always allowed.
#[derive(Debug, Clone)]
pub struct Fenced<S> {
    fence: Fence,
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
