//! A gateway's connections in front of a worker that answers as a test says, and real clients.

#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod fake;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bookingq_client::{CallPolicy, ChannelConfig, ChannelPool};
use bookingq_core::backoff::Backoff;
use bookingq_core::{ClientId, QueueName};
use bookingq_gateway::close::CloseReason;
use bookingq_gateway::fanout::{Fanout, FanoutSettings};
use bookingq_gateway::feed::PlaceFeed;
use bookingq_gateway::metrics::GatewayMetrics;
use bookingq_gateway::workers::QueueWorkers;
use bookingq_gateway::{events, socket, upstream};
use bookingq_serve::MetricsRegistry;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

pub fn queue() -> QueueName {
    QueueName::new("concert").unwrap()
}

/// The connections of one queue on a port of their own: `/socket/CLIENT` and `/events/CLIENT`;
/// the client `invalid` has no valid token.
pub struct Edge {
    pub feed: Arc<PlaceFeed>,
    pub fanout: Arc<Fanout>,
    pub registry: MetricsRegistry,
    pub address: SocketAddr,
    /// The workers' addresses, which may change.
    pub workers: watch::Sender<Vec<SocketAddr>>,
}

impl Edge {
    pub async fn new(workers: &[SocketAddr]) -> Self {
        Self::with(workers, FanoutSettings::default()).await
    }

    pub async fn with(workers: &[SocketAddr], settings: FanoutSettings) -> Self {
        let registry = MetricsRegistry::new("bookingqueue_gateway", &[]).unwrap();
        let fanout = Fanout::new(GatewayMetrics::new(&registry).unwrap(), settings);
        let (sender, addresses) = watch::channel(workers.to_vec());
        let workers = QueueWorkers {
            pool: ChannelPool::new(ChannelConfig::default(), addresses),
            policy: Arc::new(CallPolicy {
                deadline: Duration::from_secs(1),
                limit: Some(Duration::from_secs(5)),
                backoff: Backoff {
                    initial: Duration::from_millis(20),
                    max: Duration::from_millis(200),
                },
                stop: CancellationToken::new(),
            }),
        };
        let feed = PlaceFeed::new(queue(), workers.clone(), Arc::clone(&fanout));
        tokio::spawn(Arc::clone(&fanout).run());
        tokio::spawn(upstream::follow(Arc::clone(&feed), workers));
        let router = Router::new()
            .route("/socket/{client}", get(open_socket))
            .route("/events/{client}", get(open_events))
            .with_state(Arc::clone(&feed));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { feed, fanout, registry, address, workers: sender }
    }

    pub async fn followed(&self) {
        timeout(LIMIT, self.feed.followed()).await.unwrap();
    }

    /// The value of a metric's series, with its labels as they are exposed.
    pub fn metric(&self, series: &str) -> f64 {
        let text = String::from_utf8(self.registry.render()).unwrap();
        let line = text.lines().find(|line| {
            line.rsplit_once(' ')
                .is_some_and(|(name, _)| name == format!("bookingqueue_gateway_{series}"))
        });
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }
}

async fn open_socket(
    State(feed): State<Arc<PlaceFeed>>,
    Path(client): Path<String>,
    socket: WebSocketUpgrade,
) -> Response {
    let client = if client == "invalid" {
        Err(CloseReason::Gone)
    } else {
        Ok(ClientId::new(&client).unwrap())
    };
    socket::upgrade(feed, socket, client)
}

async fn open_events(State(feed): State<Arc<PlaceFeed>>, Path(client): Path<String>) -> Response {
    events::stream(feed, ClientId::new(&client).unwrap())
}

/// A WebSocket client.
pub struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub async fn open(edge: &Edge, client: &str) -> Self {
        let url = format!("ws://{}/socket/{client}", edge.address);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self(socket)
    }

    /// Opens it with a small buffer in the kernel, and reads nothing.
    pub async fn with_small_buffer(edge: &Edge, client: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(edge.address).await.unwrap());
        let url = format!("ws://{}/socket/{client}", edge.address);
        Self(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    /// Reads until there is news with this state.
    pub async fn until(&mut self, state: &str) {
        loop {
            let frame = self.frame().await;
            if frame["st"] == state || frame["b"]["state"] == state {
                return;
            }
        }
    }

    /// Opens it, and reads the hello.
    pub async fn greeted(edge: &Edge, client: &str) -> (Self, Value) {
        let mut socket = Self::open(edge, client).await;
        let hello = socket.next("hello").await;
        (socket, hello)
    }

    /// The next frame of any type.
    pub async fn frame(&mut self) -> Value {
        loop {
            let message = timeout(LIMIT, self.0.next()).await.expect("no frame in time");
            match message.expect("the socket has ended").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next frame of this type; others are skipped.
    pub async fn next(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["t"] == kind {
                return frame;
            }
        }
    }

    /// Reads to the end: the last frame, and the close code.
    pub async fn end(&mut self) -> (Option<Value>, Option<u16>) {
        let (mut last, mut code) = (None, None);
        // One limit for all: pings would keep it waiting.
        let read = async {
            while let Some(Ok(message)) = self.0.next().await {
                match message {
                    Message::Text(text) => last = Some(serde_json::from_str(&text).unwrap()),
                    Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
                    _ => {}
                }
            }
        };
        timeout(LIMIT, read).await.expect("no end in time");
        (last, code)
    }

    /// Writes bytes past the library.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::Text(text.into())).await.unwrap();
    }
}

/// Waits for something to become true, at most [`LIMIT`].
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let all = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LIMIT, all).await.is_ok(), "not within {LIMIT:?}: {what}");
}
