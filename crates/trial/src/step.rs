//! A tenfold step of arrivals: the time until the operator writes the final number of workers, by
//! the API server's clock.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId};
use bookingq_harness::control_plane::OPERATORS;
use bookingq_harness::wait::until;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::RedisConfig;
use bookingq_store::{Enqueue, Store};
use jiff::Timestamp;
use serde_json::json;

use crate::audit;
use crate::process;
use crate::queues;
use crate::scale::{leads, seconds};

/// Between two batches of arrivals.
const BATCH: Duration = Duration::from_millis(100);

/// The arrivals, and the limit.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Arrivals each second before the step; ten times as many come after it
    #[arg(long, default_value_t = 20)]
    arrivals: usize,
    /// Fail if the final number is written later than this many seconds after the step
    #[arg(long, default_value_t = 2.0)]
    max_seconds: f64,
}

/// Enqueues the arrivals, and reads when the operator scaled.
///
/// # Errors
/// If the final number came late, or never.
pub async fn run(args: &Args, program: &Path) -> Result<()> {
    let plane = process::control_plane().await?;
    let client = plane.client()?;
    queues::namespace(&client).await?;
    let redis = RedisServer::start(Fsync::Off)?;
    let url = redis.url();
    let operator = process::operator(program, &plane, OPERATORS[0])?;
    leads(&plane, &client).await?;
    let mut spec = queues::spec(Some(&url));
    // There are no workers, so the line only grows, and the step needs the maximum within its first
    // second and a half.
    spec["worker"] = json!({ "concurrency": 1 });
    spec["autoscaling"] = json!({ "min": 1, "max": 40, "drainTarget": "60s" });
    queues::create(&client, 1, &spec).await?;
    let name = QueueName::new(&format!("{}.queue-00000", queues::NAMESPACE))?;
    let store = bookingq_store::open(RedisConfig::new(&url, name))?;
    until("the store to answer", Duration::from_secs(20), async || {
        anyhow::Ok(store.open().await.is_ok())
    })
    .await?;
    let mut next = 0;
    arrive(&*store, &mut next, args.arrivals, Duration::from_secs(8)).await?;
    let step = Timestamp::now();
    arrive(&*store, &mut next, args.arrivals * 10, Duration::from_secs(8)).await?;
    operator.check_running()?;
    let all = audit::requests(&plane.audit_log(), Timestamp::UNIX_EPOCH)?;
    let scaled = all.iter().filter(|one| one.resource == "deployments/scale" && one.code < 300);
    let mut last = None;
    for one in scaled {
        let replicas = one.body.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        println!("{:+.2} s: {} workers", seconds(step, one.answered), replicas.unwrap_or(-1));
        last = Some((one.answered, replicas));
    }
    let (at, replicas) = last.context("no queue was scaled")?;
    ensure!(replicas == Some(40), "{replicas:?} workers at last, 40 are needed");
    let took = seconds(step, at);
    println!("the final number was written {took:.2} s after the step");
    ensure!(took <= args.max_seconds, "{took:.2} s > {} s", args.max_seconds);
    Ok(())
}

/// Enqueues `each_second` bookings a second for `time`.
async fn arrive(
    store: &dyn Store,
    next: &mut usize,
    each_second: usize,
    time: Duration,
) -> Result<()> {
    let start = Instant::now();
    let (mut arrived, mut ticks) = (0, tokio::time::interval(BATCH));
    while start.elapsed() < time {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * each_second as f64) as usize;
        let mut batch = Vec::new();
        while arrived < due {
            (arrived, *next) = (arrived + 1, *next + 1);
            batch.push(Enqueue {
                client: ClientId::new(&format!("client-{next}"))?,
                request: RequestId::new("r")?,
                booking: BookingId::generate(),
                details: Details::default(),
                trace: None,
            });
        }
        if !batch.is_empty() {
            store.enqueue(batch).await?;
        }
    }
    Ok(())
}
