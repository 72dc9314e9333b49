//! `bookingq-faults`: the command line of a fault run. `cargo xtask faults` builds and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_check::saved;
use bookingq_faults::failovers::{self, FailoverOptions};
use bookingq_faults::kinds::FaultKind;
use bookingq_faults::layout::{RedisTopology, StoreLayout};
use bookingq_faults::plan::PlanOptions;
use bookingq_faults::releases::Releases;
use bookingq_faults::report::invariant_lines;
use bookingq_faults::run::run;
use bookingq_faults::sale::StockOptions;
use bookingq_faults::testbed::RunSettings;
use bookingq_serve::Signals;
use clap::Parser;

/// Injects faults into a running bookingq and checks every invariant
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask faults",
    max_term_width = 100,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit code: 0 every invariant held, 1 one broke (target/faults/SEED keeps the evidence), 2 it could not run.
The history's format is in docs/reliability.md."
)]
struct Cli {
    #[command(subcommand)]
    other: Option<OtherRun>,
    /// Seed of the schedule and of the clients' behaviour [default: drawn, and printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Clients that join, evenly over the time; some join again
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    bookings: u32,
    #[command(flatten)]
    stock: StockOptions,
    /// How long faults are injected; then all are cleared, and the run waits until no work is left
    #[arg(long = "for", id = "time", value_name = "D", default_value = "60s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Gateway processes; if there are any, a third of the clients comes through them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    gateways: u16,
    /// What keeps the queue
    #[arg(long, value_name = "STORE", value_enum, default_value_t = ChosenStore::Redis)]
    store: ChosenStore,
    /// Brokers of `--store kafka`: 1 or 3
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = brokers)]
    brokers: usize,
    /// How Redis is served
    #[arg(long, value_name = "TOPOLOGY", value_enum, default_value_t = RedisTopology::Single)]
    redis: RedisTopology,
    /// Replicas that must have a join, a payment, a cancellation or a settlement before it is
    /// acknowledged [default: 0 for single, 1 for cluster and managed, 2 for sentinel]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=2))]
    acknowledge_replicas: Option<u8>,
    /// Mean time between two faults
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = humantime::parse_duration)]
    every: Duration,
    /// Inject only this kind of fault; may be repeated
    #[arg(long, value_name = "KIND")]
    only: Vec<FaultKind>,
    /// Let the clocks of the Redis servers jump by up to 30 s, besides the other faults. Needs
    /// libfaketime (Debian: apt-get install faketime) and Debian's redis-server
    #[arg(long)]
    redis_clocks: bool,
    /// Keep history, audit log and process logs, even if nothing broke
    #[arg(long)]
    keep: bool,
    /// Write all figures here, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run nothing: read a kept history and list where its calls contradict each other
    #[arg(long, value_name = "HISTORY", conflicts_with_all = ["seed", "only", "out"])]
    check: Option<PathBuf>,
    /// The program under test
    #[arg(long, value_name = "FILE", default_value = "target/release/bookingq")]
    program: PathBuf,
    /// An earlier release of the program: every process begins with it, changes to --program while
    /// clients call, and goes back. `cargo xtask upgrade` builds it
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// Runs of another kind.
#[derive(Debug, clap::Subcommand)]
enum OtherRun {
    /// Failovers of a managed Redis of three, measured one by one while clients join
    Failovers(FailoverOptions),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ChosenStore {
    Redis,
    Kafka,
}

impl Cli {
    fn layout(&self) -> StoreLayout {
        match self.store {
            ChosenStore::Redis => StoreLayout::Redis(self.redis),
            ChosenStore::Kafka => StoreLayout::Kafka(self.brokers),
        }
    }
}

fn brokers(given: &str) -> Result<usize, &'static str> {
    match given {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("allowed: 1, 3"),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match start(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn start(cli: Cli) -> Result<ExitCode> {
    if let Some(OtherRun::Failovers(options)) = &cli.other {
        let clean = failovers::run(options, &Signals::default().leaving()?).await?;
        return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if let Some(history) = &cli.check {
        return check(history);
    }
    let seed = cli.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}");
    let folder = Path::new("target/faults").join(seed.to_string());
    clear(&folder)?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let program = found(&cli.program, "cargo xtask faults")?;
    let previous = cli.previous.as_deref();
    let previous = previous.map(|path| found(path, "cargo xtask upgrade")).transpose()?;
    let every = cli.every.max(Duration::from_millis(1));
    let (workers, gateways) = (usize::from(cli.workers), usize::from(cli.gateways));
    let layout = cli.layout();
    let redis_clocks = cli.redis_clocks || cli.only.contains(&FaultKind::RedisClock);
    let (time, only) = (cli.time, cli.only);
    let plan_options =
        PlanOptions { seed, time, workers, gateways, every, layout, only, redis_clocks };
    if cli.redis_clocks && matches!(layout, StoreLayout::Kafka(_)) {
        bail!("--redis-clocks has nothing to break in {layout:?}; allowed: with --store redis");
    }
    if let Some(kind) = plan_options.only.iter().find(|kind| !layout.has(**kind)) {
        bail!("--only is {kind:?}, which has nothing to break in {layout:?}");
    }
    let mut only = plan_options.only.iter().copied();
    if gateways == 0 && only.len() > 0 && only.all(FaultKind::is_of_gateways) {
        bail!("--gateways is 0, and --only chooses faults of gateways alone; allowed: 1 to 64");
    }
    let (folder, bookings) = (std::fs::canonicalize(&folder)?, cli.bookings);
    let acknowledge_replicas =
        cli.acknowledge_replicas.unwrap_or_else(|| cli.redis.replicas_to_acknowledge());
    let settings = RunSettings {
        plan_options,
        bookings,
        acknowledge_replicas,
        stock: cli.stock,
        releases: Releases::new(program, previous, &folder),
        folder: folder.clone(),
    };
    let report = run(&settings, &Signals::default().leaving()?).await?;
    for line in report.lines() {
        println!("{line}");
    }
    if let Some(out) = &cli.out {
        let text = serde_json::to_string_pretty(&report.json())? + "\n";
        std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    }
    if report.is_clean() && !cli.keep {
        clear(&folder)?;
    } else {
        println!("history, audit log, schedule and logs: {}", folder.display());
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the calls alone: audit log, store and ledger exist only at the end of a run.
fn check(history: &Path) -> Result<ExitCode> {
    let context = || format!("cannot read {}", history.display());
    let file = std::io::BufReader::new(std::fs::File::open(history).with_context(context)?);
    let (answers, calls) = saved::read(file).with_context(context)?;
    let violations = answers.violations();
    for line in violations.invariants().iter().flat_map(invariant_lines) {
        println!("{line}");
    }
    println!("{calls} calls");
    Ok(if violations.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program at `path`, without links.
fn found(path: &Path, builds: &str) -> Result<PathBuf> {
    std::fs::canonicalize(path)
        .with_context(|| format!("there is no {}; `{builds}` builds it", path.display()))
}

fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
