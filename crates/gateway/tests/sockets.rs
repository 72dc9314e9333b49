//! What a WebSocket of a place is sent, against a worker that answers as the test says.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use bookingq_proto::v1;
use serde_json::json;
use support::fake::{FakeWorker, NOW, booking, message, tick, update, updates};
use support::{Client, Edge, eventually};

#[tokio::test]
async fn a_hello_is_the_snapshot_of_the_place() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (_socket, hello) = Client::greeted(&edge, "ann").await;
    assert_eq!(hello["v"], 1);
    assert_eq!(hello["e"], "e1");
    assert_eq!(hello["now"], NOW);
    assert_eq!((&hello["b"]["number"], &hello["b"]["position"]), (&json!(7), &json!(3)));
    assert_eq!(hello["b"]["state"], "queued");
    assert_eq!(hello["q"], json!({"n": 1000, "adm": "open"}));
    assert_eq!(hello["ka"], 25_000);
}

#[tokio::test]
async fn a_tick_gives_the_frame_of_its_segment_and_an_older_tick_is_left_out() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 12, 5);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut socket, _) = Client::greeted(&edge, "ann").await;
    // Before the snapshot.
    worker.send(message("e1", Some(tick(NOW - 1, &[(1, 1)]))));
    worker.send(message("e1", Some(tick(NOW + 1000, &[(8, 1), (10, 2), (20, 9)]))));
    let frame = socket.next("k").await;
    assert_eq!(frame["at"], NOW + 1000);
    assert_eq!(frame["s"], json!([10, 2, 8]));
    assert_eq!(
        (&frame["n"], &frame["i"], &frame["adm"]),
        (&json!(1000), &json!(1000), &json!("open"))
    );
    // The same tick is not sent twice; the next one is.
    worker.send(message("e1", Some(tick(NOW + 2000, &[(12, 1)]))));
    let frame = socket.next("k").await;
    assert_eq!((&frame["at"], &frame["s"][1]), (&json!(NOW + 2000), &json!(1)));
}

#[tokio::test]
async fn news_of_the_own_booking_arrive_at_once_and_repeats_do_not() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 1);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut socket, _) = Client::greeted(&edge, "ann").await;
    let reserving = update("ann", 7, NOW + 1, v1::BookingState::Reserving);
    let reserved = update("ann", 7, NOW + 2, v1::BookingState::Reserved);
    let other = update("bob", 8, NOW + 3, v1::BookingState::Reserving);
    worker.send(updates("e1", vec![reserving.clone()]));
    worker.send(updates("e1", vec![reserving, reserved, other]));
    let first = socket.next("b").await;
    assert_eq!((&first["st"], &first["bk"]), (&json!("reserving"), &json!("booking-of-ann")));
    assert_eq!(first["id"], format!("{}-65536", NOW + 1));
    assert_eq!(socket.next("b").await["st"], "reserved");
    worker.send(updates("e1", vec![update("ann", 7, NOW + 9, v1::BookingState::Confirmed)]));
    assert_eq!(socket.next("b").await["st"], "confirmed");
    eventually("four updates were new", || {
        (edge.metric("updates_total{queue=\"concert\"}") - 4.0).abs() < f64::EPSILON
    })
    .await;
}

#[tokio::test]
async fn an_update_that_the_snapshot_contains_does_not_set_the_client_back() {
    let worker = FakeWorker::start().await;
    let mut reserved = booking("ann", 7, 0);
    reserved.set_state(v1::BookingState::Reserved);
    worker.put("ann", reserved);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut socket, hello) = Client::greeted(&edge, "ann").await;
    assert_eq!(hello["b"]["state"], "reserved");
    // They arrive after the snapshot that has them.
    let late = [v1::BookingState::Queued, v1::BookingState::Reserving, v1::BookingState::Reserved];
    let late = (1..).zip(late).map(|(ms, state)| update("ann", 7, NOW + ms, state));
    let mut all: Vec<_> = late.collect();
    all.push(update("ann", 7, NOW + 10, v1::BookingState::Releasing));
    worker.send(updates("e1", all));
    assert_eq!(socket.next("b").await["st"], "releasing");
}

