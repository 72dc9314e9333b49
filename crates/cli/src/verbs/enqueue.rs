//! `bookingq enqueue`: joins the line.

use bookingq_core::{ClientId, RequestId};
use bookingq_proto::v1;

use crate::client::output::Booking;
use crate::client::{ClientFlags, Silence};
use crate::failure::Failure;

/// Join the line, or find the place already held
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq enqueue --queue concert --client ann
  bookingq enqueue --queue concert --client ann --item front-row --quantity 2 -o json
  bookingq enqueue --queue concert --client ann --request-id order-17   # repeated, it gives the same place

Without --request-id one is made up and shown; while there is no answer, the call is repeated with the same one.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Who waits
    #[arg(long, env = "BOOKINGQ_CLIENT", value_name = "ID", value_parser = ClientId::new)]
    client: ClientId,
    /// Names this request, so that it can be repeated [default: a new UUID]
    #[arg(long, env = "BOOKINGQ_REQUEST_ID", value_name = "ID", value_parser = RequestId::new)]
    request_id: Option<RequestId>,
    /// What is booked, in the Booking Service's words
    #[arg(long, env = "BOOKINGQ_ITEM", default_value = "")]
    item: String,
    /// How many
    #[arg(long, env = "BOOKINGQ_QUANTITY", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100))]
    quantity: i32,
    /// Anything else the Booking Service needs, passed on unread
    #[arg(long, env = "BOOKINGQ_PAYLOAD", value_name = "TEXT", default_value = "")]
    payload: String,
}

/// Joins.
pub async fn run(args: Args) -> Result<(), Failure> {
    let generated = args.request_id.is_none();
    let request_id = args.request_id.map_or_else(|| uuid::Uuid::now_v7().to_string(), String::from);
    let request = v1::EnqueueRequest {
        queue: args.common.queue.to_string(),
        client_id: args.client.to_string(),
        request_id: request_id.clone(),
        item: args.item,
        quantity: args.quantity,
        payload: args.payload.into_bytes().into(),
    };
    let client = args.common.client().await?;
    let answer = client
        .call(|mut workers| {
            let request = request.clone();
            async move { workers.enqueue(request).await }
        })
        .await
        .inspect_err(|failure| {
            // Without its request id, an enqueue of unknown outcome could not be repeated safely.
            if generated && matches!(failure, Failure::Failed(error) if error.is::<Silence>()) {
                eprintln!("note: to repeat this request, use --request-id {request_id}");
            }
        })?;
    let booking =
        answer.booking.ok_or_else(|| anyhow::anyhow!("the worker answered without a booking"))?;
    Booking::from(booking).existing(answer.existing).print(args.common.output)?;
    Ok(())
}
