//! `/healthz`, `/readyz` and `/metrics`: what the kubelet and Prometheus request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::{MetricsRegistry, ServeError};

/// Whether this process should receive traffic: from the moment it is ready until it drains.
///
/// A dependency that fails later does not make the process unready: a caller that reaches it gets
/// an error with a time to retry; a caller that reaches no process gets nothing.
#[derive(Debug)]
pub struct Readiness {
    /// The answer of `/readyz` until the process is ready.
    pending: &'static str,
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Not ready yet; `pending` is what the process waits for, for a person.
    pub fn pending(pending: &'static str) -> Arc<Self> {
        Arc::new(Self { pending, ready: AtomicBool::new(false), draining: AtomicBool::new(false) })
    }

    /// Ready from the start.
    pub fn ready() -> Arc<Self> {
        let readiness = Self::pending("");
        readiness.set_ready();
        readiness
    }

    /// The process can serve.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The process drains. This is final.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// `Ok` when the process should receive traffic.
    ///
    /// # Errors
    /// The reason why not, for a person.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Acquire) {
            Err("draining")
        } else if self.ready.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(self.pending)
        }
    }
}

/// The HTTP port that Kubernetes and Prometheus use.
#[derive(Debug)]
pub struct AdminPort {
    listener: TcpListener,
    address: SocketAddr,
}

#[derive(Clone)]
struct AdminContext {
    metrics: MetricsRegistry,
    readiness: Arc<Readiness>,
}

impl AdminPort {
    /// Binds the port (0: any free one). Nothing is answered before [`serve`](Self::serve).
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let (listener, address) = crate::listen(address).await?;
        Ok(Self { listener, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped.
    ///
    /// # Errors
    /// [`ServeError::Admin`].
    pub async fn serve(
        self,
        metrics: MetricsRegistry,
        readiness: Arc<Readiness>,
    ) -> Result<(), ServeError> {
        self.serve_with(Router::new(), metrics, readiness).await
    }

    /// Serves `further` routes as well, until dropped.
    ///
    /// # Errors
    /// [`ServeError::Admin`].
    pub async fn serve_with(
        self,
        further: Router,
        metrics: MetricsRegistry,
        readiness: Arc<Readiness>,
    ) -> Result<(), ServeError> {
        let router = admin_router(metrics, readiness).merge(further);
        axum::serve(self.listener, router).await.map_err(ServeError::Admin)
    }
}

/// The routes of an admin port, for a process with an accept loop of its own.
pub fn admin_router(metrics: MetricsRegistry, readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(AdminContext { metrics, readiness })
}

async fn ready(State(state): State<AdminContext>) -> (StatusCode, String) {
    match state.readiness.check() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn render(State(state): State<AdminContext>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}
