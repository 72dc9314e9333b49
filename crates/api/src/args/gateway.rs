//! The arguments of the gateway, which serves browsers for one or many queues.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use bookingq_core::ids::Invalid;
use bookingq_core::{QueueName, defaults};
use clap::{Args, ValueEnum, value_parser};
use serde::Serialize;

use super::service::WorkersArgs;
use super::{to_args, with_env};
use crate::duration::DurationString;

/// A queue and where its workers listen, written `NAME=URL`.
///
/// ```
/// # use bookingq_api::args::QueueAddress;
/// let queue: QueueAddress = "concert=http://concert-workers:50051".parse().unwrap();
/// assert_eq!((queue.name.as_str(), queue.workers.as_str()), ("concert", "http://concert-workers:50051"));
/// assert!("concert".parse::<QueueAddress>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct QueueAddress {
    /// Name of the queue.
    pub name: QueueName,
    /// URL of its workers: one worker, a Service, or a headless Service.
    pub workers: String,
}

impl FromStr for QueueAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, workers) = text
            .split_once('=')
            .ok_or_else(|| Invalid::new("queue", text, "NAME=http://HOST:PORT"))?;
        Ok(Self { name: QueueName::new(name)?, workers: workers.to_owned() })
    }
}

impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.workers)
    }
}

impl From<QueueAddress> for String {
    fn from(queue: QueueAddress) -> Self {
        queue.to_string()
    }
}

/// Which requests the access log contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLog {
    /// Every request.
    #[default]
    All,
    /// Requests that failed: status 500 and above.
    Errors,
    /// None.
    Off,
}

/// The arguments of `bookingq gateway`.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct GatewayArgs {
    /// A queue and the URL of its workers; repeat it for each queue
    #[arg(
        long = "queue",
        env = "BOOKINGQ_GATEWAY_QUEUES",
        value_name = "NAME=URL",
        value_delimiter = ',',
        required_unless_present = "config"
    )]
    #[serde(rename = "queue")]
    pub queues: Vec<QueueAddress>,
    /// File with the queues and their settings (YAML): title, audience, origins, brand
    #[arg(long, env = "BOOKINGQ_GATEWAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of this gateway in logs and metrics [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Address of the public port: HTTP, WebSockets and the page
    #[arg(long, env = "BOOKINGQ_GATEWAY_LISTEN", value_name = "ADDRESS", default_value_t = PUBLIC)]
    pub listen: SocketAddr,
    /// Address of the backend port, where the seller's backend confirms payments [default: not
    /// served]
    #[arg(long, value_name = "ADDRESS")]
    pub backend_listen: Option<SocketAddr>,
    /// Address of the RealtimeService, to which workers may publish [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub grpc_listen: Option<SocketAddr>,
    /// Address of /healthz, /readyz, /metrics and the operators' page, /admin [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Calls to the workers.
    #[command(flatten)]
    pub workers_call: WorkersArgs,
    /// The public port.
    #[command(flatten)]
    #[serde(flatten)]
    pub public: PublicArgs,
    /// The backend port.
    #[command(flatten)]
    #[serde(flatten)]
    pub backend: BackendArgs,
    /// Keys and tokens.
    #[command(flatten)]
    #[serde(flatten)]
    pub identity: IdentityArgs,
    /// Shutdown.
    #[command(flatten)]
    #[serde(flatten)]
    pub drain: GatewayDrainArgs,
}

const PUBLIC: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The public port.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Public port", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct PublicArgs {
    /// Certificate chain (PEM); without it the port speaks plain text, for a proxy that ends TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// An origin whose pages may call this gateway, such as `https://www.example.com`; repeat it.
    /// Pages of the gateway's own host always may
    #[arg(long = "origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(rename = "origin")]
    pub origins: Vec<String>,
    /// A proxy, or a network of proxies (10.0.0.0/8), whose X-Forwarded-For is believed; repeat it
    #[arg(long = "trusted-proxy", value_name = "NETWORK", value_delimiter = ',')]
    #[serde(rename = "trusted-proxy")]
    pub trusted_proxies: Vec<String>,
    /// Do not limit how often one address joins or connects without a place: for load tests
    #[arg(long)]
    pub no_address_limits: bool,
    /// Connections open at once; further WebSockets and event streams are refused with 503, while
    /// pages and polls are still answered
    #[arg(
        long,
        value_name = "N",
        default_value_t = defaults::GATEWAY_CONNECTIONS,
        value_parser = value_parser!(u32).range(1..=10_000_000)
    )]
    pub max_connections: u32,
    /// Cookies without Secure, for plain http:// on localhost; never in production
    #[arg(long)]
    pub insecure_cookies: bool,
    /// Which requests are logged; a line contains no address, no token and no client ID
    #[arg(long, value_enum, default_value_t = AccessLog::All)]
    pub access_log: AccessLog,
}

