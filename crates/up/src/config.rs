//! The arguments of `bookingq up`.

use std::path::PathBuf;
use std::sync::Arc;

use bookingq_api::DurationString;
use bookingq_api::args::{KafkaArgs, RedisAccessArgs};
use bookingq_core::{Invalid, Quantity, QueueName};
use bookingq_crowd::Weights;
use bookingq_sim::spec::BookingSpec;
use bookingq_store::replicated::KafkaAddress;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueEnum, value_parser};

/// The arguments of `bookingq up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Manifest to run: YAML with one or several documents
    #[arg(short, long, env = "BOOKINGQ_FILE", value_name = "FILE")]
    pub file: PathBuf,
    /// Run only this queue of the manifest
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    pub queue: Option<QueueName>,
    /// Store: embedded, redis (starts a redis-server from PATH), redis://HOST:PORT and
    /// the other addresses of --redis of `bookingq worker` (the flags --redis-… are its logins and
    /// certificates, which the workers get too), kafka (starts a broker: needs Java and Kafka's
    /// jars), or kafka://HOST:PORT and the other addresses of its --store (makes the topics of each
    /// queue) [default: embedded]
    #[arg(long, env = "BOOKINGQ_STORE", hide_env_values = true, value_name = "STORE")]
    pub store: Option<StoreChoice>,
    /// Logins and certificates of a Redis that runs already.
    #[command(flatten)]
    pub redis: StoreFlags<RedisAccessArgs>,
    /// Folder with Kafka's jars, for --store kafka [default: the one in the user's cache that
    /// `cargo xtask setup --kafka` makes]
    #[arg(long, env = "BOOKINGQ_KAFKA_JARS", value_name = "DIR")]
    pub kafka_jars: Option<PathBuf>,
    /// How a Kafka that runs already is reached.
    #[command(flatten)]
    pub kafka: StoreFlags<KafkaArgs>,
    /// Run this number of workers, without autoscaling
    #[arg(
        long,
        env = "BOOKINGQ_WORKERS",
        value_name = "N",
        value_parser = value_parser!(u32).range(0..=100)
    )]
    pub workers: Option<u32>,
    /// Send this number of clients: most pay; some leave, never pay, pay too late or join twice
    #[arg(
        long,
        env = "BOOKINGQ_CROWD",
        value_name = "N",
        value_parser = value_parser!(u32).range(1..=10_000_000)
    )]
    pub crowd: Option<u32>,
    /// Spread the arrivals of the crowd over this time
    #[arg(long, env = "BOOKINGQ_ARRIVE", value_name = "TIME", default_value = "20s")]
    pub arrive: DurationString,
    /// How the crowd comes: over gRPC to the workers, or over HTTP and WebSockets to the gateway
    #[arg(
        long,
        env = "BOOKINGQ_THROUGH",
        value_name = "WAY",
        value_enum,
        default_value_t = Through::Workers,
        requires_if("gateway", "crowd")
    )]
    pub through: Through,
    /// What the crowd wants, by weight, such as A:9,B:1 [default: no item]
    #[arg(long, env = "BOOKINGQ_ITEMS", value_name = "ITEM:WEIGHT,…", requires = "crowd")]
    pub items: Option<Weights<Arc<str>>>,
    /// How many of it the crowd wants, by weight, such as 1:6,2:3,4:1 [default: 1]
    #[arg(long, env = "BOOKINGQ_QUANTITIES", value_name = "N:WEIGHT,…", requires = "crowd")]
    pub quantities: Option<Weights<Quantity>>,
    /// Stop after this time, or as soon as every client of the crowd has seen its end [default: at
    /// Ctrl-C]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_FOR", value_name = "TIME")]
    pub time: Option<DurationString>,
    /// Write a JSON report to this file at the end
    #[arg(long, env = "BOOKINGQ_REPORT", value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Settings of the simulated Booking Service, which `bookingq simulate --help` explains: stock,
    /// items, returns, sales, counts, latency, jitter, errors, lost_replies, rejects,
    /// confirm_rejects, lies, ticket_lies, keeps, seed
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE",
        value_name = "KEY=VALUE,…",
        value_parser = booking_settings
    )]
    pub simulate: Option<String>,
    /// gRPC port of the first worker; the others use the next ones. 0 uses any free ports
    #[arg(long, env = "BOOKINGQ_BASE_PORT", value_name = "PORT", default_value_t = 50051)]
    pub base_port: u16,
    /// Port of the waiting-room page and its API; the operators' page is ten ports after it, at
    /// /admin. 0 uses any free ports [default: 8080, or any free port with --base-port 0]
    #[arg(long, env = "BOOKINGQ_GATEWAY_PORT", value_name = "PORT")]
    pub gateway_port: Option<u16>,
    /// Start no gateway
    #[arg(long, env = "BOOKINGQ_NO_GATEWAY", conflicts_with = "gateway_port")]
    pub no_gateway: bool,
    /// Keep the logs of the processes and the files of Redis and Kafka in this directory, which one
    /// run uses at a time [default: a temporary directory]
    #[arg(long, env = "BOOKINGQ_LOGS", value_name = "DIR")]
    pub logs: Option<PathBuf>,
}

