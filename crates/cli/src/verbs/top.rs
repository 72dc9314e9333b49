//! `bookingq top`: a live view of a queue.

use std::io::IsTerminal as _;
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_proto::v1;
use bookingq_serve::Signals;
use bookingq_up::screen::{Screen, Sparkline, bold, dim};

use crate::client::ClientFlags;
use crate::client::output::{Output, QueueOutput};
use crate::failure::Failure;

/// Show a queue live: redraw in a terminal, otherwise print a line for each reading
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq top --queue concert
  bookingq top --queue concert --interval 5s -o json >> concert.jsonl

Stop with Ctrl-C.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Time between two readings, at least 100ms
    #[arg(long, env = "BOOKINGQ_INTERVAL", value_name = "TIME", default_value = "1s")]
    interval: DurationString,
}

/// Calls GetQueue at each interval until a signal comes.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let request = v1::GetQueueRequest { queue: args.common.queue.to_string() };
    let mut client = args.common.connect().await?;
    let mut ticks = tokio::time::interval(args.interval.get().max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let drawing = args.common.output == Output::Table && std::io::stdout().is_terminal();
    let (mut screen, mut depth) = (Screen::default(), Sparkline::default());
    loop {
        tokio::select! {
            () = leaving.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let queue = tokio::select! {
            () = leaving.cancelled() => return Ok(()),
            answer = client.call(request.clone()) => QueueOutput::from(answer?),
        };
        depth.push(queue.backlog);
        match args.common.output {
            Output::Table if drawing => screen.draw(&view(&queue, &depth))?,
            Output::Table => println!("{}", line(&queue)),
            Output::Json => queue.print(Output::Json)?,
        }
    }
}

fn line(queue: &QueueOutput) -> String {
    let finals = queue.finals().iter().map(|(state, count)| format!(" {state}={count}"));
    format!(
        "{} waiting={} in_flight={} holds={} parked={} rate={:.1}/s oldest={} wait={}{}",
        queue.now.as_deref().unwrap_or_default(),
        queue.backlog,
        queue.in_flight,
        queue.holds,
        queue.parked,
        queue.rate,
        queue.oldest(),
        queue.wait().replace(' ', "_"),
        finals.collect::<String>(),
    )
}

/// Lines on items that the view shows: first those with the most clients that wait for them.
const ITEMS: usize = 8;

fn view(queue: &QueueOutput, depth: &Sparkline) -> Vec<String> {
    let now = dim(queue.now.as_deref().unwrap_or_default());
    let mut lines = vec![
        format!("{}  {}  {now}  {}", bold(&queue.queue), queue.admission, queue.sale().join("  ")),
        String::new(),
        format!("  waiting    {:>9}  {depth}", queue.backlog),
        format!("  parked     {:>9}", queue.parked),
        format!("  in flight  {:>9}", queue.in_flight),
        format!("  holds      {:>9}", queue.holds),
        format!(
            "  serving    {:>9}  oldest {}  {:.1}/s",
            queue.now_serving,
            queue.oldest(),
            queue.rate
        ),
        format!("  wait       {:>9}", queue.wait()),
        String::new(),
    ];
    lines.extend(queue.finals().chunks(3).map(|row| {
        let cells = row
            .iter()
            .map(|(state, count)| format!("  {:<10} {count:>9}", state.replace('_', " ")));
        cells.collect::<String>()
    }));
    lines.extend(queue.item_lines().take(ITEMS).map(|line| format!("  {line}")));
    lines.extend([String::new(), dim("  Ctrl-C stops this view")]);
    lines
}
