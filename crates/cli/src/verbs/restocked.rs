//! `bookingq restocked`: opens an item that is available again.

use bookingq_core::{Details, ids::Invalid};
use bookingq_proto::v1;

use crate::client::ClientFlags;
use crate::client::output::{ItemOutput, Output, print_json};
use crate::failure::Failure;

/// Open an item that is available again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq restocked --queue festival stalls
  bookingq restocked --queue festival stalls --left 40
  bookingq restocked --queue concert ''   # the item without a name

Clients that wait for the item are served at once. Without this command bookingq finds returned
stock by itself, within a minute.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Item, as Enqueue names it
    #[arg(value_name = "ITEM", value_parser = item)]
    item: String,
    /// Number of items left [default: unknown]
    #[arg(long, env = "BOOKINGQ_LEFT", value_name = "N")]
    left: Option<u64>,
}

fn item(name: &str) -> Result<String, Invalid> {
    Details::new(name, 1, &[]).map(|details| details.item.to_string())
}

/// Calls Restocked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { common, item, left } = args;
    let request = v1::RestockedRequest { queue: common.queue.to_string(), item, left };
    let answer = common.connect().await?.call(request).await?;
    let Some(item) = answer.item else {
        return Err(anyhow::anyhow!("the answer has no item").into());
    };
    let item = ItemOutput::from(item);
    match common.output {
        Output::Table => println!("{item}"),
        Output::Json => print_json(&item)?,
    }
    Ok(())
}
