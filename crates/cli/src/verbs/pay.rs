//! `bookingq pay`: tells that a booking is paid.

use bookingq_core::{BookingId, ClientId, PaymentId};
use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::client::output::Booking;
use crate::failure::Failure;

/// Record that a client has paid; wins only before the deadline
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq pay --queue concert --client ann --payment-id visa-4711
  bookingq pay --queue concert --client ann   # makes up a payment id and shows it

The same payment may be told again; another one for a booking that is paid is refused (ALREADY_FINAL).")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Whose booking
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    client: ClientId,
    /// Only this booking [default: the client's newest]
    #[arg(long, env = "BOOKINGQ_BOOKING_ID", value_name = "UUID", value_parser = BookingId::new)]
    booking_id: Option<BookingId>,
    /// Names the payment, so that it can be repeated [default: a new UUID]
    #[arg(long, env = "BOOKINGQ_PAYMENT_ID", value_name = "ID", value_parser = PaymentId::new)]
    payment_id: Option<PaymentId>,
}

/// Pays.
pub async fn run(args: Args) -> Result<(), Failure> {
    let generated = args.payment_id.is_none();
    let payment_id = args.payment_id.map_or_else(|| uuid::Uuid::now_v7().to_string(), String::from);
    if generated {
        eprintln!("note: this is --payment-id {payment_id}");
    }
    let request = v1::ConfirmPaymentRequest {
        queue: args.common.queue.to_string(),
        client_id: args.client.to_string(),
        booking_id: args.booking_id.map(|id| id.to_string()).unwrap_or_default(),
        payment_id,
    };
    let answer = args
        .common
        .client()
        .await?
        .call(|mut workers| {
            let request = request.clone();
            async move { workers.confirm_payment(request).await }
        })
        .await?;
    let booking =
        answer.booking.ok_or_else(|| anyhow::anyhow!("the worker answered without a booking"))?;
    Booking::from(booking).print(args.common.output)?;
    Ok(())
}
