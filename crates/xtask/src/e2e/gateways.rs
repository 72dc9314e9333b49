//! Gateways: a queue of its own, a client that joins by HTTP, and a crowd of WebSockets while Pods
//! of every kind are killed and the gateways are replaced.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, apply, get, kubectl, kubectl_waiting, list, wait_until_ready};
use super::crowd::{CrowdJob, CrowdStore};
use super::forward::Forward;
use super::images::Images;
use super::objects::{self, SecretMount, checker_policy, job, of_scenario, run_once};
use super::simulator;
use super::workers::{is_ready, is_terminating, kill, name};
use crate::within::{Look, until};

/// The queue with gateways.
pub const QUEUE: &str = "page";
/// Its gateways.
const GATEWAYS: u64 = 2;
/// Its clients, each with a WebSocket.
const CLIENTS: u64 = 2000;
/// Tickets that must be unsold before the clients come. The simulator has more: nothing sells out.
const TICKETS: u64 = 1400;
/// Time within which the clients arrive: longer than all failures take.
const ARRIVE: Duration = Duration::from_secs(120);
const KEYS: &str = "page-keys";
const KEYS_FOLDER: &str = "/etc/page-keys";
const PURPOSES: [&str; 4] = ["place", "pass", "enqueue", "backend"];
const LIMIT: Duration = Duration::from_secs(180);
/// Limit for bookings to end again after a failure.
const SERVED: Duration = Duration::from_secs(90);

const CROWD: CrowdJob = CrowdJob { job: "browsers", queue: QUEUE, store: CrowdStore::Redis(1) };

/// Applies the queue, with keys that are made now, and tickets that nothing has sold yet.
pub fn apply_queue() -> Result<String> {
    restart_simulator()?;
    apply(&keys()?.to_string())?;
    apply(&checker_policy(QUEUE).to_string())?;
    let spec = json!({
        "redis": { "managed": { "storage": "1Gi", "image": redis_image()? } },
        "hold": { "timeout": "10s" },
        "replicas": 2,
        "gateway": {
            "keys": { "secretName": KEYS },
            "replicas": GATEWAYS,
            "drain": "10s",
            "brand": { "title": "Concert" },
        },
    });
    objects::apply_queue(QUEUE, spec)?;
    let start = Instant::now();
    wait_until_ready(QUEUE, LIMIT)?;
    wait_for_gateways(GATEWAYS)?;
    Ok(format!("{GATEWAYS} gateways after {:.1} s", start.elapsed().as_secs_f64()))
}

/// A client joins by HTTP, repeats its request, looks at its place and leaves.
pub fn join_by_http() -> Result<String> {
    let gateway = Forward::open(&format!("service/{QUEUE}-gateway"), 80)?;
    let places = format!("/v1/queues/{QUEUE}/places");
    let key = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random UUID")?;
    let key = ["Idempotency-Key", key.trim()];
    let first = gateway.json("POST", &places, &[key], "{}", 201)?;
    let again = gateway.json("POST", &places, &[key], "{}", 200)?;
    let booking = |answer: &Value| answer["place"]["bookingId"].as_str().map(str::to_owned);
    ensure!(booking(&first).is_some(), "the answer to a join names no booking: {first}");
    ensure!(booking(&first) == booking(&again), "a repeated join got another booking: {again}");
    let token = first["token"].as_str().context("the answer to a join has no token")?;
    let bearer = ["Authorization", &format!("Bearer {token}")];
    let mine = gateway.json("GET", &format!("{places}/me"), &[bearer], "", 200)?;
    ensure!(mine["bookingId"] == first["place"]["bookingId"], "another place: {mine}");
    let left = gateway.json("DELETE", &format!("{places}/me"), &[bearer], "", 200)?;
    let payments = format!("/v1/queues/{QUEUE}/payments");
    gateway.json("POST", &payments, &[bearer], "{}", 404)?;
    Ok(format!("joined, seen as {}, left as {}", mine["state"], left["state"]))
}

/// Sends a crowd of WebSockets; kills a gateway, a worker and Redis; replaces the gateways.
pub fn crowd_through_failures() -> Result<String> {
    send_crowd()?;
    let enough = CLIENTS / 20;
    let mut before = CROWD.wait_until("a line through the gateways", LIMIT, |line| {
        line.of("in_line_or_past") >= enough
    })?;
    let mut notes = Vec::new();
    for (what, component) in [("gateway", "gateway"), ("worker", "worker"), ("Redis", "redis")] {
        let took = kill_one(component)?;
        before = CROWD.wait_until_served(&before, SERVED)?;
        notes.push(format!("{what} back after {took:.1} s"));
    }
    let took = replace_gateways()?;
    CROWD.wait_until_served(&before, SERVED)?;
    notes.push(format!("gateways replaced within {took:.1} s"));
    Ok(notes.join(", "))
}

/// The report of the crowd: no promise to a client was broken, and nothing was lost or doubled.
pub fn check_report() -> Result<String> {
    let report = CROWD.check(CLIENTS)?;
    Ok(format!("{} bookings: {}", report["enqueued"], report["final"]))
}

