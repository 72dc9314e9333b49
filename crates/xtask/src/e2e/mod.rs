//! `cargo xtask e2e`: a whole sale on a real cluster, with injected failures, from the installation
//! of the chart until every object is deleted.
//!
//! ```text
//!   scenario    the steps, in order, each with its deadline       dump      state after a failure
//!     |- crowd        20,000 clients in a Job, and their report
//!     |- objects      objects that the scenario adds to the sample
//!     |- rules        two steps: an opening time, and a limited outflow
//!     |- scale_down   one step: many busy workers are scaled down
//!     |- gateways     five steps: a queue with gateways           forward   HTTP to a Service
//!     |- redis_of_three   three steps: failovers
//!     |- restored     two steps: a backup, and a new queue that starts with it
//!     |    '- bucket      a server of S3
//!     |- kafka        three steps: a queue in Kafka
//!     |- workers      the worker Pods                             images    loading of images
//!     |- events       the events of the queue                     simulator the Booking Service
//!     '- cluster      kubectl and helm
//! ```

mod bucket;
mod cluster;
mod crowd;
mod dump;
mod events;
mod forward;
mod gateways;
mod images;
mod kafka;
mod objects;
mod redis_of_three;
mod restored;
mod rules;
mod scale_down;
mod scenario;
mod simulator;
mod workers;

use std::time::Instant;

use anyhow::{Context as _, Result};

use self::images::Images;
use self::scenario::{STEPS, Scenario};

/// Flags of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Uses the cluster in KUBECONFIG. bookingq must not be installed there, and is removed at the end.

Examples:
  tests/e2e/kind.sh                                    in a new kind cluster
  cargo xtask e2e --load-image tests/e2e/load-into-kind.sh
  cargo xtask e2e                                      the cluster pulls the images by itself

--load-image CMD: runs `CMD NAME:TAG` in the repository for each image, which must build the image and
load it into the cluster's nodes under that name: bookingq at two tags, Redis, with --kafka a
broker, and with --s3 a server of S3.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    /// Command that loads an image into the cluster: run as `CMD NAME:TAG`
    #[arg(long, value_name = "CMD")]
    load_image: Option<String>,
    /// Number of clients, enough to reach the maximum of workers
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(20_000..=200_000))]
    clients: u64,
    /// Run the steps of a queue with gateways as well
    #[arg(long)]
    gateways: bool,
    /// Run the steps of a queue with a Redis of three as well
    #[arg(long)]
    redis_of_three: bool,
    /// Run the steps of a queue in Kafka as well; the image must have the feature kafka
    #[arg(long)]
    kafka: bool,
    /// Run the step of a backup in a bucket as well
    #[arg(long)]
    s3: bool,
    /// Keep the objects in the cluster when a step fails
    #[arg(long)]
    keep: bool,
}

/// Runs the scenario.
pub fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    cluster::check_tools()?;
    println!("on {}", scenario::check_cluster()?);
    let images = Images::new(args.load_image.clone()).with_kafka(args.kafka).with_s3(args.s3);
    let scenario = Scenario::new(images, args.clients);
    let is_wanted = |name: &str| {
        (args.gateways || !name.contains("gateway"))
            && (args.redis_of_three || !name.contains("Redis of three"))
            && (args.kafka || !name.contains("Kafka"))
            && (args.s3 || !name.contains("bucket"))
    };
    let steps: Vec<_> = STEPS.iter().filter(|(name, _)| is_wanted(name)).collect();
    for (number, (name, step)) in steps.iter().enumerate() {
        let number = number + 1;
        println!("=== {number}/{} {name}", steps.len());
        let begin = Instant::now();
        match step(&scenario) {
            Ok(note) => {
                println!("    ok, {:.1} s{}{note}", begin.elapsed().as_secs_f64(), colon(&note));
            }
            Err(error) => {
                println!("    FAILED after {:.1} s: {error:#}", begin.elapsed().as_secs_f64());
                println!("    the state of the cluster is in {}", dump::write()?.display());
                if !args.keep {
                    scenario::clean_up();
                }
                return Err(error).context(format!("step {number}, {name}"));
            }
        }
    }
    println!("\nok, {} s", start.elapsed().as_secs());
    Ok(())
}

fn colon(note: &str) -> &'static str {
    if note.is_empty() { "" } else { ": " }
}
