//! `bookingq up` and `bookingq crowd` at a Redis behind Sentinel that asks for certificates and for
//! two logins: the workers that `up` starts reach it too.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../store/tests/support/certificates.rs"]
mod certificates;
mod process;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::wait::eventually;
use bookingq_harness::{Process, ProcessSpec, RedisServer};
use bookingq_sim::{Simulator, SimulatorConfig};
use certificates::{Files, server, settings};
use serde_json::Value;
use tokio::process::Command;

/// No step of these tests takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(120);
const NAME: &str = "tickets";

const QUEUE: &str = r#"
apiVersion: bookingqueue.dev/v1alpha1
kind: BookingQueue
metadata: { name: concert }
spec:
  booking: { endpoint: "simulate://booking?stock=50&latency=10ms", timeout: 1s }
  hold: { timeout: 2s }
  worker: { lease: 2s, grace: 4s, linger: 200ms, concurrency: 8 }
"#;

/// A primary with a password, a sentinel with another user, and the files for both.
struct Guarded {
    _redis: RedisServer,
    _sentinel: Process,
    files: Files,
    url: String,
}

impl Guarded {
    fn start() -> Self {
        let files = Files::issue("127.0.0.1");
        let (redis, tls) = server(&files);
        redis.cli(&["CONFIG", "SET", "requirepass", "of-data"]).unwrap();
        std::fs::write(files.path("data"), "of-data\n").unwrap();
        std::fs::write(files.path("sentinel"), "of-sentinel\n").unwrap();
        let (sentinel, asked) = sentinel(&files, tls);
        let url = format!("rediss-sentinel://{asked}#{NAME}");
        Self { _redis: redis, _sentinel: sentinel, files, url }
    }

    /// The flags for logins and certificates.
    fn flags(&self) -> Vec<String> {
        let file = |flag: &str, file| format!("--redis-{flag}={}", self.files.path(file).display());
        vec![
            file("password-file", "data"),
            file("sentinel-password-file", "sentinel"),
            "--redis-sentinel-username=watcher".to_owned(),
            file("tls-ca", "ca.crt"),
            file("tls-cert", "client.crt"),
            file("tls-key", "client.key"),
        ]
    }
}

/// A sentinel that speaks TLS only, and lets the user `watcher` in.
fn sentinel(files: &Files, primary: SocketAddr) -> (Process, SocketAddr) {
    let tls = free_address().unwrap();
    let words = settings(files, tls);
    let lines = words.chunks(2).map(|pair| format!("{} {}", &pair[0][2..], pair[1]));
    let (file, port) = (files.path("sentinel.conf"), primary.port());
    let text = format!(
        "port 0\nbind 127.0.0.1\ndir {}\n{}\ntls-replication yes\n\
         sentinel monitor {NAME} 127.0.0.1 {port} 1\nsentinel auth-pass {NAME} of-data\n\
         requirepass not-given\nuser watcher on >of-sentinel allchannels +@all\n",
        Path::new(&file).parent().unwrap().display(),
        lines.collect::<Vec<_>>().join("\n"),
    );
    std::fs::write(&file, text).unwrap();
    let mut spec = ProcessSpec::new("sentinel", "redis-server")
        .arguments([file.into_os_string(), "--sentinel".into()]);
    spec.port = Some(tls);
    let process = Process::start(spec).unwrap();
    process.wait_ready(LIMIT).unwrap();
    (process, tls)
}

/// Runs `bookingq` to its end.
async fn run(words: &[&str], more: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    command.args(words).args(more).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap()
}

fn up(file: &Path, report: &Path, store: &str) -> Vec<String> {
    let (file, report) = (file.display(), report.display());
    ["up", "--base-port=0", "--no-gateway", "--workers=2", "--crowd=60", "--arrive=1s", "--for=60s"]
        .map(String::from)
        .into_iter()
        .chain([format!("--file={file}"), format!("--report={report}"), format!("--store={store}")])
        .collect()
}