impl UpArgs {
    /// Where the data lives.
    pub fn store(&self) -> &StoreChoice {
        self.store.as_ref().unwrap_or(&StoreChoice::Embedded)
    }
}

/// Flags of one kind of store. A run on another store ignores what the environment says of it,
/// which may be there for other commands, and refuses what its own command line says.
#[derive(Debug, Clone)]
pub struct StoreFlags<A> {
    /// What command line and environment say.
    pub values: A,
    /// The flags on the command line.
    pub given: Vec<String>,
}

impl<A: Args> FromArgMatches for StoreFlags<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let flags = A::augment_args(Command::new("flags"));
        let is_given = |flag: &&Arg| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let names = flags.get_arguments().filter(is_given).filter_map(Arg::get_long);
        let given = names.map(|name| format!("--{name}")).collect();
        Ok(Self { given, values: A::from_arg_matches_mut(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<A: Args> Args for StoreFlags<A> {
    fn augment_args(command: Command) -> Command {
        A::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        A::augment_args_for_update(command)
    }
}

/// How a crowd comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Through {
    /// Over gRPC to the workers.
    Workers,
    /// Over HTTP and WebSockets to the gateway, as browsers do.
    Gateway,
}

/// The text, if it holds settings of a simulated Booking Service.
fn booking_settings(text: &str) -> Result<String, Invalid> {
    text.parse::<BookingSpec>().map(|_| text.to_owned())
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// In this process, with the workers; lost at its end.
    Embedded,
    /// In a redis-server that the run starts and stops; workers are processes.
    OwnRedis,
    /// In a Redis that runs already; workers are processes.
    Redis(String),
    /// In the topics of a broker that the run starts and stops; workers are processes.
    OwnKafka,
    /// In the topics of a Kafka that runs already; workers are processes.
    Kafka(KafkaAddress),
}

impl std::fmt::Display for StoreChoice {
    /// Without an address, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::OwnRedis => "redis",
            Self::Redis(_) => "the address of a Redis",
            Self::OwnKafka => "kafka",
            Self::Kafka(_) => "the address of a Kafka",
        })
    }
}

impl std::str::FromStr for StoreChoice {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "redis" => Ok(Self::OwnRedis),
            "kafka" => Ok(Self::OwnKafka),
            url if KafkaAddress::is_meant(url) => {
                KafkaAddress::new(url).map(Self::Kafka).map_err(|_| InvalidStore)
            }
            url if url.starts_with("redis") && url.contains("://") => {
                Ok(Self::Redis(url.to_owned()))
            }
            _ => Err(InvalidStore),
        }
    }
}

/// Not a store. The message does not repeat the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "allowed: embedded, redis (starts one), the address of one, as for bookingq worker, kafka \
     (starts a broker), or kafka://HOST:PORT[,HOST:PORT…][/PREFIX]"
)]
pub struct InvalidStore;
