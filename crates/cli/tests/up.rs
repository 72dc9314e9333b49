//! The `bookingq up` command, with its workers, its Redis and its crowd.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// No run of these tests takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(90);

const QUEUE: &str = r#"
apiVersion: bookingqueue.dev/v1alpha1
kind: BookingQueue
metadata: { name: concert }
spec:
  booking: { endpoint: "simulate://booking?stock=150&latency=10ms&jitter=10ms", timeout: 1s }
  realtime: { endpoint: "simulate://realtime" }
  hold: { timeout: 2s }
  worker: { lease: 2s, grace: 4s, linger: 200ms, concurrency: 8 }
  autoscaling: { max: 3, drainTarget: 2s }
  retry: { maxBackoff: 1s }
"#;

/// A run of the program in a directory of its own.
struct Run {
    directory: TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Run {
    fn start(manifest: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("queue.yaml");
        std::fs::write(&file, manifest).unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bookingq"))
            .args(["up", "--base-port", "0", "--file"])
            .arg(&file)
            .args(flags)
            .env("BOOKINGQ_REPORT", directory.path().join("report.json"))
            .env("TMPDIR", directory.path().join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { directory, child, lines, seen: Vec::new() }
    }

    /// The next line that has `text`.
    async fn line(&mut self, text: &str) -> String {
        let find = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
            panic!("it ended without {text:?}:\n{}", self.seen.join("\n"))
        };
        tokio::time::timeout(LIMIT, find).await.unwrap()
    }

    /// The process id in the next line that has `text`.
    async fn pid(&mut self, text: &str) -> Pid {
        let line = self.line(text).await;
        Pid::from_raw(line.rsplit("pid ").next().unwrap().trim().parse().unwrap()).unwrap()
    }

    /// Reads to the end.
    async fn end(&mut self) -> ExitStatus {
        let end = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line);
            }
            self.child.wait().await.unwrap()
        };
        tokio::time::timeout(LIMIT, end).await.unwrap()
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.directory.path().join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.directory.path().join("tmp")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Every client has a place, every booking has exactly one state, and no promise was broken.
fn adds_up(report: &Value, clients: u64) {
    let finals: u64 = report["final"].as_object().unwrap().values().map(number).sum();
    let enqueued = number(&report["enqueued"]);
    assert_eq!(number(&report["waiting"]) + number(&report["in_progress"]) + finals, enqueued);
    assert_eq!(number(&report["crowd"]["acknowledged"]), clients);
    // A client that comes twice gets a second booking if its first one has ended by then (sold out,
    // say). For any other extra booking the crowd reports a broken promise.
    assert!(enqueued >= clients, "{report}");
    assert_eq!(
        number(&report["crowd"]["promises_broken_total"]),
        0,
        "{}",
        report["crowd"]["promises_broken"]
    );
    let ledger = &report["ledger"];
    assert_eq!(
        number(&ledger["confirmed_bookings"]),
        number(&report["final"]["confirmed"]),
        "{report}"
    );
    assert!(number(&ledger["confirmed"]) + number(&ledger["held"]) <= number(&ledger["stock"]));
    for (kind, count) in report["violations"].as_object().unwrap() {
        assert_eq!(number(count), 0, "{kind}: {}", report["violation_examples"]);
    }
    assert_eq!(number(&report["audit_gaps"]), 0);
}

/// The run ended before its time because every client had seen its end, and none was passed by.
fn all_decided(report: &Value) {
    assert!(report["seconds"].as_f64().unwrap() < 80.0, "{report}");
    assert_eq!(report["moment"], "at_rest");
    assert_eq!(number(&report["waiting"]) + number(&report["in_progress"]), 0, "{report}");
    for item in report["items"].as_array().unwrap() {
        assert_eq!((number(&item["parked"]), number(&item["passed_by"])), (0, 0), "{item}");
    }
}

/// Whether the process has ended. A zombie has ended too.
fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// Waits until they have ended.
async fn gone(pids: Vec<Pid>) {
    let all_gone = async {
        while !pids.iter().copied().all(is_gone) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), all_gone).await.unwrap();
}