fn sound(report: &Value, confirmed_at_least: u64) {
    assert_eq!((&report["sound"], &report["store"]), (&true.into(), &"redis".into()), "{report:#}");
    assert_eq!(report["audit_gaps"], 0, "{report:#}");
    assert!(report["final"]["confirmed"].as_u64().unwrap() >= confirmed_at_least, "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_and_crowd_reach_a_redis_with_certificates_behind_sentinels_with_a_login() {
    let (guarded, folder) = (Guarded::start(), tempfile::tempdir().unwrap());
    let (file, report) = (folder.path().join("queue.yaml"), folder.path().join("report.json"));
    std::fs::write(&file, QUEUE).unwrap();
    // A sentinel that has just started may be slow to answer.
    eventually("the store to open", LIMIT, async || {
        let words = ["admission", "--queue=concert", "--redis", &guarded.url];
        run(&words, &guarded.flags()).await.status.success()
    })
    .await;
    let output = run(&[], &[up(&file, &report, &guarded.url), guarded.flags()].concat()).await;
    assert!(output.status.success(), "{output:?}");
    sound(&serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap(), 10);

    let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
    let booking = format!("http://{}", simulator.booking.as_ref().unwrap().address());
    let listen = free_address().unwrap().to_string();
    let flags = guarded.flags();
    let mut options: Vec<_> = flags.iter().map(String::as_str).collect();
    options.extend(["--hold=2s", "--lease=1s", "--listen", &listen, "--linger=0s"]);
    let worker = process::start("worker", &guarded.url, &booking, &options);
    worker.wait_ready(LIMIT).unwrap();
    let server = format!("http://{listen}");
    eventually("the worker to serve", LIMIT, async || {
        run(&["queue", "--queue=concert", "--server", &server], &[]).await.status.success()
    })
    .await;
    let words = ["crowd", "--queue=concert", "--server", &server, "--redis", &guarded.url];
    let crowd = ["--clients=40", "--arrive=1s", "--pays=1", "--leaves=0", "--never-pays=0"];
    let others = ["--pays-late=0", "--reacquires=0", "--comes-twice=0", "-o", "json"];
    let output = run(&[&words[..], &crowd, &others].concat(), &guarded.flags()).await;
    assert!(output.status.success(), "{output:?}");
    sound(&serde_json::from_slice(&output.stdout).unwrap(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_together_is_refused_before_anything_starts() {
    let (guarded, folder) = (Guarded::start(), tempfile::tempdir().unwrap());
    let (file, report) = (folder.path().join("queue.yaml"), folder.path().join("report.json"));
    std::fs::write(&file, QUEUE).unwrap();
    let certificates = &guarded.flags()[3..];
    let login = &guarded.flags()[1..3];
    let up = |store| up(&file, &report, store);
    let crowd = || vec!["crowd".to_owned(), "--queue=concert".to_owned()];
    let at = |url: &str| [crowd(), vec![format!("--redis={url}")]].concat();
    for (words, more, says) in [
        (up("redis"), certificates, "allowed: with --store and the address of a Redis"),
        (up("embedded"), login, "allowed: with --store and the address of a Redis"),
        (up("redis://127.0.0.1:1"), certificates, "the URL must be rediss://"),
        (up("redis://127.0.0.1:1"), login, "the URL must be redis-sentinel://"),
        (crowd(), certificates, "allowed: with --redis"),
        (at("redis://127.0.0.1:1"), login, "the URL must be redis-sentinel://"),
    ] {
        let output = run(&[], &[&words, more].concat()).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(says), "{words:?} {more:?}: {error}");
        assert!(output.stdout.is_empty(), "{words:?} {more:?}");
    }
    let wrong = run(&[], &[up(&guarded.url), guarded.flags()[..3].to_vec()].concat()).await;
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && error.contains("the store cannot be used"), "{error}");
}
