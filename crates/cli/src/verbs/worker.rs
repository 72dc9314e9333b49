//! `bookingq worker`: the gRPC service and the processing loop of one queue.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_serve::Signals;
use bookingq_serve::tls::ServerTls;
use bookingq_worker::config::{Retry, ServerLimits, WorkerConfig};
use bookingq_worker::{Worker, WorkerHandle};
use clap::value_parser;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::flags::{BookingFlags, RealtimeFlags, RedisFlags, TicketFlags, duration, identity};

/// Serve a queue: take bookings over gRPC, and reserve, confirm and release them in order
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq worker --queue concert --redis redis://127.0.0.1:6379 --booking http://127.0.0.1:6001
  bookingq worker --queue concert --booking https://booking.example.com --booking-tls-ca ca.pem \\
      --tls-cert tls.crt --tls-key tls.key --tls-client-ca clients.pem

Any number of workers may serve one queue. SIGTERM: stops claiming, hands back, finishes, leaves within --grace.")]
pub struct Args {
    /// The queue's name
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    queue: QueueName,
    /// Names this worker in logs, leases and metrics [default: host name and process id]
    #[arg(long, env = "BOOKINGQ_ID", value_name = "NAME")]
    id: Option<String>,
    /// Where gRPC is served
    #[arg(
        long,
        env = "BOOKINGQ_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served; nowhere by default
    #[arg(long, env = "BOOKINGQ_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// The Booking Service: http://HOST:PORT or https://HOST:PORT
    #[arg(long, env = "BOOKINGQ_BOOKING", value_name = "URL")]
    booking: String,
    /// The Ticket Service, if there is one
    #[arg(long, env = "BOOKINGQ_TICKET", value_name = "URL")]
    ticket: Option<String>,
    /// The Realtime Service, if there is one
    #[arg(long, env = "BOOKINGQ_REALTIME", value_name = "URL")]
    realtime: Option<String>,
    #[command(flatten)]
    redis: RedisFlags,
    #[command(flatten)]
    processing: Processing,
    #[command(flatten)]
    leaving: Leaving,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    booking_call: BookingFlags,
    #[command(flatten)]
    ticket_call: TicketFlags,
    #[command(flatten)]
    realtime_call: RealtimeFlags,
}

/// How bookings are processed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Processing")]
pub struct Processing {
    /// Tasks at once
    #[arg(long, env = "BOOKINGQ_CONCURRENCY", value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// How long a task stays ours without a sign of life
    #[arg(long, env = "BOOKINGQ_LEASE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub lease: Duration,
    /// Time to pay
    #[arg(long, env = "BOOKINGQ_HOLD", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub hold: Duration,
    /// Tries to reserve that may fail before a booking fails
    #[arg(long, env = "BOOKINGQ_RETRY_ATTEMPTS", value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=100))]
    pub retry_attempts: u32,
    /// Wait before the first retry; doubles with each further one
    #[arg(long, env = "BOOKINGQ_RETRY_INITIAL", value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pub retry_initial: Duration,
    /// Longest wait between two tries
    #[arg(long, env = "BOOKINGQ_RETRY_MAX", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub retry_max: Duration,
}

impl Processing {
    /// When the Booking Service is asked again.
    pub fn retry(&self) -> Result<Retry, Failure> {
        if self.retry_initial.is_zero() || self.retry_initial > self.retry_max {
            return Err(Failure::usage(format!(
                "--retry-initial is {:?}; allowed: above 0 and at most --retry-max ({:?})",
                self.retry_initial, self.retry_max
            )));
        }
        let backoff = Backoff { initial: self.retry_initial, max: self.retry_max };
        Ok(Retry { attempts: self.retry_attempts, backoff })
    }

    /// The lease, which must leave room for its renewals.
    pub fn lease(&self) -> Result<Duration, Failure> {
        if self.lease < Duration::from_secs(1) {
            return Err(Failure::usage(format!(
                "--lease is {:?}; allowed: 1s and more",
                self.lease
            )));
        }
        Ok(self.lease)
    }
}

