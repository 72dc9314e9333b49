//! `bookingq crowd`: sends simulated clients to a running queue and checks what they get.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_api::args::RedisAccessArgs;
use bookingq_client::WorkerEndpoints;
use bookingq_core::{ClientId, Quantity, QueueName};
use bookingq_crowd::{Behaviour, Behaviours, CrowdConfig, GatewayAccess, Weights};
use bookingq_identity::{KeyPurpose, KeyRing};
use bookingq_proto::v1;
use bookingq_serve::Signals;
use bookingq_sim::inspect::RemoteLedger;
use bookingq_store::RedisConfig;
use bookingq_store::replicated::KafkaAddress;
use bookingq_up::RunOutcome;
use bookingq_up::load::{self, LoadConfig, Printing};
use clap::value_parser;
use rand::distr::{Alphanumeric, SampleString as _};

use crate::client::output::Output;
use crate::client::{ClientFlags, plain_url};
use crate::failure::Failure;
use crate::flags::reached;

/// How long the name of a gateway may be unknown at the start.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long new workers behind one address wait for their share of the connections.
const RENEWAL: Duration = Duration::from_secs(20);

/// Send simulated clients to a running queue: they pay, leave, never pay, pay late or come twice
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq crowd --queue concert --clients 5000 --arrive 30s
  bookingq crowd --queue concert --clients 2000 --redis redis://127.0.0.1:6379 \\
      --ledger http://127.0.0.1:6080
  bookingq crowd --queue concert --redis rediss://redis.example.com:6380 --redis-tls-ca ca.pem \\
      --redis-password-file password
  bookingq crowd --queue concert --server http://concert-workers:50051 --clients 20000 --for 5m \\
      -o json > report.json
  bookingq crowd --queue concert --gateway http://127.0.0.1:8080 \\
      --backend http://127.0.0.1:8081 --keys keys --clients 5000

The queue must answer within --timeout. Each client then follows its booking to its end. It repeats
a failed call unchanged at another worker, with a back-off and without limit. A --server that names
several addresses, such as a headless Service, is looked up every 2 seconds. Behind one address,
connections are renewed every 20 seconds, so that new workers get their share.
--redis checks every booking of the queue against the audit log, and --ledger against a simulated
Booking Service.
Exits with 1 if the run broke a promise; the report names the cases. Ctrl-C ends the run early, with
a report.")]
pub struct Args {
    #[command(flatten)]
    common: ClientFlags,
    /// Number of clients
    #[arg(
        long,
        visible_alias = "crowd",
        env = "BOOKINGQ_CLIENTS",
        value_name = "N",
        default_value_t = 1000,
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    clients: u32,
    /// Time within which they arrive
    #[arg(long, env = "BOOKINGQ_ARRIVE", value_name = "TIME", default_value = "20s")]
    arrive: DurationString,
    /// Longest duration of the run [default: until every booking has ended]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_FOR", value_name = "TIME")]
    time: Option<DurationString>,
    /// Write a JSON report to this file at the end; -o json prints it
    #[arg(long, env = "BOOKINGQ_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,
    /// What they want, by weight, such as A:9,B:1 [default: no item]
    #[arg(long, env = "BOOKINGQ_ITEMS", value_name = "ITEM:WEIGHT,…")]
    items: Option<Weights<Arc<str>>>,
    /// How many of it they want, by weight, such as 1:6,2:3,4:1 [default: 1]
    #[arg(long, env = "BOOKINGQ_QUANTITIES", value_name = "N:WEIGHT,…")]
    quantities: Option<Weights<Quantity>>,
    /// Prefix of the client ids [default: a random one]
    #[arg(long, env = "BOOKINGQ_PREFIX", value_name = "NAME")]
    prefix: Option<String>,
    /// Seed: the same number gives the same arrivals and behaviour
    #[arg(long, env = "BOOKINGQ_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    shares: Shares,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    check: CheckFlags,
}

