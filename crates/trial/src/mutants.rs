//! Random specs from a seed, valid and invalid: each queue must be reconciled or report its error,
//! and the operator must stay healthy.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_api::BookingQueue;
use bookingq_harness::Process;
use bookingq_harness::control_plane::OPERATORS;
use bookingq_harness::wait::until;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, ObjectMeta};
use kube::{Api, Client, CustomResourceExt as _};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::process;
use crate::queues::{self, NAMESPACE};
use crate::scale::{leads, print_usage};

/// Queues that the specs are applied to.
const QUEUES: usize = 30;

/// The seed and the size of the trial.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The same seed gives the same specs in the same order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Specs that are applied
    #[arg(long, default_value_t = 300)]
    specs: usize,
    /// Time over which they are applied, in seconds
    #[arg(long, default_value_t = 1200)]
    seconds: u64,
}

/// Applies the specs, and checks the queues and the operator.
///
/// # Errors
/// When a queue is neither reconciled nor reports an error, or the operator ended, panicked, grew
/// or spins.
pub async fn run(args: &Args, program: &Path) -> Result<()> {
    let plane = process::control_plane().await?;
    let client = plane.client()?;
    queues::namespace(&client).await?;
    let operator = process::operator(program, &plane, OPERATORS[0])?;
    leads(&plane, &client).await?;
    let (fields, mut rng) = (fields()?, SmallRng::seed_from_u64(args.seed));
    let pause = Duration::from_secs(args.seconds).div_f64(args.specs.max(1) as f64);
    let (mut taken, mut refused, start) = (0, 0, Instant::now());
    for index in 0..args.specs {
        let name = format!("queue-{:05}", rng.random_range(0..QUEUES));
        let spec = mutant(&fields, &mut rng);
        match apply(&client, &name, &spec).await {
            Ok(()) => taken += 1,
            Err(kube::Error::Api(status)) if is_refusal(&status) => {
                ensure!(!status.message.is_empty(), "refused without a message: {spec}");
                refused += 1;
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("spec {index} of seed {}: {spec}", args.seed));
            }
        }
        operator.check_running()?;
        tokio::time::sleep_until((start + pause * (index as u32 + 1)).into()).await;
    }
    println!("seed {}: {taken} specs taken, {refused} refused by the API server", args.seed);
    all_reported(&client).await?;
    check_operator(&operator).await
}

/// Each queue is reconciled, or its status reports the error of its current spec.
async fn all_reported(client: &Client) -> Result<()> {
    let mut silent = Vec::new();
    let outcome = until("the status of every queue", Duration::from_secs(60), async || {
        let queues = all(client).list(&ListParams::default()).await?;
        silent = queues
            .items
            .iter()
            .filter(|queue| !has_status(&queue.data, &queue.metadata))
            .map(describe)
            .collect();
        anyhow::Ok(silent.is_empty())
    })
    .await;
    outcome.with_context(|| silent.join("\n"))?;
    let mut reasons = std::collections::BTreeMap::<String, (usize, String)>::new();
    for queue in all(client).list(&ListParams::default()).await? {
        let (_, reason, message) = degraded(&queue.data);
        let (count, _) = reasons.entry(reason).or_insert((0, message));
        *count += 1;
    }
    println!("queues by reason, each with an example:");
    for (reason, (count, message)) in reasons {
        println!("  {reason}: {count}; {message}");
    }
    Ok(())
}

/// Checks memory, CPU and log of an operator without work.
async fn check_operator(operator: &Process) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = operator.usage()?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let after = operator.usage()?;
    print_usage("at the end", after);
    let log = operator.log();
    ensure!(!log.contains("panicked"), "it panicked: {log}");
    ensure!(
        after.cpu - before.cpu < 4.0,
        "it spins: {:.1} CPU seconds in 20 s",
        after.cpu - before.cpu
    );
    ensure!(after.rss_mib < 100.0, "it grew to {:.1} MiB", after.rss_mib);
    Ok(())
}

/// The paths of every field of a spec, from the schema of the resource.
fn fields() -> Result<Vec<String>> {
    let crd = serde_json::to_value(BookingQueue::crd())?;
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut fields = Vec::new();
    collect_fields(&crd.pointer(spec).cloned().unwrap_or_default(), "", &mut fields);
    ensure!(fields.len() > 40, "the schema has only the fields {fields:?}");
    Ok(fields)
}

fn collect_fields(schema: &Value, path: &str, fields: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        collect_fields(field, &path, fields);
        fields.push(path);
    }
}

