//! `bookingq enqueue`: joins the line.

use bookingq_core::RequestId;
use bookingq_proto::v1;

use crate::client::output::BookingOutput;
use crate::client::{BookingFlags, NoAnswer};
use crate::failure::Failure;

/// Join the line, or find the client's existing place
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq enqueue --queue concert --client ann
  bookingq enqueue --queue concert --client ann --item front-row --quantity 2 -o json
  bookingq enqueue --queue concert --client ann --request-id order-17   # the same place each time

Retries use the same request ID, so a retried call never makes two bookings.")]
pub struct Args {
    #[command(flatten)]
    booking: BookingFlags,
    /// ID of this request, for repeating it safely [default: a new UUID]
    #[arg(long, env = "BOOKINGQ_REQUEST_ID", value_name = "ID", value_parser = RequestId::new)]
    request_id: Option<RequestId>,
    /// What to book, as the Booking Service names it: at most 128 bytes
    #[arg(long, env = "BOOKINGQ_ITEM", default_value = "")]
    item: String,
    /// Number of items, 1 to 100
    #[arg(
        long,
        env = "BOOKINGQ_QUANTITY",
        default_value_t = 1,
        value_parser = clap::value_parser!(i32).range(1..=100)
    )]
    quantity: i32,
    /// Data for the Booking Service, passed on unread: at most 4096 bytes
    #[arg(long, env = "BOOKINGQ_PAYLOAD", value_name = "TEXT", default_value = "")]
    payload: String,
}

/// Calls Enqueue.
pub async fn run(args: Args) -> Result<(), Failure> {
    let generated = args.request_id.is_none();
    let request_id = args.request_id.map_or_else(|| uuid::Uuid::now_v7().to_string(), String::from);
    let request = v1::EnqueueRequest {
        queue: args.booking.common.queue.to_string(),
        client_id: args.booking.client.to_string(),
        request_id: request_id.clone(),
        item: args.item,
        quantity: args.quantity,
        payload: args.payload.into_bytes().into(),
    };
    let mut client = args.booking.common.connect().await?;
    let answer = client.call(request).await.inspect_err(|failure| {
        // Without its request ID, an Enqueue of unknown outcome could not be repeated safely.
        if generated && matches!(failure, Failure::Failed(error) if error.is::<NoAnswer>()) {
            eprintln!("note: to repeat this request, use --request-id {request_id}");
        }
    })?;
    let booking = BookingOutput::parse(answer.booking)?;
    booking.existing(answer.existing).print(args.booking.common.output)?;
    Ok(())
}