/// How to come through a gateway instead of calling workers.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Through a gateway")]
struct GatewayFlags {
    /// Come over HTTP and WebSockets, as browsers do, to a gateway's public port: http://HOST:PORT.
    /// --server is not called then
    #[arg(
        long,
        env = "BOOKINGQ_GATEWAY",
        value_name = "URL",
        value_parser = plain_url,
        requires = "backend",
        requires = "keys"
    )]
    gateway: Option<WorkerEndpoints>,
    /// The gateway's backend port, where payments are reported: http://HOST:PORT
    #[arg(
        long,
        env = "BOOKINGQ_BACKEND",
        value_name = "URL",
        value_parser = plain_url,
        requires = "gateway"
    )]
    backend: Option<WorkerEndpoints>,
    /// Folder with a key of purpose enqueue and one of purpose backend, which the gateway has too:
    /// the crowd signs with them as a seller does
    #[arg(long, env = "BOOKINGQ_KEYS", value_name = "FOLDER", requires = "gateway")]
    keys: Option<PathBuf>,
}

impl GatewayFlags {
    async fn access(&self) -> Result<Option<GatewayAccess>, Failure> {
        let (Some(backend), Some(folder)) = (&self.backend, &self.keys) else { return Ok(None) };
        let keys = KeyRing::load(folder).map_err(Failure::usage)?;
        for purpose in [KeyPurpose::Enqueue, KeyPurpose::Backend] {
            if !keys.can_sign(purpose) {
                return Err(Failure::usage(format!(
                    "--keys {} has no key of purpose {purpose} that can sign; allowed: a folder \
                     with one (`bookingq keys new --purpose {purpose}` makes it)",
                    folder.display()
                )));
            }
        }
        let backends = backend.clone().resolve(LOOKUP).await?;
        Ok(Some(GatewayAccess { backends, keys: Arc::new(keys) }))
    }
}

/// The default weight of a behaviour.
fn usual(behaviour: Behaviour) -> u32 {
    Behaviours::default().weight(&behaviour)
}

/// How common each behaviour is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Behaviours (weights: only the proportions matter)")]
struct Shares {
    /// Clients that pay in time
    #[arg(long, env = "BOOKINGQ_PAYS", value_name = "SHARE", default_value_t = usual(Behaviour::Pays))]
    pays: u32,
    /// Clients that cancel
    #[arg(long, env = "BOOKINGQ_LEAVES", value_name = "SHARE", default_value_t = usual(Behaviour::Leaves))]
    leaves: u32,
    /// Clients that let the hold expire
    #[arg(long, env = "BOOKINGQ_NEVER_PAYS", value_name = "SHARE", default_value_t = usual(Behaviour::NeverPays))]
    never_pays: u32,
    /// Clients that pay after the deadline
    #[arg(long, env = "BOOKINGQ_PAYS_LATE", value_name = "SHARE", default_value_t = usual(Behaviour::PaysLate))]
    pays_late: u32,
    /// Clients that pay after the deadline and ask for another reservation
    #[arg(long, env = "BOOKINGQ_REACQUIRES", value_name = "SHARE", default_value_t = usual(Behaviour::Reacquires))]
    reacquires: u32,
    /// Clients that repeat their request, send another one, and pay in time
    #[arg(long, env = "BOOKINGQ_COMES_TWICE", value_name = "SHARE", default_value_t = usual(Behaviour::ComesTwice))]
    comes_twice: u32,
}

/// What to check the queue against.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Checking the whole queue")]
struct CheckFlags {
    /// The queue's Redis: redis://HOST:PORT[/DB], and the other addresses of `bookingq worker`
    #[arg(
        long = "redis",
        id = "checked-redis",
        env = "BOOKINGQ_REDIS",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: Option<String>,
    /// Its logins and certificates.
    #[command(flatten)]
    access: RedisAccessArgs,
    /// HTTP port of the simulated Booking Service: http://HOST:PORT
    #[arg(long, env = "BOOKINGQ_LEDGER", value_name = "URL", requires = "checked-redis")]
    ledger: Option<RemoteLedger>,
}

