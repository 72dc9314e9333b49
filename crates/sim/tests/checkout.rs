//! The demo checkout, against a gateway that this test plays.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bookingq_core::{BookingId, ClientId, Quantity, QueueName, ReservationId, Timestamp, time};
use bookingq_identity::{BackendClaims, KeyPurpose, KeyRing, PassGrant, new_key_file};
use bookingq_sim::{CheckoutConfig, Simulator, SimulatorConfig};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The played gateway: its keys, the payments that it got, and what it answers.
struct Gateway {
    passes: KeyRing,
    backend: KeyRing,
    payments: Mutex<Vec<Value>>,
    answer: Mutex<(StatusCode, Value)>,
}

struct Stage {
    gateway: Arc<Gateway>,
    simulator: Simulator,
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(time::millis(since.unwrap()))
}

fn queue() -> QueueName {
    QueueName::new("concert").unwrap()
}

async fn pay(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    Json(payment): Json<Value>,
) -> impl IntoResponse {
    let token = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    BackendClaims::verify(token, &gateway.backend, &queue(), "bookingq", now()).unwrap();
    gateway.payments.lock().push(payment);
    let (status, body) = gateway.answer.lock().clone();
    (status, Json(body))
}

async fn stage() -> Stage {
    let file = new_key_file(KeyPurpose::Backend, None, None).unwrap();
    let backend = KeyRing::parse([("backend.json", file.as_str())]).unwrap();
    let answer = (StatusCode::OK, json!({"place": {"state": "confirming", "reason": ""}}));
    let gateway = Arc::new(Gateway {
        passes: KeyRing::ephemeral().unwrap(),
        backend: backend.clone(),
        payments: Mutex::default(),
        answer: Mutex::new(answer),
    });
    let routes = Router::new()
        .route(
            "/.well-known/jwks.json",
            get(async |State(gateway): State<Arc<Gateway>>| gateway.passes.jwks()),
        )
        .route("/v1/queues/concert/payments", post(pay))
        .with_state(gateway.clone());
    let listener = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let address: String = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let checkout = CheckoutConfig {
        listen: ANY_PORT,
        gateway: address.parse().unwrap(),
        backend: address.parse().unwrap(),
        keys: backend,
        issuer: "bookingq".to_owned(),
        audience: None,
    };
    let config = SimulatorConfig { checkout: Some(checkout), ..SimulatorConfig::default() };
    Stage { gateway, simulator: Simulator::start(config).await.unwrap() }
}

impl Stage {
    fn pass(keys: &KeyRing, audience: &str) -> String {
        let grant = PassGrant {
            issuer: "bookingq",
            audience,
            client: &ClientId::new("anon-1").unwrap(),
            queue: &queue(),
            booking: BookingId::new("0193a0b2-0000-7000-8000-000000000001").unwrap(),
            reservation: &ReservationId::new("r-<1>").unwrap(),
            item: "Stalls",
            quantity: Quantity::new(2).unwrap(),
            deadline: now() + Duration::from_secs(302),
        };
        grant.sign(keys, now()).unwrap().0
    }

    /// Sends a form, as a browser does. Returns status and page.
    async fn send(&self, path: &str, pass: &str) -> (u16, String) {
        let address = self.simulator.checkout_address().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = format!("pass={pass}");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

#[tokio::test]
async fn a_client_with_a_pass_sees_its_reservation_and_pays_once() {
    let stage = stage().await;
    let pass = Stage::pass(&stage.gateway.passes, "concert");
    let (status, page) = stage.send("/concert", &pass).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<dd>Stalls</dd>") && page.contains("r-&lt;1&gt;"), "{page}");
    assert!(page.contains("action=\"/concert/pay\""), "{page}");
    assert!(stage.gateway.payments.lock().is_empty(), "looking is not paying");
    for _ in 0..2 {
        let (status, page) = stage.send("/concert/pay", &pass).await;
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("Paid. Thank you!"), "{page}");
    }
    let payments = stage.gateway.payments.lock().clone();
    assert_eq!(payments[0], payments[1], "a repeat is the same payment");
    assert_eq!(payments[0]["pass"], pass);
}

#[tokio::test]
async fn a_refusal_is_shown_and_an_unknown_outcome_can_be_repeated() {
    let stage = stage().await;
    let pass = Stage::pass(&stage.gateway.passes, "concert");
    let late = json!({"title": "The time to pay is over", "detail": "It ended <earlier>."});
    *stage.gateway.answer.lock() = (StatusCode::GONE, late);
    let (status, page) = stage.send("/concert/pay", &pass).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("The time to pay is over</h1><p>It ended &lt;earlier&gt;."), "{page}");
    *stage.gateway.answer.lock() = (StatusCode::SERVICE_UNAVAILABLE, json!({}));
    let (status, page) = stage.send("/concert/pay", &pass).await;
    assert_eq!(status, 502, "{page}");
    assert!(page.contains("We do not know yet") && page.contains("/concert/pay"), "{page}");
}

#[tokio::test]
async fn passes_of_others_are_refused() {
    let stage = stage().await;
    let good = Stage::pass(&stage.gateway.passes, "concert");
    let foreign = Stage::pass(&KeyRing::ephemeral().unwrap(), "concert");
    let other_audience = Stage::pass(&stage.gateway.passes, "elsewhere");
    let altered = good.replacen('.', ".A", 1);
    for pass in [foreign.as_str(), &other_audience, &altered, "", "a.b.c"] {
        for path in ["/concert", "/concert/pay"] {
            let (status, page) = stage.send(path, pass).await;
            assert_eq!(status, 403, "{page}");
        }
    }
    // The pass names another queue than the address.
    assert_eq!(stage.send("/theatre", &good).await.0, 403);
    assert!(stage.gateway.payments.lock().is_empty());
}