#[tokio::test]
async fn a_booking_that_is_parked_says_so_and_gets_ticks_without_a_segment() {
    let worker = FakeWorker::start().await;
    let mut reserving = booking("ann", 7, 0);
    reserving.set_state(v1::BookingState::Reserving);
    worker.put("ann", reserving);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut socket, _) = Client::greeted(&edge, "ann").await;
    let parked =
        v1::BookingUpdate { parked: true, ..update("ann", 7, NOW + 1, v1::BookingState::Queued) };
    worker.send(updates("e1", vec![parked]));
    let frame = socket.next("b").await;
    assert_eq!((&frame["st"], &frame["parked"]), (&json!("queued"), &json!(true)));
    let closed = v1::ItemStatus {
        item: "stalls".to_owned(),
        availability: v1::ItemAvailability::SoldOutAtTheMoment.into(),
        sold_out_from: 1,
        unsettled: 4,
        ..Default::default()
    };
    let balcony = v1::ItemStatus { item: "balcony".to_owned(), ..closed.clone() };
    let items = vec![balcony, closed];
    worker.send(v1::PublishRequest { items, ..message("e1", None) });
    let frame = socket.next("i").await;
    let expected = json!({
        "t": "i", "item": "stalls", "av": "soldOutAtTheMoment", "from": 1, "u": 4
    });
    assert_eq!(frame, expected);
}

#[tokio::test]
async fn a_change_of_the_item_while_the_booking_is_read_is_not_lost() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let answers = worker.answers.write().await;
    let mut ann = Client::open(&edge, "ann").await;
    eventually("the booking is being read", || !worker.batches.lock().is_empty()).await;
    let closed = v1::ItemStatus {
        item: "stalls".to_owned(),
        availability: v1::ItemAvailability::SoldOutAtTheMoment.into(),
        sold_out_from: 1,
        ..Default::default()
    };
    worker.send(v1::PublishRequest { items: vec![closed], ..message("e1", None) });
    eventually("the change has arrived", || !edge.feed.view.items().is_empty()).await;
    drop(answers);
    assert_eq!(ann.frame().await["t"], "hello", "of before the change");
    let item = ann.next("i").await;
    assert_eq!((&item["item"], &item["av"]), (&json!("stalls"), &json!("soldOutAtTheMoment")));
    // The snapshot of a client that comes later has it.
    let (mut bob, _) = Client::greeted(&edge, "ann").await;
    bob.send(r#"{"t":"ping","c":1}"#).await;
    assert_eq!(bob.frame().await["t"], "pong");
}

#[tokio::test]
async fn other_data_means_sync_and_a_new_hello_for_every_client() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 700, 300);
    worker.queue("bob", 701, 301);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    let (mut bob, _) = Client::greeted(&edge, "bob").await;
    worker.queue("ann", 1, 1);
    worker.bookings.lock().remove("bob");
    worker.lose_data("e2");
    worker.send(message("e2", Some(tick(NOW + 1, &[(1, 1)]))));
    ann.next("sync").await;
    let hello = ann.next("hello").await;
    assert_eq!((&hello["e"], &hello["b"]["position"]), (&json!("e2"), &json!(1)));
    let (last, code) = bob.end().await;
    assert_eq!((&last.unwrap()["why"], code), (&json!("gone"), Some(4401)));
    assert!((edge.metric("epoch_changes_total{queue=\"concert\"}") - 1.0).abs() < f64::EPSILON);
    assert!((edge.metric("resyncs_total{cause=\"epoch\"}") - 2.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_snapshot_of_the_data_before_is_not_shown_while_the_line_is_of_the_next() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 700, 300);
    worker.lose_data("e2");
    *worker.epoch.lock() = "e1".to_owned();
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let mut ann = Client::open(&edge, "ann").await;
    eventually("the booking was read once", || !worker.batches.lock().is_empty()).await;
    worker.queue("ann", 1, 1);
    *worker.epoch.lock() = "e2".to_owned();
    let hello = ann.frame().await;
    assert_eq!((&hello["t"], &hello["e"]), (&json!("hello"), &json!("e2")));
    assert_eq!(hello["b"]["position"], 1);
}

