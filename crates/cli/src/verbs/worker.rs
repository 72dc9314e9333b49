//! `bookingq worker`: the gRPC service and the processing loop of one queue.

use bookingq_api::args::{ServerArgs, WorkerArgs};
use bookingq_serve::Signals;
use bookingq_serve::tls::ServerTls;
use bookingq_worker::config::{ServerLimits, WorkerConfig};
use bookingq_worker::{Worker, WorkerHandle};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::flags::{downstream, identity, redis_config};

/// Serve a queue: accept bookings over gRPC, and reserve, confirm and release them in order
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq worker --queue concert --redis redis://127.0.0.1:6379 --booking http://127.0.0.1:6001
  bookingq worker --queue concert --booking https://booking.example.com --booking-tls-ca ca.pem \\
      --tls-cert tls.crt --tls-key tls.key --tls-client-ca clients.pem

Any number of workers may serve one queue. On SIGTERM a worker stops claiming tasks, finishes or
returns those it has, and exits within --grace.")]
pub struct Args {
    #[command(flatten)]
    worker: WorkerArgs,
}

/// Serves until a signal asks it to stop.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let args = args.worker;
    let redis = redis_config(args.redis.clone(), args.queue.clone()).await?;
    let config = config(args)?;
    let store = bookingq_store::open(redis)?;
    let handle = Worker::start(config, store).await?;
    serve(handle, leaving).await
}

fn config(args: WorkerArgs) -> Result<WorkerConfig, Failure> {
    let grace = args.grace().map_err(Failure::usage)?;
    let (ticket_call, realtime_call) = (args.ticket_call, args.realtime_call);
    let ticket = args.ticket.map(|endpoint| downstream("ticket", endpoint, ticket_call));
    let realtime = args.realtime.map(|endpoint| downstream("realtime", endpoint, realtime_call));
    Ok(WorkerConfig {
        id: args.id.unwrap_or_else(own_name),
        listen: args.listen,
        admin: args.admin_listen,
        tls: tls(&args.server)?,
        limits: ServerLimits {
            requests: args.server.requests as usize,
            watches: args.server.watches as usize,
            connection_age: args.server.connection_age.get(),
            ..ServerLimits::default()
        },
        concurrency: args.processing.concurrency as usize,
        lease: args.processing.lease().map_err(Failure::usage)?,
        hold: args.processing.hold.get(),
        retry: args.processing.retry().map_err(Failure::usage)?,
        booking: downstream("booking", args.booking, args.booking_call)?,
        ticket: ticket.transpose()?,
        realtime: realtime.transpose()?,
        grace,
        linger: args.drain.linger.get(),
    })
}

fn tls(args: &ServerArgs) -> Result<Option<ServerTls>, Failure> {
    let identity = identity("tls", args.certificate.clone(), args.key.clone())?;
    Ok(identity.map(|identity| ServerTls { identity, client_ca: args.client_ca.clone() }))
}

async fn serve(mut handle: WorkerHandle, leaving: CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        () = leaving.cancelled() => {}
        error = handle.failed() => return Err(error.into()),
    }
    handle.drain().await;
    Ok(())
}

/// The host (in Kubernetes, the Pod) and the process: unique among the workers of a queue.
pub fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "worker" } else { host }, std::process::id())
}
