//! The pages of the plugin, without a cluster.
#![allow(clippy::unwrap_used)]

use bookingq_api::BookingQueue;
use bookingq_plugin::explanation::explain;
use bookingq_plugin::facts::QueueFacts;
use bookingq_plugin::page::page;
use bookingq_plugin::redaction::Redaction;
use bookingq_plugin::top::table;
use clap::CommandFactory as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

const NOW: &str = "2026-12-01T20:00:00Z";

fn queue(name: &str, status: &Value) -> BookingQueue {
    serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": "tickets", "generation": 2 },
        "spec": { "booking": { "endpoint": "http://booking:80" } },
        "status": status,
    }))
    .unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-12-01T19:55:00Z",
    })
}

fn scaling() -> Value {
    json!({
        "at": "2026-12-01T19:58:00Z", "from": 1, "to": 6, "wanted": 6, "reason": "Demand",
        "backlog": 5_000, "arrivalsPerMinute": 600, "serviceTimeMicroseconds": 250_000,
        "inFlight": 32, "unschedulable": 0,
    })
}

fn facts() -> QueueFacts {
    let pod = |name: &str, component: &str, status: Value| {
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/component": component } },
            "status": status,
        }))
        .unwrap()
    };
    let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
    let waiting = json!({ "containerStatuses": [{
        "name": "worker", "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } },
        "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } },
    }] });
    let pending = json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }] });
    let event = json!({
        "metadata": {}, "involvedObject": {}, "reason": "Scaled",
        "message": "workers 1 -> 6: 5000 in line", "eventTime": "2026-12-01T19:58:00.000000Z",
    });
    QueueFacts {
        queue: queue(
            "concert",
            &json!({
                "observedGeneration": 1, "replicas": 3, "backlog": 1_200, "inFlight": 64,
                "holds": 300, "parked": 12, "oldestWait": "35s",
                "lastScaling": scaling(),
                "redis": { "term": 4, "primary": "concert-redis-1" },
                "gateway": { "replicas": 2, "connections": 900 },
                "conditions": [
                    condition("Ready", "False", "Unreachable", "no answer"),
                    condition("Degraded", "False", "Reconciled", ""),
                    condition("RedisReady", "False", "Unreachable", "connection refused"),
                    condition("WorkersAvailable", "True", "WorkersReady", ""),
                ],
            }),
        ),
        pods: vec![
            pod("concert-worker-a", "worker", ready),
            pod("concert-worker-b", "worker", waiting),
            pod("concert-worker-c", "worker", pending),
            pod("concert-sweep-1", "sweeper", json!({ "phase": "Succeeded" })),
        ],
        events: vec![serde_json::from_value(event).unwrap()],
    }
}

#[test]
fn the_page_shows_the_line_what_runs_and_what_waits_for_what() {
    let page = page(&facts(), NOW.parse::<Timestamp>().unwrap());
    let expected = "\
concert in tickets: NOT READY (Unreachable) for 5 min
  Spec       the operator has not read the last change yet
  Line       1200 wait, the first for 35s, 64 in progress, 300 reserved and unpaid, 12 wait for a sold out item
  Workers    1 of 3 ready; 1 -> 6 2 min ago, Demand
  Gateways   2, 900 connections
  Redis      primary concert-redis-1, term 4

What it waits for:
  Ready is False for 5 min: Unreachable: no answer
  RedisReady is False for 5 min: Unreachable: connection refused

Pods that are not ready:
  concert-worker-b: worker: CrashLoopBackOff: back-off 40s; before: OOMKilled, exit code 137
  concert-worker-c: Unschedulable: 0/3 nodes are available

Last events:
   2 min ago  Scaled: workers 1 -> 6: 5000 in line
";
    assert_eq!(page, expected);
}

