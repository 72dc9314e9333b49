//! `bookingq queue`: how the line is.

use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::client::output::Queue;
use crate::failure::Failure;

/// Show the line as a whole
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq queue --queue concert
  bookingq queue --queue concert -o json | jq .backlog")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
}

/// Asks once.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::GetQueueRequest { queue: args.common.queue.to_string() };
    let answer = args
        .common
        .client()
        .await?
        .call(|mut workers| {
            let request = request.clone();
            async move { workers.get_queue(request).await }
        })
        .await?;
    Queue::from(answer).print(args.common.output)?;
    Ok(())
}
