//! `bookingq backup`: copies the bookings of a queue out of Redis, and into an empty one.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bookingq_api::DurationString;
use bookingq_api::args::RedisAccessArgs;
use bookingq_core::{QueueName, defaults};
use bookingq_store::backup::{
    self, BackupError, BackupLocation, BackupRequest, CopyProgress, FoundBackup, Restored,
};
use bookingq_store::s3::{S3Settings, S3SettingsError};
use bookingq_store::{RedisConfig, StoreError};
use clap::{Subcommand, value_parser};
use serde::Serialize;

use crate::failure::Failure;
use crate::flags::reached;

/// Between two lines about a copy.
const EACH: Duration = Duration::from_secs(2);

/// Back up the bookings of a queue in Redis, and restore them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq backup create --queue concert --redis redis://127.0.0.1:6379 --to backups --keep 7
  bookingq backup list backups
  bookingq backup verify backups/concert-20261130T230000Z.rdb
  bookingq backup restore backups/concert-20261130T230000Z.rdb --queue concert --data redis-data
  redis-server --appendonly yes --dir redis-data
  bookingq backup create --queue concert --to s3://sale/backups --keep 7

A folder or file whose name begins with s3:// is in a bucket: s3://BUCKET/PREFIX. The environment
says how to reach it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
(us-east-1 if not set), and for a server that is not AWS AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL,
and AWS_CA_BUNDLE for the authorities of its certificate.

A backup is a copy of one moment: an RDB file, which Redis reads, and a description beside it.
A restore forgets what came after that moment. Workers, gateways and clients notice it, as they
notice a Redis that was set back.")]
pub struct Args {
    #[command(subcommand)]
    verb: BackupVerb,
}

#[derive(Debug, Subcommand)]
enum BackupVerb {
    Create(Box<CreateArgs>),
    /// Compare a backup with its description
    Verify {
        /// The RDB file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        silence: SilenceArgs,
    },
    /// List the backups of a folder, the newest first
    List {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        #[command(flatten)]
        silence: SilenceArgs,
    },
    Restore(RestoreArgs),
}

#[derive(Debug, clap::Args)]
struct SilenceArgs {
    /// Give up after this long without a sign of life from Redis, and from a bucket when a second
    /// try has none either
    #[arg(long, env = "BOOKINGQ_BACKUP_SILENCE", value_name = "TIME", default_value = "1m")]
    silence: DurationString,
}

/// Copy all data of a Redis, as of one moment, while it goes on serving
///
/// The copy is taken as a replica takes it: Redis forks, and needs the memory for that. The queue
/// must be in database 0. The copy has all data of the Redis, other queues too.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Queue that the backup is of
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME")]
    queue: QueueName,
    /// Namespace of the queue, for the description
    #[arg(long, env = "BOOKINGQ_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Address of Redis, as workers get it
    #[arg(
        long,
        env = "BOOKINGQ_REDIS",
        hide_env_values = true,
        value_name = "URL",
        default_value = defaults::REDIS_URL
    )]
    redis: String,
    #[command(flatten)]
    access: RedisAccessArgs,
    /// Folder of the backup, or name of a new file that ends with .rdb; also s3://BUCKET/PREFIX
    #[arg(long, env = "BOOKINGQ_BACKUP_TO", value_name = "PATH")]
    to: PathBuf,
    /// Remove older backups of this queue from the folder, so that this many stay
    #[arg(
        long,
        env = "BOOKINGQ_BACKUP_KEEP",
        value_name = "N",
        value_parser = value_parser!(u32).range(1..=10_000)
    )]
    keep: Option<u32>,
    #[command(flatten)]
    silence: SilenceArgs,
    /// File for the outcome as JSON, such as /dev/termination-log in a Pod
    #[arg(long, env = "BOOKINGQ_BACKUP_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Fill the empty data folder of a Redis that does not run
///
/// Start Redis on it with `--appendonly yes`, as the user that owns the files. In a folder that was
/// filled with the same backup before, this does nothing, so it can stand in front of each start.
#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// The RDB file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Data folder of Redis; it is created if it is missing
    #[arg(long, env = "BOOKINGQ_RESTORE_DATA", value_name = "FOLDER")]
    data: PathBuf,
    /// Refuse a backup of another queue
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME")]
    queue: Option<QueueName>,
    #[command(flatten)]
    silence: SilenceArgs,
}

