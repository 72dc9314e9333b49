//! `bookingq sweep`: gives unpaid reservations back.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_serve::Signals;
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};

use super::worker::{Processing, own_name};
use crate::failure::Failure;
use crate::flags::{BookingFlags, RedisFlags, duration};

/// Give back what was not paid in time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq sweep --queue concert --once
  bookingq sweep --queue concert --booking http://127.0.0.1:6001 --for 60s

Late payments are refused even if no sweeper runs; sweeping only puts the tickets back on sale.
With --booking, this process also does what is due at the Booking Service; without it, the workers do.")]
pub struct Args {
    /// The queue's name
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    queue: QueueName,
    /// Sweep until nothing is overdue, then end
    #[arg(long, env = "BOOKINGQ_SWEEP_ONCE", conflicts_with = "time")]
    once: bool,
    /// Sweep for so long, then end [default: until told to stop]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_SWEEP_FOR", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// The Booking Service: http://HOST:PORT or https://HOST:PORT
    #[arg(long, env = "BOOKINGQ_BOOKING", value_name = "URL")]
    booking: Option<String>,
    /// Names this sweeper in logs and metrics [default: host name and process id]
    #[arg(long, env = "BOOKINGQ_ID", value_name = "NAME")]
    id: Option<String>,
    /// Where /healthz, /readyz and /metrics are served; nowhere by default
    #[arg(long, env = "BOOKINGQ_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// How long tasks in hand may take once the sweep is over
    #[arg(long, env = "BOOKINGQ_GRACE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    redis: RedisFlags,
    #[command(flatten)]
    processing: Processing,
    #[command(flatten)]
    booking_call: BookingFlags,
}

/// Sweeps.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let redis = args.redis.resolve(args.queue.clone()).await?;
    let mode = match (args.once, args.time) {
        (true, _) => SweepMode::Once,
        (false, Some(time)) => SweepMode::For(time),
        (false, None) => SweepMode::UntilStopped,
    };
    let config = SweepConfig {
        id: args.id.unwrap_or_else(own_name),
        booking: args.booking.map(|endpoint| args.booking_call.resolve(endpoint)).transpose()?,
        concurrency: args.processing.concurrency as usize,
        lease: args.processing.lease()?,
        hold: args.processing.hold,
        retry: args.processing.retry()?,
        grace: args.grace,
        admin: args.admin_listen,
    };
    let store = bookingq_store::open(redis)?;
    Sweeper::new(config, store).run(mode, leaving).await?;
    Ok(())
}
