//! The client commands: the program itself, against a fake worker.
#![allow(clippy::unwrap_used)]

mod fake;

use std::process::{Output, Stdio};

use bookingq_core::{Refusal, ids::Invalid};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_sim::realtime::RealtimeSim;
use bookingq_sim::spec::ServiceSpec;
use serde_json::Value;
use tokio::process::Command;

use self::fake::{Answer, FakeWorker, booking, sold_out_stalls};

/// Runs `bookingq VERB --server … --queue concert REST…`.
async fn bookingq(worker: &FakeWorker, verb: &str, rest: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args([verb, "--server", &worker.url(), "--queue", "concert"])
        .args(rest)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn enqueue_shows_the_place_and_generates_a_request_id() {
    let worker = FakeWorker::start([Answer::Booking(booking(v1::BookingState::Queued))]).await;
    let output =
        bookingq(&worker, "enqueue", &["--client", "ann", "--quantity", "2", "--item", "row 1"])
            .await;
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("CLIENT   STATE    POSITION   NUMBER"), "{text}");
    assert!(lines[1].starts_with("ann      queued   7          42"), "{text}");
    let asked = worker.enqueued();
    assert_eq!((asked[0].quantity, asked[0].item.as_str()), (2, "row 1"));
    assert_eq!(asked[0].request_id.len(), 36, "a UUID");
}

#[tokio::test]
async fn an_unavailable_store_is_retried_with_the_same_request_id() {
    let unavailable =
        || Answer::Refusal(ApiError::StoreUnavailable { cause: "gone".into() }.into());
    let worker = FakeWorker::start([
        unavailable(),
        unavailable(),
        Answer::Booking(booking(v1::BookingState::Queued)),
    ])
    .await;
    let output = bookingq(&worker, "enqueue", &["--client", "ann", "-o", "json"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json(&output)["position"], 7);
    let requests: Vec<String> =
        worker.enqueued().into_iter().map(|request| request.request_id).collect();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]), "{requests:?}");
}

