//! The steps of the scenario, in order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cluster::{
    NAMESPACE, OPERATOR, QUEUE, apply, get, helm, kinds, kubectl, kubectl_waiting, list, names,
    read, wait_until_deleted, wait_until_ready,
};
use super::crowd::{JobProgress, SALE};
use super::events::wait_for_event;
use super::gateways;
use super::images::Images;
use super::kafka;
use super::objects::{checker_policy, is_of_scenario, run_once};
use super::redis_of_three;
use super::restored;
use super::rules::{limit_outflow, open_at_a_time};
use super::scale_down::scale_down;
use super::simulator;
use super::workers::{
    MIN, is_ready, is_terminating, kill, name, patch, wait_for_workers, worker_image, worker_pods,
};
use crate::tree;
use crate::within::{Look, until};

const CHART: &str = "charts/bookingq";
const SAMPLE: &str = "manifests/samples/sale.yaml";
const RELEASE: &str = "bookingq";
const CRDS: [&str; 2] =
    ["crd/bookingqueues.bookingqueue.dev", "crd/bookingqueuebackups.bookingqueue.dev"];
/// Clients that arrive per second, so that the crowd lasts for all failures.
const ARRIVALS: u64 = 120;
/// Tickets of the sample.
const STOCK: &str = "stock=5000";
/// Tickets for 100 clients: fewer than want to pay, so that the sale sells out, but only after all
/// failures.
const TICKETS: u64 = 70;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The parameters of a run.
pub struct Scenario {
    images: Images,
    clients: u64,
}

/// A step; returns a note for the reader.
type Step = fn(&Scenario) -> Result<String>;

/// All steps.
pub const STEPS: [(&str, Step); 30] = [
    ("load the images into the cluster", |run| run.images.load()),
    ("install the chart", |_| install()),
    ("apply the sample; the queue becomes Ready", Scenario::apply_sample),
    ("pause the queue; a crowd joins and none is served", Scenario::pause_and_send),
    ("open the queue at a time; the workers are ready by then", |_| open_at_a_time()),
    ("limit the outflow while the queue serves", |_| limit_outflow()),
    ("kill a worker", |_| kill_worker()),
    ("kill the leader of the operators", |_| kill_leader()),
    ("delete Redis", |_| delete_redis()),
    ("update the workers to another image under load", Scenario::update_workers),
    ("scale 20 workers with slow reservations down to 2", |_| scale_down()),
    (
        "check that no client left without a ticket that was there, and nothing is doubled",
        Scenario::check_report,
    ),
    ("check that the CronJob released unpaid reservations", |_| check_sweeper()),
    ("the workers return to their minimum", |_| wait_for_minimum()),
    ("close the queue; a new client is refused", |_| close()),
    ("apply a queue with gateways; it becomes Ready", |_| gateways::apply_queue()),
    ("send WebSockets; kill a gateway, a worker and Redis; replace the gateways", |_| {
        gateways::crowd_through_failures()
    }),
    ("check that the gateways kept every promise", |_| gateways::check_report()),
    ("a client joins at a gateway, repeats its request, looks and leaves", |_| {
        gateways::join_by_http()
    }),
    ("remove the gateways", |_| gateways::remove_gateways()),
    ("apply a queue with a Redis of three; it becomes Ready", |_| redis_of_three::apply_queue()),
    (
        "send a crowd to the Redis of three; kill the primary, with the leader, and all three",
        |_| redis_of_three::crowd_through_failures(leader),
    ),
    ("check that the Redis of three kept every place", |_| redis_of_three::check_report()),
    ("back a queue up, delete it with its data, and restore it in a new one", |_| {
        restored::back_up_and_restore()
    }),
    ("the same with a backup in a bucket", |_| restored::back_up_and_restore_by_s3()),
    ("start a broker; apply a queue in Kafka; it becomes Ready", |_| kafka::apply_queue()),
    (
        "send a crowd to the queue in Kafka; kill a worker, the broker, all workers, the leader",
        |_| kafka::crowd_through_failures(leader),
    ),
    ("check that all clients of the queue in Kafka were answered, and the ledger agrees", |_| {
        kafka::check_report()
    }),
    ("delete the queues and all their objects", |_| delete_queues()),
    ("uninstall the operator and all its objects", |_| uninstall()),
];

