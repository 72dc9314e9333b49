//! A client that counts writes, and can stop after a number of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service};

/// Writes done, and writes allowed.
#[derive(Clone, Default)]
pub struct Budget {
    done: Arc<AtomicUsize>,
    allowed: Option<usize>,
}

impl Budget {
    /// Any number.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// After this number of writes no request is sent, as if the process had died.
    pub fn of(writes: usize) -> Self {
        Self { allowed: Some(writes), ..Self::default() }
    }

    /// Writes done.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether it has died.
    pub fn spent(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.done() >= allowed)
    }

    /// A client within this budget.
    pub fn client(&self, config: Config) -> Client {
        ClientBuilder::try_from(config).unwrap().with_layer(self).build()
    }
}

impl<S> Layer<S> for Budget {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { budget: self.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Counted<S> {
    budget: Budget,
    inner: S,
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.budget.spent() {
            return Box::pin(async { Err(BoxError::from("dead")) });
        }
        if request.method() != Method::GET {
            self.budget.done.fetch_add(1, Ordering::SeqCst);
        }
        let answer = self.inner.call(request);
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}
