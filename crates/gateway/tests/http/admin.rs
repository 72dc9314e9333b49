//! The operators' page and its figures.

use std::net::SocketAddr;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::client::{LIMIT, get, send};
use crate::world::{World, local};

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

#[tokio::test(flavor = "multi_thread")]
async fn without_workers_it_says_so_soon_and_shows_what_the_gateway_knows() {
    let (world, admin) = watched().await;
    let World { gateway, worker, booking: _booking } = world;
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
