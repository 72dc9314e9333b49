//! A queue in Kafka: a crowd while a worker, the broker, all workers, and the leader of the
//! operators are killed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, OPERATOR, apply, get, kubectl_waiting, list, wait_until_ready};
use super::crowd::{CrowdJob, CrowdStore};
use super::gateways::restart_simulator;
use super::images::{Images, KAFKA};
use super::objects::{self, container_security, of_scenario, pod_security};
use super::simulator;
use super::workers::{is_terminating, kill, name};
use crate::within::{Look, until};

/// The queue.
pub const QUEUE: &str = "logged";
const CLIENTS: u64 = 1500;
/// Longer than all failures take.
const ARRIVE: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(180);
/// Limit for bookings to end again after a failure: a broker takes its time to start.
const SERVED: Duration = Duration::from_secs(120);
/// The Pod of the broker, and its Service.
const BROKER: &str = "broker";
/// With the namespace, because the operator is in another one.
const BOOTSTRAP: &str = "broker.bookingq-demo:9092";
/// Any cluster that is alone with its name.
const CLUSTER_ID: &str = "Ym9va2luZ3EtZTJlLXJ1bg";
const JAVA: &str = "/opt/java/openjdk/bin/java";
const SETTINGS: &str = "/etc/kafka/server.properties";

const CROWD: CrowdJob = CrowdJob { job: "loggers", queue: QUEUE, store: CrowdStore::Kafka };

/// Starts the broker, and applies the queue, with tickets that nothing has sold yet.
pub fn apply_queue() -> Result<String> {
    restart_simulator()?;
    for object in broker() {
        apply(&object.to_string())?;
    }
    let start = Instant::now();
    let ready = ["rollout", "status", "--namespace", NAMESPACE, "statefulset/broker"];
    kubectl_waiting(&ready, LIMIT)?;
    let started = start.elapsed().as_secs_f64();
    let spec = json!({
        "kafka": { "bootstrap": BOOTSTRAP, "replication": 1 },
        "hold": { "timeout": "10s" },
        "autoscaling": { "min": 2, "max": 4, "scaleDownWindow": "30s" },
    });
    objects::apply_queue(QUEUE, spec)?;
    wait_until_ready(QUEUE, LIMIT)?;
    let status = get(&format!("bookingqueue/{QUEUE}"))?["status"].take();
    let reason = condition(&status, "KafkaReady");
    ensure!(reason == "Reachable", "KafkaReady has the reason {reason}");
    Ok(format!(
        "the broker after {started:.1} s, the queue after {:.1} s",
        start.elapsed().as_secs_f64()
    ))
}

/// Names the Pods to kill.
type Victims<'a> = &'a dyn Fn() -> Result<Vec<String>>;

/// Sends the crowd and kills Pods.
pub fn crowd_through_failures(leader: impl Fn() -> Result<String>) -> Result<String> {
    CROWD.send(&Images::bookingq(), CLIENTS, ARRIVE)?;
    let enough = CLIENTS / 20;
    let mut before =
        CROWD.wait_until("a line", LIMIT, |line| line.of("in_line_or_past") >= enough)?;
    let mut notes = Vec::new();
    let broker = || Ok(vec![format!("{BROKER}-0")]);
    let leader = || Ok(vec![leader()?]);
    let failures: [(&str, &str, Victims<'_>); 4] = [
        ("a worker", NAMESPACE, &|| Ok(workers()?.into_iter().take(1).collect())),
        ("the broker", NAMESPACE, &broker),
        ("all workers", NAMESPACE, &workers),
        ("the operators' leader", OPERATOR, &leader),
    ];
    for (what, namespace, victims) in failures {
        let start = Instant::now();
        for pod in victims()? {
            kill(&pod, namespace)?;
        }
        before = CROWD.wait_until_served(&before, SERVED)?;
        notes.push(format!("{what} killed: served after {:.1} s", start.elapsed().as_secs_f64()));
    }
    until("readings of a worker", LIMIT, || {
        let status = get(&format!("bookingqueue/{QUEUE}"))?["status"].take();
        let reason = condition(&status, "KafkaReady");
        Ok(if reason == "Reachable" { Look::Done(()) } else { Look::NotYet(reason) })
    })?;
    Ok(notes.join("; "))
}

/// Each client got a place and saw its booking end, no promise was broken, and the Booking Service
/// sold what the clients saw confirmed.
pub fn check_report() -> Result<String> {
    let report = CROWD.report(Duration::from_secs(600))?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    ensure!(report["sound"] == true, "promises were broken: {report}");
    for counter in ["acknowledged", "finished"] {
        let found = number(&format!("/crowd/{counter}"));
        ensure!(found == CLIENTS, "{counter} is {found}, not {CLIENTS}: {report}");
    }
    let confirmed = number("/crowd/finals/confirmed");
    ensure!(confirmed > 0, "no booking was confirmed: nothing was tried");
    // A stray ends after its release, which its client does not wait for.
    until("the ledger to be at rest", LIMIT, || {
        let held = simulator::ledger()?.of("/held_bookings")?;
        Ok(if held == 0 { Look::Done(()) } else { Look::NotYet(format!("{held} are held")) })
    })?;
    let ledger = simulator::ledger()?;
    let sold = ledger.of("/confirmed_bookings")?;
    ensure!(sold == confirmed, "clients saw {confirmed} confirmed; the ledger has {sold}");
    for defect in ["/overlaps", "/released_after_confirm_bookings"] {
        let found = ledger.of(defect)?;
        ensure!(found == 0, "the ledger has {found} at {defect}");
    }
    Ok(format!("{CLIENTS} bookings: {}", report["crowd"]["finals"]))
}

/// The reason of a condition.
fn condition(status: &Value, type_: &str) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|one| one["type"] == type_);
    found.next().and_then(|one| one["reason"].as_str()).unwrap_or("none").to_owned()
}

