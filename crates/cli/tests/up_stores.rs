//! Which store `bookingq up` and `bookingq crowd` use, and what they refuse.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bookingq_harness::kafka::KAFKA_VERSION;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

const QUEUE: &str = r#"
apiVersion: bookingqueue.dev/v1alpha1
kind: BookingQueue
metadata: { name: concert }
spec:
  booking: { endpoint: "simulate://booking?stock=50" }
"#;

/// A manifest in a folder of its own.
struct Manifest(TempDir);

impl Manifest {
    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("queue.yaml"), format!("{QUEUE}{more}")).unwrap();
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn up(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
        command.args(["up", "--no-gateway", "--base-port=0", "--file"]);
        command.arg(self.path("queue.yaml")).args(flags).stdin(Stdio::null());
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn refused(command: &mut Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let error = stderr(&output);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn settings_of_another_store_count_on_the_command_line_and_not_in_the_environment() {
    let manifest = Manifest::with("");
    let environment = [
        ("BOOKINGQ_REDIS_TLS_CA", "ca.pem"),
        ("BOOKINGQ_REDIS_PASSWORD_FILE", "password"),
        ("BOOKINGQ_KAFKA_TLS", "true"),
    ];
    let output = manifest.up(&["--for=200ms"]).envs(environment).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let redis = "--redis-tls-ca=ca.pem";
    for (store, named) in
        [("kafka", "kafka"), ("kafka://127.0.0.1:1", "a Kafka"), ("redis", "redis")]
    {
        let flags = [&format!("--store={store}"), redis, "--redis-password-file=password"];
        let names = "--redis-password-file, --redis-tls-ca is given with --store ";
        refused(&mut manifest.up(&flags), &[names, named, "the address of a Redis"]);
    }
    refused(&mut manifest.up(&[redis]), &["--redis-tls-ca is given with --store embedded"]);
    let kafka = ["--store=redis", "--kafka-user=ann"];
    refused(&mut manifest.up(&kafka), &["--kafka-user is given with --store redis"]);
}

#[test]
fn a_store_of_the_manifest_that_is_not_used_is_noted() {
    let redis = "  redis: { managed: {} }\n";
    let kafka = "  kafka: { bootstrap: \"kafka:9092\" }\n";
    for (more, field, flag) in
        [(redis, "spec.redis", "--store redis "), (kafka, "spec.kafka", "--store kafka ")]
    {
        let manifest = Manifest::with(more);
        let output = manifest.up(&["--for=200ms"]).output().unwrap();
        let note = stderr(&output);
        assert!(output.status.success() && note.lines().count() == 1, "{output:?}");
        for part in ["note: concert has ", field, "embedded", flag] {
            assert!(note.contains(part), "{part}: {note}");
        }
        let output = manifest.up(&["--for=200ms", "--store=embedded"]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    let output = Manifest::with("").up(&["--for=200ms"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// Starts a run and waits for a line of its output.
fn running(mut command: Command, text: &str) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains(text)).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    (child, line)
}

fn interrupt(child: &Child) {
    let own = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(own, Signal::INT).unwrap();
}

#[test]
fn a_second_run_with_the_same_logs_is_refused_while_the_first_one_lives() {
    let manifest = Manifest::with("");
    let logs = format!("--logs={}", manifest.path("logs").display());
    let (mut first, _) = running(manifest.up(&[&logs]), "ledger");
    let kept = manifest.path("logs").join("kept");
    std::fs::write(&kept, "data").unwrap();
    for store in ["--store=embedded", "--store=kafka"] {
        let mut second = manifest.up(&[&logs, store, "--for=200ms"]);
        refused(&mut second, &["--logs is ", "another bookingq up"]);
    }
    interrupt(&first);
    assert!(first.wait().unwrap().success());
    let output = manifest.up(&[&logs, "--for=200ms"]).output().unwrap();
    assert!(output.status.success() && kept.exists(), "{output:?}");
}

/// A `java` that formats at once and never serves.
fn broker_that_never_serves(folder: &Path) {
    let java = folder.join("java");
    std::fs::write(
        &java,
        "#!/bin/sh\ncase \"$*\" in *StorageTool*) exit 0;; esac\nexec sleep 300\n",
    )
    .unwrap();
    std::fs::set_permissions(&java, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.join(format!("kafka_2.13-{KAFKA_VERSION}.jar")), "").unwrap();
}

#[test]
fn one_ctrl_c_ends_a_run_whose_broker_is_starting() {
    if bookingq_store::replicated::check_built().is_err() {
        return;
    }
    let manifest = Manifest::with("");
    let folder = manifest.path("java");
    std::fs::create_dir(&folder).unwrap();
    broker_that_never_serves(&folder);
    let jars = format!("--kafka-jars={}", folder.display());
    let mut command = manifest.up(&["--store=kafka", &jars]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
    let (mut child, line) = running(command, "started, pid");
    let broker =
        Pid::from_raw(line.rsplit("pid ").next().unwrap().trim().parse().unwrap()).unwrap();
    let interrupted = Instant::now();
    interrupt(&child);
    assert!(child.wait().unwrap().success());
    assert!(interrupted.elapsed() < Duration::from_secs(20), "{:?}", interrupted.elapsed());
    while test_kill_process(broker).is_ok() {
        assert!(interrupted.elapsed() < Duration::from_secs(30), "the broker runs on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_crowd_cannot_be_checked_against_kafka() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    command.args(["crowd", "--queue=concert", "--server=http://127.0.0.1:1"]);
    command.arg("--redis=kafka://127.0.0.1:1");
    refused(&mut command, &["--redis is \"kafka://127.0.0.1:1\"", "leave --redis out"]);
}