#[tokio::test]
async fn a_crowd_larger_than_the_stock_is_served_and_the_report_adds_up() {
    let mut run = Run::start(QUEUE, &["--crowd", "300", "--arrive", "2s", "--for", "80s"]);
    let status = run.end().await;
    assert!(status.success(), "{}", run.seen.join("\n"));
    let report = run.report();
    adds_up(&report, 300);
    all_decided(&report);
    assert_eq!(report["store"], "embedded");
    assert_eq!(
        (number(&report["items"][0]["sold"]), report["items"].as_array().unwrap().len()),
        (150, 1)
    );
    assert!(number(&report["final"]["sold_out"]) > 0, "{report}");
    assert!(number(&report["final"]["expired"]) > 0, "{report}");
    assert!(report["latency_ms"]["release_lag"]["p99"].as_f64().unwrap() < 3000.0, "{report}");
    assert!(!report["replicas"].as_array().unwrap().is_empty());
    assert_eq!(run.left_behind(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_crowd_that_comes_through_the_gateway_is_served_like_one_that_calls_the_workers() {
    let flags = ["--crowd=200", "--through=gateway", "--arrive=2s", "--for=80s"];
    let mut run = Run::start(QUEUE, &flags);
    run.line("the page is at http://127.0.0.1:").await;
    let status = run.end().await;
    assert!(status.success(), "{}", run.seen.join("\n"));
    let report = run.report();
    adds_up(&report, 200);
    all_decided(&report);
    assert!(number(&report["final"]["confirmed"]) > 0, "{report}");
    assert_eq!(run.left_behind(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn each_item_of_a_festival_is_sold_to_the_clients_that_want_it() {
    let flags = [
        "--crowd=300",
        "--arrive=2s",
        "--for=80s",
        "--items=day:6,weekend:3,camping:1",
        "--quantities=1:3,2:1",
        "--simulate=items=day:60,weekend:200,camping:200,returns=day:3@6s",
    ];
    let mut run = Run::start(QUEUE, &flags);
    let status = run.end().await;
    assert!(status.success(), "{}", run.seen.join("\n"));
    let report = run.report();
    adds_up(&report, 300);
    all_decided(&report);
    let item = |name| report["items"].as_array().unwrap().iter().find(|item| item["item"] == name);
    let (day, camping) = (item("day").unwrap(), item("camping").unwrap());
    assert_eq!((number(&day["stock"]), number(&day["unsold"])), (63, 0), "{day}");
    assert!(number(&day["sold_out"]) > 0 && number(&camping["sold_out"]) == 0, "{report}");
}

#[tokio::test]
async fn killed_workers_are_restarted_and_nothing_is_lost() {
    let faults = "stock=150,errors=5%,lost_replies=2%";
    let flags = [
        "--store",
        "redis",
        "--workers",
        "3",
        "--crowd",
        "300",
        "--arrive",
        "4s",
        "--for",
        "20s",
        "--simulate",
        faults,
    ];
    let mut run = Run::start(QUEUE, &flags);
    let redis = run.pid("redis-server").await;
    let (killed, asked) = (run.pid("started, pid").await, run.pid("started, pid").await);
    run.line("workers=3/3").await;
    kill_process(killed, Signal::KILL).unwrap();
    run.line("SIGKILL").await;
    kill_process(asked, Signal::TERM).unwrap();
    run.line("ended: exit status: 0").await;
    run.line("workers=3/3").await;
    let status = run.end().await;
    assert!(status.success(), "{}", run.seen.join("\n"));
    let report = run.report();
    adds_up(&report, 300);
    assert_eq!(report["store"], "redis");
    gone(vec![redis]).await;
    assert_eq!(run.left_behind(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_paused_queue_with_a_crowd_keeps_its_number_of_workers() {
    let manifest = format!("{QUEUE}  admission: Paused\n");
    // Enough in line, and enough arrivals, for the maximum of an open queue.
    let mut run = Run::start(&manifest, &["--crowd", "500", "--arrive", "4s", "--for", "8s"]);
    let status = run.end().await;
    assert!(status.success(), "{}", run.seen.join("\n"));
    let report = run.report();
    assert!(number(&report["waiting"]) > 100, "{report}");
    assert_eq!(number(&report["ledger"]["calls"]["reserve"]), 0, "{report}");
    let replicas = report["replicas"].as_array().unwrap();
    assert!(replicas.iter().all(|change| number(&change["wanted"]) == 1), "{report}");
}

#[tokio::test]
async fn ctrl_c_leaves_no_process_and_no_file_behind() {
    let mut run = Run::start(QUEUE, &["--store", "redis", "--workers", "2"]);
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(run.pid("started, pid").await);
    }
    run.line("workers=2/2").await;
    let own = Pid::from_raw(i32::try_from(run.child.id().unwrap()).unwrap()).unwrap();
    kill_process(own, Signal::INT).unwrap();
    assert!(run.end().await.success(), "{}", run.seen.join("\n"));
    gone(pids).await;
    assert_eq!(run.left_behind(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_second_ctrl_c_ends_everything_at_once() {
    let manifest = QUEUE.replace("grace: 4s, linger: 200ms", "grace: 60s, linger: 30s");
    let mut run = Run::start(&manifest, &["--store", "redis", "--workers", "2"]);
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(run.pid("started, pid").await);
    }
    run.line("workers=2/2").await;
    let own = Pid::from_raw(i32::try_from(run.child.id().unwrap()).unwrap()).unwrap();
    kill_process(own, Signal::INT).unwrap();
    run.line("finish their tasks").await;
    kill_process(own, Signal::INT).unwrap();
    assert_eq!(run.end().await.code(), Some(130));
    gone(pids).await;
    assert_eq!(run.left_behind(), Vec::<PathBuf>::new());
}

/// It cannot delete its files any more, but its workers and its Redis end by themselves.
#[tokio::test]
async fn sigkill_leaves_no_process_behind() {
    let mut run = Run::start(QUEUE, &["--store", "redis", "--workers", "2"]);
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(run.pid("started, pid").await);
    }
    run.line("workers=2/2").await;
    run.child.kill().await.unwrap();
    gone(pids).await;
}

#[tokio::test]
async fn an_invalid_manifest_is_refused_before_anything_starts() {
    let manifest = QUEUE.replace("max: 3", "max: 3, min: 5");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["up", "--file"])
        .arg(file.path())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: "), "{text}");
    assert!(
        text.contains("spec.autoscaling.min is 5; allowed: at most spec.autoscaling.max (3)"),
        "{text}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), QUEUE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["up", "--base-port", &port, "--file"])
        .arg(file.path())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains(&format!("port {port} is not free")) && text.contains("--base-port"),
        "{text}"
    );
}
