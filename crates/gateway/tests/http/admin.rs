//! The operators' page and its figures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bookingq_core::{Timestamp, Workforce, WorkforceChange};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::client::{LIMIT, get, send};
use crate::world::{World, local};

/// Open pages that are sent figures.
const PAGES: usize = 32;

/// With an admin port, and room for one WebSocket.
async fn watched() -> (World, SocketAddr) {
    let world = World::with("stock=9,latency=1h", |config| {
        config.admin = Some(local());
        config.max_connections = 1;
    });
    let world = world.await;
    let admin = world.gateway.admin_addr().unwrap();
    (world, admin)
}

async fn figures(admin: SocketAddr) -> Value {
    let answer = send(admin, get("/admin/data")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_on_the_admin_port_and_never_on_the_public_one() {
    let (world, admin) = watched().await;
    let page = send(admin, get("/admin")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    // `/readyz` is there as well, but answers 200 only once the queue is followed.
    for path in ["/healthz", "/metrics"] {
        assert_eq!(send(admin, get(path)).await.status, 200, "{path}");
    }
    for path in ["/admin", "/admin/", "/admin/data"] {
        assert_eq!(world.send(get(path)).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_those_of_the_line_and_of_the_sockets() {
    let (world, admin) = watched().await;
    world.gateway.state().queue("concert").unwrap().feed.followed().await;
    let mut token = String::new();
    for _ in 0..3 {
        let joined = world.join("{}").await;
        joined.json()["token"].as_str().unwrap().clone_into(&mut token);
    }
    let request = || {
        let url = format!("ws://{}/v1/queues/concert/socket", world.host());
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "bq1".parse().unwrap());
        request
    };
    let (mut socket, _) = connect_async(request()).await.unwrap();
    // After the hello there is a tick, whose lag is counted.
    for _ in 0..2 {
        timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    }
    assert!(connect_async(request()).await.is_err(), "there is room for one");
    let read = async {
        loop {
            let figures = figures(admin).await;
            let line = &figures["queues"][0]["line"];
            // A reading of the queue is kept for a second, and the worker claims one booking.
            if line["totals"]["enqueued"] == 3 && line["inFlight"] == 1 {
                return figures;
            }
        }
    };
    let all = timeout(LIMIT, read).await.unwrap();
    assert_eq!((&all["gateway"], &all["draining"]), (&json!("g"), &json!(false)));
    assert_eq!(all["connections"], json!({"websocket": 1, "events": 0}));
    assert_eq!(all["handshakes"], json!({"ok": 1, "refused": 1}));
    assert_eq!(all["maxConnections"], 1);
    let [bounds, counts] =
        ["bounds", "counts"].map(|name| all["sendLag"][name].as_array().unwrap());
    assert_eq!(counts.len(), bounds.len() + 1);
    assert!(counts.iter().filter_map(Value::as_u64).sum::<u64>() > 0, "{all}");
    let queue = &all["queues"][0];
    assert_eq!((&queue["queue"], &queue["connections"]), (&json!("concert"), &json!(1)));
    assert_eq!(queue["epochChanges"], 0);
    assert!(queue["upstreamLag"].as_f64().unwrap() < LIMIT.as_secs_f64(), "{queue}");
    let line = &queue["line"];
    assert_eq!((&line["waiting"], &line["holds"]), (&json!(2), &json!(0)), "{line}");
    assert_eq!((&line["admission"], &line["limited"]), (&json!("open"), &json!(false)));
    assert!(!all.to_string().contains("anon-"), "no client is named: {all}");
}

/// A page that is open, as a browser reads it.
struct OpenPage(Lines<BufReader<TcpStream>>);

impl OpenPage {
    /// Opens it; returns the status, too.
    async fn open(admin: SocketAddr) -> (Self, String) {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        // Without a chunked body, the stream is the lines.
        let request = b"GET /admin/events HTTP/1.0\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut page = Self(BufReader::new(stream).lines());
        let status = page.line().await;
        while !page.line().await.is_empty() {}
        (page, status.split(' ').nth(1).unwrap().to_owned())
    }

    async fn line(&mut self) -> String {
        timeout(LIMIT, self.0.next_line()).await.expect("a line in time").unwrap().unwrap()
    }

    /// The next figures.
    async fn figures(&mut self) -> Value {
        loop {
            if let Some(json) = self.line().await.strip_prefix("data: ") {
                return serde_json::from_str(json).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_sent_the_figures_every_second_and_only_so_many_pages_are() {
    let (_world, admin) = watched().await;
    let (mut page, status) = OpenPage::open(admin).await;
    assert_eq!((status.as_str(), page.line().await.as_str()), ("200", "retry: 2000"));
    let first = page.figures().await;
    assert_eq!(first["queues"][0]["queue"], "concert");
    let (began, second) = (Instant::now(), page.figures().await);
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(second["elapsed"].as_u64() > first["elapsed"].as_u64(), "{first} {second}");

    let mut others = Vec::new();
    for _ in 1..PAGES {
        let (other, status) = OpenPage::open(admin).await;
        assert_eq!(status, "200");
        others.push(other);
    }
    assert_eq!(OpenPage::open(admin).await.1, "503");
    page.figures().await;
    // One that is closed makes room.
    others.pop();
    let room = async { while OpenPage::open(admin).await.1 != "200" {} };
    timeout(LIMIT, room).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_and_the_last_scaling_are_shown() {
    let (world, admin) = watched().await;
    let change = WorkforceChange {
        at: Timestamp(1_800_000_000_000),
        from: 2,
        to: 5,
        reason: "Demand".to_owned(),
        note: "1200 in line".to_owned(),
    };
    let workers = Workforce { wanted: 5, ready: 4, last_scaling: Some(change) };
    world.store.set_workforce(&workers).await.unwrap();
    let (mut page, _) = OpenPage::open(admin).await;
    let shown = async {
        loop {
            let figures = page.figures().await;
            let workers = &figures["queues"][0]["line"]["workers"];
            if !workers.is_null() {
                return workers.clone();
            }
        }
    };
    let change = json!({
        "at": "2027-01-15T08:00:00.000Z", "from": 2, "to": 5, "reason": "Demand", "note": "1200 in line"
    });
    let expected = json!({"wanted": 5, "ready": 4, "lastScaling": change});
    assert_eq!(timeout(LIMIT, shown).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_workers_it_says_so_soon_and_shows_what_the_gateway_knows() {
    let (world, admin) = watched().await;
    let World { gateway, worker, booking: _booking, .. } = world;
    worker.kill();
    let silent = async {
        loop {
            let all = figures(admin).await;
            if all["queues"][0]["line"].is_null() {
                return all;
            }
        }
    };
    let all = timeout(LIMIT, silent).await.unwrap();
    assert_eq!(all["queues"][0]["title"], "concert");
    drop(gateway);
}