impl Shares {
    fn behaviours(&self) -> Result<Behaviours, Failure> {
        let Self { pays, leaves, never_pays, pays_late, reacquires, comes_twice } = *self;
        let weights = [
            (Behaviour::Pays, pays),
            (Behaviour::Leaves, leaves),
            (Behaviour::NeverPays, never_pays),
            (Behaviour::PaysLate, pays_late),
            (Behaviour::Reacquires, reacquires),
            (Behaviour::ComesTwice, comes_twice),
        ];
        if weights.iter().all(|(_, share)| *share == 0) {
            return Err(Failure::usage("all shares are 0; allowed: at least one above 0"));
        }
        Ok(Behaviours::new(weights))
    }
}

impl CheckFlags {
    async fn store(&self, queue: &QueueName) -> Result<Option<RedisConfig>, Failure> {
        let Some(url) = &self.url else {
            if self.access != RedisAccessArgs::default() {
                return Err(Failure::usage(
                    "a login or a certificate of Redis is given without its address; allowed: \
                     with --redis",
                ));
            }
            return Ok(None);
        };
        if KafkaAddress::is_meant(url) {
            return Err(Failure::usage(format!(
                "--redis is {url:?}; allowed: the address of a Redis. The bookings of a queue in \
                 Kafka are in its workers, so leave --redis out: then what clients are answered is \
                 checked (`bookingq up --store {url} --crowd N` checks every booking)"
            )));
        }
        reached(RedisConfig::new(url.clone(), queue.clone()), &self.access).await.map(Some)
    }
}

/// Runs the command.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let queue = args.common.queue.clone();
    let prefix = args.prefix.unwrap_or_else(unused_name);
    // The longest name that will be made of it.
    ClientId::new(&format!("{prefix}-{:06}", args.clients)).map_err(|invalid| {
        Failure::usage(format!("--prefix is {prefix:?}, which makes no client id: {invalid}"))
    })?;
    let store = args.check.store(&queue).await?;
    let gateway = args.gateway.access().await?;
    // A wrong address or queue fails at once; the crowd would retry without end.
    let answers = async {
        if let (Some(url), Some(access)) = (&args.gateway.gateway, &gateway) {
            let addresses = url.clone().resolve(LOOKUP).await?;
            access.check(&queue, addresses).await.map_err(Failure::from)
        } else {
            let asked = v1::GetQueueRequest { queue: queue.to_string() };
            args.common.connect().await?.call(asked).await.map(drop)
        }
    };
    tokio::select! {
        () = leaving.cancelled() => return Ok(()),
        answer = answers => answer?,
    };
    let mut crowd = CrowdConfig {
        behaviours: args.shares.behaviours()?,
        prefix,
        seed: args.seed,
        ..CrowdConfig::new(queue.clone(), args.clients, args.arrive.get())
    };
    crowd.items = args.items.unwrap_or(crowd.items);
    crowd.quantities = args.quantities.unwrap_or(crowd.quantities);
    crowd.gateway = gateway;
    crowd.channels.tls = args.common.tls()?;
    crowd.channels.renewal = Some(RENEWAL);
    let config = LoadConfig {
        crowd,
        endpoints: args.gateway.gateway.unwrap_or_else(|| args.common.server.clone()),
        store,
        ledger: args.check.ledger,
        time: args.time.map(DurationString::get),
        report: args.report,
        printing: match args.common.output {
            Output::Table => Printing::Text,
            Output::Json => Printing::Json,
        },
    };
    match load::run(config, leaving).await? {
        RunOutcome::Sound => Ok(()),
        RunOutcome::Broken => Err(Failure::Reported),
    }
}

/// A client id that is used again with the same request keeps its old place, so each crowd has a
/// prefix of its own.
fn unused_name() -> String {
    format!("crowd-{}", Alphanumeric.sample_string(&mut rand::rng(), 8).to_lowercase())
}
