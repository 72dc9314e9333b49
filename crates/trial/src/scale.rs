//! Many queues at once: time and cost until all are reconciled, and whether the operator is idle
//! afterwards.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bookingq_harness::control_plane::{ControlPlane, OPERATORS};
use bookingq_harness::wait::until;
use bookingq_harness::{Fsync, Process, ProcessUsage, RedisServer};
use jiff::Timestamp;
use kube::Client;

use crate::audit::{self, AuditTail, AuditedRequest};
use crate::process;
use crate::queues;

/// An operator without a write for this long has no more work.
const SILENCE: Duration = Duration::from_secs(12);
/// Between two reads of the audit log.
const POLL: Duration = Duration::from_secs(2);
/// Longest wait for the silence.
const LIMIT: Duration = Duration::from_secs(600);

/// The size of the trial, and its limits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Queues, all applied at once
    #[arg(long, default_value_t = 1000)]
    queues: usize,
    /// Keep the queues' data in one running redis-server, instead of one for each, which no
    /// kubelet starts
    #[arg(long)]
    redis: bool,
    /// Seconds between the last write and the rest. Without a kubelet no sweeper runs; with a
    /// Redis, each queue reports that once, about three minutes after its creation
    #[arg(long, default_value_t = 0)]
    settle: u64,
    /// Seconds of rest that are measured
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Fail if the last write comes later than this many seconds after the last apply
    #[arg(long, default_value_t = 60.0)]
    max_seconds: f64,
    /// Fail if the operator ever holds more memory than this, in MiB
    #[arg(long, default_value_t = 90.0)]
    max_rss: f64,
    /// Fail if there are more writes than this in the rest, those of the Lease left out
    #[arg(long, default_value_t = 0)]
    max_writes: usize,
    /// Fail if there are more reads (get, list) than this in the rest, those of the Lease left out
    #[arg(long, default_value_t = 20)]
    max_reads: usize,
}

/// Measures, prints, and compares with the limits.
///
/// # Errors
/// When a limit is exceeded, or a queue is not reconciled.
pub async fn run(args: &Args, program: &Path) -> Result<()> {
    let plane = process::control_plane().await?;
    let client = plane.client()?;
    queues::namespace(&client).await?;
    let redis = if args.redis { Some(RedisServer::start(Fsync::Off)?) } else { None };
    let url = redis.as_ref().map(RedisServer::url);
    let url = url.as_deref();
    let operator = process::operator(program, &plane, OPERATORS[0])?;
    leads(&plane, &client).await?;
    print_usage("leading, no queues", operator.usage()?);

    let begun = Timestamp::now();
    queues::create(&client, args.queues, &queues::spec(url)).await?;
    let applied = Timestamp::now();
    println!("{} queues applied in {:.1} s", args.queues, seconds(begun, applied));
    let last = silence((&plane, &client), &operator, (args.queues, url), begun).await?;
    let all = audit::requests(&plane.audit_log(), begun)?;
    print!("requests until the last write:\n{}", audit::table(&all, args.queues));
    let converged = seconds(applied, last);
    println!("converged: the last write came {converged:.1} s after the last apply");
    print_usage("converged", operator.usage()?);

    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let (quiet, before) = (Timestamp::now(), operator.usage()?);
    tokio::time::sleep(Duration::from_secs(args.rest)).await;
    let after = operator.usage()?;
    let resting: Vec<AuditedRequest> = audit::requests(&plane.audit_log(), quiet)?;
    let (writes, reads) = (writes(&resting), reads(&resting));
    print!("requests in {} s of rest:\n{}", args.rest, audit::table(&resting, args.queues));
    print_usage("after the rest", after);
    let cpu = (after.cpu - before.cpu) / args.rest as f64;
    println!(
        "rest: {writes} writes and {reads} reads but those of the Lease, {cpu:.3} CPU seconds a \
         second"
    );
    queues::check(&client, args.queues, url).await?;
    check_limits(args, (converged, after.peak_mib), (writes, reads))
}