/// Without gateways in the spec, their objects are gone and the queue serves on.
pub fn remove_gateways() -> Result<String> {
    let change = format!("--patch={}", json!({ "spec": { "gateway": null } }));
    let queue = format!("bookingqueue/{QUEUE}");
    kubectl(&["patch", "--namespace", NAMESPACE, &queue, "--type=merge", &change])?;
    let kinds =
        "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies";
    until("the objects of the gateways to be deleted", LIMIT, || {
        let left = list(&[kinds, "--namespace", NAMESPACE, &selector("gateway")])?;
        let left: Vec<String> = left.iter().map(name).collect();
        Ok(if left.is_empty() { Look::Done(()) } else { Look::NotYet(left.join(", ")) })
    })?;
    Ok(String::new())
}

fn send_crowd() -> Result<()> {
    let mut arguments = CROWD.checked_arguments(CLIENTS, ARRIVE);
    arguments.extend([
        format!("--gateway=http://{QUEUE}-gateway:80"),
        format!("--backend=http://{QUEUE}-gateway-backend:8081"),
        format!("--keys={KEYS_FOLDER}"),
    ]);
    let keys = SecretMount { secret: KEYS.to_owned(), folder: KEYS_FOLDER };
    let mounts: Vec<_> = CROWD.password().into_iter().chain([keys]).collect();
    apply(&job(CROWD.job, &Images::bookingq(), &arguments, CrowdJob::DEADLINE, &mounts).to_string())
}

fn selector(component: &str) -> String {
    format!("--selector=app.kubernetes.io/instance={QUEUE},app.kubernetes.io/component={component}")
}

fn pods(component: &str) -> Result<Vec<Value>> {
    list(&["pods", "--namespace", NAMESPACE, &selector(component)])
}

/// Kills a Pod without a grace period, and waits until there are as many as before. Returns the
/// seconds that took.
fn kill_one(component: &str) -> Result<f64> {
    let before: Vec<Value> =
        pods(component)?.into_iter().filter(|pod| !is_terminating(pod)).collect();
    let victim = before
        .iter()
        .find(|pod| is_ready(pod))
        .with_context(|| format!("no Pod of the component {component} is ready"))?;
    let (uid, start) = (&victim["metadata"]["uid"], Instant::now());
    kill(&name(victim), NAMESPACE)?;
    until(format!("a replacement of {}", name(victim)), LIMIT, || {
        let now = pods(component)?;
        let ready = now.iter().filter(|pod| is_ready(pod) && pod["metadata"]["uid"] != *uid);
        let count = ready.count();
        let done = count >= before.len();
        Ok(if done { Look::Done(()) } else { Look::NotYet(format!("{count} ready")) })
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// Changes the title, which replaces the gateways one by one. Returns the seconds that took.
fn replace_gateways() -> Result<f64> {
    let old: Vec<String> = pods("gateway")?.iter().map(name).collect();
    let start = Instant::now();
    let title = json!({ "spec": { "gateway": { "brand": { "title": "Concert, second night" } } } });
    let (change, queue) = (format!("--patch={title}"), format!("bookingqueue/{QUEUE}"));
    kubectl(&["patch", "--namespace", NAMESPACE, &queue, "--type=merge", &change])?;
    until("the gateways to be replaced", LIMIT, || {
        let now = pods("gateway")?;
        let left = now.iter().filter(|pod| old.contains(&name(pod))).count();
        let new = now.iter().filter(|pod| is_ready(pod) && !old.contains(&name(pod))).count();
        Ok(if left == 0 && new as u64 >= GATEWAYS {
            Look::Done(())
        } else {
            Look::NotYet(format!("{left} old, {new} new"))
        })
    })?;
    Ok(start.elapsed().as_secs_f64())
}

fn wait_for_gateways(count: u64) -> Result<()> {
    until(format!("{count} gateways"), LIMIT, || {
        let status = get(&format!("deployment/{QUEUE}-gateway"))?["status"].take();
        let ready = status["readyReplicas"].as_u64().unwrap_or(0);
        let done = ready == count && status["replicas"] == count;
        Ok(if done { Look::Done(()) } else { Look::NotYet(status.to_string()) })
    })
}

/// The ledger is in memory: a new Pod starts with all tickets unsold.
pub fn restart_simulator() -> Result<()> {
    let deployment = "deployment/booking-service";
    kubectl(&["rollout", "restart", "--namespace", NAMESPACE, deployment])?;
    let status = ["rollout", "status", "--namespace", NAMESPACE, deployment];
    kubectl_waiting(&status, LIMIT)?;
    let unsold = simulator::ledger()?.of("/available")?;
    ensure!(unsold >= TICKETS, "only {unsold} tickets are unsold, {TICKETS} are needed");
    Ok(())
}

/// The image of the first queue's Redis, which is in the cluster.
pub fn redis_image() -> Result<Value> {
    let image =
        get("statefulset/concert-redis")?["spec"]["template"]["spec"]["containers"][0]["image"]
            .take();
    ensure!(image.is_string(), "the StatefulSet of Redis has no image");
    Ok(image)
}

/// A Secret with a new key for each purpose.
fn keys() -> Result<Value> {
    let mut files = BTreeMap::new();
    for purpose in PURPOSES {
        let new = ["keys", "new", "--purpose", purpose];
        let key = run_once(&format!("key-{purpose}"), &Images::bookingq(), &new)?;
        files.insert(format!("{purpose}.json"), key);
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": KEYS, "namespace": NAMESPACE, "labels": of_scenario() },
        "stringData": files,
    }))
}
