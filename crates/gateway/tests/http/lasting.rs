//! Event streams on HTTP/1.1: as the first request of a connection, where the answer has the
//! connection to itself, and as a later one.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::LIMIT;
use crate::world::World;

/// A connection, read as bytes.
struct RawConnection(BufReader<TcpStream>);

impl RawConnection {
    async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    async fn ask(&mut self, path: &str, token: &str) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(LIMIT, self.0.read_line(&mut line)).await.expect("a line in time").unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The status and the headers of an answer.
    async fn head(&mut self) -> Vec<String> {
        let mut head = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return head,
                line => head.push(line),
            }
        }
    }

    async fn chunk(&mut self) -> String {
        let size = self.line().await;
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no size: {size}"));
        let mut chunk = vec![0; size + 2];
        timeout(LIMIT, self.0.read_exact(&mut chunk)).await.expect("a chunk in time").unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        String::from_utf8(chunk).unwrap()
    }

    /// The next frame of this kind.
    async fn frame(&mut self, kind: &str) -> Value {
        loop {
            let chunk = self.chunk().await;
            let data = chunk.lines().find_map(|line| line.strip_prefix("data: "));
            let Some(data) = data else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            if frame["t"] == kind {
                return frame;
            }
        }
    }
}

const EVENTS: &str = "/v1/queues/concert/events";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_the_same_on_a_connection_of_its_own_and_on_a_used_one() {
    let world = World::waiting().await;
    world.join("{}").await;
    let token = world.join("{}").await.json()["token"].as_str().unwrap().to_owned();
    let mut own = RawConnection::open(world.public()).await;
    own.ask(EVENTS, &token).await;
    let mut used = RawConnection::open(world.public()).await;
    used.ask("/v1/queues/none", &token).await;
    let head = used.head().await;
    assert!(head[0].contains("404"), "{head:?}");
    let size = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; size.parse().unwrap()];
    timeout(LIMIT, used.0.read_exact(&mut body)).await.unwrap().unwrap();
    used.ask(EVENTS, &token).await;

    let (mut heads, mut hellos) = (Vec::new(), Vec::new());
    for stream in [&mut own, &mut used] {
        let mut head = stream.head().await;
        // Of a connection that ends with its answer.
        let differs = ["connection: close", "date: ", "x-request-id: "];
        head.retain(|line| !differs.iter().any(|name| line.starts_with(name)));
        head.sort();
        heads.push(head);
        assert!(stream.chunk().await.starts_with("retry: "));
        let hello = stream.frame("hello").await;
        hellos.push(hello["b"]["bookingId"].clone());
    }
    assert_eq!(heads[0], heads[1]);
    assert!(heads[0].contains(&"content-type: text/event-stream".to_owned()), "{heads:?}");
    assert_eq!(hellos[0], hellos[1]);
    assert!(hellos[0].is_string(), "{hellos:?}");

    let World { gateway, .. } = world;
    let ((), ()) = tokio::join!(gateway.drain(), async {
        for stream in [&mut own, &mut used] {
            assert_eq!(stream.frame("bye").await["why"], "drain");
            assert_eq!(stream.chunk().await, "", "the last chunk");
        }
        // Its answer was the last one of the connection.
        assert_eq!(own.line().await, "");
        assert_eq!(own.0.read(&mut [0]).await.unwrap(), 0);
    });
}
