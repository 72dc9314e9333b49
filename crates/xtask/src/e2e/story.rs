//! The steps of the story, in order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cluster::{
    apply, get, helm, kinds, kubectl, kubectl_waiting, list, names, wait_until_gone,
};
use super::crowd::{self, Progress};
use super::images::Images;
use super::objects::{job, leave_to_look};
use super::retreat::retreat;
use super::workers::{
    FEWEST, MOST, is_leaving, is_ready, kill, name, patch, wait_for_workers, worker_image,
    worker_pods,
};
use super::{NAMESPACE, OPERATOR, QUEUE};
use crate::tree;
use crate::within::{Look, until};

const CHART: &str = "charts/bookingq";
const SAMPLE: &str = "manifests/samples/sale.yaml";
const RELEASE: &str = "bookingq";
const LEASE: &str = "bookingq-operator";
const CRD: &str = "crd/bookingqueues.bookingqueue.dev";
/// Clients that come each second: long enough for everything that happens meanwhile.
const ARRIVALS: u64 = 160;

/// What the story knows.
pub struct Story {
    images: Images,
    clients: u64,
}

/// One step: what it did, for the reader.
type Step = fn(&Story) -> Result<String>;

/// All of them.
pub const STEPS: [(&str, Step); 16] = [
    ("images are brought into the cluster", |story| story.images.load()),
    ("the chart is installed", |_| install()),
    ("the sale is applied and becomes Ready", |_| apply_sale()),
    ("the queue is paused: a crowd joins, and nobody is served", Story::pause_and_send),
    ("the queue is opened, and workers are at the maximum", |_| open()),
    ("a worker is killed", |_| kill_worker()),
    ("the operator's leader is killed", |_| kill_leader()),
    ("Redis is deleted", |_| delete_redis()),
    ("workers are updated to another image, under load", Story::update_workers),
    ("20 workers with long reservations become 2: none is lost or repeated", |_| retreat()),
    ("everybody comes to an end, and nothing is lost, doubled or left over", Story::add_up),
    ("the CronJob has released what was not paid", |_| check_sweeper()),
    ("workers go back to the minimum", |_| shrink()),
    ("the queue is closed: nobody gets a place", |_| close()),
    ("the queue is deleted: everything of it is gone", |_| delete_queue()),
    ("the operator is uninstalled: nothing is left", |_| uninstall()),
];

impl Story {
    /// With these images, and so many clients.
    pub fn new(images: Images, clients: u64) -> Self {
        Self { images, clients }
    }

    fn pause_and_send(&self) -> Result<String> {
        set_admission("Paused")?;
        apply(&leave_to_look().to_string())?;
        let arrive = Duration::from_secs(self.clients.div_ceil(ARRIVALS));
        crowd::send(&Images::bookingq(), self.clients, arrive)?;
        let enough = self.clients / 4;
        let limit = arrive / 2 + Duration::from_secs(60);
        let line = crowd::wait_until(&format!("a line of {enough}"), limit, |line| {
            line.of("in_line_or_past") >= enough
        })?;
        if line.of("held") > 0 {
            bail!("{} bookings were reserved while the queue was paused", line.of("held"));
        }
        Ok(format!("{} in line, none served", line.of("in_line_or_past")))
    }

    fn update_workers(&self) -> Result<String> {
        let before = crowd::progress()?;
        if before.of("ended") >= self.clients {
            bail!("the crowd is through already, so nothing would be shown");
        }
        let next = Images::next();
        patch(&json!({ "spec": { "worker": { "image": next } } }))?;
        until("the Deployment to name the new image", Duration::from_secs(30), || {
            let image = worker_image(
                &get(&["--namespace", NAMESPACE, "deployment/concert-worker"])?["spec"]["template"],
            );
            Ok(if image == next { Look::Done(()) } else { Look::NotYet(image) })
        })?;
        let rollout = ["rollout", "status", "--namespace", NAMESPACE, "deployment/concert-worker"];
        kubectl_waiting(&rollout, Duration::from_secs(180))?;
        let old: Vec<String> = worker_pods()?
            .iter()
            .filter(|pod| !is_leaving(pod))
            .map(worker_image)
            .filter(|image| *image != next)
            .collect();
        if !old.is_empty() {
            bail!("workers still run {}", old.join(", "));
        }
        let after = crowd::progress()?;
        Ok(format!("{} bookings ended meanwhile", after.of("ended") - before.of("ended")))
    }

