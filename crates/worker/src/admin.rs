//! `/healthz`, `/readyz` and `/metrics`: what a kubelet and a Prometheus server ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Whether traffic should come here.
///
/// Ready once the store has been opened; not ready from the moment this process is leaving. A store
/// that is down later does not change it: a caller that reaches a worker learns `STORE_UNAVAILABLE`
/// and when to come back, one that reaches no worker learns nothing.
#[derive(Debug, Default)]
pub struct Readiness {
    opened: AtomicBool,
    leaving: AtomicBool,
}

impl Readiness {
    /// The store has been opened.
    pub fn opened(&self) {
        self.opened.store(true, Ordering::Release);
    }

    /// This process is leaving.
    pub fn leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// `Ok`, or why not.
    ///
    /// # Errors
    /// What stands in the way, for a person.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.leaving.load(Ordering::Acquire) {
            Err("leaving")
        } else if self.opened.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err("the store has not been reached yet")
        }
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Metrics,
    readiness: Arc<Readiness>,
}

/// Serves until dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Arc<Readiness>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { metrics, readiness });
    axum::serve(listener, router).await
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.readiness.check() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.render())
}