fn check_limits(
    args: &Args,
    (converged, peak): (f64, f64),
    (writes, reads): (usize, usize),
) -> Result<()> {
    let broken: Vec<String> = [
        (converged > args.max_seconds)
            .then(|| format!("{converged:.1} s > {} s", args.max_seconds)),
        (peak > args.max_rss).then(|| format!("{peak:.1} MiB > {} MiB", args.max_rss)),
        (writes > args.max_writes).then(|| format!("{writes} writes > {}", args.max_writes)),
        (reads > args.max_reads).then(|| format!("{reads} reads > {}", args.max_reads)),
    ]
    .into_iter()
    .flatten()
    .collect();
    ensure!(broken.is_empty(), "limits are exceeded: {}", broken.join(", "));
    println!("within all limits");
    Ok(())
}

/// Waits until an operator holds the Lease and watches the queues.
///
/// # Errors
/// When none does.
pub async fn leads(plane: &ControlPlane, client: &Client) -> Result<()> {
    use k8s_openapi::api::coordination::v1::Lease;
    let leases: kube::Api<Lease> = kube::Api::namespaced(client.clone(), "default");
    until("an operator to lead", Duration::from_secs(30), async || {
        let lease = leases.get_opt("bookingq-operator").await?;
        anyhow::Ok(lease.and_then(|lease| lease.spec?.holder_identity).is_some())
    })
    .await?;
    until("its watches", Duration::from_secs(30), async || {
        let seen = audit::requests(&plane.audit_log(), Timestamp::UNIX_EPOCH)?;
        anyhow::Ok(
            seen.iter()
                .any(|request| request.resource == "bookingqueues" && request.verb == "list"),
        )
    })
    .await
}

/// Waits for [`SILENCE`] with all queues reconciled, and returns the time of the last write. On a
/// busy machine the API server may be silent before.
async fn silence(
    (plane, client): (&ControlPlane, &Client),
    operator: &Process,
    (queues, url): (usize, Option<&str>),
    since: Timestamp,
) -> Result<Timestamp> {
    let start = std::time::Instant::now();
    let (mut log, mut written, mut last) = (AuditTail::new(&plane.audit_log()), 0, since);
    loop {
        tokio::time::sleep(POLL).await;
        let usage = operator.usage()?;
        // Before the log is read, which takes a while on a busy machine.
        let now = Timestamp::now();
        for request in log.more()? {
            if request.received >= since && request.writes() && !request.is_lease() {
                written += 1;
                last = last.max(request.answered);
            }
        }
        let silent = seconds(last, now);
        print_usage(&format!("{written} writes"), usage);
        if silent < SILENCE.as_secs_f64() {
            if start.elapsed() > LIMIT {
                bail!("still writing after {} s", LIMIT.as_secs());
            }
            continue;
        }
        match queues::check(client, queues, url).await {
            Ok(()) => return Ok(last),
            Err(error) if start.elapsed() > LIMIT => return Err(error),
            Err(error) => println!("silent, but not done: {error:#}"),
        }
    }
}

/// The number of writes, without those of the Lease.
pub fn writes(requests: &[AuditedRequest]) -> usize {
    requests.iter().filter(|request| request.writes() && !request.is_lease()).count()
}

fn reads(requests: &[AuditedRequest]) -> usize {
    let reads = |request: &&AuditedRequest| matches!(request.verb.as_str(), "get" | "list");
    requests.iter().filter(reads).filter(|request| !request.is_lease()).count()
}

/// Seconds between two moments.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Prints the resources of an operator.
pub fn print_usage(when: &str, usage: ProcessUsage) {
    let ProcessUsage { rss_mib, peak_mib, cpu, files } = usage;
    println!(
        "{when}: RSS {rss_mib:.1} MiB (peak {peak_mib:.1}), {cpu:.1} s of CPU, {files} open files"
    );
}
