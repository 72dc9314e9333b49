//! A worker that publishes to the Realtime Service is stopped for longer than its lease, and goes
//! on while another one publishes.

#![allow(missing_docs, clippy::unwrap_used)]

mod process;

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisServer, Signal};
use bookingq_proto::v1;
use bookingq_sim::realtime::RealtimeSim;
use bookingq_sim::spec::ServiceSpec;
use process::{Client, Worker};

const LIMIT: Duration = Duration::from_secs(60);

async fn join(client: &mut Client, names: std::ops::Range<usize>) {
    for name in names {
        let request = v1::EnqueueRequest {
            queue: "concert".into(),
            client_id: format!("c{name}"),
            request_id: "click".into(),
            ..Default::default()
        };
        client.enqueue(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_notifier_that_was_stopped_past_its_lease_moves_nothing_back() {
    let redis = RedisServer::start(Fsync::Off).unwrap();
    // Slow, so that the worker is stopped within a call.
    let spec: ServiceSpec = "latency=100ms".parse().unwrap();
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let realtime = RealtimeSim::start(spec, local).await.unwrap();
    let published = async |name: usize| {
        eventually(&format!("c{name} is published"), LIMIT, async || {
            realtime.backend().deliveries().client(&format!("c{name}")).is_some()
        })
        .await;
    };
    let option = format!("--realtime=http://{}", realtime.address());
    // A Booking Service that does not exist: no booking becomes final.
    let start = || Worker::start(&redis.url(), "http://127.0.0.1:1", &[&option]);
    let old = start();
    let mut client = old.connect().await;
    join(&mut client, 0..50).await;
    published(49).await;
    let new = start();
    let mut client = new.connect().await;
    join(&mut client, 50..100).await;
    let lease = |field: &str| redis.cli(&["HGET", "booking-notifier:{concert}", field]).unwrap();
    let stopped = lease("owner");
    old.process.signal(Signal::STOP);
    // The lease ends while it is stopped, so the other one has it now.
    published(99).await;
    join(&mut client, 100..150).await;
    published(149).await;
    assert_ne!(lease("owner"), stopped, "another worker has the lease now");
    let cursor = || ["done_ms", "done_number"].map(|part| lease(part).parse::<u64>().unwrap());
    let mut done = cursor();
    old.process.signal(Signal::CONT);
    for name in 150..200 {
        join(&mut client, name..name + 1).await;
        published(name).await;
        let now = cursor();
        assert!(now >= done, "the cursor moved back from {done:?} to {now:?}");
        done = now;
    }
    let totals = realtime.backend().deliveries().totals();
    assert_eq!((totals.out_of_order, totals.missing), (0, 0), "{totals:?}");
}
