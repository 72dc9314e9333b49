//! `bookingq crd`: prints the CustomResourceDefinitions, and converts manifests.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Print the `CustomResourceDefinitions` of `BookingQueue` and `BookingQueueBackup` as YAML
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq crd | kubectl apply --server-side --force-conflicts -f -
  bookingq crd > definitions.yaml
  bookingq crd convert queues.yaml > converted.yaml")]
pub struct Args {
    #[command(subcommand)]
    verb: Option<CrdVerb>,
}

#[derive(Debug, clap::Subcommand)]
enum CrdVerb {
    /// Print a file with its `BookingQueues` in version v1beta1; comments and the rest stay
    #[command(after_help = "Example:  bookingq crd convert queues.yaml > converted.yaml")]
    Convert {
        /// YAML file, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Prints the definitions, or a converted file.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = match &args.verb {
        None => bookingq_api::crd::all()?,
        Some(CrdVerb::Convert { file }) => {
            let (text, changed) = bookingq_api::convert::convert(&read(file)?)?;
            let noun = if changed == 1 { "BookingQueue" } else { "BookingQueues" };
            eprintln!("{changed} {noun} converted");
            text
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display()))
    })
}
