//! `bookingq status`: how a booking is.

use bookingq_core::ClientId;
use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::client::output::Booking;
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
    /// Whose booking
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    client: ClientId,
}

/// Asks.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::GetStatusRequest {
        queue: args.common.queue.to_string(),
        client_id: args.client.to_string(),
    };
    let answer = args
        .common
        .client()
        .await?
        .call(|mut workers| {
            let request = request.clone();
            async move { workers.get_status(request).await }
        })
        .await?;
    let booking =
        answer.booking.ok_or_else(|| anyhow::anyhow!("the worker answered without a booking"))?;
    Booking::from(booking).print(args.common.output)?;
    Ok(())
}
