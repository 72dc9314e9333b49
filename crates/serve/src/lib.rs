//! The frame of every long-running process: what workers, sweepers, the operator and the simulator
//! share, and what has nothing to do with queues.
//!
//! ```text
//!   signals ──> (the process) ──> admin: /healthz, /readyz, /metrics <── admin_client
//!                    |              '── metrics: one registry for each process or worker
//!                    |── tls: certificate files, read again when they change
//!                    '── telemetry: logs and traces; trace: W3C context in and out
//! ```

pub mod admin;
pub mod admin_client;
pub mod html;
pub mod metrics;
pub mod signals;
pub mod telemetry;
pub mod tls;
pub mod trace;

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

pub use admin::{AdminPort, Readiness, admin_router};
pub use metrics::MetricsRegistry;
pub use signals::Signals;

/// Why a process cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken, or the process may not bind it.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The cause.
        cause: std::io::Error,
    },
    /// A certificate or key cannot be read.
    #[error("cannot read {path}: {cause}")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// A certificate or key is not usable.
    #[error("cannot use {path}: {cause}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The admin port closed.
    #[error("the admin port closed: {0}")]
    Admin(std::io::Error),
    /// Two metrics have the same name: a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Binds a port and returns its address (port 0: any free one).
///
/// # Errors
/// [`ServeError::Bind`].
pub async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |cause| ServeError::Bind { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The host (in Kubernetes, the Pod) and the process: unique among the processes of a queue.
pub fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "bookingq" } else { host }, std::process::id())
}
