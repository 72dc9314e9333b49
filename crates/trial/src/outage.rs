//! The API server away for minutes: what the operator does meanwhile, and after it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::backoff::Backoff;
use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId};
use bookingq_harness::control_plane::{ControlPlane, OPERATORS};
use bookingq_harness::wait::until;
use bookingq_harness::{Fsync, RedisServer, Restart};
use bookingq_store::{Enqueue, RedisConfig, Store};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use serde_json::{Value, json};

use crate::audit;
use crate::process;
use crate::queues;
use crate::scale::{leads, print_usage, seconds};

/// Longest wait for what an undisturbed operator does in seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// A kubelet's, made shorter.
const RESTART: Restart =
    Restart::Always(Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10) });
/// Clients in line before the outage.
const BEFORE: usize = 200;
/// Clients that come during it.
const DURING: usize = 600;
/// The least number of workers, which either line needs more than.
const LEAST: i32 = 2;
/// A number that stays for so long is the one that a line needs.
const SETTLED: Duration = Duration::from_secs(6);

/// How the API server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Absence {
    /// Killed: connections are refused
    Killed,
    /// Stopped: connections stay open, and nothing is answered
    Frozen,
}

/// The outage, and the limits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How the API server is away
    #[arg(long, value_enum, default_value_t = Absence::Killed)]
    how: Absence,
    /// How many seconds it is away
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 600)]
    time: u64,
    /// Fail if the number of workers for the longer line is written later than this many seconds
    /// after the API server is back
    #[arg(long, default_value_t = 30.0)]
    max_seconds: f64,
    /// Fail if the operator writes more lines to its log than this during the outage, and as many
    /// more for each minute of it
    #[arg(long, default_value_t = 30)]
    max_lines: u64,
}

/// Takes the API server away, lets a line grow meanwhile, and checks what the operator wrote.
///
/// # Errors
/// If it touched what it had no reason to touch, was late, or wrote too much to its log.
pub async fn run(args: &Args, program: &Path) -> Result<()> {
    let mut plane = process::control_plane().await?;
    let client = plane.client()?;
    queues::namespace(&client).await?;
    let redis = RedisServer::start(Fsync::Off)?;
    let operator = process::operator_with(program, &plane, OPERATORS[0], RESTART)?;
    leads(&plane, &client).await?;
    queues::create(&client, 1, &spec(&redis.url())).await?;
    let store = open(&redis.url()).await?;
    join(&*store, 0..BEFORE).await?;
    let before = settled(&client).await?;
    print_usage("before the outage", operator.usage()?);

    let (written, starts) = (operator.log().lines().count(), operator.starts());
    let gone = Timestamp::now();
    println!("the API server is away ({:?}) for {} s", args.how, args.time);
    away(&mut plane, args, join(&*store, BEFORE..BEFORE + DURING)).await?;
    let back = Timestamp::now();
    let lines = operator.log().lines().count().saturating_sub(written) as u64;
    let fewer = replicas(&before);
    until("more workers", LIMIT, async || {
        anyhow::Ok(replicas(&deployment(&client).await?) > fewer)
    })
    .await?;
    let took = seconds(back, Timestamp::now());
    let after = settled(&client).await?;
    print_usage("after the outage", operator.usage()?);
    println!(
        "{fewer} workers, and {took:.1} s after the API server was back the first of {}; the \
         operator wrote {lines} lines during the outage and started {} times",
        replicas(&after),
        operator.starts() - starts,
    );
    untouched(&plane, &before, &after, gone)?;
    ensure!(took <= args.max_seconds, "{took:.1} s > {} s", args.max_seconds);
    let most = args.max_lines * (1 + args.time / 60);
    ensure!(lines <= most, "{lines} lines > {most}");
    println!("within all limits");
    Ok(())
}

fn spec(redis: &str) -> Value {
    let mut spec = queues::spec(Some(redis));
    spec["worker"] = json!({ "concurrency": 1 });
    spec["autoscaling"] = json!({ "min": LEAST, "max": 200, "drainTarget": "10s" });
    spec
}

async fn open(redis: &str) -> Result<Arc<dyn Store>> {
    let name = QueueName::new(&format!("{}.queue-00000", queues::NAMESPACE))?;
    let store = bookingq_store::open(RedisConfig::new(redis, name))?;
    until("the store to answer", LIMIT, async || anyhow::Ok(store.open().await.is_ok())).await?;
    Ok(store)
}

async fn join(store: &dyn Store, clients: Range<usize>) -> Result<()> {
    let joins = clients.map(|client| {
        Ok(Enqueue {
            client: ClientId::new(&format!("client-{client}"))?,
            request: RequestId::new("r")?,
            booking: BookingId::generate(),
            details: Details::default(),
            trace: None,
        })
    });
    store.enqueue(joins.collect::<Result<Vec<_>>>()?).await?;
    Ok(())
}

async fn deployment(client: &Client) -> Result<Deployment> {
    let workers = queues::api::<Deployment>(client);
    workers.get("queue-00000-worker").await.context("read the workers")
}

fn replicas(workers: &Deployment) -> i32 {
    workers.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default()
}

/// The workers, once there are more than the least and their number stays.
async fn settled(client: &Client) -> Result<Deployment> {
    let (mut number, mut since) = (0, Instant::now());
    until("the number of workers to stay", LIMIT, async || {
        let now = queues::api::<Deployment>(client).get_opt("queue-00000-worker").await?;
        let now = now.as_ref().map_or(0, replicas);
        if now != number {
            (number, since) = (now, Instant::now());
        }
        anyhow::Ok(number > LEAST && since.elapsed() >= SETTLED)
    })
    .await?;
    deployment(client).await
}

/// Takes the API server away, and lets clients join meanwhile.
async fn away(
    plane: &mut ControlPlane,
    args: &Args,
    joins: impl Future<Output = Result<()>>,
) -> Result<()> {
    let time = Duration::from_secs(args.time);
    match args.how {
        Absence::Killed => plane.kill_api_server(),
        Absence::Frozen => plane.freeze_api_server(time),
    }
    let end = tokio::time::Instant::now() + time;
    joins.await?;
    tokio::time::sleep_until(end).await;
    if args.how == Absence::Killed {
        plane.start_api_server().await?;
    }
    Ok(())
}

/// Checks that the operator has written nothing since the API server was `gone` but a larger number
/// of workers, the status, events and its Lease.
fn untouched(
    plane: &ControlPlane,
    before: &Deployment,
    after: &Deployment,
    gone: Timestamp,
) -> Result<()> {
    let template = |workers: &Deployment| workers.spec.as_ref().map(|spec| spec.template.clone());
    ensure!(before.metadata.uid == after.metadata.uid, "the Deployment is another one");
    ensure!(template(before) == template(after), "the template of the workers has changed");
    let all = audit::requests(&plane.audit_log(), gone)?;
    let mut least = replicas(before);
    for one in all.iter().filter(|one| one.writes() && one.code < 300) {
        let resource = one.resource.as_str();
        if resource == "deployments/scale" {
            let wanted = one.body.pointer("/spec/replicas").and_then(Value::as_i64);
            let wanted = wanted.and_then(|wanted| i32::try_from(wanted).ok());
            let wanted = wanted.context("a scaling without a number")?;
            ensure!(wanted >= least, "from {least} workers to {wanted}");
            least = wanted;
        }
        let expected = ["deployments/scale", "bookingqueues/status", "events", "leases"];
        ensure!(expected.contains(&resource), "{} {resource} {}", one.verb, one.object);
    }
    Ok(())
}