/// The worker Pods that run.
fn workers() -> Result<Vec<String>> {
    let selector =
        format!("--selector=app.kubernetes.io/instance={QUEUE},app.kubernetes.io/component=worker");
    let pods = list(&["pods", "--namespace", NAMESPACE, &selector])?;
    Ok(pods.iter().filter(|pod| !is_terminating(pod)).map(name).collect())
}

/// One broker that is its own controller, with a volume that outlives its Pod.
fn broker() -> [Value; 3] {
    let host = format!("{BROKER}-0.{BROKER}.{NAMESPACE}.svc.cluster.local");
    let settings = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://localhost:9093\n\
         advertised.listeners=PLAINTEXT://{host}:9092\ncontroller.listener.names=CONTROLLER\n\
         log.dirs=/data/kafka\nauto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n"
    );
    let metadata = json!({ "name": BROKER, "namespace": NAMESPACE, "labels": of_scenario() });
    let labels = json!({ "app.kubernetes.io/name": BROKER });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
        "data": { "server.properties": settings },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {
            "clusterIP": "None", "publishNotReadyAddresses": true, "selector": labels,
            "ports": [{ "name": "kafka", "port": 9092 }],
        },
    });
    let volume = json!({
        "metadata": { "name": "data", "labels": of_scenario() },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata,
        "spec": {
            "replicas": 1, "serviceName": BROKER, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": broker_pod() },
            "volumeClaimTemplates": [volume],
        },
    });
    [config, service, set]
}

fn broker_pod() -> Value {
    let format = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", SETTINGS, "-g"];
    json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 10,
        "securityContext": pod_security(),
        "initContainers": [java("format", &format)],
        "containers": [broker_container()],
        "volumes": [
            { "name": "settings", "configMap": { "name": BROKER } },
            { "name": "tmp", "emptyDir": {} },
        ],
    })
}

fn broker_container() -> Value {
    let mut container = java("kafka", &["kafka.Kafka", SETTINGS]);
    container["readinessProbe"] =
        json!({ "tcpSocket": { "port": 9092 }, "periodSeconds": 1, "timeoutSeconds": 5 });
    container["ports"] = json!([{ "name": "kafka", "containerPort": 9092 }]);
    container
}

/// A container that runs a class of Kafka.
fn java(name: &str, words: &[&str]) -> Value {
    let memory = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-cp", "/opt/kafka/libs/*"];
    let words = [memory.as_slice(), words].concat();
    json!({
        "name": name,
        "image": KAFKA,
        "command": [JAVA],
        "args": words,
        "resources": { "requests": { "cpu": "100m", "memory": "256Mi" } },
        "securityContext": container_security(),
        "volumeMounts": [
            { "name": "settings", "mountPath": "/etc/kafka" },
            { "name": "data", "mountPath": "/data" },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    })
}