    fn add_up(&self) -> Result<String> {
        let report = crowd::report(Duration::from_secs(600))?;
        let wrong = crowd::wrong(&report, self.clients)?;
        if !wrong.is_empty() {
            bail!("{}", wrong.join("; "));
        }
        let finals = &report["final"];
        Ok(format!(
            "{} bookings: {}; errors {}; enqueue p99 {} ms; checked {}",
            report["enqueued"],
            finals,
            report["crowd"]["errors"],
            report["latency_ms"]["enqueue"]["p99"],
            report["moment"]
        ))
    }
}

/// The cluster's name; fails if it has anything that the story would touch.
pub fn check_cluster() -> Result<String> {
    let server = kubectl(&[
        "config",
        "view",
        "--minify",
        "--output=jsonpath={.clusters[0].cluster.server}",
    ])?;
    kubectl(&["get", "--raw=/readyz"])
        .with_context(|| format!("the cluster at {server} does not answer"))?;
    let system = format!("namespace/{OPERATOR}");
    let demo = format!("namespace/{NAMESPACE}");
    let there = names(&[system.as_str(), demo.as_str(), CRD])?;
    if !there.is_empty() {
        bail!(
            "the cluster at {server} has {} already, and this would change or delete it. If it may go:\n  \
             kubectl delete bookingqueues --all --all-namespaces\n  helm uninstall {RELEASE} --namespace {OPERATOR}\n  \
             kubectl delete {system} {demo} {CRD}",
            there.join(", ")
        );
    }
    Ok(server)
}

fn install() -> Result<String> {
    apply(&namespace(OPERATOR).to_string())?;
    helm(
        &["install", RELEASE, CHART, "--namespace", OPERATOR, "--wait"],
        Duration::from_secs(180),
    )?;
    helm(&["test", RELEASE, "--namespace", OPERATOR], Duration::from_secs(120))?;
    Ok("helm test passes".to_owned())
}

/// Its own crowd stays at home: ours is checked.
fn apply_sale() -> Result<String> {
    let sample = tree::read(SAMPLE)?;
    if !sample.contains(&Images::bookingq()) {
        bail!("{SAMPLE} does not run {}", Images::bookingq());
    }
    let parts = sample.split("\n---\n").filter(|part| !part.contains("\nkind: Job\n"));
    apply(&parts.collect::<Vec<_>>().join("\n---\n"))?;
    let ready = ["wait", "--namespace", NAMESPACE, "--for=condition=Ready", "bookingqueue/concert"];
    kubectl_waiting(&ready, Duration::from_secs(180))?;
    let booking_service =
        ["rollout", "status", "--namespace", NAMESPACE, "deployment/booking-service"];
    kubectl_waiting(&booking_service, Duration::from_secs(60))?;
    wait_for_workers(FEWEST, Duration::from_secs(30))?;
    Ok(format!("{FEWEST} worker"))
}

/// The line alone makes the workers more, already while it stands still.
fn open() -> Result<String> {
    set_admission("Open")?;
    wait_for_workers(MOST, Duration::from_secs(120))?;
    let line = crowd::wait_until("somebody to be served", Duration::from_secs(30), |line| {
        line.of("held") > 0
    })?;
    Ok(format!(
        "{MOST} workers; {} of {} in line are served",
        line.of("held"),
        line.of("in_line_or_past")
    ))
}

