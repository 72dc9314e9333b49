//! `bookingq watch`: follows a booking until it is decided.

use bookingq_core::ClientId;
use bookingq_proto::v1;
use tokio::time::Instant;
use tonic::Status;

use crate::client::output::{Booking, Output, print_json};
use crate::client::{Client, ClientFlags, explain, may_be_repeated, wait};
use crate::failure::Failure;

/// Follow a booking: a line for each change, until it is decided
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq watch --queue concert --client ann
  bookingq watch --queue concert --client ann -o json | jq --unbuffered .position

Ends with 0 when the booking is decided, however. When a worker leaves, watching goes on through another one.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Whose booking
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    client: ClientId,
}

/// What one stream ended with.
enum End {
    /// The booking is decided.
    Decided,
    /// The worker left, or asks us to come again.
    Interrupted(Status),
}

/// Watches.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.common.client().await?;
    let request = v1::WatchStatusRequest {
        queue: args.common.queue.to_string(),
        client_id: args.client.to_string(),
    };
    let mut shown = None;
    let (mut tries, mut heard) = (0, Instant::now());
    loop {
        match follow(&client, &request, args.common.output, &mut shown, &mut heard).await {
            Ok(End::Decided) => return Ok(()),
            Ok(End::Interrupted(status)) if heard.elapsed() >= client.timeout() => {
                return Err(client.silence(status.message()));
            }
            Ok(End::Interrupted(status)) => {
                tries += 1;
                tokio::time::sleep(wait(&status, tries)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Shows what one stream brings. `heard` is when a worker last said anything.
async fn follow(
    client: &Client,
    request: &v1::WatchStatusRequest,
    output: Output,
    shown: &mut Option<Booking>,
    heard: &mut Instant,
) -> Result<End, Failure> {
    let opening = tokio::time::timeout(client.timeout(), async {
        client.workers().watch_status(request.clone()).await.map(tonic::Response::into_inner)
    });
    let mut stream = match opening.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(status)) if may_be_repeated(&status) => return Ok(End::Interrupted(status)),
        Ok(Err(status)) => return Err(explain(&status, output)),
        Err(_) => return Err(client.silence("the stream was not opened")),
    };
    loop {
        let news = match stream.message().await {
            Ok(Some(news)) => news,
            Ok(None) => {
                return Ok(End::Interrupted(Status::unavailable("the worker ended the stream")));
            }
            Err(status) if may_be_repeated(&status) => return Ok(End::Interrupted(status)),
            Err(status) => return Err(explain(&status, output)),
        };
        *heard = Instant::now();
        let Some(booking) = news.booking else { continue };
        let decided = booking.state().to_core().is_some_and(bookingq_core::BookingState::is_final);
        let booking = Booking::from(booking);
        // A new stream begins with the booking as it is, which may be what was shown last.
        if shown.as_ref() != Some(&booking) {
            show(&booking, output)?;
            *shown = Some(booking);
        }
        if decided {
            return Ok(End::Decided);
        }
    }
}

fn show(booking: &Booking, output: Output) -> std::io::Result<()> {
    match output {
        Output::Json => print_json(booking),
        Output::Table => {
            let now = jiff::Zoned::now();
            println!("{}  {}", now.strftime("%H:%M:%S"), booking.sentence());
            Ok(())
        }
    }
}
