//! `bookingq crowd` as a person uses it: the program itself, at real workers, a real Redis and a
//! simulated Booking Service.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Output, Stdio};
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_sim::{Simulator, SimulatorConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// No step of these tests takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn bookingq(words: &[&str], queue: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    command.args(words).args(["--queue", queue]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Everything but the workers, which are started by the test and may be killed by it.
struct Town {
    redis: RedisServer,
    simulator: Simulator,
    /// Where the worker listens.
    door: String,
}

impl Town {
    async fn new() -> Self {
        let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
        let door = free_address().unwrap().to_string();
        Self { redis: RedisServer::start(Fsync::Always).unwrap(), simulator, door }
    }

    fn ledger(&self) -> String {
        format!("http://{}", self.simulator.admin_address().unwrap())
    }

    /// A worker or sweeper; its leases and holds are short.
    fn part(&self, words: &[&str]) -> Child {
        let booking = format!("http://{}", self.simulator.booking().unwrap().address());
        let mut command = bookingq(words, "concert");
        command.args([
            "--redis",
            &self.redis.url(),
            "--booking",
            &booking,
            "--hold",
            "2s",
            "--lease",
            "1s",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn worker(&self) -> Child {
        self.part(&["worker", "--listen", &self.door, "--linger", "0s", "--concurrency", "16"])
    }

    fn sweeper(&self) -> Child {
        self.part(&["sweep"])
    }

    fn crowd(&self, words: &[&str]) -> Command {
        let mut command =
            bookingq(&["crowd", "--server", &format!("http://{}", self.door)], "concert");
        command.args(words);
        command
    }

    fn another_queues_crowd(&self) -> Command {
        bookingq(&["crowd", "--server", &format!("http://{}", self.door)], "another")
    }

    /// A crowd whose bookings are checked.
    fn checked(&self, words: &[&str]) -> Command {
        let mut command = self.crowd(&["--redis", &self.redis.url(), "--ledger", &self.ledger()]);
        command.args(words);
        command
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
async fn a_crowd_outlives_its_worker_and_everything_adds_up() {
    let town = Town::new().await;
    let (mut worker, _sweeper) = (town.worker(), town.sweeper());
    let mut crowd =
        town.checked(&["--clients", "300", "--arrive", "4s", "-o", "json"]).spawn().unwrap();
    line(&mut BufReader::new(crowd.stderr.as_mut().unwrap()), "held=").await;
    worker.kill().await.unwrap();
    let _another = town.worker();
    let output = within(crowd.wait_with_output()).await.unwrap();
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(
        (&report["moment"], &report["store"], &report["sound"]),
        (&"at_rest".into(), &"redis".into(), &true.into())
    );
    assert_eq!(report["crowd"]["acknowledged"], 300);
    assert_eq!(report["crowd"]["finished"], 300);
    assert!(report["enqueued"].as_u64().unwrap() >= 300, "who comes twice may get two places");
    assert!(report["final"]["expired"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["ledger"]["confirmed_bookings"], report["final"]["confirmed"]);
    assert_eq!(report["audit_gaps"], 0);
    for (violation, count) in report["violations"].as_object().unwrap() {
        assert_eq!(count, 0, "{violation}");
    }
}

#[tokio::test]
async fn without_redis_a_crowd_tells_what_it_saw_and_ends_when_its_time_is_over() {
    let town = Town::new().await;
    let _worker = town.worker();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut crowd = town.crowd(&["--clients", "40", "--arrive", "100ms", "--for", "1500ms"]);
    // Nobody sweeps, so whoever lets the hold run out waits for ever.
    crowd.args([
        "--pays",
        "0",
        "--leaves",
        "0",
        "--pays-late",
        "0",
        "--comes-twice",
        "0",
        "--never-pays",
        "1",
    ]);
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
    assert!(report.get("violations").is_none(), "nobody has looked: {report:#}");
}

#[tokio::test]
async fn ctrl_c_ends_a_crowd_with_what_is_known_so_far() {
    let town = Town::new().await;
    let _worker = town.worker();
    let mut crowd =
        town.checked(&["--clients", "1000", "--arrive", "1h", "-o", "json"]).spawn().unwrap();
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
async fn a_crowd_at_the_wrong_door_hears_so_at_once() {
    let town = Town::new().await;
    let nobody = output(town.crowd(&["--timeout", "300ms"])).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("error: no answer from http://"),
        "{nobody:?}"
    );

    let _worker = town.worker();
    let other = output(town.another_queues_crowd()).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("QUEUE_NOT_FOUND"), "{other:?}");
}

#[tokio::test]
async fn a_booking_that_the_shop_forgot_is_found_and_the_exit_code_is_1() {
    let town = Town::new().await;
    let _worker = town.worker();
    let mut crowd = town.crowd(&[
        "--clients",
        "20",
        "--arrive",
        "100ms",
        "--pays",
        "1",
        "--leaves",
        "0",
        "-o",
        "json",
    ]);
    crowd.args([
        "--pays-late",
        "0",
        "--comes-twice",
        "0",
        "--never-pays",
        "0",
        "--redis",
        &town.redis.url(),
    ]);
    // The ledger of another shop, where nothing was ever booked.
    let other = Simulator::start(SimulatorConfig::local()).await.unwrap();
    crowd.args(["--ledger", &format!("http://{}", other.admin_address().unwrap())]);
    let output = output(crowd).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = report(&output);
    assert_eq!((&report["violations"]["orphans"], &report["sound"]), (&20.into(), &false.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("BROKEN orphans: 20"));
}
