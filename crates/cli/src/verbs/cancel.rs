//! `bookingq cancel`: leaves the line, or gives a reservation back.

use bookingq_core::BookingId;
use bookingq_proto::v1;

use crate::client::BookingFlags;
use crate::failure::Failure;

/// Leave the line, or give a reservation back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq cancel --queue concert --client ann
  bookingq cancel --queue concert --client ann --booking-id 0199…   # only this booking")]
pub struct Args {
    #[command(flatten)]
    booking: BookingFlags,
    /// Cancel only this booking [default: the client's newest]
    #[arg(long, env = "BOOKINGQ_BOOKING_ID", value_name = "UUID", value_parser = BookingId::new)]
    booking_id: Option<BookingId>,
}

/// Calls Cancel.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = v1::CancelRequest {
        queue: args.booking.common.queue.to_string(),
        client_id: args.booking.client.to_string(),
        booking_id: args.booking_id.map(|id| id.to_string()).unwrap_or_default(),
    };
    args.booking.common.show(request, |answer| answer.booking).await
}