#[tokio::test]
async fn missing_updates_mean_sync_and_a_new_hello() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    worker.queue("ann", 7, 1);
    worker.send(v1::PublishRequest { gap: true, ..message("e1", None) });
    ann.next("sync").await;
    assert_eq!(ann.next("hello").await["b"]["position"], 1);
}

#[tokio::test]
async fn more_news_than_a_connection_keeps_become_a_snapshot() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 1);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    let mut confirmed = booking("ann", 7, 0);
    confirmed.set_state(v1::BookingState::Confirmed);
    worker.put("ann", confirmed);
    // In one message: the connection has no turn in between.
    let all = (1..=17).map(|ms| update("ann", 7, NOW + ms, v1::BookingState::Reserving));
    worker.send(updates("e1", all.collect()));
    assert_eq!(ann.frame().await["t"], "sync");
    assert_eq!(ann.next("hello").await["b"]["state"], "confirmed");
    assert!((edge.metric("resyncs_total{cause=\"overflow\"}") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_client_with_a_newer_booking_gets_a_new_hello() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    worker.queue("ann", 90, 50);
    worker.send(updates("e1", vec![update("ann", 90, NOW + 5, v1::BookingState::Queued)]));
    ann.next("sync").await;
    assert_eq!(ann.next("hello").await["b"]["number"], 90);
    // An update of the booking before is not news.
    worker.send(updates("e1", vec![update("ann", 7, NOW + 6, v1::BookingState::Cancelled)]));
    worker.send(updates("e1", vec![update("ann", 90, NOW + 7, v1::BookingState::Reserving)]));
    assert_eq!(ann.next("b").await["st"], "reserving");
}

#[tokio::test]
async fn a_crowd_that_connects_at_once_is_read_in_batches() {
    const CLIENTS: usize = 300;
    let worker = FakeWorker::start().await;
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    for number in 0..CLIENTS as u64 {
        worker.queue(&format!("c{number}"), number + 1, number + 1);
    }
    let opened = (0..CLIENTS).map(|number| {
        let edge = &edge;
        async move { Client::greeted(edge, &format!("c{number}")).await.1["b"]["number"].clone() }
    });
    let numbers = futures::future::join_all(opened).await;
    for (index, number) in numbers.iter().enumerate() {
        assert_eq!(number.as_u64(), Some(index as u64 + 1));
    }
    let batches = worker.batches.lock().clone();
    assert_eq!(batches.iter().sum::<usize>(), CLIENTS);
    assert!(batches.len() < CLIENTS, "nothing was read together: {batches:?}");
}

#[tokio::test]
async fn when_a_worker_is_gone_another_one_is_followed_from_where_it_ended() {
    let (first, second) = (FakeWorker::start().await, FakeWorker::start().await);
    first.queue("ann", 7, 3);
    let edge = Edge::new(&[first.address]).await;
    edge.followed().await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    first.send(updates("e1", vec![update("ann", 7, NOW + 1, v1::BookingState::Reserving)]));
    assert_eq!(ann.next("b").await["st"], "reserving");
    edge.workers.send_replace(vec![second.address]);
    first.end_follows();
    eventually("the second is followed", || !second.follows.lock().is_empty()).await;
    let asked = second.follows.lock()[0].clone();
    assert_eq!((asked.epoch.as_str(), asked.after_ms), ("e1", NOW + 1));
    second.send(updates("e1", vec![update("ann", 7, NOW + 2, v1::BookingState::Reserved)]));
    assert_eq!(ann.next("b").await["st"], "reserved", "and no sync in between");
}
