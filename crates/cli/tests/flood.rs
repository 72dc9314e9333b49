//! A worker under hostile connections (silent ones, slow ones, messages that never end): its memory
//! stays bounded, and honest clients get their places. `FLOOD=10000 cargo test --release -p
//! bookingq --test flood` makes it ten times as many.

#![allow(missing_docs, clippy::unwrap_used)]

mod process;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bookingq_harness::{Fsync, RedisServer};
use bookingq_proto::v1;
use bytes::Bytes;
use process::Worker;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections, unless FLOOD says otherwise.
const CONNECTIONS: usize = 1000;
/// Files for everything else, here and in the worker.
const SPARE_FILES: usize = 400;
/// A sixth of the connections sends messages that never end, each on this many streams.
const STREAMS: usize = 4;
/// Length of these messages: the largest that a worker accepts.
const ANNOUNCED: u32 = 6 * 1024 * 1024;
/// An honest client must have its place within this time.
const LIMIT: Duration = Duration::from_secs(5);
/// Memory that a worker may use: a little for each connection, and a fixed amount for incomplete
/// messages.
const MIB: f64 = 512.0;
const KIB_PER_CONNECTION: f64 = 40.0;

/// The number of connections: the configured one, or what the limit of open files allows. Each is
/// an open file of this process and one of the worker.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let wanted =
        std::env::var("FLOOD").ok().and_then(|count| count.parse().ok()).unwrap_or(CONNECTIONS);
    let allowed =
        limit.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    wanted.min(allowed - SPARE_FILES)
}

/// Connects and sends nothing.
async fn silent(address: SocketAddr) {
    let Ok(stream) = TcpStream::connect(address).await else { return };
    std::future::pending::<()>().await;
    drop(stream);
}

/// Sends the preface so slowly that no request follows.
async fn slow(address: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    std::future::pending::<()>().await;
}

/// Begins messages that it never ends.
async fn endless(address: SocketAddr) -> Option<()> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = h2::client::handshake(stream).await.ok()?;
    tokio::spawn(connection);
    let mut begun = JoinSet::new();
    for _ in 0..STREAMS {
        sender = sender.ready().await.ok()?;
        let request = http::Request::post(format!(
            "http://{address}/bookingqueue.v1.BookingWorkerService/EnqueueBatch"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .ok()?;
        let (_response, body) = sender.send_request(request, false).ok()?;
        begun.spawn(most_of_a_message(body));
    }
    begun.join_all().await;
    std::future::pending().await
}

async fn most_of_a_message(mut body: h2::SendStream<Bytes>) -> Option<()> {
    let mut left = ANNOUNCED as usize - 1;
    let mut head = vec![0_u8];
    head.extend(ANNOUNCED.to_be_bytes());
    body.send_data(head.into(), false).ok()?;
    while left > 0 {
        body.reserve_capacity(left.min(16 * 1024));
        let room = std::future::poll_fn(|context| body.poll_capacity(context)).await?.ok()?;
        let now = room.min(left);
        body.send_data(Bytes::from(vec![0x0a; now]), false).ok()?;
        left -= now;
    }
    std::future::pending().await
}

fn request(number: u32) -> v1::EnqueueRequest {
    v1::EnqueueRequest {
        queue: "concert".into(),
        client_id: format!("honest-{number}"),
        request_id: "r".into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_takes_bounded_memory_and_keeps_no_client_out() {
    let redis = RedisServer::start(Fsync::Off).unwrap();
    let worker = Worker::start(&redis.url(), "http://127.0.0.1:1", &[]);
    let mut early = worker.connect().await;
    early.enqueue(request(0)).await.unwrap();
    let before = worker.process.usage().unwrap().peak_mib;

    let count = connections();
    let mut flood = JoinSet::new();
    for number in 0..count {
        let address = worker.grpc;
        match number % 6 {
            0..3 => drop(flood.spawn(silent(address))),
            3 | 4 => drop(flood.spawn(slow(address))),
            _ => drop(flood.spawn(async move { endless(address).await.unwrap_or_default() })),
        }
        if number % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    let (start, mut number, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(15) {
        number += 1;
        let sent = Instant::now();
        // Every tenth client has a connection of its own.
        let another = tokio::time::timeout(LIMIT, worker.connect());
        let mut client = if number % 10 == 0 { another.await.unwrap() } else { early.clone() };
        let answer = tokio::time::timeout(LIMIT, client.enqueue(request(number))).await;
        answer.unwrap().unwrap();
        longest = longest.max(sent.elapsed());
    }
    let peak = worker.process.usage().unwrap().peak_mib;
    println!(
        "{count} connections: {number} places, the slowest after {longest:?}; {before:.1} MiB before, {peak:.1} at most"
    );
    let allowed = MIB + KIB_PER_CONNECTION * count as f64 / 1024.0;
    assert!(peak < allowed, "{peak:.1} MiB of {allowed:.1}");
}
