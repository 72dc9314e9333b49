//! `bookingq outflow`: limits how fast a queue serves its line, or prints the limits.

use bookingq_core::Outflow;
use bookingq_proto::v1;
use clap::builder::RangedI64ValueParser;

use crate::client::ClientFlags;
use crate::client::output::{Output, outflow_words, print_json};
use crate::failure::Failure;

/// Limit how fast the line is served; without a limit, print the limits
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq outflow --queue concert
  bookingq outflow --queue concert --per-minute 600
  bookingq outflow --queue concert --per-minute 600 --burst 20 --max-holds 2000
  bookingq outflow --queue concert none

A change replaces all limits. It takes effect at the next claim of each worker, without a restart.
In a cluster, set spec.outflow instead: the operator overwrites a change made here.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Remove all limits
    #[arg(value_parser = ["none"], conflicts_with_all = ["per_minute", "burst", "max_holds"])]
    none: Option<String>,
    /// At most this many bookings leave the line in any 60 seconds
    #[arg(long, env = "BOOKINGQ_PER_MINUTE", value_name = "N", value_parser = limit())]
    per_minute: Option<u32>,
    /// At most this many of them at once [default: 1 and a hundredth of --per-minute]
    #[arg(long, env = "BOOKINGQ_BURST", value_name = "N", value_parser = limit())]
    burst: Option<u32>,
    /// At most this many bookings are reserving, reserved, confirming or releasing
    #[arg(long, env = "BOOKINGQ_MAX_HOLDS", value_name = "N", value_parser = limit())]
    max_holds: Option<u32>,
}

fn limit() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// Calls SetOutflow if there is a limit to set, and otherwise GetQueue.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { common, none, per_minute, burst, max_holds } = args;
    let limits = Outflow { per_minute, burst, max_holds };
    limits.validate().map_err(Failure::usage)?;
    let queue = common.queue.to_string();
    let mut client = common.connect().await?;
    let outflow = if none.is_none() && limits == Outflow::default() {
        client.call(v1::GetQueueRequest { queue }).await?.outflow
    } else {
        let outflow = Some(limits.into());
        client.call(v1::SetOutflowRequest { queue, outflow }).await?.outflow
    };
    let limits = outflow.unwrap_or_default().to_core();
    match common.output {
        Output::Table => println!("{}", outflow_words(&limits).unwrap_or("no limit".to_owned())),
        Output::Json => print_json(&serde_json::json!({
            "per_minute": limits.per_minute,
            "burst": limits.burst,
            "max_holds": limits.max_holds,
        }))?,
    }
    Ok(())
}
