//! `bookingq sweep`: releases reservations that were not paid in time.

use bookingq_api::DurationString;
use bookingq_api::args::SweepArgs;
use bookingq_serve::Signals;
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};

use crate::failure::Failure;
use crate::flags::store_config;

/// Release reservations that were not paid in time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq sweep --queue concert --once
  bookingq sweep --queue concert --booking http://127.0.0.1:6001 --for 60s

Late payments are refused even if no sweeper runs; sweeping only puts the tickets back on sale.
With --booking, this process also runs the release tasks; without it, the workers do.")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
}

/// Sweeps.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let args = args.sweep;
    let store = store_config(args.redis.clone(), args.queue.clone()).await?;
    let mode = match (args.once, args.time.map(DurationString::get)) {
        (true, _) => SweepMode::Once,
        (false, Some(time)) => SweepMode::For(time),
        (false, None) => SweepMode::UntilStopped,
    };
    let config = SweepConfig::try_from(args).map_err(Failure::usage)?;
    let store = bookingq_store::open(store)?;
    Sweeper::new(config, store).run(mode, leaving).await?;
    Ok(())
}