fn kill_worker() -> Result<String> {
    let (line, pods) = (crowd::progress()?, worker_pods()?);
    let known: Vec<String> = pods.iter().map(name).collect();
    let victim = pods.iter().find(|pod| is_ready(pod)).map(name).context("there is no worker")?;
    kill(&victim, NAMESPACE)?;
    let heir = until("another worker in its place", Duration::from_secs(60), || {
        let pods = worker_pods()?;
        let new = pods.iter().find(|pod| is_ready(pod) && !known.contains(&name(pod))).map(name);
        Ok(new.map_or_else(|| Look::NotYet(format!("{} Pods", pods.len())), Look::Done))
    })?;
    wait_until_served(&line)?;
    Ok(format!("{heir} took the place of {victim}"))
}

fn kill_leader() -> Result<String> {
    let leader = || -> Result<String> {
        let lease = get(&["--namespace", OPERATOR, &format!("lease/{LEASE}")])?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
        Ok(holder.context("nobody leads")?.to_owned())
    };
    let old = leader()?;
    let start = Instant::now();
    kill(&old, OPERATOR)?;
    let new = until("another leader", Duration::from_secs(45), || {
        let new = leader()?;
        Ok(if new == old {
            Look::NotYet(format!("{old} still holds the Lease"))
        } else {
            Look::Done(new)
        })
    })?;
    Ok(format!("{new} leads after {:.1} s", start.elapsed().as_secs_f64()))
}

fn delete_redis() -> Result<String> {
    let pod = || get(&["--namespace", NAMESPACE, "pod/concert-redis-0"]);
    let (old, start) = (pod()?["metadata"]["uid"].clone(), Instant::now());
    kubectl(&["delete", "--namespace", NAMESPACE, "pod/concert-redis-0", "--wait=false"])?;
    until("Redis to be back", Duration::from_secs(120), || {
        let pod = pod()?;
        let back = pod["metadata"]["uid"] != old && is_ready(&pod);
        Ok(if back { Look::Done(()) } else { Look::NotYet(pod["status"]["phase"].to_string()) })
    })?;
    let away = start.elapsed().as_secs_f64();
    wait_until_served(&crowd::progress()?)?;
    Ok(format!("back after {away:.1} s"))
}

fn check_sweeper() -> Result<String> {
    let sweeps = list(&[
        "jobs",
        "--namespace",
        NAMESPACE,
        "--selector=app.kubernetes.io/component=sweeper",
    ])?;
    let done = sweeps.iter().filter(|job| job["status"]["succeeded"].as_u64() == Some(1)).count();
    let failed: Vec<String> = sweeps
        .iter()
        .filter(|job| job["status"]["failed"].as_u64().unwrap_or(0) > 0)
        .map(name)
        .collect();
    if done == 0 {
        bail!("of {} sweeps none has succeeded", sweeps.len());
    }
    Ok(format!("{done} sweeps done, {} failed", failed.len()))
}

fn shrink() -> Result<String> {
    wait_for_workers(FEWEST, Duration::from_secs(180))?;
    Ok(format!("{FEWEST} worker"))
}

fn close() -> Result<String> {
    set_admission("Closed")?;
    let arguments =
        ["enqueue", "--server=http://concert:50051", "--queue=concert", "--client=late"];
    apply(&job("late", &Images::bookingq(), &arguments.map(str::to_owned), 60).to_string())?;
    let told = until("the late client's answer", Duration::from_secs(60), || {
        let log = kubectl(&["logs", "--namespace", NAMESPACE, "job/late"])?;
        Ok(if log.trim().is_empty() {
            Look::NotYet("nothing yet".to_owned())
        } else {
            Look::Done(log)
        })
    })?;
    if !told.contains("QUEUE_CLOSED") {
        bail!("who came late was told: {told}");
    }
    Ok(told.trim().to_owned())
}

