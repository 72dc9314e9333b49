//! What the client verbs share: the way to a worker, how long to insist, how to show what came
//! back.

mod call;
mod explain;
pub mod output;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bookingq_core::QueueName;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use bookingq_up::Doors;
use clap::Args;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

pub use self::call::{Client, Silence, may_be_repeated, wait};
pub use self::explain::explain;
use self::output::Output;
use crate::failure::Failure;
use crate::flags::{duration, identity};

/// How long one connection may take to be made; also how soon a dead one is noticed.
const CONNECT: Duration = Duration::from_secs(2);

/// Flags of each client verb.
#[derive(Debug, Args)]
pub struct ClientFlags {
    /// Any worker of the queue
    #[arg(
        long,
        env = "BOOKINGQ_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    server: String,
    /// The queue's name
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    pub queue: QueueName,
    /// How long to insist when there is no answer; repeating is always safe
    #[arg(long, env = "BOOKINGQ_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// How the answer is shown
    #[arg(short, long, env = "BOOKINGQ_OUTPUT", value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    tls: TlsFlags,
}

/// TLS towards the worker, for a server that starts with https://.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
struct TlsFlags {
    /// Certificate authority to trust (PEM) [default: the system's]
    #[arg(long = "tls-ca", env = "BOOKINGQ_TLS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our certificate (PEM), for mTLS
    #[arg(long = "tls-cert", env = "BOOKINGQ_TLS_CERT", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Our key (PEM), for mTLS
    #[arg(long = "tls-key", env = "BOOKINGQ_TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Name expected in the worker's certificate [default: the server's host]
    #[arg(long = "tls-server-name", env = "BOOKINGQ_TLS_SERVER_NAME", value_name = "NAME")]
    server_name: Option<String>,
}

impl ClientFlags {
    /// A client; connects at its first call.
    pub async fn client(&self) -> Result<Client, Failure> {
        let mut endpoint = self.endpoint()?.connect_timeout(CONNECT);
        if let Some(tls) = self.tls().await? {
            endpoint = endpoint.tls_config(tls)?;
        }
        Ok(Client::new(
            self.server.clone(),
            workers(endpoint.connect_lazy()),
            self.timeout,
            self.output,
        ))
    }

    /// TLS, where the server wants it, with the name its certificate must bear.
    pub async fn tls(&self) -> Result<Option<ClientTlsConfig>, Failure> {
        if !self.server.starts_with("https://") {
            return Ok(None);
        }
        let config = self.tls.config().await?;
        let named = self.tls.server_name.clone().unwrap_or(self.doors()?.host);
        Ok(Some(config.domain_name(named)))
    }

    /// Where the workers are, for whoever connects to each of them.
    pub fn doors(&self) -> Result<Doors, Failure> {
        let endpoint = self.endpoint()?;
        let uri = endpoint.uri();
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        Ok(Doors { host: host.to_owned(), port: uri.port_u16().unwrap_or(usual) })
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let endpoint = Endpoint::from_shared(self.server.clone()).ok().filter(|endpoint| {
            let uri = endpoint.uri();
            uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
        });
        endpoint.ok_or_else(|| {
            Failure::usage(format!(
                "--server is {:?}; allowed: http://HOST:PORT or https://HOST:PORT",
                self.server
            ))
        })
    }
}

fn workers(channel: Channel) -> BookingWorkerServiceClient<Channel> {
    BookingWorkerServiceClient::new(channel)
}

impl TlsFlags {
    async fn config(&self) -> Result<ClientTlsConfig, Failure> {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(file) => config.ca_certificate(Certificate::from_pem(read(file).await?)),
            None => config.with_native_roots(),
        };
        if let Some(own) = identity("tls", self.certificate.clone(), self.key.clone())? {
            config = config
                .identity(Identity::from_pem(read(&own.certificate).await?, read(&own.key).await?));
        }
        Ok(config)
    }
}

async fn read(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    Ok(tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))?)
}
