//! `bookingq pay`: records a payment.

use bookingq_core::{BookingId, PaymentId};
use bookingq_proto::v1;

use crate::client::BookingFlags;
use crate::client::output::BookingOutput;
use crate::failure::Failure;

/// Record that a client has paid; succeeds only before the deadline
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq pay --queue concert --client ann --payment-id visa-4711
  bookingq pay --queue concert --client ann   # generates a payment ID and prints it

With --reacquire the booking may be another one, made for the payment: if it is sold_out, return
the payment.

Repeating a payment is safe. A second payment with another ID is refused (ALREADY_FINAL).")]
pub struct Args {
    #[command(flatten)]
    booking: BookingFlags,
    /// Pay only for this booking [default: the client's newest]
    #[arg(long, env = "BOOKINGQ_BOOKING_ID", value_name = "UUID", value_parser = BookingId::new)]
    booking_id: Option<BookingId>,
    /// ID of the payment, for repeating it safely [default: a new UUID]
    #[arg(long, env = "BOOKINGQ_PAYMENT_ID", value_name = "ID", value_parser = PaymentId::new)]
    payment_id: Option<PaymentId>,
    /// If the hold has expired, try once more to reserve and confirm, ahead of the line
    #[arg(long, env = "BOOKINGQ_REACQUIRE")]
    reacquire: bool,
}

/// Calls ConfirmPayment.
pub async fn run(args: Args) -> Result<(), Failure> {
    let payment_id = args.payment_id.map_or_else(
        || {
            let generated = uuid::Uuid::now_v7().to_string();
            eprintln!("note: this is --payment-id {generated}");
            generated
        },
        String::from,
    );
    let request = v1::ConfirmPaymentRequest {
        queue: args.booking.common.queue.to_string(),
        client_id: args.booking.client.to_string(),
        booking_id: args.booking_id.map(|id| id.to_string()).unwrap_or_default(),
        payment_id,
        reacquire: args.reacquire,
    };
    let answer = args.booking.common.connect().await?.call(request).await?;
    let booking = BookingOutput::parse(answer.booking)?.reacquired_for(answer.reacquired_for);
    booking.print(args.booking.common.output)?;
    Ok(())
}
