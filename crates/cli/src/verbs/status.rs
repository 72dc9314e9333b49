//! `bookingq status`: shows a client's booking.

use bookingq_proto::v1;

use crate::client::BookingFlags;
use crate::failure::Failure;

/// Show a client's newest booking and its exact position
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq status --queue concert --client ann
  bookingq status --queue concert --client ann -o json | jq .position")]
pub struct Args {
    #[command(flatten)]
    booking: BookingFlags,
}

/// Calls GetStatus.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::GetStatusRequest {
        queue: args.booking.common.queue.to_string(),
        client_id: args.booking.client.to_string(),
    };
    args.booking.common.show(request, |answer| answer.booking).await
}
