//! The gateway of a run: the waiting-room page, HTTP and WebSockets, for all queues of the
//! manifest; and a demo checkout, so that a person can walk the whole way in a browser.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_api::args::AccessLog;
use bookingq_core::{QueueName, defaults};
use bookingq_crowd::GatewayAccess;
use bookingq_gateway::config::{BackendConfig, ItemSetting, KeySource, QueueConfig, WorkersAt};
use bookingq_gateway::{Gateway, GatewayConfig, GatewayHandle};
use bookingq_harness::port::{free_address, free_addresses};
use bookingq_identity::{KeyPurpose, KeyRing, ReturnOrigins, WebOrigin, new_key_file};
use bookingq_sim::checkout::{CheckoutConfig, HttpAddress};
use bookingq_sim::{Simulator, SimulatorConfig};
use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use crate::console::Console;
use crate::error::UpError;

/// The port of the page, unless any free port will do.
const PORT: u16 = 8080;
/// From the port of the page to that of the operators' page: 8090. The ports in between are those
/// that people use for a gateway's backend port (8081 on a cluster) and for services of their own.
const ADMIN_DISTANCE: u16 = 10;
/// The largest quantity of an item that the page offers.
const MAX_QUANTITY: u32 = 6;
/// Open files that a client needs that comes through the gateway: both ends of its WebSocket.
const FILES_PER_CLIENT: u64 = 2;
/// Open files for everything else.
const OTHER_FILES: u64 = 1000;

/// A running gateway.
pub struct RunningGateway {
    handle: GatewayHandle,
    backend: SocketAddr,
    keys: KeyRing,
    /// Stops the demo checkout when it is dropped.
    _checkout: Simulator,
}

/// A queue that the gateway serves.
pub struct ServedQueue {
    /// Its name.
    pub name: QueueName,
    /// The addresses of its workers.
    pub workers: watch::Receiver<Vec<SocketAddr>>,
    /// The items that the page offers.
    pub items: Vec<String>,
}

impl RunningGateway {
    /// Starts it on `port`, and prints where each queue's page is. `base_port` is the port of the
    /// workers: without `port`, the gateway uses any free one if they do.
    ///
    /// # Errors
    /// [`UpError`] when the port is taken.
    pub async fn start(
        queues: Vec<ServedQueue>,
        port: Option<u16>,
        base_port: u16,
        console: &Console,
    ) -> Result<Self, UpError> {
        let port = port.unwrap_or(if base_port == 0 { 0 } else { PORT });
        drop(
            std::net::TcpListener::bind(local(port))
                .map_err(|cause| UpError::GatewayPort { port, cause })?,
        );
        let keys = keys()?;
        let names: Vec<_> = queues.iter().map(|queue| queue.name.clone()).collect();
        let [checkout, backend] = free_addresses().map_err(UpError::NoPort)?;
        let queues = queues.into_iter().map(|queue| page(queue, checkout));
        let config = GatewayConfig {
            backend: Some(BackendConfig { listen: backend, tls: None }),
            keys: KeySource::Ring(keys.clone()),
            access_log: AccessLog::Off,
            admin: Some(admin_address(port).map_err(UpError::NoPort)?),
            max_connections: connections(),
            ..GatewayConfig::new("gateway", local(port), queues.collect::<Result<_, _>>()?)
        };
        let issuer = config.issuer.clone();
        let handle = Gateway::start(config).await?;
        let checkout = CheckoutConfig {
            listen: checkout,
            gateway: http(handle.public_addr())?,
            backend: http(backend)?,
            keys: keys.clone(),
            issuer,
            audience: None,
        };
        let simulated = SimulatorConfig { checkout: Some(checkout), ..SimulatorConfig::default() };
        let simulator = Simulator::start(simulated).await?;
        for name in names {
            let page = handle.public_addr();
            console.report(format!("{name}: the page is at http://{page}/q/{name}"));
        }
        if let Some(admin) = handle.admin_addr() {
            console.report(format!("the operators' page is at http://{admin}/admin"));
        }
        Ok(Self { handle, backend, keys, _checkout: simulator })
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

/// The port of the operators' page; if it is taken, any free one.
fn admin_address(page: u16) -> std::io::Result<SocketAddr> {
    let known = admin_port(page).map(local);
    match known.filter(|known| std::net::TcpListener::bind(known).is_ok()) {
        Some(known) => Ok(known),
        None => free_address(),
    }
}

/// The known port of the operators' page, if that of the page is known.
fn admin_port(page: u16) -> Option<u16> {
    page.checked_add(ADMIN_DISTANCE).filter(|_| page > 0)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// How the page of a queue looks, and where it sends who may pay.
fn page(queue: ServedQueue, checkout: SocketAddr) -> Result<QueueConfig, UpError> {
    let ServedQueue { name, workers, items } = queue;
    let mut config = QueueConfig::new(name, WorkersAt::Addresses(workers));
    let item = |name: String| ItemSetting { title: name.clone(), name, max_quantity: MAX_QUANTITY };
    let settings = &mut config.settings;
    settings.items = items.into_iter().map(item).collect();
    let origin = WebOrigin::new(&format!("http://{checkout}"))?;
    settings.return_origins = ReturnOrigins::new(vec![origin]);
    let url = format!("http://{checkout}/{}", config.name);
    settings.return_url = Some(settings.return_origins.parse(&url)?);
    Ok(config)
}

fn http(address: SocketAddr) -> Result<HttpAddress, UpError> {
    Ok(format!("http://{address}").parse()?)
}

/// Connections that this process may have open.
fn connections() -> usize {
    let most = defaults::GATEWAY_CONNECTIONS as usize;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // A sixteenth more connections answer pages and polls.
    usize::try_from(files.saturating_sub(OTHER_FILES) / 17 * 16).unwrap_or(most).clamp(1, most)
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

/// Keys in memory: the gateway's own, and those with which a crowd signs what a seller signs.
fn keys() -> Result<KeyRing, UpError> {
    let purposes = [KeyPurpose::Place, KeyPurpose::Pass, KeyPurpose::Enqueue, KeyPurpose::Backend];
    let mut files = Vec::new();
    for purpose in purposes {
        files.push((purpose.to_string(), new_key_file(purpose, None, None)?));
    }
    Ok(KeyRing::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_page_is_ten_ports_after_the_page_unless_that_is_taken() {
        assert_eq!([8080, 0, u16::MAX].map(admin_port), [Some(8090), None, None]);
        let taken = std::net::TcpListener::bind(local(0)).unwrap();
        let admin = taken.local_addr().unwrap();
        assert_ne!(admin_address(admin.port() - ADMIN_DISTANCE).unwrap(), admin);
    }
}
