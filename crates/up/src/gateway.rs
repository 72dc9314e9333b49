//! The gateway of a run: the waiting-room page, HTTP and WebSockets, for all queues of the manifest.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_api::args::AccessLog;
use bookingq_core::{QueueName, defaults};
use bookingq_crowd::GatewayAccess;
use bookingq_gateway::config::{BackendConfig, KeySource, QueueConfig, WorkersAt};
use bookingq_gateway::{Gateway, GatewayConfig, GatewayHandle};
use bookingq_identity::{KeyPurpose, KeyRing, new_key_file};
use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use crate::console::Console;
use crate::error::UpError;

/// The port of the page, unless any free port will do.
const PORT: u16 = 8080;
/// Open files that a client needs that comes through the gateway: both ends of its WebSocket.
const FILES_PER_CLIENT: u64 = 2;
/// Open files for everything else.
const OTHER_FILES: u64 = 1000;

/// A running gateway.
pub struct RunningGateway {
    handle: GatewayHandle,
    backend: SocketAddr,
    keys: KeyRing,
}

impl RunningGateway {
    /// Starts it on `port`, and prints where each queue's page is. `base_port` is the port of the
    /// workers: without `port`, the gateway uses any free one if they do.
    ///
    /// # Errors
    /// [`UpError`] when the port is taken.
    pub async fn start(
        queues: Vec<(QueueName, watch::Receiver<Vec<SocketAddr>>)>,
        port: Option<u16>,
        base_port: u16,
        console: &Console,
    ) -> Result<Self, UpError> {
        let port = port.unwrap_or(if base_port == 0 { 0 } else { PORT });
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        drop(
            std::net::TcpListener::bind(local(port))
                .map_err(|cause| UpError::GatewayPort { port, cause })?,
        );
        let keys = keys()?;
        let names: Vec<_> = queues.iter().map(|(name, _)| name.clone()).collect();
        let queues = queues.into_iter().map(|(name, workers)| {
            let workers = WorkersAt::Addresses(workers);
            QueueConfig::new(name, workers)
        });
        let config = GatewayConfig {
            backend: Some(BackendConfig { listen: local(0), tls: None }),
            keys: KeySource::Ring(keys.clone()),
            access_log: AccessLog::Off,
            max_connections: connections(),
            ..GatewayConfig::new("gateway", local(port), queues.collect())
        };
        let handle = Gateway::start(config).await?;
        let backend = handle.backend_addr().unwrap_or(local(0));
        for name in names {
            console
                .report(format!("{name}: the page is at http://{}/q/{name}", handle.public_addr()));
        }
        Ok(Self { handle, backend, keys })
    }

    /// What a crowd needs to come through it, and the address of its public port.
    pub fn access(&self) -> (GatewayAccess, watch::Receiver<Vec<SocketAddr>>) {
        // The receivers keep the last value when their senders are gone.
        let (_, backends) = watch::channel(vec![self.backend]);
        let (_, public) = watch::channel(vec![self.handle.public_addr()]);
        (GatewayAccess { backends, keys: Arc::new(self.keys.clone()) }, public)
    }

    /// Ends it at once; the run is over.
    pub fn stop(self) {
        self.handle.kill();
    }
}

/// Connections that this process may have open.
fn connections() -> usize {
    let most = defaults::GATEWAY_CONNECTIONS as usize;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(most).clamp(1, most)
}

/// Whether this process may open the files that a crowd needs.
///
/// # Errors
/// [`UpError::OpenFiles`].
pub fn check_open_files(clients: u32) -> Result<(), UpError> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    let allowed = limit.saturating_sub(OTHER_FILES) / FILES_PER_CLIENT;
    if u64::from(clients) > allowed {
        return Err(UpError::OpenFiles { clients, limit, allowed });
    }
    Ok(())
}

/// Keys in memory: the gateway's own, and those with which a crowd signs what a merchant signs.
fn keys() -> Result<KeyRing, UpError> {
    let purposes = [KeyPurpose::Place, KeyPurpose::Pass, KeyPurpose::Enqueue, KeyPurpose::Backend];
    let mut files = Vec::new();
    for purpose in purposes {
        files.push((purpose.to_string(), new_key_file(purpose, None, None)?));
    }
    Ok(KeyRing::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))?)
}
