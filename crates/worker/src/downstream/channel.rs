//! Connections to a service: a small lazy pool with deadlines, keep-alive and TLS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bookingq_serve::ServeError;
use bookingq_serve::tls::{FileWatch, RELOAD_EVERY};
use parking_lot::RwLock;
use tonic::transport::{Channel, Endpoint};
use tracing::warn;

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
pub struct ServiceChannels {
    pool: Arc<RwLock<Vec<Channel>>>,
    next: AtomicUsize,
    timeout: Duration,
}

impl ServiceChannels {
    /// A pool that connects with its first call, and again when the TLS files are renewed.
    ///
    /// # Errors
    /// When the endpoint or the TLS files cannot be used.
    pub fn new(service: &'static str, config: &Downstream) -> Result<Self, DownstreamError> {
        let pool = Arc::new(RwLock::new(connect(service, config)?));
        if let Some(files) = config.tls.watch(RELOAD_EVERY) {
            tokio::spawn(renew(Arc::downgrade(&pool), files, service, config.clone()));
        }
        Ok(Self { pool, next: AtomicUsize::new(0), timeout: config.timeout })
    }

    /// The next connection.
    pub fn pick(&self) -> Channel {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.pool.read()[next % CONNECTIONS].clone()
    }

    /// Deadline of one call.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

fn connect(service: &'static str, config: &Downstream) -> Result<Vec<Channel>, DownstreamError> {
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
    Ok((0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect())
}

/// Replaces the connections whenever the TLS files have changed, until the pool is gone.
async fn renew(
    pool: Weak<RwLock<Vec<Channel>>>,
    mut files: FileWatch,
    service: &'static str,
    config: Downstream,
) {
    loop {
        files.changed().await;
        let Some(pool) = pool.upgrade() else { return };
        match connect(service, &config) {
            Ok(channels) => *pool.write() = channels,
            Err(error) => warn!(%error, "cannot use the renewed TLS files"),
        }
    }
}