#[test]
fn an_update_that_waits_is_on_the_page_with_what_it_waits_for() {
    let mut facts = facts();
    let status = json!({
        "update": {
            "pending": "0123456789abcdef", "since": "2026-12-01T19:50:00Z", "waitsFor": "Idle",
        },
        "conditions": [
            condition("UpdatePending", "True", "WaitsForIdle", "6 in line, 2 reserved and unpaid"),
        ],
    });
    facts.queue = queue("concert", &status);
    let text = page(&facts, NOW.parse::<Timestamp>().unwrap());
    for line in [
        "  Update     0123456789abcdef waits for 10 min: see below\n",
        "UpdatePending is True for 5 min: WaitsForIdle: 6 in line, 2 reserved and unpaid\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let up_to_date = json!({ "conditions": [condition("UpdatePending", "False", "UpToDate", "")] });
    facts.queue = queue("concert", &up_to_date);
    let text = page(&facts, NOW.parse::<Timestamp>().unwrap());
    assert!(!text.contains("Update"), "{text}");
}

#[test]
fn what_keeps_the_operator_from_following_a_spec_is_on_the_page() {
    let mut facts = facts();
    let status = json!({ "observedGeneration": 1, "conditions": [
        condition("Paused", "True", "Annotated", "until the annotation is removed"),
        condition("SchemaBehind", "True", "FieldsMissing", "it lacks spec.outflow"),
    ]});
    facts.queue = queue("concert", &status);
    facts.queue.metadata.generation = Some(2);
    let text = page(&facts, NOW.parse::<Timestamp>().unwrap());
    assert!(text.contains("Paused is True for 5 min: Annotated: until"), "{text}");
    assert!(text.contains("SchemaBehind is True for 5 min: FieldsMissing: it lacks"), "{text}");
    assert!(!text.contains("has not read the last change"), "{text}");
}

#[test]
fn a_queue_that_no_operator_has_seen_has_a_page_too() {
    let facts =
        QueueFacts { queue: queue("new", &Value::Null), pods: Vec::new(), events: Vec::new() };
    let page = page(&facts, NOW.parse().unwrap());
    assert!(page.starts_with("new in tickets: not observed by an operator yet\n"), "{page}");
    assert!(explain(&facts).contains("has not been changed yet"));
}

#[test]
fn the_last_scaling_is_replayed_and_a_changed_spec_is_noticed() {
    // 10 joining each second and 5,000 within 30 s, 0.25 s each, slots busy for 70 %: 64 slots.
    let mut facts = facts();
    let text = explain(&facts);
    assert!(text.contains("concert: 1 -> 6 workers at 2026-12-01 19:58:00 UTC, reason Demand\n"));
    let line = text.lines().find(|line| line.contains("Replayed")).unwrap().to_owned();
    let wanted: i32 =
        line.split(' ').find_map(|word| word.trim_end_matches(',').parse().ok()).unwrap();
    let status = facts.queue.status.as_mut().unwrap();
    status.last_scaling.as_mut().unwrap().wanted = wanted;
    assert!(
        explain(&facts).contains(&format!("Replayed with the present spec: {wanted}, the same"))
    );
    facts.queue.spec.autoscaling.max = 1;
    assert!(explain(&facts).contains("the spec has changed since"), "{}", explain(&facts));
    facts.queue.spec.replicas = Some(3);
    assert!(explain(&facts).contains("spec.replicas is 3: nothing is computed"));
    assert!(text.ends_with("2026-12-01 19:58:00  workers 1 -> 6: 5000 in line\n"), "{text}");
}

#[test]
fn the_table_has_the_longest_line_first() {
    let long = queue("long", &json!({ "backlog": 900, "replicas": 4, "oldestWait": "1m" }));
    let queues = [queue("new", &Value::Null), queue("short", &json!({ "backlog": 2 })), long];
    let table = table(&queues);
    let first: Vec<_> = table.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first, ["QUEUE", "long", "short", "new"]);
    assert!(table.contains("long   -      Open       900   1m"), "{table}");
}

fn secret(value: &str) -> Secret {
    let data = [("password".to_owned(), ByteString(value.as_bytes().to_vec()))].into();
    Secret { data: Some(data), ..Secret::default() }
}

#[test]
fn what_a_secret_contains_is_left_out_wherever_it_occurs() {
    let redaction = Redaction::of(&[secret("hunter2-hunter2\nsecond-line\n"), secret("ab")]);
    let text = redaction
        .text("a hunter2-hunter2 b second-line c aHVudGVyMi1odW50ZXIyCnNlY29uZC1saW5lCg== ab");
    assert_eq!(text, "a (left out) b (left out) c (left out) ab");
    let url = redaction.text("redis://user:pa@ss@host:6379/0, https://x/a@b and ://");
    assert_eq!(url, "redis://(left out)@host:6379/0, https://x/a@b and ://");
}

#[test]
fn objects_lose_values_of_secrets_secret_variables_and_copies_of_themselves() {
    let object = Redaction::default().object(json!({
        "kind": "Secret", "data": { "key": "djE=" }, "stringData": { "key": "v1" },
        "metadata": { "managedFields": [1], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "v1", "kept": "yes" } },
    }));
    let expected = json!({
        "kind": "Secret", "data": { "key": "(left out)" },
        "metadata": { "annotations": { "kept": "yes" } },
    });
    assert_eq!(object, expected);
    let env = json!({ "kind": "Pod", "env": [
        { "name": "REDIS_PASSWORD", "value": "v1" }, { "name": "API_KEY", "value": "v2" },
        { "name": "BOOKINGQ_QUEUE", "value": "concert" },
    ] });
    let env = Redaction::default().object(env)["env"].clone();
    let values: Vec<_> = env.as_array().unwrap().iter().map(|one| one["value"].clone()).collect();
    assert_eq!(values, ["(left out)", "(left out)", "concert"]);
}

#[test]
fn the_commands_are_well_formed_and_each_has_an_example() {
    let command = bookingq_plugin::PluginCli::command();
    command.clone().debug_assert();
    for verb in command.get_subcommands() {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("kubectl bookingqueue"), "{}", verb.get_name());
    }
}
