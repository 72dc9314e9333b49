//! `bookingq queue`: shows a queue.

use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::client::output::QueueOutput;
use crate::failure::Failure;

/// Show a queue: its admission, backlog, rate and totals
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq queue --queue concert
  bookingq queue --queue concert -o json | jq .backlog")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
}

/// Calls GetQueue.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::GetQueueRequest { queue: args.common.queue.to_string() };
    let answer = args.common.connect().await?.call(request).await?;
    QueueOutput::from(answer).print(args.common.output)?;
    Ok(())
}
