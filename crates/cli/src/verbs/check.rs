//! `bookingq check`: checks services of others against bookingq's contracts.

use std::path::PathBuf;

use bookingq_api::DurationString;
use bookingq_check::realtime::{CASES, RealtimeResult, RealtimeSubject};
use bookingq_core::QueueName;
use bookingq_serve::tls::ClientTls;
use bookingq_worker::args::identity;
use bookingq_worker::config::Downstream;
use bookingq_worker::downstream::channel::ServiceChannels;
use clap::Subcommand;

use crate::client::output::{Output, print_json};
use crate::failure::Failure;

/// Check a service of yours against the contract that bookingq has with it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  bookingq check realtime --endpoint http://127.0.0.1:7003")]
pub struct Args {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    Realtime(RealtimeArgs),
}

/// Check a Realtime Service: whether it accepts everything that bookingq may publish
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq check realtime --endpoint http://127.0.0.1:7003
  bookingq check realtime --endpoint https://realtime.example.com --tls-ca ca.pem -o json

It publishes updates, ticks and items as a worker does, about clients whose ids begin with `check-`:
the longest messages, repeated and late batches, two batches at once, calls that break off, a gap,
another epoch, states that a later version may add. Each call must be answered OK within --timeout,
and `received` must count the updates; otherwise bookingq would publish the same batch again and
again, and publish nothing newer.

It sees the answers only. That repeated and late updates are dropped, that a gap and another epoch
make the service read again what it shows, and that updates reach browsers: test these on your side.

Run it against a test instance: the service cannot distinguish these updates from real ones.")]
struct RealtimeArgs {
    /// URL of the service's gRPC port: http://HOST:PORT or https://HOST:PORT
    #[arg(long, env = "BOOKINGQ_ENDPOINT", value_name = "URL")]
    endpoint: String,
    /// Name of the queue that the updates are about
    #[arg(
        long,
        env = "BOOKINGQ_QUEUE",
        value_name = "NAME",
        default_value = "conformance",
        value_parser = QueueName::new
    )]
    queue: QueueName,
    /// Limit of one call, as a worker's --realtime-timeout
    #[arg(long, env = "BOOKINGQ_TIMEOUT", value_name = "TIME", default_value = "3s")]
    timeout: DurationString,
    /// Output format
    #[arg(short, long, env = "BOOKINGQ_OUTPUT", value_enum, default_value = "table")]
    output: Output,
    /// Certificate authority to trust (PEM) [default: the system's]
    #[arg(long, env = "BOOKINGQ_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate for mTLS (PEM); requires --tls-key
    #[arg(long, env = "BOOKINGQ_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long, env = "BOOKINGQ_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Name to expect in the service's certificate [default: the host of --endpoint]
    #[arg(long, env = "BOOKINGQ_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
}

/// Checks the service.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Service::Realtime(args) = args.service;
    realtime(args).await
}

async fn realtime(args: RealtimeArgs) -> Result<(), Failure> {
    let identity = identity("tls", args.tls_cert, args.tls_key).map_err(Failure::usage)?;
    let tls = ClientTls { ca: args.tls_ca, identity, server_name: args.tls_server_name };
    let timeout = args.timeout.get();
    let service = Downstream { endpoint: args.endpoint, timeout, tls };
    // The connection that a worker makes.
    let channels = ServiceChannels::new("Realtime Service", &service).map_err(Failure::usage)?;
    let queue = args.queue.to_string();
    let subject = RealtimeSubject { channel: channels.pick(), queue, timeout };
    let show = |result: &RealtimeResult| match args.output {
        Output::Table => println!("{}", line(result)),
        // Only a closed standard output fails, and then it has no reader.
        Output::Json => drop(print_json(&json(result))),
    };
    let results = subject.check(show).await;
    let failed = results.iter().filter(|result| result.problem.is_some()).count();
    if args.output == Output::Table {
        println!("\n{} of {} checks passed.", CASES.len() - failed, CASES.len());
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

fn line(result: &RealtimeResult) -> String {
    let RealtimeResult { case, took, problem } = result;
    match problem {
        None => format!("passed  {} ({} ms)", case.publishes, took.as_millis()),
        Some(problem) => format!("FAILED  {}: {problem}", case.publishes),
    }
}

fn json(result: &RealtimeResult) -> serde_json::Value {
    serde_json::json!({
        "publishes": result.case.publishes,
        "passed": result.problem.is_none(),
        "problem": result.problem,
        "seconds": result.took.as_secs_f64(),
    })
}