impl Scenario {
    /// With these images and this number of clients.
    pub fn new(images: Images, clients: u64) -> Self {
        Self { images, clients }
    }

    /// Applies the sample without its crowd, in place of which the scenario sends its own, and with
    /// tickets for that.
    fn apply_sample(&self) -> Result<String> {
        let sample = tree::read(SAMPLE)?;
        for part in [&Images::bookingq(), STOCK] {
            if !sample.contains(part) {
                bail!("{SAMPLE} has no {part}");
            }
        }
        let sample = sample.replace(STOCK, &format!("stock={}", self.clients * TICKETS / 100));
        let parts = sample.split("\n---\n").filter(|part| !part.contains("\nkind: Job\n"));
        apply(&parts.collect::<Vec<_>>().join("\n---\n"))?;
        wait_until_ready(QUEUE, seconds(180))?;
        let simulator =
            ["rollout", "status", "--namespace", NAMESPACE, "deployment/booking-service"];
        kubectl_waiting(&simulator, seconds(60))?;
        wait_for_workers(MIN, seconds(30))?;
        Ok(format!("{MIN} worker"))
    }

    fn pause_and_send(&self) -> Result<String> {
        set_admission("Paused")?;
        apply(&checker_policy(QUEUE).to_string())?;
        let arrive = seconds(self.clients.div_ceil(ARRIVALS));
        SALE.send(&Images::bookingq(), self.clients, arrive)?;
        let enough = self.clients / 8;
        let limit = arrive / 4 + seconds(60);
        let line = SALE.wait_until(&format!("a line of {enough}"), limit, |line| {
            line.of("in_line_or_past") >= enough
        })?;
        if line.of("held") > 0 {
            bail!("{} bookings were reserved while the queue was paused", line.of("held"));
        }
        Ok(format!("{} in line, none served", line.of("in_line_or_past")))
    }

    fn update_workers(&self) -> Result<String> {
        let before = SALE.progress()?;
        if before.of("ended") >= self.clients {
            bail!("the crowd has finished before the update");
        }
        let next = Images::next();
        patch(&json!({ "spec": { "worker": { "image": next } } }))?;
        until("the Deployment to name the new image", seconds(30), || {
            let image = worker_image(&get("deployment/concert-worker")?["spec"]["template"]);
            Ok(if image == next { Look::Done(()) } else { Look::NotYet(image) })
        })?;
        let rollout = ["rollout", "status", "--namespace", NAMESPACE, "deployment/concert-worker"];
        kubectl_waiting(&rollout, seconds(180))?;
        let mut images: Vec<String> =
            worker_pods()?.iter().filter(|pod| !is_terminating(pod)).map(worker_image).collect();
        images.retain(|image| *image != next);
        if !images.is_empty() {
            bail!("workers still run {}", images.join(", "));
        }
        let after = SALE.progress()?;
        Ok(format!("{} bookings ended meanwhile", after.of("ended") - before.of("ended")))
    }

    fn check_report(&self) -> Result<String> {
        let report = SALE.check(self.clients)?;
        let unsold = simulator::ledger()?.of("/available")?;
        // Where all were served and many paid late, no client is left who wants the rest.
        let sent_away = report["final"]["sold_out"].as_u64().context("no number of sold_out")?;
        if unsold > 0 && sent_away > 0 {
            bail!("{unsold} tickets are unsold, and {sent_away} clients were refused as sold out");
        }
        Ok(format!(
            "{} bookings, {unsold} tickets unsold: {}; errors {}; enqueue p99 {} ms; checked {}",
            report["enqueued"],
            report["final"],
            report["crowd"]["errors"],
            report["latency_ms"]["enqueue"]["p99"],
            report["moment"]
        ))
    }
}

