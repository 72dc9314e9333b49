//! The metrics of the HTTP ports, made in one place. Names and meaning: docs/operations.md.

use std::time::Duration;

use bookingq_serve::MetricsRegistry;
use prometheus::{HistogramVec, IntCounterVec, IntGauge};

/// From an answer out of memory to a call that was retried.
const DURATION: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

/// The metrics of the HTTP ports. Each is exposed with the prefix `bookingqueue_gateway_`. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    /// Open connections of the public port.
    pub(crate) public: IntGauge,
    /// Open connections of the backend port.
    pub(crate) backend: IntGauge,
    /// Open connections of the admin port.
    pub(crate) admin: IntGauge,
}

impl HttpMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When another family has one of the names.
    pub fn new(r: &MetricsRegistry) -> prometheus::Result<Self> {
        let open = r.int_gauges("tcp_connections", "Open connections, by port", &["port"])?;
        Ok(Self {
            requests: r.counters(
                "http_requests_total",
                "Requests, by path and status",
                &["method", "route", "status"],
            )?,
            duration: r.histograms(
                "http_request_seconds",
                "Time until the head of an answer was ready",
                &DURATION,
                &["route"],
            )?,
            public: open.with_label_values(&["public"]),
            backend: open.with_label_values(&["backend"]),
            admin: open.with_label_values(&["admin"]),
        })
    }

    /// Counts a request. `method` is one of HTTP, and `route` is the template of its path.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        // A client may send any word as its method.
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" => method,
            _ => "other",
        };
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }
}
