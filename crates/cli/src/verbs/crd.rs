//! `bookingq crd`: prints the CustomResourceDefinition.

use std::io::Write as _;

use crate::failure::Failure;

/// Print the `CustomResourceDefinition` of `BookingQueue` as YAML
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq crd | kubectl apply --server-side -f -
  bookingq crd > crds/bookingqueue.yaml")]
pub struct Args {}

/// Prints it.
pub fn run() -> Result<(), Failure> {
    std::io::stdout().write_all(bookingq_api::crd::yaml()?.as_bytes())?;
    Ok(())
}
