//! `bookingq watch`: follows a booking until it is final.

use bookingq_client::StatusWatch;
use bookingq_core::BookingState;
use bookingq_proto::v1;

use crate::client::BookingFlags;
use crate::client::output::{BookingOutput, Output, print_json};
use crate::failure::Failure;

/// Follow a booking: print a line for each change until the booking is final
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq watch --queue concert --client ann
  bookingq watch --queue concert --client ann -o json | jq --unbuffered .position

Exits with 0 when the booking reaches any final state. When a worker leaves, the watch continues at
another one; it fails if no worker takes over within --timeout.")]
pub struct Args {
    #[command(flatten)]
    booking: BookingFlags,
}

/// Calls WatchStatus, again whenever the stream ends early.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.booking.common.connect().await?;
    let request = v1::WatchStatusRequest {
        queue: args.booking.common.queue.to_string(),
        client_id: args.booking.client.to_string(),
    };
    let mut watch = StatusWatch::new(&client.worker, request);
    let mut shown = None;
    loop {
        let update = watch.next(&mut client.worker, |_| {}).await;
        let booking = update.map_err(|error| client.failure(error))?.booking;
        let is_final = booking.state().to_core().is_some_and(BookingState::is_final);
        let booking = BookingOutput::parse(Some(booking))?;
        // A new stream starts with the current booking, which may be the one shown last.
        if shown.as_ref() != Some(&booking) {
            show(&booking, args.booking.common.output)?;
            shown = Some(booking);
        }
        if is_final {
            return Ok(());
        }
    }
}

fn show(booking: &BookingOutput, output: Output) -> std::io::Result<()> {
    match output {
        Output::Json => print_json(booking),
        Output::Table => {
            println!("{}  {}", jiff::Zoned::now().strftime("%H:%M:%S"), booking.sentence());
            Ok(())
        }
    }
}
