//! `bookingq admission`: opens, pauses or closes a queue, or tells which it is.

use bookingq_api::args::RedisArgs;
use bookingq_core::{Admission, QueueName};
use bookingq_store::Store as _;
use bookingq_store::redis::RedisStore;
use clap::ValueEnum;

use crate::failure::Failure;
use crate::flags::redis_config;

/// Open, pause or close a queue; without a word, tell which it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq admission --queue concert --redis redis://127.0.0.1:6379
  bookingq admission --queue concert --redis redis://127.0.0.1:6379 paused

All workers of the queue heed it with their next call; nothing is restarted.")]
pub struct Args {
    /// From now on
    #[arg(value_enum, value_name = "WORD")]
    word: Option<Word>,
    /// The queue's name
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    queue: QueueName,
    #[command(flatten)]
    redis: RedisArgs,
}

/// What a queue can be told.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Word {
    /// Takes bookings and serves them
    Open,
    /// Takes bookings and keeps their order, but reserves nothing
    Paused,
    /// Takes no new bookings; serves those in line
    Closed,
}

impl From<Word> for Admission {
    fn from(word: Word) -> Self {
        match word {
            Word::Open => Self::Open,
            Word::Paused => Self::Paused,
            Word::Closed => Self::Closed,
        }
    }
}

/// Sets it if asked to, and prints it.
pub async fn run(args: Args) -> Result<(), Failure> {
    let store = RedisStore::connect(redis_config(args.redis, args.queue).await?)?;
    store.open().await?;
    if let Some(word) = args.word {
        store.set_admission(word.into()).await?;
    }
    println!("{}", store.snapshot().await?.admission.as_str());
    Ok(())
}
