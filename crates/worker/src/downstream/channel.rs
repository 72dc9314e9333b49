//! Connections to a service: a small lazy pool with deadlines, keep-alive and TLS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_serve::ServeError;
use tonic::transport::{Channel, Endpoint};

use crate::config::Downstream;

/// One HTTP/2 connection carries far less than a worker can send; a few share the load.
const CONNECTIONS: usize = 4;

/// A service that cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum DownstreamError {
    /// The endpoint is not a usable URL.
    #[error(
        "endpoint \"{endpoint}\" of the {service} cannot be used: {cause}; allowed: http://host:port or https://host:port"
    )]
    Endpoint {
        /// Which service.
        service: &'static str,
        /// The configured value.
        endpoint: String,
        /// The cause.
        cause: String,
    },
    /// A certificate or key cannot be read.
    #[error("TLS of the {service}: {cause}")]
    Tls {
        /// Which service.
        service: &'static str,
        /// Which file, and why.
        cause: ServeError,
    },
}

/// A few connections to one service, used in turn.
#[derive(Debug)]
pub struct Channels {
    pool: Vec<Channel>,
    next: AtomicUsize,
    timeout: Duration,
}

impl Channels {
    /// A pool that connects with its first call.
    ///
    /// # Errors
    /// When the endpoint or the TLS files cannot be used.
    pub fn new(service: &'static str, config: &Downstream) -> Result<Self, DownstreamError> {
        let unusable = |cause: String| DownstreamError::Endpoint {
            service,
            endpoint: config.endpoint.clone(),
            cause,
        };
        let mut endpoint = Endpoint::from_shared(config.endpoint.clone())
            .map_err(|error| unusable(error.to_string()))?
            .connect_timeout(config.timeout.min(Duration::from_secs(2)))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => {
                let tls = config.tls.load();
                let tls = tls.map_err(|cause| DownstreamError::Tls { service, cause })?;
                endpoint = endpoint.tls_config(tls).map_err(|error| unusable(error.to_string()))?;
            }
            _ => return Err(unusable("the scheme is neither http nor https".to_owned())),
        }
        let pool = (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect();
        Ok(Self { pool, next: AtomicUsize::new(0), timeout: config.timeout })
    }

    /// The next connection.
    pub fn pick(&self) -> Channel {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.pool[next % self.pool.len()].clone()
    }

    /// Deadline of one call.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}
