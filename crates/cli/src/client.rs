//! What the client commands share: their flags, calls that are retried, and how answers are shown.

mod explain;
pub mod output;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_client::{
    CallPolicy, ChannelConfig, ChannelPool, WorkerCall, WorkerCallError, WorkerClient,
    WorkerEndpoints,
};
use bookingq_core::backoff::Backoff;
use bookingq_core::{ClientId, QueueName};
use bookingq_proto::v1;
use bookingq_serve::tls::ClientTls;
use bookingq_worker::args::identity;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tonic::transport::ClientTlsConfig;

use self::output::{BookingOutput, Output};
use crate::failure::Failure;

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// The URL of a port without TLS.
pub fn plain_url(text: &str) -> Result<WorkerEndpoints, String> {
    let url = text.parse::<WorkerEndpoints>().ok().filter(|url| !url.tls);
    url.ok_or_else(|| "allowed: http://HOST:PORT".to_owned())
}

/// Flags of each client command.
#[derive(Debug, Args)]
pub struct ClientFlags {
    /// URL of the queue's workers: one worker, a Service, or a headless Service
    #[arg(
        long,
        env = "BOOKINGQ_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub server: WorkerEndpoints,
    /// Name of the queue
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    pub queue: QueueName,
    /// Retry a call without an answer for this long; repeating a call is always safe
    #[arg(long, env = "BOOKINGQ_TIMEOUT", value_name = "TIME", default_value = "10s")]
    timeout: DurationString,
    /// Output format
    #[arg(short, long, env = "BOOKINGQ_OUTPUT", value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    tls: TlsFlags,
}

/// Flags of each command about the booking of one client.
#[derive(Debug, Args)]
pub struct BookingFlags {
    #[command(flatten)]
    pub common: ClientFlags,
    /// ID of the client: 1 to 128 bytes
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    pub client: ClientId,
}

/// TLS for a `--server` that starts with https://.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
struct TlsFlags {
    /// Certificate authority to trust (PEM) [default: the system's]
    #[arg(long = "tls-ca", env = "BOOKINGQ_TLS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate for mTLS (PEM); requires --tls-key
    #[arg(long = "tls-cert", env = "BOOKINGQ_TLS_CERT", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long = "tls-key", env = "BOOKINGQ_TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Name to expect in the worker's certificate [default: the host of --server]
    #[arg(long = "tls-server-name", env = "BOOKINGQ_TLS_SERVER_NAME", value_name = "NAME")]
    server_name: Option<String>,
}

impl ClientFlags {
    /// How long a call is retried.
    pub fn timeout(&self) -> Duration {
        self.timeout.get()
    }

    /// Resolves the server's name; connects at the first call.
    pub async fn connect(&self) -> Result<CommandClient, Failure> {
        let addresses = self.server.clone().resolve(self.timeout.get()).await?;
        let origin = self.server.to_string().parse().ok();
        let config = ChannelConfig { tls: self.tls()?, origin, ..Default::default() };
        let policy = CallPolicy {
            deadline: self.timeout.get(),
            limit: Some(self.timeout.get()),
            backoff: BACKOFF,
            stop: CancellationToken::new(),
        };
        let pool = ChannelPool::new(config, addresses);
        Ok(CommandClient {
            worker: WorkerClient::new(pool, Arc::new(policy), rand::random()),
            server: self.server.to_string(),
            timeout: self.timeout.get(),
            output: self.output,
        })
    }

    /// Calls, and prints the booking that `booking` finds in the answer.
    pub async fn show<M: WorkerCall>(
        &self,
        message: M,
        booking: impl FnOnce(M::Response) -> Option<v1::Booking>,
    ) -> Result<(), Failure> {
        let answer = self.connect().await?.call(message).await?;
        BookingOutput::parse(booking(answer))?.print(self.output)?;
        Ok(())
    }

    /// The TLS settings, with the name to expect in certificates; `None` for plain text.
    pub fn tls(&self) -> Result<Option<ClientTlsConfig>, Failure> {
        if !self.server.tls {
            return Ok(None);
        }
        let TlsFlags { ca, certificate, key, server_name } = self.tls.clone();
        let identity = identity("tls", certificate, key).map_err(Failure::usage)?;
        let server_name = server_name.or_else(|| Some(self.server.host.clone()));
        Ok(Some(ClientTls { ca, identity, server_name }.load()?))
    }
}

/// No answer came within `--timeout`.
#[derive(Debug, thiserror::Error)]
#[error(
    "no answer from {server} within {timeout:?} (--timeout): {last}; the outcome is unknown, and the \
     same call can be repeated"
)]
pub struct NoAnswer {
    server: String,
    timeout: Duration,
    /// The last error instead of an answer.
    last: String,
}

/// Calls the workers on behalf of one command.
pub struct CommandClient {
    pub worker: WorkerClient,
    server: String,
    timeout: Duration,
    output: Output,
}

impl CommandClient {
    /// Calls until an answer comes, for at most `--timeout`.
    pub async fn call<M: WorkerCall>(&mut self, message: M) -> Result<M::Response, Failure> {
        let answer = self.worker.call(message).await;
        answer.map_err(|error| self.failure(error))
    }

    /// How the command fails with this error.
    pub fn failure(&self, error: WorkerCallError) -> Failure {
        match error {
            WorkerCallError::Refused(status) => explain::explain(&status, self.output),
            WorkerCallError::NoAnswer(last) => Failure::from(NoAnswer {
                server: self.server.clone(),
                timeout: self.timeout,
                last: last.message().to_owned(),
            }),
            WorkerCallError::Stopped => Failure::Interrupted,
        }
    }
}
