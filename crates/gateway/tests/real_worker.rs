//! The connections in front of real workers on the embedded store: what a client sees is what the
//! store says.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Admission, ClientId};
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use bookingq_sim::BookingSim;
use bookingq_store::{Store, StoreConfig};
use bookingq_worker::config::{Downstream, TaskConfig};
use bookingq_worker::{Worker, WorkerConfig, WorkerHandle};
use serde_json::Value;
use support::{Client, Edge, queue};

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

struct World {
    store: Arc<dyn Store>,
    booking: BookingSim,
}

impl World {
    async fn new(spec: &str) -> Self {
        Self {
            store: bookingq_store::open(StoreConfig::memory(queue())).unwrap(),
            booking: BookingSim::start(spec.parse().unwrap(), local()).await.unwrap(),
        }
    }

    async fn worker(&self, id: &str, hold: Duration) -> WorkerHandle {
        let booking = Downstream::new(format!("http://{}", self.booking.address()));
        let tasks = TaskConfig { hold, ..TaskConfig::new(booking) };
        let config = WorkerConfig { tasks, ..WorkerConfig::new(id, local(), String::new()) };
        Worker::start(config, Arc::clone(&self.store)).await.unwrap()
    }

    async fn position(&self, client: &str) -> u64 {
        let found = self.store.status(vec![ClientId::new(client).unwrap()]).await.unwrap();
        found[0].as_ref().unwrap().position.unwrap()
    }
}

async fn enqueue(worker: &WorkerHandle, client: &str) {
    let url = format!("http://{}", worker.grpc_addr());
    let mut worker = BookingWorkerServiceClient::connect(url).await.unwrap();
    let request = v1::EnqueueRequest {
        queue: queue().to_string(),
        client_id: client.to_owned(),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    worker.enqueue(request).await.unwrap();
}

async fn cancel(worker: &WorkerHandle, client: &str) {
    let url = format!("http://{}", worker.grpc_addr());
    let mut worker = BookingWorkerServiceClient::connect(url).await.unwrap();
    let request = v1::CancelRequest {
        queue: queue().to_string(),
        client_id: client.to_owned(),
        ..Default::default()
    };
    worker.cancel(request).await.unwrap();
}

/// The position that a client shows after this tick.
fn shown(tick: &Value, number: u64) -> u64 {
    let part = |index: usize| tick["s"][index].as_u64().unwrap();
    (part(1) + number - part(0)).min(part(2))
}

#[tokio::test]
async fn the_position_of_a_tick_is_the_position_in_the_store() {
    let world = World::new("stock=1000").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let worker = world.worker("w", Duration::from_secs(60)).await;
    let edge = Edge::new(&[worker.grpc_addr()]).await;
    edge.followed().await;
    for number in 1..=30 {
        enqueue(&worker, &format!("c{number}")).await;
    }
    let (mut socket, hello) = Client::greeted(&edge, "c30").await;
    assert_eq!(hello["b"]["position"], 30);
    let number = hello["b"]["number"].as_u64().unwrap();
    for gone in [3, 4, 20] {
        cancel(&worker, &format!("c{gone}")).await;
    }
    // Of the first ticks, some may be from before.
    loop {
        let tick = socket.next("k").await;
        assert_eq!(tick["adm"], "paused");
        let position = shown(&tick, number);
        assert!(position >= world.position("c30").await, "{tick}");
        if position == 27 {
            break;
        }
    }
    assert_eq!(world.position("c30").await, 27);
    worker.kill();
}

#[tokio::test]
async fn a_client_sees_its_reservation_and_its_end() {
    let world = World::new("stock=10").await;
    let worker = world.worker("w", Duration::from_millis(300)).await;
    let edge = Edge::new(&[worker.grpc_addr()]).await;
    edge.followed().await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    enqueue(&worker, "ann").await;
    let (mut socket, hello) = Client::greeted(&edge, "ann").await;
    assert_eq!(hello["b"]["state"], "queued");
    world.store.set_admission(Admission::Open).await.unwrap();
    assert_eq!(socket.next("b").await["st"], "reserving");
    let reserved = socket.next("b").await;
    assert_eq!(reserved["st"], "reserved");
    let deadline = reserved["dl"].as_u64().unwrap();
    assert!(deadline > hello["now"].as_u64().unwrap());
    let booking = &reserved["bk"];
    assert_eq!(booking, &hello["b"]["bookingId"]);
    // What the sweeper does.
    let expired = async {
        while world.store.sweep(10).await.unwrap().expired == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(support::LIMIT, expired).await.unwrap();
    assert_eq!(socket.next("b").await["st"], "releasing");
    assert_eq!(socket.next("b").await["st"], "expired");
    worker.kill();
}

#[tokio::test]
async fn no_client_is_set_back_or_informed_twice_when_its_worker_is_killed() {
    let world = World::new("stock=1000").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let first = world.worker("w1", Duration::from_secs(60)).await;
    let edge = Edge::new(&[first.grpc_addr()]).await;
    edge.followed().await;
    for number in 1..=5 {
        enqueue(&first, &format!("c{number}")).await;
    }
    let (mut socket, hello) = Client::greeted(&edge, "c5").await;
    let number = hello["b"]["number"].as_u64().unwrap();
    socket.next("k").await;
    let second = world.worker("w2", Duration::from_secs(60)).await;
    first.kill();
    edge.workers.send_replace(vec![second.grpc_addr()]);
    cancel(&second, "c1").await;
    let mut last = 5;
    while last != 4 {
        let frame = socket.frame().await;
        if frame["t"] == "k" {
            let position = shown(&frame, number);
            assert!(position <= last, "it went back: {frame}");
            last = position;
        }
    }
    world.store.set_admission(Admission::Open).await.unwrap();
    let mut states = Vec::new();
    while states.last().map(String::as_str) != Some("reserved") {
        let news = socket.next("b").await;
        states.push(news["st"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["reserving", "reserved"]);
    second.kill();
}