#[tokio::test]
async fn without_an_answer_the_request_id_is_printed_so_that_the_request_can_be_repeated() {
    let absent = FakeWorker::absent().await;
    let output = bookingq(&absent, "enqueue", &["--client", "ann", "--timeout", "300ms"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("error: no answer from http://"), "{text}");
    assert!(text.contains("--request-id "), "{text}");
}

#[tokio::test]
async fn a_refusal_names_the_field_its_value_and_what_is_allowed() {
    let invalid = || {
        Answer::Refusal(
            ApiError::from(Invalid::new("item", "a\tb", "no control characters")).into(),
        )
    };
    let worker = FakeWorker::start([invalid(), invalid()]).await;
    let output = bookingq(&worker, "enqueue", &["--client", "ann"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: item is \"a\\tb\"; allowed: no control characters (INVALID_ARGUMENT)\n"
    );

    let output = bookingq(&worker, "enqueue", &["--client", "ann", "-o", "json"]).await;
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["field"], "item");
    assert_eq!(error["error"]["allowed"], "no control characters");
    assert_eq!(error["error"]["reason"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn an_invalid_argument_is_wrong_usage_and_calls_no_worker() {
    let worker = FakeWorker::start([]).await;
    for bad in [["--client", ""], ["--client", "a\nb"]] {
        let output = bookingq(&worker, "status", &bad).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains("1 to 128 bytes"), "{output:?}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["status", "--queue", "concert", "--client", "ann"])
        .env("BOOKINGQ_SERVER", "localhost:1")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("http://HOST:PORT"), "{output:?}");
}

#[tokio::test]
async fn pay_and_cancel_show_the_new_state_or_the_refusal() {
    let worker = FakeWorker::start([
        Answer::Booking(booking(v1::BookingState::Confirmed)),
        Answer::Booking(booking(v1::BookingState::Cancelled)),
        Answer::Refusal(ApiError::from(Refusal::HoldExpired).into()),
    ])
    .await;
    let paid =
        bookingq(&worker, "pay", &["--client", "ann", "--payment-id", "visa-1", "-o", "json"])
            .await;
    assert_eq!(json(&paid)["state"], "confirmed");
    let left = bookingq(&worker, "cancel", &["--client", "ann", "-o", "json"]).await;
    assert_eq!(json(&left)["state"], "cancelled");
    let late = bookingq(&worker, "pay", &["--client", "ann"]).await;
    assert_eq!(late.status.code(), Some(1));
    assert!(stderr(&late).contains("note: this is --payment-id "), "{late:?}");
    assert!(stderr(&late).contains("(HOLD_EXPIRED)"), "{late:?}");
}

#[tokio::test]
async fn a_late_payment_shows_both_bookings_and_whether_it_must_be_returned() {
    let worker = FakeWorker::start([
        Answer::Booking(booking(v1::BookingState::SoldOut)),
        Answer::Booking(booking(v1::BookingState::Confirmed)),
    ])
    .await;
    let late = ["--client", "ann", "--payment-id", "p", "--reacquire"];
    let text = stdout(&bookingq(&worker, "pay", &late).await);
    assert!(text.contains("made for old: return the payment"), "{text}");
    let value = json(&bookingq(&worker, "pay", &[&late[..], &["-o", "json"]].concat()).await);
    assert_eq!((&value["reacquired_for"], &value["state"]), (&"old".into(), &"confirmed".into()));
}

#[tokio::test]
async fn watch_shows_each_change_once_and_ends_with_the_final_state() {
    let worker = FakeWorker::start([
        // The first worker leaves; the second stream starts with the state shown last.
        Answer::Stream(vec![
            booking(v1::BookingState::Queued),
            booking(v1::BookingState::Reserving),
        ]),
        Answer::Stream(vec![
            booking(v1::BookingState::Reserving),
            booking(v1::BookingState::Reserved),
        ]),
        Answer::Stream(vec![booking(v1::BookingState::SoldOut), booking(v1::BookingState::Queued)]),
    ])
    .await;
    let output = bookingq(&worker, "watch", &["--client", "ann", "-o", "json"]).await;
    assert!(output.status.success(), "{output:?}");
    let states: Vec<String> = stdout(&output)
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states, ["queued", "reserving", "reserved", "sold_out"]);
}

#[tokio::test]
async fn watch_prints_the_position_the_expected_wait_and_the_deadline() {
    let reserved = v1::Booking {
        deadline: Some(prost_types::Timestamp { seconds: 1_763_846_400, nanos: 0 }),
        position: 0,
        ..booking(v1::BookingState::Reserved)
    };
    let after = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let ranged = v1::Booking {
        position: 6,
        eta_range: Some(v1::EtaRange { low: after(70), high: after(120) }),
        chance: v1::Chance::Likely.into(),
        ..booking(v1::BookingState::Queued)
    };
    let paused = v1::Booking {
        position: 5,
        eta: None,
        eta_unknown: v1::EtaUnknown::Paused.into(),
        ..booking(v1::BookingState::Queued)
    };
    let worker = FakeWorker::start([Answer::Stream(vec![
        booking(v1::BookingState::Queued),
        ranged,
        paused,
        reserved,
        booking(v1::BookingState::Confirmed),
    ])])
    .await;
    let text = stdout(&bookingq(&worker, "watch", &["--client", "ann"]).await);
    assert!(text.contains("queued     position 7, about 1m30s to wait\n"), "{text}");
    let wait = "queued     position 6, 1m10s to 2m to wait; a ticket is likely";
    assert!(text.contains(wait), "{text}");
    assert!(text.contains("queued     position 5, the queue is paused"), "{text}");
    assert!(text.contains("reserved   pay before 2025-11-22T21:20:00Z"), "{text}");
}

#[tokio::test]
async fn queue_shows_the_line_as_a_table_and_as_json() {
    let worker = FakeWorker::start([]).await;
    let text = stdout(&bookingq(&worker, "queue", &[]).await);
    assert!(text.starts_with("QUEUE     ADMISSION   WAITING"), "{text}");
    assert!(text.contains("concert   Paused      1200"), "{text}");
    let value = json(&bookingq(&worker, "queue", &["-o", "json"]).await);
    assert_eq!(value["totals"]["confirmed"], 8);
    assert_eq!(value["oldest_wait_seconds"], 1.5);
    assert!(text.contains("opens in 4m10s; outflow 600 a minute"), "{text}");
    let stalls = "stalls: sold out at the moment; 12 reservations are unpaid, 45 wait, 0 left";
    assert!(text.contains(stalls), "{text}");
    let balcony = "balcony: a ticket is likely for a client that joins now";
    assert!(text.contains(balcony), "{text}");
    assert!(text.contains("the queue is paused"), "{text}");
    assert!(text.contains("WORKERS") && text.contains("2 of 3"), "{text}");
    assert_eq!((&value["workers"]["ready"], &value["workers"]["wanted"]), (&2.into(), &3.into()));
    assert_eq!(
        (&value["eta_unknown"], &value["chances"]["balcony"]),
        (&"paused".into(), &"likely".into())
    );
    assert_eq!((&value["parked"], &value["items"][0]["unsettled"]), (&45.into(), &12.into()));
}

#[tokio::test]
async fn a_client_who_waits_for_a_sold_out_item_reads_what_may_come_back_and_keeps_the_place() {
    let waits = v1::Booking {
        item_status: Some(sold_out_stalls()),
        parked: true,
        position: 4,
        eta: None,
        ..booking(v1::BookingState::Queued)
    };
    let over =
        v1::ItemStatus { availability: v1::ItemAvailability::SoldOut.into(), ..sold_out_stalls() };
    let over = v1::Booking { item_status: Some(over), ..waits.clone() };
    let worker = FakeWorker::start([
        Answer::Booking(waits.clone()),
        Answer::Stream(vec![waits, over, booking(v1::BookingState::SoldOut)]),
    ])
    .await;
    let sentence = "sold out at the moment; 12 reservations are unpaid; \
                    you keep your place (3 wait before you)";
    let text = stdout(&bookingq(&worker, "status", &["--client", "ann"]).await);
    assert!(text.contains(sentence), "{text}");
    let text = stdout(&bookingq(&worker, "watch", &["--client", "ann"]).await);
    let lines: Vec<&str> = text.lines().map(|line| line.split_at(10).1).collect();
    assert_eq!(lines[0], format!("queued     {sentence}"));
    assert!(lines[1].starts_with("queued     sold out; "), "{text}");
    assert_eq!(lines[2], "sold_out");
}

#[tokio::test]
async fn outflow_prints_the_limits_sets_all_of_them_and_removes_them() {
    let worker = FakeWorker::start([]).await;
    let outflow = async |rest: &[&str]| stdout(&bookingq(&worker, "outflow", rest).await);
    assert_eq!(outflow(&[]).await, "600 a minute\n");
    let set = outflow(&["--per-minute", "60", "--burst", "5", "--max-holds", "900"]).await;
    assert_eq!(set, "60 a minute, 5 at once, 900 held\n");
    assert_eq!(outflow(&["none"]).await, "no limit\n");
    let value = json(&bookingq(&worker, "outflow", &["--per-minute", "60", "-o", "json"]).await);
    assert_eq!((&value["per_minute"], &value["burst"]), (&60.into(), &Value::Null));
    for wrong in [&["--per-minute", "0"][..], &["--burst", "5"], &["none", "--max-holds", "1"]] {
        let output = bookingq(&worker, "outflow", wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

#[tokio::test]
async fn restocked_shows_the_item_as_it_is_now() {
    let worker = FakeWorker::start([]).await;
    let text = stdout(&bookingq(&worker, "restocked", &["stalls", "--left", "40"]).await);
    assert_eq!(text, "stalls: open, 40 left\n");
    let value = json(&bookingq(&worker, "restocked", &["", "-o", "json"]).await);
    assert_eq!((&value["item"], &value["availability"]), (&"".into(), &"open".into()));
}

#[tokio::test]
async fn without_a_terminal_top_prints_a_line_for_each_reading_until_a_signal() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let worker = FakeWorker::start([]).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["top", "--server", &worker.url(), "--queue", "concert", "--interval", "100ms"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("waiting=1200 in_flight=3 holds=9 parked=45"), "{line}");
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn top_shows_the_gateways_that_it_reads() {
    use bookingq_gateway::config::{QueueConfig, WorkersAt};
    use bookingq_gateway::{Gateway, GatewayConfig};
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let worker = FakeWorker::start([]).await;
    let name = bookingq_core::QueueName::new("concert").unwrap();
    let queue = QueueConfig::new(name, WorkersAt::Url(worker.url().parse().unwrap()));
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = GatewayConfig::new("g", local, vec![queue]);
    config.admin = Some(local);
    let gateway = Gateway::start(config).await.unwrap();
    let urls = format!("http://{},http://127.0.0.1:1", gateway.admin_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["top", "--server", &worker.url(), "--queue", "concert", "--interval", "100ms"])
        .args(["-o", "json", "--gateway-admin", &urls])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for reading in 0..2 {
        let line = lines.next_line().await.unwrap().unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["backlog"], &value["limited"]), (&1200.into(), &false.into()), "{line}");
        let gateways = &value["gateways"];
        assert_eq!((&gateways["known"], &gateways["answered"]), (&2.into(), &1.into()), "{line}");
        assert_eq!((&gateways["serving"], &gateways["websockets"]), (&1.into(), &0.into()));
        assert!(gateways["max_connections"].as_u64().unwrap() > 0, "{line}");
        assert_eq!(gateways["connecting_per_second"].is_null(), reading == 0, "{line}");
    }
    let once = bookingq(&worker, "top", &["--once", "--gateway-admin", &urls]).await;
    let text = stdout(&once);
    assert!(text.lines().count() == 1 && text.contains(" gateways=1/2 websockets=0 "), "{text}");
    let refused = bookingq(&worker, "top", &["--gateway-admin", "https://g:9090"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    gateway.kill();
}

#[tokio::test]
async fn check_realtime_prints_each_check_and_fails_if_one_does() {
    let run = async |spec: &str, rest: &[&str]| {
        let spec = spec.parse::<ServiceSpec>().unwrap();
        let service = RealtimeSim::start(spec, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let endpoint = format!("http://{}", service.address());
        Command::new(env!("CARGO_BIN_EXE_bookingq"))
            .args(["check", "realtime", "--endpoint", &endpoint])
            .args(rest)
            .output()
            .await
            .unwrap()
    };
    let conforms = run("", &[]).await;
    assert!(conforms.status.success(), "{conforms:?}");
    let text = stdout(&conforms);
    assert!(text.starts_with("passed  one update ("), "{text}");
    assert!(text.ends_with("\n15 of 15 checks passed.\n"), "{text}");
    let broken = run("errors=100%", &["-o", "json"]).await;
    assert_eq!(broken.status.code(), Some(1));
    let text = stdout(&broken);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["publishes"], &first["passed"]), (&"one update".into(), &false.into()));
    assert!(first["problem"].as_str().unwrap().starts_with("answered "), "{first}");
}
