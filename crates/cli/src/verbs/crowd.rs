//! `bookingq crowd`: sends a crowd through the door of a running queue, and says what became of it.

use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::{ClientId, QueueName};
use bookingq_proto::v1;
use bookingq_serve::Signals;
use bookingq_sim::CrowdConfig;
use bookingq_sim::crowd::{Behaviours, Connecting};
use bookingq_sim::inspect::RemoteLedger;
use bookingq_store::redis::RedisConfig;
use bookingq_up::Outcome;
use bookingq_up::visit::{Printing, VisitConfig, visit};
use clap::value_parser;
use rand::distr::{Alphanumeric, SampleString as _};

use crate::client::ClientFlags;
use crate::client::output::Output;
use crate::failure::Failure;
use crate::flags::{duration, with_password};

/// Behind one address, how long new workers wait for their share of the connections.
const RENEWAL: Duration = Duration::from_secs(20);

/// Send a crowd to a running queue: people who pay, leave, never pay, pay too late or come twice
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq crowd --queue concert --clients 5000 --arrive 30s
  bookingq crowd --queue concert --clients 2000 --redis redis://127.0.0.1:6379 --ledger http://127.0.0.1:6080
  bookingq crowd --queue concert --server http://concert-workers:50051 --clients 20000 --for 5m -o json > report.json

The queue must answer within --timeout. Then each client is followed until its booking has ended: a call that fails is
repeated as it was, at another worker, with a back-off, for as long as it takes. A --server that names several addresses,
such as a headless Service, is looked up again and again; behind one address, connections are made anew every 20 seconds,
so that new workers get their share.
With --redis every booking of the queue is checked against the audit log, and with --ledger against a simulated Booking
Service. Exit code 1 means that a promise was broken; what and where is told. Ctrl-C ends it with what is known so far.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// How many clients come
    #[arg(long, visible_alias = "crowd", env = "BOOKINGQ_CLIENTS", value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Within which time they come
    #[arg(long, env = "BOOKINGQ_ARRIVE", value_name = "TIME", default_value = "20s", value_parser = duration)]
    arrive: Duration,
    /// How long to stay at most [default: until every booking has ended]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_FOR", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Write a report at the end (JSON); -o json prints it
    #[arg(long, env = "BOOKINGQ_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,
    /// The clients' names begin with this [default: one nobody has used]
    #[arg(long, env = "BOOKINGQ_PREFIX", value_name = "NAME")]
    prefix: Option<String>,
    /// What chance is drawn from: the same number brings the same arrivals and the same behaviour
    #[arg(long, env = "BOOKINGQ_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    shares: Shares,
    #[command(flatten)]
    check: Check,
}

/// How common each behaviour is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who comes (only the proportions matter)")]
struct Shares {
    /// Those who pay in time
    #[arg(long, env = "BOOKINGQ_PAYS", value_name = "SHARE", default_value_t = Behaviours::default().pays)]
    pays: u32,
    /// Those who cancel
    #[arg(long, env = "BOOKINGQ_LEAVES", value_name = "SHARE", default_value_t = Behaviours::default().leaves)]
    leaves: u32,
    /// Those who let the hold run out
    #[arg(long, env = "BOOKINGQ_NEVER_PAYS", value_name = "SHARE", default_value_t = Behaviours::default().never_pays)]
    never_pays: u32,
    /// Those who pay after the deadline
    #[arg(long, env = "BOOKINGQ_PAYS_LATE", value_name = "SHARE", default_value_t = Behaviours::default().pays_late)]
    pays_late: u32,
    /// Those who repeat their request, send another one, and pay in time
    #[arg(long, env = "BOOKINGQ_COMES_TWICE", value_name = "SHARE", default_value_t = Behaviours::default().comes_twice)]
    comes_twice: u32,
}

/// Where to look whether everything adds up.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Checking the whole queue")]
struct Check {
    /// The queue's Redis: redis://HOST:PORT[/DB], or rediss:// for TLS
    #[arg(
        long = "redis",
        id = "checked-redis",
        env = "BOOKINGQ_REDIS",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: Option<String>,
    /// File that holds its password, so that it stands in no process list
    #[arg(
        long = "redis-password-file",
        env = "BOOKINGQ_REDIS_PASSWORD_FILE",
        value_name = "FILE",
        requires = "checked-redis"
    )]
    password_file: Option<PathBuf>,
    /// HTTP port of the simulated Booking Service: http://HOST:PORT
    #[arg(long, env = "BOOKINGQ_LEDGER", value_name = "URL", requires = "checked-redis")]
    ledger: Option<RemoteLedger>,
}

impl Shares {
    fn behaviours(&self) -> Result<Behaviours, Failure> {
        let Self { pays, leaves, never_pays, pays_late, comes_twice } = *self;
        if [pays, leaves, never_pays, pays_late, comes_twice].iter().all(|share| *share == 0) {
            return Err(Failure::usage("all shares are 0; allowed: at least one above 0"));
        }
        Ok(Behaviours { pays, leaves, never_pays, pays_late, comes_twice })
    }
}

impl Check {
    async fn store(&self, queue: &QueueName) -> Result<Option<RedisConfig>, Failure> {
        let Some(url) = &self.url else { return Ok(None) };
        let config = RedisConfig::new(url.clone(), queue.clone());
        with_password(config, self.password_file.as_deref()).await.map(Some)
    }
}

/// Sends it.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let queue = args.common.queue.clone();
    let prefix = args.prefix.unwrap_or_else(unused_name);
    // The longest name that will be made of it.
    ClientId::new(&format!("{prefix}-{:06}", args.clients)).map_err(|invalid| {
        Failure::usage(format!("--prefix is {prefix:?}, which makes no client id: {invalid}"))
    })?;
    // A wrong server is an error at once, instead of a crowd that retries without end.
    let asked = v1::GetQueueRequest { queue: queue.to_string() };
    let mut client = args.common.connect().await?;
    tokio::select! {
        () = leaving.cancelled() => return Ok(()),
        answer = client.call(asked) => answer?,
    };
    let crowd = CrowdConfig {
        behaviours: args.shares.behaviours()?,
        prefix,
        seed: args.seed,
        connecting: Connecting { tls: args.common.tls().await?, renewal: Some(RENEWAL) },
        ..CrowdConfig::new(queue.clone(), args.clients, args.arrive)
    };
    let config = VisitConfig {
        crowd,
        endpoints: args.common.server.clone(),
        store: args.check.store(&queue).await?,
        ledger: args.check.ledger,
        time: args.time,
        report: args.report,
        printing: match args.common.output {
            Output::Table => Printing::Text,
            Output::Json => Printing::Json,
        },
    };
    match visit(config, leaving).await? {
        Outcome::Sound => Ok(()),
        Outcome::Broken => Err(Failure::Reported),
    }
}

/// A client who comes again under the same name and with the same request keeps the old place, so
/// each crowd has a name of its own.
fn unused_name() -> String {
    format!("crowd-{}", Alphanumeric.sample_string(&mut rand::rng(), 8).to_lowercase())
}
