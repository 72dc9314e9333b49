//! `cargo xtask e2e`: a whole sale on a real cluster, with everything killed that can be, from the
//! chart's installation to the last object that must be gone.
//!
//! ```text
//!   story    the steps, in order, each with its deadline    dump      what is kept when one fails
//!     |- crowd     20,000 clients, as a Job, and what they report
//!     |- objects   what the story adds to the sample        images    how images get into the cluster
//!     |- retreat   one step: many busy workers become few
//!     '- cluster   kubectl and helm
//! ```

mod cluster;
mod crowd;
mod dump;
mod images;
mod objects;
mod retreat;
mod story;
mod workers;

use std::time::Instant;

use anyhow::{Context as _, Result};

use self::images::Images;
use self::story::{STEPS, Story};

/// Where the operator is installed, as README.md says.
const OPERATOR: &str = "bookingq-system";
/// Where the sample puts the sale.
const NAMESPACE: &str = "bookingq-demo";
/// The sample's queue.
const QUEUE: &str = "concert";

/// How to run it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The cluster is the one KUBECONFIG points at; it must not have bookingq yet, and has nothing of it left at the end.

Examples:
  tests/e2e/kind.sh                                    on kind, from nothing
  cargo xtask e2e --load-image tests/e2e/load-into-kind.sh
  cargo xtask e2e                                      the cluster finds the images by itself

--load-image CMD: `CMD NAME:TAG` is run from the top of the repository, once for each image, and must make the image and put
it where the cluster's nodes find it under that very name: bookingq's own at two tags, and Redis.")]
pub struct Args {
    /// Makes an image and brings it into the cluster: run as `CMD NAME:TAG`
    #[arg(long, value_name = "CMD")]
    load_image: Option<String>,
    /// How many clients come: enough that workers go to the maximum
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(20_000..=200_000))]
    clients: u64,
    /// When a step fails, leave everything in the cluster as it is
    #[arg(long)]
    keep: bool,
}

/// Runs the story.
pub fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    cluster::check_tools()?;
    println!("on {}", story::check_cluster()?);
    let story = Story::new(Images::new(args.load_image.clone()), args.clients);
    for (number, (name, step)) in STEPS.iter().enumerate() {
        let number = number + 1;
        println!("=== {number}/{} {name}", STEPS.len());
        let begin = Instant::now();
        match step(&story) {
            Ok(note) => {
                println!("    ok, {:.1} s{}{note}", begin.elapsed().as_secs_f64(), colon(&note));
            }
            Err(error) => {
                println!("    FAILED after {:.1} s: {error:#}", begin.elapsed().as_secs_f64());
                println!("    what the cluster looks like is in {}", dump::write()?.display());
                if !args.keep {
                    story::clean_up();
                }
                return Err(error).context(format!("step {number}, {name}"));
            }
        }
    }
    println!("\nthe whole story: ok, {} s", start.elapsed().as_secs());
    Ok(())
}

fn colon(note: &str) -> &'static str {
    if note.is_empty() { "" } else { ": " }
}
