//! The configuration of a gateway: typed and validated, so that nothing inside parses text.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bookingq_api::args::AccessLog;
use bookingq_client::{EndpointsError, WorkerEndpoints};
use bookingq_core::{QueueName, defaults};
use bookingq_identity::{KeyRing, ReturnOrigins, ReturnUrl};
use bookingq_serve::tls::{ClientTls, ServerTls};
use tokio::sync::watch;

use crate::limits::proxies::TrustedProxies;
use crate::origin::AllowedOrigins;

/// Everything a gateway needs.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Name in logs and metrics.
    pub id: String,
    /// Address of the public port.
    pub listen: SocketAddr,
    /// TLS of the public port; without it a proxy ends TLS.
    pub tls: Option<ServerTls>,
    /// The backend port, if it is served.
    pub backend: Option<BackendConfig>,
    /// Address of the RealtimeService, if it is served.
    pub grpc: Option<SocketAddr>,
    /// Address of `/healthz`, `/readyz`, `/metrics` and `/admin`, if they are served.
    pub admin: Option<SocketAddr>,
    /// The queues; at least one, each name once.
    pub queues: Vec<QueueConfig>,
    /// Calls to workers.
    pub workers: WorkersConfig,
    /// Where the keys come from.
    pub keys: KeySource,
    /// `iss` of passes.
    pub issuer: String,
    /// Time for which a place token is valid.
    pub place_lifetime: Duration,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether an address may join and connect without a place only so often.
    pub address_limits: bool,
    /// WebSockets and event streams open at once; the port accepts a sixteenth more connections.
    pub max_connections: usize,
    /// Whether cookies are for plain http:// on localhost: without `Secure`.
    pub insecure_cookies: bool,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// Time in which the sockets are closed after a signal.
    pub drain: Duration,
    /// Time before it during which new connections are still accepted.
    pub linger: Duration,
}

/// The backend port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendConfig {
    /// Its address.
    pub listen: SocketAddr,
    /// Its TLS. With a client CA, callers are known by their certificates; otherwise by a token.
    pub tls: Option<ServerTls>,
}

/// Calls to workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkersConfig {
    /// Deadline of one try.
    pub timeout: Duration,
    /// For `https://`.
    pub tls: ClientTls,
}

/// Where the keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A folder with one file for each key, read again when it changes.
    Folder(PathBuf),
    /// Made at the start, and lost at the end.
    Ephemeral,
    /// Given, and never read again.
    Ring(KeyRing),
}

/// Where the workers of a queue listen.
#[derive(Debug, Clone)]
pub enum WorkersAt {
    /// At a URL, whose name is looked up again and again.
    Url(WorkerEndpoints),
    /// At addresses that change as workers come and go, without TLS.
    Addresses(watch::Receiver<Vec<SocketAddr>>),
}

/// From a URL.
impl FromStr for WorkersAt {
    type Err = EndpointsError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        url.parse().map(Self::Url)
    }
}

/// One queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Its name.
    pub name: QueueName,
    /// Where its workers listen.
    pub workers: WorkersAt,
    /// How it is shown.
    pub settings: QueueSettings,
}

/// How a queue is shown, and for whom its passes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Whether the queue sleeps: it has no workers, and takes no new bookings.
    pub hibernates: bool,
    /// Title on the page.
    pub title: String,
    /// `aud` of passes.
    pub audience: String,
    /// Origins whose pages may act for clients, besides the gateway's own.
    pub origins: AllowedOrigins,
    /// Origins to which a pass may be sent.
    pub return_origins: ReturnOrigins,
    /// Where a pass is sent if the client named no return URL.
    pub return_url: Option<ReturnUrl>,
    /// What the page offers; empty: no choice.
    pub items: Vec<ItemSetting>,
    /// The look of the page.
    pub brand: Brand,
}

/// An item that the page offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemSetting {
    /// Its name at the Booking Service.
    pub name: String,
    /// Its text on the page.
    pub title: String,
    /// The largest quantity that the page offers.
    pub max_quantity: u32,
}

/// The look of the page. Each value is checked, but not yet escaped for HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brand {
    /// URL of a logo: `https:`, or a path of the gateway's own host.
    pub logo: Option<String>,
    /// `#rgb` or `#rrggbb`.
    pub color: Option<String>,
    /// A sentence below the title.
    pub text: Option<String>,
    /// Link back to the seller's pages.
    pub home: Option<String>,
}

impl GatewayConfig {
    /// The defaults with keys in memory and without limits of addresses: what tests and `up` need,
    /// whose clients share one.
    pub fn new(id: impl Into<String>, listen: SocketAddr, queues: Vec<QueueConfig>) -> Self {
        Self {
            id: id.into(),
            listen,
            tls: None,
            backend: None,
            grpc: None,
            admin: None,
            queues,
            workers: WorkersConfig { timeout: defaults::CALL_TIMEOUT, tls: ClientTls::default() },
            keys: KeySource::Ephemeral,
            issuer: "bookingq".to_owned(),
            place_lifetime: defaults::PLACE_TOKEN,
            trusted_proxies: TrustedProxies::default(),
            address_limits: false,
            max_connections: defaults::GATEWAY_CONNECTIONS as usize,
            insecure_cookies: true,
            access_log: AccessLog::All,
            drain: defaults::GATEWAY_DRAIN,
            linger: defaults::LINGER,
        }
    }
}

impl QueueConfig {
    /// A queue with default settings.
    pub fn new(name: QueueName, workers: WorkersAt) -> Self {
        let settings = QueueSettings {
            hibernates: false,
            title: name.to_string(),
            audience: name.to_string(),
            origins: AllowedOrigins::default(),
            return_origins: ReturnOrigins::default(),
            return_url: None,
            items: Vec::new(),
            brand: Brand::default(),
        };
        Self { name, workers, settings }
    }
}