fn delete_queue() -> Result<String> {
    let kinds = kinds(true)?.join(",");
    let start = Instant::now();
    let queue = format!("bookingqueue/{QUEUE}");
    kubectl_waiting(&["delete", "--namespace", NAMESPACE, &queue], Duration::from_secs(60))?;
    let selector =
        format!("--selector=app.kubernetes.io/name=bookingq,app.kubernetes.io/instance={QUEUE}");
    let labelled = [kinds.as_str(), "--namespace", NAMESPACE, &selector];
    wait_until_gone("what has the queue's labels", &labelled, Duration::from_secs(90))?;
    // Whatever bears its name, or was made by something that was, whoever made it.
    until("everything that bears the queue's name to be gone", Duration::from_secs(60), || {
        let all = list(&[&kinds, "--namespace", NAMESPACE])?;
        let its =
            |object: &&Value| name(object).split('-').any(|word| word == QUEUE) || is_owned(object);
        let left: Vec<String> =
            all.iter().filter(its).map(|one| format!("{} {}", one["kind"], name(one))).collect();
        Ok(if left.is_empty() { Look::Done(()) } else { Look::NotYet(left.join(", ")) })
    })?;
    Ok(format!("nothing is left after {:.1} s, volumes included", start.elapsed().as_secs_f64()))
}

fn uninstall() -> Result<String> {
    helm(&["uninstall", RELEASE, "--namespace", OPERATOR, "--wait"], Duration::from_secs(90))?;
    let everywhere = kinds(false)?.join(",");
    kubectl_waiting(&["delete", CRD], Duration::from_secs(60))?;
    for namespace in [NAMESPACE, OPERATOR] {
        kubectl_waiting(&["delete", "namespace", namespace], Duration::from_secs(120))?;
    }
    let ours = [everywhere.as_str(), "--selector=app.kubernetes.io/name=bookingq"];
    wait_until_gone("what the chart made outside of namespaces", &ours, Duration::from_secs(30))?;
    Ok(String::new())
}

/// As well as it can be done after a failure.
pub fn clean_up() {
    println!("    cleaning up (--keep leaves everything as it is)");
    let limit = Duration::from_secs(120);
    let tries = [
        kubectl_waiting(&["delete", "bookingqueues", "--all", "--namespace", NAMESPACE], limit),
        helm(&["uninstall", RELEASE, "--namespace", OPERATOR, "--ignore-not-found"], limit),
        kubectl_waiting(&["delete", "namespace", NAMESPACE, OPERATOR, "--ignore-not-found"], limit),
        kubectl_waiting(&["delete", CRD, "--ignore-not-found"], limit),
    ];
    for error in tries.into_iter().filter_map(Result::err) {
        println!("    {error:#}");
    }
}

/// The strictest of the Pod Security Standards is good enough for all of us.
fn namespace(name: &str) -> Value {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

/// Patches it, and waits until the operator has told the store, and with it all workers.
fn set_admission(admission: &str) -> Result<()> {
    patch(&json!({ "spec": { "admission": admission } }))?;
    let told = format!("is {admission} now");
    let changes = ["events", "--namespace", NAMESPACE, "--field-selector=reason=AdmissionChanged"];
    until(format!("the event that the queue {told}"), Duration::from_secs(30), || {
        let events = list(&changes)?;
        let messages: Vec<&str> =
            events.iter().filter_map(|event| event["message"].as_str()).collect();
        let done = messages.iter().any(|message| message.contains(&told));
        Ok(if done { Look::Done(()) } else { Look::NotYet(messages.join("; ")) })
    })
}

/// Work goes on: bookings come to their end that had not when the crowd was as far as `line`.
fn wait_until_served(line: &Progress) -> Result<()> {
    let limit = Duration::from_secs(60);
    crowd::wait_until("bookings to end again", limit, |now| now.of("ended") > line.of("ended"))
        .map(drop)
}

fn is_owned(object: &Value) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|owner| owner["kind"] == "BookingQueue")
}
