//! How a WebSocket of a place ends: whose fault it is, with which code, and when to come back.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bookingq_gateway::fanout::FanoutSettings;
use bookingq_proto::v1;
use serde_json::json;
use support::fake::{FakeWorker, NOW, update, updates};
use support::{Client, Edge, LIMIT, eventually};
use tokio::time::timeout;

#[tokio::test]
async fn a_place_that_is_unknown_is_closed_with_4401() {
    let worker = FakeWorker::start().await;
    let edge = Edge::new(&[worker.address]).await;
    for client in ["without-a-booking", "invalid"] {
        let (last, code) = Client::open(&edge, client).await.end().await;
        assert_eq!(last.unwrap(), json!({"t": "bye", "why": "gone"}));
        assert_eq!(code, Some(4401));
    }
}

#[tokio::test]
async fn the_fifth_socket_of_a_place_closes_the_oldest_with_4409() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(Client::greeted(&edge, "ann").await.0);
    }
    let (last, code) = sockets[0].end().await;
    assert_eq!((&last.unwrap()["why"], code), (&json!("replaced"), Some(4409)));
    worker.send(updates("e1", vec![update("ann", 7, NOW + 1, v1::BookingState::Reserving)]));
    for socket in &mut sockets[1..] {
        assert_eq!(socket.next("b").await["st"], "reserving");
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_closed_with_4429() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    ann.send(r#"{"t":"ping","c":123.5}"#).await;
    let pong = ann.next("pong").await;
    assert_eq!(pong["c"], 123.5);
    assert!(pong["now"].as_u64().unwrap() >= NOW, "the store's clock");
    for _ in 0..40 {
        ann.send(r#"{"t":"something new"}"#).await;
    }
    let (last, code) = ann.end().await;
    assert_eq!((&last.unwrap()["why"], code), (&json!("limit"), Some(4429)));
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_by_the_close_code_that_says_why() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    // Masked with zeros: what is written is what is read.
    let cases: [(&[u8], u16); 5] = [
        (b"\x81\xfe\x04\x01\0\0\0\0", 1009), // 1,025 bytes
        (b"\x01\xfe\x04\0\0\0\0\0", 1009),   // and with fragments
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007), // no UTF-8
        (b"\x83\x81\0\0\0\0a", 1002),        // an opcode that does not exist
        (b"\xc1\x81\0\0\0\0a", 1002),        // compressed, which was not agreed
    ];
    for (bytes, expected) in cases {
        let mut ann = Client::greeted(&edge, "ann").await.0;
        ann.write(bytes).await;
        if bytes[0] == 1 {
            ann.write(&[&[b'x'; 1024][..], b"\x80\x81\0\0\0\0x"].concat()).await;
        }
        assert_eq!(ann.end().await.1, Some(expected), "{bytes:?}");
    }
    assert!(edge.metric("closes_total{code=\"1009\"}") > 1.5, "both are counted");
}

#[tokio::test]
async fn a_connection_ends_at_its_age_and_says_when_to_come_back() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let settings = FanoutSettings {
        lifetime: Duration::from_millis(300),
        lifetime_spread: Duration::ZERO,
        ..FanoutSettings::default()
    };
    let edge = Edge::with(&[worker.address], settings).await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    let (last, code) = ann.end().await;
    assert_eq!(last.unwrap(), json!({"t": "bye", "why": "rotate", "after": [0, 2000]}));
    assert_eq!(code, Some(1012));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_with_4408() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let settings = FanoutSettings { ping: Duration::from_millis(200), ..FanoutSettings::default() };
    let edge = Edge::with(&[worker.address], settings).await;
    // Reads from the start, so that its library answers every ping.
    let (mut reader, _) = Client::greeted(&edge, "ann").await;
    let reading = tokio::spawn(async move { reader.end().await });
    // Does not read.
    let (mut deaf, _) = Client::greeted(&edge, "ann").await;
    eventually("one is closed", || edge.metric("closes_total{code=\"4408\"}") > 0.0).await;
    let (last, code) = deaf.end().await;
    assert_eq!((&last.unwrap()["why"], code), (&json!("slow"), Some(4408)));
    assert!(!reading.is_finished(), "the other one answers");
    assert!((edge.metric("closes_total{code=\"4408\"}") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_up_no_other() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 1);
    let settings = FanoutSettings { slow: Duration::from_millis(300), ..FanoutSettings::default() };
    let edge = Edge::with(&[worker.address], settings).await;
    edge.followed().await;
    let _deaf = Client::with_small_buffer(&edge, "ann").await;
    let (mut reader, _) = Client::greeted(&edge, "ann").await;
    let reading = tokio::spawn(async move { reader.until("confirmed").await });
    let mut ms = 0;
    let begin = Instant::now();
    while edge.metric("closes_total{code=\"4408\"}") < 1.0 {
        assert!(begin.elapsed() < LIMIT, "it was not cut");
        // Back and forth, with reasons that fill buffers.
        for state in [v1::BookingState::Reserving, v1::BookingState::Queued] {
            ms += 1;
            let parked = state == v1::BookingState::Queued;
            let reason = "x".repeat(7000);
            let news = update("ann", 7, NOW + ms, state);
            worker.send(updates("e1", vec![v1::BookingUpdate { parked, reason, ..news }]));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    worker.send(updates("e1", vec![update("ann", 7, NOW + ms + 1, v1::BookingState::Confirmed)]));
    timeout(LIMIT, reading).await.unwrap().unwrap();
    assert_eq!(edge.fanout.open(), 1);
}

#[tokio::test]
async fn a_drain_closes_the_sockets_evenly_and_ends_when_all_are_gone() {
    const SOCKETS: usize = 60;
    let worker = FakeWorker::start().await;
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let mut ends = Vec::new();
    for number in 0..SOCKETS {
        let client = format!("c{number}");
        worker.queue(&client, number as u64 + 1, number as u64 + 1);
        let (mut socket, _) = Client::greeted(&edge, &client).await;
        ends.push(tokio::spawn(async move {
            let end = socket.end().await;
            (end, Instant::now())
        }));
    }
    let begin = Instant::now();
    edge.fanout.drain(Duration::from_secs(3)).await;
    assert_eq!(edge.fanout.open(), 0);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(2800) && took < Duration::from_secs(6), "{took:?}");
    let mut seconds = BTreeMap::<u64, usize>::new();
    for end in ends {
        let ((last, code), at) = end.await.unwrap();
        assert_eq!((&last.unwrap()["why"], code), (&json!("drain"), Some(1012)));
        *seconds.entry((at - begin).as_millis() as u64 / 1000).or_default() += 1;
    }
    assert!(seconds.values().all(|&count| count <= SOCKETS / 2), "{seconds:?}");
}

#[tokio::test]
async fn a_cut_ends_every_socket_at_once_without_a_word() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    edge.fanout.cut();
    let (last, code) = ann.end().await;
    assert_eq!((last, code), (None, None));
}
