//! `bookingq worker`: the gRPC service and the processing loop of one queue.

use bookingq_api::args::WorkerArgs;
use bookingq_serve::Signals;
use bookingq_worker::{Worker, WorkerConfig};

use crate::failure::Failure;
use crate::flags::store_config;

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
    let store = store_config(args.redis.clone(), args.queue.clone()).await?;
    let config = WorkerConfig::try_from(args).map_err(Failure::usage)?;
    let mut worker = Worker::start(config, bookingq_store::open(store)?).await?;
    tokio::select! {
        () = leaving.cancelled() => {}
        error = worker.failed() => return Err(error.into()),
    }
    worker.drain().await;
    Ok(())
}
