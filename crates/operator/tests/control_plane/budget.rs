//! A client that counts writes, and can stop after a number of them, or get no answer to some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::filter::FilterLayer;
use tower::layer::layer_fn;
use tower::{BoxError, Service};

/// Number of writes sent, and number of writes allowed.
#[derive(Clone, Default)]
pub struct Budget {
    done: Arc<AtomicUsize>,
    allowed: Option<usize>,
    /// Writes to paths that end with this are not answered.
    hanging: Option<&'static str>,
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

    /// Any number; those to a path that ends with `path` hang.
    pub fn hanging(path: &'static str) -> Self {
        Self { hanging: Some(path), ..Self::default() }
    }

    /// Number of writes sent.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether the client has stopped.
    pub fn spent(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.done() >= allowed)
    }

    /// A client within this budget.
    pub fn client(&self, config: Config) -> Client {
        let budget = self.clone();
        let count = move |request: Request<Body>| {
            if budget.spent() {
                return Err(BoxError::from("dead"));
            }
            if request.method() != Method::GET {
                budget.done.fetch_add(1, Ordering::SeqCst);
            }
            Ok(request)
        };
        let builder = ClientBuilder::try_from(config).unwrap();
        let builder = builder.with_layer(&FilterLayer::new(count));
        let path = self.hanging;
        builder.with_layer(&layer_fn(|inner| Hanging { inner, path })).build()
    }
}

/// A client whose writes to some paths are never answered.
struct Hanging<S> {
    inner: S,
    path: Option<&'static str>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Hanging<S>
where
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let hangs = self.path.is_some_and(|end| path.ends_with(end));
        if request.method() != Method::GET && hangs {
            return std::future::pending().boxed();
        }
        self.inner.call(request).boxed()
    }
}
