//! `bookingq admission`: opens, pauses or closes a queue, or prints its admission.

use bookingq_api::args::RedisArgs;
use bookingq_core::{Admission, QueueName};
use clap::ValueEnum;

use crate::failure::Failure;
use crate::flags::store_config;

/// Open, pause or close a queue; without an argument, print its admission
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq admission --queue concert --redis redis://127.0.0.1:6379
  bookingq admission --queue concert --redis redis://127.0.0.1:6379 paused

Takes effect at the next call of each worker, without a restart. In a cluster, set spec.admission
instead: the operator would overwrite a change made here.")]
pub struct Args {
    /// New admission of the queue
    #[arg(value_enum, value_name = "ADMISSION")]
    admission: Option<AdmissionArg>,
    /// Name of the queue
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    queue: QueueName,
    #[command(flatten)]
    redis: RedisArgs,
}

/// [`Admission`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum AdmissionArg {
    /// Accept bookings and process them
    Open,
    /// Accept bookings and keep their order, but reserve nothing
    Paused,
    /// Accept no new bookings; process those in the line
    Closed,
}

impl From<AdmissionArg> for Admission {
    fn from(admission: AdmissionArg) -> Self {
        match admission {
            AdmissionArg::Open => Self::Open,
            AdmissionArg::Paused => Self::Paused,
            AdmissionArg::Closed => Self::Closed,
        }
    }
}

/// Sets the admission if there is an argument, and prints it.
pub async fn run(args: Args) -> Result<(), Failure> {
    let store = bookingq_store::open(store_config(args.redis, args.queue).await?)?;
    store.open().await?;
    if let Some(admission) = args.admission {
        store.set_admission(admission.into()).await?;
    }
    println!("{}", store.snapshot().await?.admission.as_str());
    Ok(())
}
