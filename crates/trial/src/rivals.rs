//! Two operators with a frozen leader: which one writes, and how soon.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_api::BookingQueue;
use bookingq_harness::Signal;
use bookingq_harness::control_plane::OPERATORS;
use bookingq_harness::wait::until;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::audit::{self, AuditedRequest};
use crate::process;
use crate::scale::{leads, seconds};
use crate::{queues, scale};

/// Between two changes of a queue: the leader always has something to write.
const CHANGE: Duration = Duration::from_millis(500);

/// The length of the freeze, and the limit of the takeover.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds for which the leader is stopped
    #[arg(long, default_value_t = 60)]
    stopped: u64,
    /// Fail if the other has not written after this many seconds
    #[arg(long, default_value_t = 15.0)]
    max_seconds: f64,
}

/// Freezes the leader while queues change, continues it, and checks which operator wrote.
///
/// # Errors
/// If two wrote in turns, the takeover was late, or the old leader went on.
pub async fn run(args: &Args, program: &Path) -> Result<()> {
    let plane = process::control_plane().await?;
    let client = plane.client()?;
    queues::namespace(&client).await?;
    let first = process::operator(program, &plane, OPERATORS[0])?;
    leads(&plane, &client).await?;
    let second = process::operator(program, &plane, OPERATORS[1])?;
    queues::create(&client, 5, &queues::spec(None)).await?;
    until("the first writes", Duration::from_secs(30), async || {
        anyhow::Ok(scale::writes(&audit::requests(&plane.audit_log(), Timestamp::UNIX_EPOCH)?) > 50)
    })
    .await?;
    let stopped = Timestamp::now();
    first.signal(Signal::STOP);
    change(&client, Duration::from_secs(args.stopped)).await?;
    first.signal(Signal::CONT);
    let continued = Timestamp::now();
    change(&client, Duration::from_secs(10)).await?;
    until("the old leader to end", Duration::from_secs(20), async || {
        anyhow::Ok(first.exit_status().is_some())
    })
    .await?;
    let ended_well = first.exit_status().is_some_and(|status| status.success());
    let all = audit::requests(&plane.audit_log(), Timestamp::UNIX_EPOCH)?;
    drop(second);
    let took = verify(&all, stopped, continued)?;
    println!(
        "the other wrote {took:.1} s after the stop; the old leader wrote nothing after it, and \
         ended (well: {ended_well})"
    );
    ensure!(took <= args.max_seconds, "{took:.1} s > {} s", args.max_seconds);
    Ok(())
}

/// Seconds from the stop to the other's first write.
fn verify(all: &[AuditedRequest], stopped: Timestamp, continued: Timestamp) -> Result<f64> {
    let wrote = |user: &'static str| {
        all.iter().filter(move |one| {
            one.user == user && one.writes() && !one.is_lease() && one.code < 400
        })
    };
    let first =
        wrote(OPERATORS[1]).map(|one| one.received).min().context("the other never wrote")?;
    // A request in flight at the stop may be answered after it.
    let last =
        wrote(OPERATORS[0]).map(|one| one.answered).max().context("the first never wrote")?;
    ensure!(last < first, "two writers: the old leader wrote at {last}, the new one since {first}");
    let late = wrote(OPERATORS[0]).filter(|one| one.received >= continued).count();
    ensure!(late == 0, "the old leader wrote {late} times after it was continued");
    Ok(seconds(stopped, first))
}

/// Changes the queues repeatedly.
async fn change(client: &kube::Client, time: Duration) -> Result<()> {
    let start = std::time::Instant::now();
    let mut turn = 0;
    while start.elapsed() < time {
        turn += 1;
        for index in 0..5 {
            let patch =
                Patch::Merge(json!({ "spec": { "worker": { "concurrency": 1 + turn % 1000 } } }));
            let name = format!("queue-{index:05}");
            queues::api::<BookingQueue>(client)
                .patch(&name, &PatchParams::default(), &patch)
                .await?;
        }
        tokio::time::sleep(CHANGE).await;
    }
    Ok(())
}
