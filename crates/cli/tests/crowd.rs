//! The `bookingq crowd` command against real workers, a real Redis and a simulated Booking Service.
#![allow(missing_docs, clippy::unwrap_used)]

mod process;

use std::process::{Output, Stdio};
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::{Fsync, Process, RedisServer};
use bookingq_sim::{Simulator, SimulatorConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// No step of these tests takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// One queue, without its workers: each test starts them, and may kill them.
struct Sale {
    redis: RedisServer,
    simulator: Simulator,
    /// Address of the worker.
    listen: String,
}

impl Sale {
    async fn start() -> Self {
        let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
        let listen = free_address().unwrap().to_string();
        Self { redis: RedisServer::start(Fsync::Always).unwrap(), simulator, listen }
    }

    fn ledger(&self) -> String {
        format!("http://{}", self.simulator.admin_address().unwrap())
    }

    /// A worker or sweeper whose leases and holds are short.
    fn process(&self, role: &str, options: &[&str]) -> Process {
        let booking = format!("http://{}", self.simulator.booking.as_ref().unwrap().address());
        let options = [&["--hold=2s", "--lease=1s"], options].concat();
        process::start(role, &self.redis.url(), &booking, &options)
    }

    fn worker(&self) -> Process {
        self.process("worker", &["--listen", &self.listen, "--linger=0s", "--concurrency=16"])
    }

    fn sweeper(&self) -> Process {
        self.process("sweep", &[])
    }

    fn crowd(&self, queue: &str, options: &[&str]) -> Command {
        let server = format!("http://{}", self.listen);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
        command.args(["crowd", "--server", &server, "--queue", queue]).args(options);
        command.kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A crowd whose bookings are checked against Redis and the ledger.
    fn checked(&self, options: &[&str]) -> Command {
        let checks = ["--redis", &self.redis.url(), "--ledger", &self.ledger()];
        self.crowd("concert", &[&checks, options].concat())
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("not within the limit")
}

async fn output(mut command: Command) -> Output {
    within(command.output()).await.unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The crowd's line that has `text`.
async fn line(lines: &mut (impl tokio::io::AsyncBufRead + Unpin), text: &str) {
    within(async {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(lines.read_line(&mut line).await.unwrap() > 0, "it ended without {text:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn clients_that_pay_late_and_ask_again_get_what_is_left_once() {
    let sale = Sale::start().await;
    let (_worker, _sweeper) = (sale.worker(), sale.sweeper());
    let others = ["--pays=0", "--leaves=0", "--never-pays=0", "--pays-late=0", "--comes-twice=0"];
    let options = ["--clients=60", "--arrive=1s", "--reacquires=1", "-o", "json"];
    let output = output(sale.checked(&[&others[..], &options[..]].concat())).await;
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    for (path, count) in [
        ("/crowd/reacquired", 60),
        ("/crowd/paid_late", 0),
        ("/final/expired", 60),
        ("/final/confirmed", 60),
        ("/ledger/confirmed", 60),
        ("/items/0/sold", 60),
    ] {
        assert_eq!(report.pointer(path), Some(&count.into()), "{path}: {report:#}");
    }
}

#[tokio::test]
async fn a_crowd_outlives_its_worker_and_everything_adds_up() {
    let sale = Sale::start().await;
    let (mut worker, _sweeper) = (sale.worker(), sale.sweeper());
    let mut crowd =
        sale.checked(&["--clients", "300", "--arrive", "4s", "-o", "json"]).spawn().unwrap();
    line(&mut BufReader::new(crowd.stderr.as_mut().unwrap()), "held=").await;
    worker.kill();
    let _another = sale.worker();
    let output = within(crowd.wait_with_output()).await.unwrap();
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(
        (&report["moment"], &report["store"], &report["sound"]),
        (&"at_rest".into(), &"redis".into(), &true.into())
    );
    assert_eq!(report["crowd"]["acknowledged"], 300);
    assert_eq!(report["crowd"]["finished"], 300);
    assert!(
        report["enqueued"].as_u64().unwrap() >= 300,
        "a client that comes twice may get two places"
    );
    assert!(report["final"]["expired"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["ledger"]["confirmed_bookings"], report["final"]["confirmed"]);
    assert_eq!(report["audit_gaps"], 0);
    for (violation, count) in report["violations"].as_object().unwrap() {
        assert_eq!(count, 0, "{violation}");
    }
}

#[tokio::test]
async fn without_redis_a_crowd_reports_what_it_saw_and_ends_when_its_time_is_over() {
    let sale = Sale::start().await;
    let _worker = sale.worker();
    let file = tempfile::NamedTempFile::new().unwrap();
    // Without a sweeper, a client that lets its hold expire waits for ever.
    let mut crowd = sale.crowd("concert", &["--clients=40", "--arrive=100ms", "--for=1500ms"]);
    crowd.args(only("--never-pays=1"));
    crowd.arg("--report").arg(file.path());
    let output = output(crowd).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("the time is over; 40 clients leave before their bookings have ended"),
        "{text}"
    );
    assert!(text.contains("crowd: 40 came, 40 got a place, 0 were refused"), "{text}");
    assert!(text.contains("as far as they could see"), "{text}");
    let report: Value = serde_json::from_reader(file.as_file()).unwrap();
    assert_eq!((&report["crowd"]["held"], &report["sound"]), (&40.into(), &true.into()));
    assert!(report.get("violations").is_none(), "the queue was not checked: {report:#}");
}

#[tokio::test]
async fn ctrl_c_ends_a_crowd_with_what_is_known_so_far() {
    let sale = Sale::start().await;
    let _worker = sale.worker();
    let mut crowd =
        sale.checked(&["--clients", "1000", "--arrive", "1h", "-o", "json"]).spawn().unwrap();
    line(&mut BufReader::new(crowd.stderr.as_mut().unwrap()), "held=").await;
    kill_process(Pid::from_raw(crowd.id().unwrap().try_into().unwrap()).unwrap(), Signal::INT)
        .unwrap();
    let output = within(crowd.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(&output);
    assert_eq!(report["sound"], true, "{report:#}");
    assert_eq!(report["crowd"]["acknowledged"], report["enqueued"]);
}

#[tokio::test]
async fn a_crowd_with_a_wrong_address_or_queue_fails_at_once() {
    let sale = Sale::start().await;
    let no_worker = output(sale.crowd("concert", &["--timeout", "300ms"])).await;
    assert_eq!(no_worker.status.code(), Some(1));
    let error = String::from_utf8_lossy(&no_worker.stderr);
    assert!(error.contains("error: no answer from http://"), "{error}");

    let _worker = sale.worker();
    let other = output(sale.crowd("another", &[])).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("QUEUE_NOT_FOUND"), "{other:?}");
}

#[tokio::test]
async fn reservations_that_the_booking_service_does_not_know_are_found_and_the_exit_code_is_1() {
    let sale = Sale::start().await;
    let _worker = sale.worker();
    // The ledger of another Booking Service, where nothing was ever reserved.
    let other = Simulator::start(SimulatorConfig::local()).await.unwrap();
    let ledger = format!("http://{}", other.admin_address().unwrap());
    let checks = ["--redis", &sale.redis.url(), "--ledger", &ledger, "-o", "json"];
    let mut crowd = sale.crowd("concert", &["--clients=20", "--arrive=100ms"]);
    crowd.args(checks).args(only("--pays=1"));
    let output = output(crowd).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = report(&output);
    assert_eq!((&report["violations"]["orphans"], &report["sound"]), (&20.into(), &false.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("BROKEN orphans: 20"));
}

/// Flags for a crowd with a single behaviour.
fn only(behaviour: &str) -> impl Iterator<Item = &str> {
    let all = ["--pays=0", "--leaves=0", "--never-pays=0", "--pays-late=0", "--comes-twice=0"];
    let flag = behaviour.split('=').next().unwrap_or_default();
    let others = all.into_iter().filter(move |other| !other.starts_with(&format!("{flag}=")));
    others.chain([behaviour])
}