impl Default for PublicArgs {
    fn default() -> Self {
        Self {
            tls_cert: None,
            tls_key: None,
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            no_address_limits: false,
            max_connections: defaults::GATEWAY_CONNECTIONS,
            insecure_cookies: false,
            access_log: AccessLog::All,
        }
    }
}

/// The backend port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Backend port", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct BackendArgs {
    /// Certificate chain (PEM) of the backend port
    #[arg(long, value_name = "FILE", requires = "backend_tls_key")]
    pub backend_tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the backend port
    #[arg(long, value_name = "FILE", requires = "backend_tls_cert")]
    pub backend_tls_key: Option<PathBuf>,
    /// Accept only clients with a certificate of this authority (PEM); without it, calls need a
    /// token that a key of purpose `backend` has signed
    #[arg(long, value_name = "FILE", requires = "backend_tls_cert")]
    pub backend_tls_client_ca: Option<PathBuf>,
}

/// Keys and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Keys and tokens", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct IdentityArgs {
    /// Folder with the keys, one file for each (`bookingq keys new` makes one)
    #[arg(long, value_name = "FOLDER")]
    pub keys: Option<PathBuf>,
    /// Make keys in memory: every place is lost when this process ends, and two gateways do not
    /// know each other's places
    #[arg(long, conflicts_with = "keys")]
    pub ephemeral_keys: bool,
    /// `iss` of passes
    #[arg(long, value_name = "NAME", default_value = ISSUER)]
    pub issuer: String,
    /// `aud` of passes, for queues whose settings name none [default: the queue's name]
    #[arg(long, value_name = "NAME")]
    pub audience: Option<String>,
    /// An origin to which a pass may be sent, for queues whose settings name none; repeat it
    #[arg(long = "return-origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(rename = "return-origin")]
    pub return_origins: Vec<String>,
    /// Time for which a place token is valid; it is renewed while its client is seen
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::PLACE_TOKEN))]
    pub place_lifetime: DurationString,
}

const ISSUER: &str = "bookingq";

impl Default for IdentityArgs {
    fn default() -> Self {
        Self {
            keys: None,
            ephemeral_keys: false,
            issuer: ISSUER.to_owned(),
            audience: None,
            return_origins: Vec::new(),
            place_lifetime: DurationString::new(defaults::PLACE_TOKEN),
        }
    }
}

/// How a gateway shuts down.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Shutdown", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct GatewayDrainArgs {
    /// Time after SIGTERM in which the open WebSockets and event streams are closed, spread evenly
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::GATEWAY_DRAIN))]
    pub drain: DurationString,
    /// Time before it during which new connections are still accepted, because endpoints lag
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::LINGER))]
    pub linger: DurationString,
}

impl Default for GatewayDrainArgs {
    fn default() -> Self {
        Self {
            drain: DurationString::new(defaults::GATEWAY_DRAIN),
            linger: DurationString::new(defaults::LINGER),
        }
    }
}

impl GatewayArgs {
    /// The defaults, for these queues.
    pub fn new(queues: Vec<QueueAddress>) -> Self {
        Self {
            queues,
            config: None,
            id: None,
            listen: PUBLIC,
            backend_listen: None,
            grpc_listen: None,
            admin_listen: None,
            workers_call: super::ServiceArgs::default().into(),
            public: PublicArgs::default(),
            backend: BackendArgs::default(),
            identity: IdentityArgs::default(),
            drain: GatewayDrainArgs::default(),
        }
    }

    /// The command line that parses to the same arguments, `gateway` first.
    pub fn to_args(&self) -> Vec<String> {
        to_args("gateway", self)
    }
}