/// How a worker leaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Leaving")]
struct Leaving {
    /// Whole time to leave after SIGTERM
    #[arg(long, env = "BOOKINGQ_GRACE", value_name = "TIME", default_value = "25s", value_parser = duration)]
    grace: Duration,
    /// How long connections are still taken after SIGTERM, because endpoints lag; part of --grace
    #[arg(long, env = "BOOKINGQ_LINGER", value_name = "TIME", default_value = "2s", value_parser = duration)]
    linger: Duration,
}

/// Bounds and TLS of the gRPC port.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "gRPC port")]
struct Server {
    /// Our certificate chain (PEM); without it the port speaks plain text
    #[arg(long = "tls-cert", env = "BOOKINGQ_TLS_CERT", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Our key (PEM)
    #[arg(long = "tls-key", env = "BOOKINGQ_TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Clients must show a certificate signed by this authority (mTLS)
    #[arg(
        long = "tls-client-ca",
        env = "BOOKINGQ_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "certificate"
    )]
    client_ca: Option<PathBuf>,
    /// A connection older than this is asked to leave, so that new workers get their share
    #[arg(long = "max-connection-age", env = "BOOKINGQ_MAX_CONNECTION_AGE", value_name = "TIME", default_value = "5m", value_parser = duration)]
    connection_age: Duration,
    /// Requests worked on at once; what is over is refused with OVERLOADED
    #[arg(long = "max-requests", env = "BOOKINGQ_MAX_REQUESTS", value_name = "N", default_value_t = 4096, value_parser = value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Open WatchStatus streams; what is over is refused with OVERLOADED
    #[arg(long = "max-watches", env = "BOOKINGQ_MAX_WATCHES", value_name = "N", default_value_t = 200_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    watches: u32,
}

impl Server {
    fn tls(&self) -> Result<Option<ServerTls>, Failure> {
        let identity = identity("tls", self.certificate.clone(), self.key.clone())?;
        Ok(identity.map(|identity| ServerTls { identity, client_ca: self.client_ca.clone() }))
    }

    fn limits(&self) -> ServerLimits {
        ServerLimits {
            requests: self.requests as usize,
            watches: self.watches as usize,
            connection_age: self.connection_age,
            ..ServerLimits::default()
        }
    }
}

/// Serves until told to leave.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let redis = args.redis.resolve(args.queue.clone()).await?;
    let calls = (args.booking_call, args.ticket_call, args.realtime_call);
    let config = WorkerConfig {
        id: args.id.unwrap_or_else(own_name),
        listen: args.listen,
        admin: args.admin_listen,
        tls: args.server.tls()?,
        limits: args.server.limits(),
        concurrency: args.processing.concurrency as usize,
        lease: args.processing.lease()?,
        hold: args.processing.hold,
        retry: args.processing.retry()?,
        booking: calls.0.resolve(args.booking)?,
        ticket: args.ticket.map(|endpoint| calls.1.resolve(endpoint)).transpose()?,
        realtime: args.realtime.map(|endpoint| calls.2.resolve(endpoint)).transpose()?,
        grace: args.leaving.grace,
        linger: args.leaving.linger,
    };
    if config.grace < config.linger + config.booking.timeout {
        let needed = config.linger + config.booking.timeout;
        return Err(Failure::usage(format!(
            "--grace is {:?}; allowed: at least {needed:?}, that is --linger plus --booking-timeout",
            config.grace
        )));
    }
    let store = bookingq_store::open(redis)?;
    let handle = Worker::start(config, store).await?;
    serve(handle, leaving).await
}

async fn serve(mut handle: WorkerHandle, leaving: CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        () = leaving.cancelled() => {}
        error = handle.failed() => return Err(error.into()),
    }
    handle.drain().await;
    Ok(())
}

/// The host (in Kubernetes: the Pod) and the process: unique among the workers of a queue.
pub fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "worker" } else { host }, std::process::id())
}
