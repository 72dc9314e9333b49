//! The event stream of a place: the frames of a WebSocket as server-sent events.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_gateway::fanout::FanoutSettings;
use bookingq_proto::v1;
use serde_json::Value;
use support::fake::{FakeWorker, NOW, update, updates};
use support::{Edge, LIMIT};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Reads an event stream line by line, as a browser does.
struct EventReader(Lines<BufReader<TcpStream>>);

impl EventReader {
    /// Opens it; returns the head of the answer too.
    async fn open(edge: &Edge, client: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        // Without a chunked body, the stream is the lines.
        let request = format!("GET /events/{client} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Self(BufReader::new(stream).lines());
        let mut head = String::new();
        loop {
            let line = reader.line().await.unwrap();
            if line.is_empty() {
                return (reader, head);
            }
            head.push_str(&line.to_lowercase());
            head.push('\n');
        }
    }

    async fn line(&mut self) -> Option<String> {
        timeout(LIMIT, self.0.next_line()).await.expect("no line in time").unwrap()
    }

    /// The next line with this field.
    async fn field(&mut self, name: &str) -> Option<String> {
        loop {
            let line = self.line().await?;
            if let Some(value) = line.strip_prefix(name) {
                return Some(value.trim().to_owned());
            }
        }
    }

    async fn data(&mut self) -> Option<Value> {
        self.field("data:").await.map(|json| serde_json::from_str(&json).unwrap())
    }
}

#[tokio::test]
async fn an_event_stream_has_the_frames_of_a_socket() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut events, head) = EventReader::open(&edge, "ann").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(events.field("retry:").await.unwrap().parse::<u64>().unwrap() >= 1000);
    let hello = events.data().await.unwrap();
    assert_eq!((&hello["t"], &hello["b"]["position"]), (&"hello".into(), &3.into()));
    worker.send(updates("e1", vec![update("ann", 7, NOW + 1, v1::BookingState::Reserving)]));
    let news = events.data().await.unwrap();
    assert_eq!((&news["t"], &news["st"]), (&"b".into(), &"reserving".into()));
}

#[tokio::test]
async fn a_drain_says_when_to_come_back_and_ends_the_stream() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let (mut events, _) = EventReader::open(&edge, "ann").await;
    assert_eq!(events.data().await.unwrap()["t"], "hello");
    let (last, ()) = tokio::join!(
        async {
            let retry = events.field("retry:").await.unwrap().parse::<u64>().unwrap();
            assert!((1000..=2000).contains(&retry), "{retry}");
            let bye = events.data().await.unwrap();
            assert_eq!(events.data().await, None, "the stream ends");
            bye
        },
        edge.fanout.drain(Duration::from_millis(300)),
    );
    assert_eq!(last["why"], "drain");
    assert_eq!(edge.fanout.open(), 0);
}

#[tokio::test]
async fn a_comment_keeps_the_stream_open() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 3);
    let settings = FanoutSettings { ping: Duration::from_millis(200), ..FanoutSettings::default() };
    let edge = Edge::with(&[worker.address], settings).await;
    let (mut events, _) = EventReader::open(&edge, "ann").await;
    for _ in 0..3 {
        while events.line().await.unwrap() != ":" {}
    }
}
