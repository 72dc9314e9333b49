//! A queue with a Redis of three: a crowd while the primary is killed, then the primary together
//! with the leader of the operators, then all three.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, OPERATOR, apply, get, wait_until_ready};
use super::crowd::{CrowdJob, CrowdStore};
use super::gateways::{redis_image, restart_simulator};
use super::images::Images;
use super::objects::{self, checker_policy};
use super::workers::{is_ready, kill};
use crate::within::{Look, until};

/// The queue.
pub const QUEUE: &str = "trio";
const CLIENTS: u64 = 1500;
/// Longer than all failures take.
const ARRIVE: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(180);
/// Limit for bookings to end again after a failure.
const SERVED: Duration = Duration::from_secs(90);

const CROWD: CrowdJob = CrowdJob { job: "survivors", queue: QUEUE, store: CrowdStore::Redis(3) };

/// Applies the queue, with tickets that nothing has sold yet.
pub fn apply_queue() -> Result<String> {
    restart_simulator()?;
    apply(&checker_policy(QUEUE).to_string())?;
    let spec = json!({
        "redis": { "managed": { "replicas": 3, "storage": "1Gi", "image": redis_image()? } },
        "hold": { "timeout": "10s" },
        "replicas": 2,
    });
    objects::apply_queue(QUEUE, spec)?;
    let start = Instant::now();
    wait_until_ready(QUEUE, LIMIT)?;
    wait_for_nodes()?;
    Ok(format!("{} after {:.1} s", record()?, start.elapsed().as_secs_f64()))
}

/// Sends the crowd and kills nodes.
pub fn crowd_through_failures(leader: impl Fn() -> Result<String>) -> Result<String> {
    CROWD.send(&Images::bookingq(), CLIENTS, ARRIVE)?;
    let enough = CLIENTS / 20;
    CROWD.wait_until("a line", LIMIT, |line| line.of("in_line_or_past") >= enough)?;
    let mut notes = Vec::new();
    let took = kill_nodes(&[primary()?])?;
    notes.push(format!("the primary killed: served after {took:.1} s, {}", record()?));
    wait_for_nodes()?;
    // The leader dies first, so that none sees the primary's death.
    let leader = leader()?;
    kill(&leader, OPERATOR)?;
    let took = kill_nodes(&[primary()?])?;
    notes.push(format!("with the operators' leader: served after {took:.1} s, {}", record()?));
    wait_for_nodes()?;
    let took = kill_nodes(&[0, 1, 2])?;
    notes.push(format!("all three: served after {took:.1} s, {}", record()?));
    wait_for_nodes()?;
    Ok(notes.join("; "))
}

/// The report of the crowd: no place was lost and no promise broken.
pub fn check_report() -> Result<String> {
    let report = CROWD.check(CLIENTS)?;
    Ok(format!("{} bookings: {}", report["enqueued"], report["final"]))
}

/// Kills these nodes, and waits for an election and until bookings end after it. Returns the
/// seconds that took.
fn kill_nodes(nodes: &[u64]) -> Result<f64> {
    let (before, start) = (term()?, Instant::now());
    for node in nodes {
        kill(&format!("{QUEUE}-redis-{node}"), NAMESPACE)?;
    }
    until("an election", SERVED, || {
        let now = term()?;
        Ok(if now > before { Look::Done(()) } else { Look::NotYet(format!("term {now}")) })
    })?;
    CROWD.wait_until_served(&CROWD.progress()?, SERVED)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The number of the node that is the primary.
fn primary() -> Result<u64> {
    let name = status()?["primary"].as_str().map(str::to_owned);
    let number = name.as_deref().and_then(|name| name.rsplit_once('-')?.1.parse().ok());
    number.with_context(|| format!("status.redis.primary is {name:?}"))
}

fn term() -> Result<u64> {
    status()?["term"].as_u64().context("status.redis has no term")
}

fn record() -> Result<String> {
    let status = status()?;
    Ok(format!("{} in term {}", status["primary"], status["term"]))
}

fn status() -> Result<Value> {
    Ok(get(&format!("bookingqueue/{QUEUE}"))?["status"]["redis"].take())
}

/// Waits until all three nodes are ready, and two of them replicas.
fn wait_for_nodes() -> Result<()> {
    until("three nodes of Redis", LIMIT, || {
        let mut ready = 0;
        for node in 0..3 {
            ready += usize::from(is_ready(&get(&format!("pod/{QUEUE}-redis-{node}"))?));
        }
        let conditions = get(&format!("bookingqueue/{QUEUE}"))?["status"]["conditions"].take();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        let redis = conditions.iter().find(|one| one["type"] == "RedisReady");
        let reason = redis.map(|one| one["reason"].to_string()).unwrap_or_default();
        let is_whole = ready == 3 && ["\"Reachable\"", "\"UnsafeSettings\""].contains(&&*reason);
        let seen = format!("{ready} ready, RedisReady {reason}");
        Ok(if is_whole { Look::Done(()) } else { Look::NotYet(seen) })
    })
}
