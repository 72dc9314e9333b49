//! How a run ends: its outcome, and why it could not start.

use std::path::PathBuf;

use bookingq_api::args::InvalidArgs;
use bookingq_check::AuditError;
use bookingq_client::EndpointsError;
use bookingq_core::{Invalid, QueueName};
use bookingq_gateway::GatewayError;
use bookingq_harness::HarnessError;
use bookingq_identity::KeyError;
use bookingq_sim::SimError;
use bookingq_store::StoreError;
use bookingq_worker::WorkerError;
use bookingq_worker::kafka_access::KafkaAccessError;
use bookingq_worker::redis_access::RedisAccessError;

use crate::manifest::ManifestError;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// No invariant was seen broken.
    Sound,
    /// An invariant was broken; the report says which.
    Broken,
}

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages explain the fields")]
pub enum UpError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest does not have that queue.
    #[error("--queue is {asked}, which the manifest does not have; allowed: {present}")]
    NoSuchQueue { asked: QueueName, present: String },
    /// A crowd or a report belongs to one queue.
    #[error("--crowd and --report are for one queue; choose with --queue: {present}")]
    SeveralQueues { present: String },
    /// The settings of a simulation are invalid.
    #[error("{endpoint}: {problem}")]
    Simulation { endpoint: String, problem: Invalid },
    /// The Booking Service is not simulated.
    #[error(
        "--simulate changes a simulated Booking Service; allowed: with spec.booking.endpoint simulate://booking"
    )]
    NothingToSimulate,
    /// TLS files are in Secrets, which exist only in a cluster.
    #[error(
        "{endpoint} needs the Secret {secret}; `up` has no Secrets: allowed are endpoints without tls.secretName"
    )]
    NoSecrets { endpoint: String, secret: String },
    /// The certificate of the workers' port is in a Secret.
    #[error(
        "spec.worker.tls.secretName is {secret}; `up` has no Secrets: allowed is a manifest without spec.worker.tls"
    )]
    WorkerTls { secret: String },
    /// The queue sleeps.
    #[error("spec.hibernate is true; `up` runs a queue: allowed is false")]
    Hibernates,
    /// The times of the manifest do not fit together.
    #[error(transparent)]
    Args(#[from] InvalidArgs),
    /// A port for the workers is taken.
    #[error("port {port} is not free: {cause}; choose another --base-port (0: any free ports)")]
    Port { port: u16, cause: std::io::Error },
    /// The gateway's port is taken.
    #[error(
        "port {port} is not free for the page: {cause}; choose another --gateway-port (0: any free port), or --no-gateway"
    )]
    GatewayPort { port: u16, cause: std::io::Error },
    /// The gateway cannot be started.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Its keys cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// No port is free.
    #[error("no port is free for the demo checkout: {0}")]
    NoPort(std::io::Error),
    /// An address that this program made is not one: a defect.
    #[error(transparent)]
    Address(#[from] Invalid),
    /// Each client that comes through the gateway needs two open files of this process.
    #[error(
        "--crowd is {clients} with --through gateway, but this process may open {limit} files; allowed: at most {allowed} clients (two files each), or a higher limit (ulimit -n)"
    )]
    OpenFiles { clients: u32, limit: u64, allowed: u64 },
    /// No Redis to start.
    #[error(
        "{0}; install it (Debian: apt-get install redis-server), or choose --store embedded or --store redis://HOST:PORT"
    )]
    NoRedis(HarnessError),
    /// No broker to start.
    #[error(
        "{0}; Java and the jars are installed by: cargo xtask setup --kafka (or name a folder with the jars: --kafka-jars DIR)"
    )]
    NoKafka(HarnessError),
    /// The task that starts the broker ended.
    #[error("the broker cannot be started: {0}: this is a defect of bookingq")]
    Broken(String),
    /// A login or certificates of Kafka for a store that has none.
    #[error(
        "{flags} is given with --store {store}; allowed: with --store kafka://HOST:PORT, a Kafka that runs already"
    )]
    NoKafkaAccess { flags: String, store: String },
    /// Kafka cannot be reached as the arguments say.
    #[error(transparent)]
    KafkaAccess(#[from] KafkaAccessError),
    /// This program cannot be found to run it again as a worker.
    #[error("cannot find the path of this program to start workers: {0}")]
    Program(std::io::Error),
    /// A process cannot be started.
    #[error(transparent)]
    Process(#[from] HarnessError),
    /// A login for a store that has none.
    #[error(
        "{flags} is given with --store {store}; allowed: with --store and the address of a Redis that runs already"
    )]
    NoAccess { flags: String, store: String },
    /// Another run would lose its data.
    #[error(
        "--logs is {}, which another bookingq up uses; allowed: a directory of its own for each run", directory.display()
    )]
    LogsInUse { directory: PathBuf },
    /// A Redis cannot be reached as the arguments say.
    #[error("--store: {0}")]
    Access(#[from] RedisAccessError),
    /// The store does not answer, or is not set up.
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// Data of an earlier run.
    #[error(
        "queue {queue} has {enqueued} bookings of an earlier run in this store, so no report could add up; allowed: a store without them (in Redis, delete the keys booking-*:{{{queue}}}*)"
    )]
    OldData { queue: QueueName, enqueued: u64 },
    /// A simulated service cannot be started.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The sweeper cannot be started.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The run cannot be checked.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The workers' name does not resolve.
    #[error(transparent)]
    Endpoints(#[from] EndpointsError),
    /// It panicked: what it saw is lost with it.
    #[error("the crowd broke off: this is a defect of bookingq")]
    Crowd,
    /// A report that is not JSON.
    #[error("the report cannot be shown: {0}")]
    Json(serde_json::Error),
    /// A file of our own.
    #[error("{}: {cause}", file.display())]
    File { file: PathBuf, cause: std::io::Error },
}