/// Address of the cluster. Fails if it has objects that the scenario would change.
pub fn check_cluster() -> Result<String> {
    let address = "--output=jsonpath={.clusters[0].cluster.server}";
    let server = kubectl(&["config", "view", "--minify", address])?;
    kubectl(&["get", "--raw=/readyz"])
        .with_context(|| format!("the cluster at {server} does not answer"))?;
    let system = format!("namespace/{OPERATOR}");
    let demo = format!("namespace/{NAMESPACE}");
    let existing = names(&[system.as_str(), demo.as_str(), CRDS[0], CRDS[1]])?;
    if !existing.is_empty() {
        bail!(
            "the cluster at {server} has {} already, which this would change or delete. To remove \
             it:\n  kubectl delete bookingqueues --all --all-namespaces\n  \
             helm uninstall {RELEASE} --namespace {OPERATOR}\n  \
             kubectl delete {system} {demo} {}",
            existing.join(", "),
            CRDS.join(" ")
        );
    }
    Ok(server)
}

fn install() -> Result<String> {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let metadata = json!({ "name": OPERATOR, "labels": labels });
    apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }).to_string())?;
    helm(&["install", RELEASE, CHART, "--namespace", OPERATOR, "--wait"], seconds(180))?;
    helm(&["test", RELEASE, "--namespace", OPERATOR], seconds(120))?;
    Ok("helm test passes".to_owned())
}

fn kill_worker() -> Result<String> {
    let (line, pods) = (SALE.progress()?, worker_pods()?);
    let known: Vec<String> = pods.iter().map(name).collect();
    let victim = pods.iter().find(|pod| is_ready(pod)).map(name).context("no worker is ready")?;
    kill(&victim, NAMESPACE)?;
    let successor = until("a replacement of the worker", seconds(60), || {
        let pods = worker_pods()?;
        let new = pods.iter().find(|pod| is_ready(pod) && !known.contains(&name(pod))).map(name);
        Ok(new.map_or_else(|| Look::NotYet(format!("{} Pods", pods.len())), Look::Done))
    })?;
    wait_until_served(&line)?;
    Ok(format!("{successor} replaced {victim}"))
}

/// The Pod of the operator that leads.
fn leader() -> Result<String> {
    let lease = read(&["--namespace", OPERATOR, "lease/bookingq-operator"])?;
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
    Ok(holder.context("there is no leader")?.to_owned())
}

