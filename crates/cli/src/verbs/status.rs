//! `bookingq status`: shows a client's booking.

use bookingq_core::ClientId;
use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::failure::Failure;

/// Show a client's newest booking and its exact position
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq status --queue concert --client ann
  bookingq status --queue concert --client ann -o json | jq .position")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// ID of the client
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    client: ClientId,
}

/// Calls GetStatus.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::GetStatusRequest {
        queue: args.common.queue.to_string(),
        client_id: args.client.to_string(),
    };
    args.common.show(request, |answer| answer.booking).await
}
