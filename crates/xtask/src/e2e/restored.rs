//! A backup of a queue, its deletion with its data, and a new queue that starts with the backup.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::bucket;
use super::cluster::{
    NAMESPACE, apply, kubectl, kubectl_waiting, wait_until_deleted, wait_until_ready,
};
use super::gateways::redis_image;
use super::images::Images;
use super::objects::{self, of_scenario, run_once};

/// The queue. Objects that do not belong to it have other names.
pub const QUEUE: &str = "restored";
/// How a command names the worker and the queue.
const WORKER: [&str; 2] = ["--server=http://restored:50051", "--queue=restored"];
/// The volume with the backup.
const VOLUME: &str = "drill-backups";
const LIMIT: Duration = Duration::from_secs(180);

/// A backup, a deletion and a restore.
struct Drill {
    /// Name of the backup. Names of Jobs begin with it.
    name: &'static str,
    /// The fields of a backup, and of `restoreFrom`, that say where it is.
    place: Value,
}

/// Takes a backup into a volume, deletes the queue with its data, and restores it.
pub fn back_up_and_restore() -> Result<String> {
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": VOLUME, "namespace": NAMESPACE, "labels": of_scenario() },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    apply(&claim.to_string())?;
    let place = json!({ "persistentVolumeClaim": { "claimName": VOLUME } });
    Drill { name: "drill-volume", place }.run()
}

/// The same with a bucket.
pub fn back_up_and_restore_by_s3() -> Result<String> {
    let place = json!({ "s3": bucket::start(LIMIT)? });
    Drill { name: "drill-bucket", place }.run()
}

impl Drill {
    fn run(&self) -> Result<String> {
        delete_queue()?;
        self.apply_queue(None)?;
        let (kept, before) = self.booking("enqueue", "kept", "first")?;
        let file = self.back_up()?;
        // What the backup does not have.
        self.booking("enqueue", "lost", "late")?;
        let start = Instant::now();
        delete_queue()?;
        self.apply_queue(Some(&file))?;
        let took = start.elapsed().as_secs_f64();
        let (found, state) = self.booking("status", "kept", "found")?;
        ensure!(found == kept && state == before, "{kept} was {before}, and {found} is {state}");
        let [server, queue] = WORKER;
        let status = ["status", server, queue, "--client=lost"];
        let lost = run_once(&format!("{}-lost", self.name), &Images::bookingq(), &status)?;
        ensure!(lost.contains("BOOKING_NOT_FOUND"), "the lost client was answered: {lost}");
        Ok(format!("{file} restored in a new queue, ready {took:.1} s after the deletion began"))
    }

    /// Applies the queue, whose bookings wait, and waits until it is Ready.
    fn apply_queue(&self, file: Option<&str>) -> Result<()> {
        let mut managed = json!({ "storage": "1Gi", "image": redis_image()? });
        if let Some(file) = file {
            managed["restoreFrom"] = self.place.clone();
            managed["restoreFrom"]["file"] = json!(file);
        }
        let spec = json!({
            "redis": { "managed": managed },
            "admission": "Paused",
            "deletion": { "data": "Delete" },
            "replicas": 1,
        });
        objects::apply_queue(QUEUE, spec)?;
        wait_until_ready(QUEUE, LIMIT)
    }

    /// The booking id and the state that a command shows of a client.
    fn booking(&self, verb: &str, client: &str, job: &str) -> Result<(String, String)> {
        let client = format!("--client={client}");
        let [server, queue] = WORKER;
        let arguments = [verb, server, queue, &client, "-ojson"];
        let shown = run_once(&format!("{}-{job}", self.name), &Images::bookingq(), &arguments)?;
        let booking: Value = serde_json::from_str(&shown)
            .with_context(|| format!("`bookingq {verb}` printed {shown:?}"))?;
        let field = |name: &str| booking[name].as_str().map(str::to_owned);
        let fields = field("booking_id").zip(field("state"));
        fields.with_context(|| format!("`bookingq {verb}` printed {shown:?}"))
    }

    /// Takes a backup. Returns the name of the file.
    fn back_up(&self) -> Result<String> {
        let mut spec = self.place.clone();
        (spec["queue"], spec["keep"]) = (json!(QUEUE), json!(3));
        let backup = json!({
            "apiVersion": "bookingqueue.dev/v1alpha1",
            "kind": "BookingQueueBackup",
            "metadata": { "name": self.name, "namespace": NAMESPACE, "labels": of_scenario() },
            "spec": spec,
        });
        apply(&backup.to_string())?;
        let backup = format!("bookingqueuebackup/{}", self.name);
        let wait = ["wait", "--namespace", NAMESPACE, "--for=condition=Complete", &backup];
        kubectl_waiting(&wait, LIMIT)?;
        let file = "--output=jsonpath={.status.lastBackup.file}";
        let file = kubectl(&["get", "--namespace", NAMESPACE, &backup, file])?.trim().to_owned();
        ensure!(!file.is_empty(), "the status of {} names no file", self.name);
        // Its Job and its Pod, which has the labels of the queue, go with it.
        kubectl_waiting(&["delete", "--namespace", NAMESPACE, &backup], Duration::from_secs(60))?;
        Ok(file)
    }
}

/// Deletes the queue with its data, if it is there.
fn delete_queue() -> Result<()> {
    let queue = format!("bookingqueue/{QUEUE}");
    let delete = ["delete", "--namespace", NAMESPACE, "--ignore-not-found", &queue];
    kubectl_waiting(&delete, Duration::from_secs(60))?;
    let selector = format!("--selector=app.kubernetes.io/instance={QUEUE}");
    let left = ["statefulsets,pods,persistentvolumeclaims", "--namespace", NAMESPACE, &selector];
    wait_until_deleted("the queue and its volume", &left, LIMIT)
}