/// What a Pod reports about the backup that it took.
#[derive(Serialize)]
struct BackupReport<'a> {
    file: String,
    #[serde(flatten)]
    description: &'a backup::BackupDescription,
}

/// Runs the verb.
pub async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        BackupVerb::Create(args) => create(*args).await,
        BackupVerb::Verify { file, silence } => {
            let file = silence.open(&file).await?;
            let found = backup::verify(&file).await.map_err(failure)?;
            println!("{file} is whole: {}", story(&found));
            Ok(())
        }
        BackupVerb::List { folder, silence } => list(&silence.open(&folder).await?).await,
        BackupVerb::Restore(args) => restore(args).await,
    }
}

impl SilenceArgs {
    /// A path, or a place in a bucket that the environment says how to reach.
    async fn open(&self, name: &Path) -> Result<BackupLocation, Failure> {
        let variable = |name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(S3SettingsError::NotText(name)),
        };
        let settings = || S3Settings::from_variables(variable, self.silence.get());
        BackupLocation::open(name, settings).await.map_err(failure)
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let config = reached(RedisConfig::new(args.redis, args.queue), &args.access).await?;
    let request = BackupRequest {
        redis: config,
        namespace: args.namespace,
        to: args.silence.open(&args.to).await?,
        silence: args.silence.silence.get(),
    };
    let mut shown = Instant::now();
    let taken = backup::create(&request, |progress| {
        if shown.elapsed() >= EACH {
            shown = Instant::now();
            eprintln!("copied {}", copied(progress));
        }
    });
    let taken = taken.await.map_err(failure)?;
    println!("{}: {}", taken.rdb, story(&taken.description));
    if let Some(count) = args.keep {
        let removed = backup::keep(&taken, count as usize).await.map_err(failure)?;
        for old in removed {
            eprintln!("removed {old}");
        }
    }
    if let Some(file) = args.report {
        report(&file, &taken)?;
    }
    Ok(())
}

fn report(file: &Path, taken: &FoundBackup) -> Result<(), Failure> {
    let name = taken.rdb.file_name();
    let text = serde_json::to_vec(&BackupReport { file: name, description: &taken.description })?;
    let written = std::fs::write(file, text);
    Ok(written.with_context(|| format!("cannot write {}", file.display()))?)
}

async fn list(folder: &BackupLocation) -> Result<(), Failure> {
    let (found, unread) = backup::list(folder).await.map_err(failure)?;
    println!("{:<20}  {:<24}  {:>10}  FILE", "TAKEN AT", "QUEUE", "SIZE");
    for FoundBackup { rdb, description } in found {
        let namespace = description.namespace.map(|name| name + "/").unwrap_or_default();
        let (queue, name) = (description.queue, rdb.file_name());
        let (at, size) = (description.taken_at.to_string(), size(description.bytes));
        let queue = format!("{namespace}{queue}");
        println!("{at:<20}  {queue:<24}  {size:>10}  {name}");
    }
    for error in &unread {
        eprintln!("warning: {error}");
    }
    Ok(())
}

async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let data = args.data.display();
    let file = args.silence.open(&args.file).await?;
    let done = backup::restore(&file, &args.data, args.queue.as_ref()).await;
    match done.map_err(failure)? {
        Restored::Now(description) => {
            println!("{data} has the data of {file}: {}", story(&description));
        }
        Restored::Before => println!("{data} was restored from this backup before"),
    }
    Ok(())
}

/// `queue concert at 2026-11-30T23:00:00Z, 1.2 MiB`
fn story(description: &backup::BackupDescription) -> String {
    let backup::BackupDescription { queue, taken_at, bytes, .. } = description;
    format!("queue {queue} at {taken_at}, {}", size(*bytes))
}

fn copied(progress: CopyProgress) -> String {
    match progress.total {
        Some(total) => format!("{} of {}", size(progress.bytes), size(total)),
        None => size(progress.bytes),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1024.0, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// What a person can correct in the command is wrong usage.
fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Name(_)
        | BackupError::Bucket(_)
        | BackupError::OtherDatabase(_)
        | BackupError::Store(StoreError::Settings(_)) => Failure::usage(error),
        error => error.into(),
    }
}