fn kill_leader() -> Result<String> {
    let old = leader()?;
    let start = Instant::now();
    kill(&old, OPERATOR)?;
    let new = until("another leader", seconds(45), || {
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
    let pod = || get("pod/concert-redis-0");
    let (old, start) = (pod()?["metadata"]["uid"].clone(), Instant::now());
    kubectl(&["delete", "--namespace", NAMESPACE, "pod/concert-redis-0", "--wait=false"])?;
    until("the new Pod of Redis", seconds(120), || {
        let pod = pod()?;
        let back = pod["metadata"]["uid"] != old && is_ready(&pod);
        Ok(if back { Look::Done(()) } else { Look::NotYet(pod["status"]["phase"].to_string()) })
    })?;
    let away = start.elapsed().as_secs_f64();
    wait_until_served(&SALE.progress()?)?;
    Ok(format!("back after {away:.1} s"))
}

fn check_sweeper() -> Result<String> {
    let sweepers = "--selector=app.kubernetes.io/component=sweeper";
    let sweeps = list(&["jobs", "--namespace", NAMESPACE, sweepers])?;
    let count = |field: &str| {
        sweeps.iter().filter(|job| job["status"][field].as_u64().unwrap_or(0) > 0).count()
    };
    let (succeeded, failed) = (count("succeeded"), count("failed"));
    if succeeded == 0 {
        bail!("none of {} sweeps has succeeded", sweeps.len());
    }
    Ok(format!("{succeeded} sweeps succeeded, {failed} failed"))
}

fn wait_for_minimum() -> Result<String> {
    wait_for_workers(MIN, seconds(180))?;
    Ok(format!("{MIN} worker"))
}

fn close() -> Result<String> {
    set_admission("Closed")?;
    let arguments =
        ["enqueue", "--server=http://concert:50051", "--queue=concert", "--client=late"];
    let answer = run_once("late", &Images::bookingq(), &arguments)?;
    if !answer.contains("QUEUE_CLOSED") {
        bail!("the late client was answered: {answer}");
    }
    Ok(answer.trim().to_owned())
}

/// Claims of volumes, as kubectl calls them.
const VOLUMES: &str = "persistentvolumeclaims";

fn delete_queues() -> Result<String> {
    let start = Instant::now();
    for queue in [QUEUE, gateways::QUEUE, redis_of_three::QUEUE, restored::QUEUE, kafka::QUEUE] {
        delete_queue(queue)?;
    }
    let took = start.elapsed().as_secs_f64();
    Ok(format!("all objects but volumes are deleted by themselves; after {took:.1} s all are"))
}

fn delete_queue(name_of_queue: &str) -> Result<()> {
    let kinds = kinds(true)?;
    let queue = format!("bookingqueue/{name_of_queue}");
    let delete = ["delete", "--namespace", NAMESPACE, "--ignore-not-found", &queue];
    kubectl_waiting(&delete, seconds(60))?;
    let selector = format!(
        "--selector=app.kubernetes.io/name=bookingq,app.kubernetes.io/instance={name_of_queue}"
    );
    let others: Vec<_> = kinds.iter().map(String::as_str).filter(|kind| *kind != VOLUMES).collect();
    let labelled = [&others.join(","), "--namespace", NAMESPACE, &selector];
    wait_until_deleted("all objects with the queue's labels", &labelled, seconds(90))?;
    // They stay until a person deletes them: the next queue of this name would adopt them.
    let volumes = [VOLUMES, "--namespace", NAMESPACE, &selector];
    if name_of_queue == QUEUE && names(&volumes)?.is_empty() {
        bail!("the volume of {QUEUE} is gone, although spec.deletion.data is Retain");
    }
    kubectl_waiting(&[&["delete"], volumes.as_slice()].concat(), seconds(60))?;
    let kinds = kinds.join(",");
    // Objects of other controllers have the queue's name, or an owner that had it.
    until("all objects with the queue's name to be deleted", seconds(60), || {
        let all = list(&[&kinds, "--namespace", NAMESPACE])?;
        let left = all.iter().filter(|object| {
            let named = name(object).split('-').any(|word| word == name_of_queue);
            belongs_to(object, name_of_queue) || named && !is_of_scenario(object)
        });
        let left: Vec<String> = left.map(|one| format!("{} {}", one["kind"], name(one))).collect();
        Ok(if left.is_empty() { Look::Done(()) } else { Look::NotYet(left.join(", ")) })
    })
}

fn uninstall() -> Result<String> {
    helm(&["uninstall", RELEASE, "--namespace", OPERATOR, "--wait"], seconds(90))?;
    let cluster_wide = kinds(false)?.join(",");
    kubectl_waiting(&["delete", CRDS[0], CRDS[1]], seconds(60))?;
    for namespace in [NAMESPACE, OPERATOR] {
        kubectl_waiting(&["delete", "namespace", namespace], seconds(120))?;
    }
    let ours = [cluster_wide.as_str(), "--selector=app.kubernetes.io/name=bookingq"];
    wait_until_deleted("the chart's objects outside of namespaces", &ours, seconds(30))?;
    Ok(String::new())
}

/// Removes everything after a failure, as far as possible.
pub fn clean_up() {
    println!("    cleaning up (--keep leaves everything as it is)");
    let limit = seconds(120);
    let attempts = [
        kubectl_waiting(&["delete", "bookingqueues", "--all", "--namespace", NAMESPACE], limit),
        helm(&["uninstall", RELEASE, "--namespace", OPERATOR, "--ignore-not-found"], limit),
        kubectl_waiting(&["delete", "namespace", NAMESPACE, OPERATOR, "--ignore-not-found"], limit),
        kubectl_waiting(&["delete", CRDS[0], CRDS[1], "--ignore-not-found"], limit),
    ];
    for error in attempts.into_iter().filter_map(Result::err) {
        println!("    {error:#}");
    }
}

/// Patches the queue, and waits until the operator has written the admission to the store.
fn set_admission(admission: &str) -> Result<()> {
    patch(&json!({ "spec": { "admission": admission } }))?;
    wait_for_event("AdmissionChanged", &format!("is {admission} now"), seconds(30)).map(drop)
}

/// Waits until more bookings end than at the time of `line`.
fn wait_until_served(line: &JobProgress) -> Result<()> {
    SALE.wait_until_served(line, seconds(60)).map(drop)
}

fn belongs_to(object: &Value, queue: &str) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|owner| owner["kind"] == "BookingQueue" && owner["name"] == queue)
}
