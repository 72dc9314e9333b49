//! A client that counts writes, and can stop after a number of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::BoxError;
use tower::filter::FilterLayer;

/// Number of writes sent, and number of writes allowed.
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
        ClientBuilder::try_from(config).unwrap().with_layer(&FilterLayer::new(count)).build()
    }
}