/// A valid spec with up to two fields changed.
fn mutant(fields: &[String], rng: &mut SmallRng) -> Value {
    let mut spec = queues::spec(None);
    for _ in 0..rng.random_range(0..=2) {
        if let Some(field) = fields.choose(rng) {
            set(&mut spec, field, value(field, rng));
        }
    }
    spec
}

fn set(spec: &mut Value, path: &str, value: Value) {
    let mut at = spec;
    for word in path.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[word];
    }
    *at = value;
}

/// A value that is valid, at the boundary, huge, of the wrong type, or names a missing object.
fn value(field: &str, rng: &mut SmallRng) -> Value {
    let any = [
        Value::Null,
        json!(0),
        json!(-1),
        json!(1),
        json!(1000),
        json!(1001),
        json!(i64::MAX),
        json!(1.5),
        json!(""),
        json!("x".repeat(5000)),
        json!("0s"),
        json!("1s"),
        json!("30s"),
        json!("8761h"),
        json!("999999999999h"),
        json!([]),
        json!({}),
        json!(true),
        json!("Paused"),
        json!("http://other:1"),
        json!("https://other:1"),
        json!("redis://127.0.0.1:1"),
        json!("rediss://u:p@h:1"),
        json!("\u{202e}\n"),
        json!("a b"),
    ];
    let fitting = match field.rsplit('/').next().unwrap_or_default() {
        "tls" => json!({ "secretName": "not-there" }),
        "urlSecret" | "passwordSecret" => json!({ "name": "not-there", "key": "k" }),
        "sentinel" => json!({ "primaryName": "p", "nodes": ["a:1"] }),
        "cluster" => json!({ "nodes": ["a:1"] }),
        "managed" => json!({ "storage": "1Gi" }),
        "resources" => json!({ "requests": { "cpu": "nonsense" }, "limits": { "cpu": "1m" } }),
        "labels" => json!({ "not a label!": "no" }),
        "podTemplate" => {
            json!({ "spec": { "containers": [{ "name": "worker", "image": 3 }], "nodeSelector": [1] } })
        }
        "endpoint" => json!("http://booking-service:99999"),
        "image" => json!("not an image!!"),
        "storage" => json!("99999999999999999999Ti"),
        "sweep" => json!({ "schedule": "99 99 99 99 99" }),
        "hold" => json!({ "timeout": "1ms", "retention": "1ms" }),
        "retry" => json!({ "attempts": 100, "initialBackoff": "1h", "maxBackoff": "1h" }),
        "replicas" => json!(3),
        "opensAt" => json!("2026-02-30T00:00:00Z"),
        "outflow" => json!({ "perMinute": 600, "burst": 600, "maxHolds": 1 }),
        "items" => {
            json!([{ "name": "", "soldOut": "End" }, { "name": "\u{7}", "soldOut": "Wait" }])
        }
        _ => json!("5s"),
    };
    if rng.random_bool(0.5) { fitting } else { any.choose(rng).cloned().unwrap_or_default() }
}

fn all(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::erase::<BookingQueue>(&()))
}

async fn apply(client: &Client, name: &str, spec: &Value) -> kube::Result<()> {
    let parameters = PatchParams::apply("trial").force();
    all(client)
        .patch(name, &parameters, &Patch::Apply(&queues::manifest(name, spec)))
        .await
        .map(drop)
}

/// Whether the API server refused the spec. It answers an apply with a value of the wrong type with
/// 500, although only the spec is wrong.
fn is_refusal(status: &kube::core::Status) -> bool {
    (400..500).contains(&status.code)
        || status.message.starts_with("failed to create typed patch object")
}

/// Status, reason and message of the Degraded condition.
fn degraded(data: &Value) -> (String, String, String) {
    let conditions =
        data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|one| one["type"] == "Degraded").unwrap_or_default();
    let word = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (word("status"), word("reason"), word("message"))
}

fn has_status(data: &Value, meta: &ObjectMeta) -> bool {
    let newest =
        data.pointer("/status/observedGeneration").and_then(Value::as_i64) == meta.generation;
    let (status, reason, message) = degraded(data);
    newest && !message.is_empty() && (status == "False" || (status == "True" && !reason.is_empty()))
}

fn describe(queue: &DynamicObject) -> String {
    format!(
        "{:?} (generation {:?}): {}",
        queue.metadata.name, queue.metadata.generation, queue.data
    )
}
