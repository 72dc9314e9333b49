//! What the client verbs share: the way to a worker, how long to insist, how to show what came back.

mod call;
mod explain;
pub mod output;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bookingq_core::QueueName;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
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
    #[arg(long, env = "BOOKINGQ_SERVER", value_name = "URL", default_value = "http://127.0.0.1:50051")]
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
        let refused = || {
            Failure::usage(format!(
                "--server is {:?}; allowed: http://HOST:PORT or https://HOST:PORT",
                self.server
            ))
        };
        if !self.server.starts_with("http://") && !self.server.starts_with("https://") {
            return Err(refused());
        }
        let mut endpoint =
            Endpoint::from_shared(self.server.clone()).map_err(|_| refused())?.connect_timeout(CONNECT);
        if self.server.starts_with("https://") {
            endpoint = endpoint.tls_config(self.tls.config().await?)?;
        }
        Ok(Client::new(self.server.clone(), workers(endpoint.connect_lazy()), self.timeout, self.output))
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
            config =
                config.identity(Identity::from_pem(read(&own.certificate).await?, read(&own.key).await?));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        Ok(config)
    }
}

async fn read(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    Ok(tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))?)
}
