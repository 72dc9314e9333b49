//! `bookingq top`: a live view of a queue, and of its gateways.

mod gateways;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_client::WorkerEndpoints;
use bookingq_proto::v1;
use bookingq_serve::Signals;
use bookingq_up::screen::{Screen, Sparkline};
use serde::Serialize;

use self::gateways::{GatewayReader, GatewaysOutput};
use crate::client::output::{Output, QueueOutput, print_json};
use crate::client::{ClientFlags, CommandClient, plain_url};
use crate::failure::Failure;

/// Show a queue live: redraw in a terminal, otherwise print a line for each reading
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq top --queue concert
  bookingq top --queue concert --gateway-admin http://127.0.0.1:8090
  bookingq top --queue concert --interval 5s -o json >> concert.jsonl

Stop with Ctrl-C.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Show gateways as well: URL of the admin port of one, or of a headless Service
    #[arg(
        long,
        env = "BOOKINGQ_GATEWAY_ADMIN",
        value_name = "URL,…",
        value_delimiter = ',',
        value_parser = plain_url
    )]
    gateway_admin: Vec<WorkerEndpoints>,
    /// Time between two readings, at least 100ms
    #[arg(long, env = "BOOKINGQ_INTERVAL", value_name = "TIME", default_value = "1s")]
    interval: DurationString,
    /// End after one reading
    #[arg(long, env = "BOOKINGQ_ONCE")]
    once: bool,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct TopReading {
    #[serde(flatten)]
    queue: QueueOutput,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways: Option<GatewaysOutput>,
}

/// Reads at each interval until a signal comes; with `--once`, only once.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let mut client = args.common.connect().await?;
    let queue = args.common.queue.clone();
    let limit = args.common.timeout();
    let mut gateways = GatewayReader::new(queue.clone(), args.gateway_admin, limit).await?;
    let request = v1::GetQueueRequest { queue: queue.to_string() };
    let mut ticks = tokio::time::interval(args.interval.get().max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let drawing = args.common.output == Output::Table && io::stdout().is_terminal();
    let (mut screen, mut depth) = (Screen::default(), Sparkline::default());
    loop {
        tokio::select! {
            () = leaving.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let reading = tokio::select! {
            () = leaving.cancelled() => return Ok(()),
            reading = read(&mut client, &request, &mut gateways) => reading?,
        };
        depth.push(reading.queue.backlog);
        let (queue, gateways) = (&reading.queue, reading.gateways.as_ref());
        match args.common.output {
            Output::Table if drawing => screen.draw(&view::block(queue, gateways, &depth))?,
            Output::Table => println!("{}", view::line(queue, gateways)),
            Output::Json => print_json(&reading)?,
        }
        if args.once {
            return Ok(());
        }
    }
}

/// Queue and gateways at the same time.
async fn read(
    client: &mut CommandClient,
    request: &v1::GetQueueRequest,
    gateways: &mut GatewayReader,
) -> Result<TopReading, Failure> {
    let (queue, gateways) = tokio::join!(client.call(request.clone()), gateways.read());
    Ok(TopReading { queue: queue?.into(), gateways })
}
