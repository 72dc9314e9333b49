//! A queue that hibernates has no workers, and their name has no address: its gateway answers at
//! once all the same.

use std::time::Duration;

use axum::http::Method;
use bookingq_core::{BookingId, ClientId, QueueName, QueueNumber};
use bookingq_gateway::config::{KeySource, QueueConfig, WorkersAt};
use bookingq_gateway::place_json::wall_clock;
use bookingq_gateway::{Gateway, GatewayConfig, GatewayHandle};
use bookingq_identity::{KeyPurpose, KeyRing, PlaceClaims, new_key_file};
use futures::StreamExt as _;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

use crate::client::{Answer, LIMIT, ask, get, send};
use crate::world::{ME, join, local};

async fn asleep() -> GatewayHandle {
    let workers = WorkersAt::Url("http://no-such-host.invalid:50051".parse().unwrap());
    let mut queue = QueueConfig::new(QueueName::new("concert").unwrap(), workers);
    queue.settings.hibernates = true;
    let mut config = GatewayConfig::new("g", local(), vec![queue]);
    config.admin = Some(local());
    let folder = tempfile::tempdir().unwrap();
    for purpose in [KeyPurpose::Place, KeyPurpose::Pass] {
        let text = new_key_file(purpose, None, None).unwrap();
        std::fs::write(folder.path().join(format!("{purpose:?}.json")), text).unwrap();
    }
    config.keys = KeySource::Ring(KeyRing::load(folder.path()).unwrap());
    // The lookup at the start may take 30 s where it is required.
    timeout(LIMIT, Gateway::start(config)).await.unwrap().unwrap()
}

/// The bearer of a place that a client got before.
fn bearer(gateway: &GatewayHandle) -> String {
    let (now, ring) = (wall_clock(), gateway.state().keys.ring());
    let claims = PlaceClaims {
        queue: QueueName::new("concert").unwrap(),
        client: ClientId::new("c1").unwrap(),
        booking: BookingId::from_u128(7),
        number: QueueNumber::new(7),
        epoch: "e1".to_owned(),
        return_url: None,
        expires_at: now + Duration::from_secs(600),
    };
    format!("Bearer {}", claims.sign(&ring, now).unwrap())
}

/// That the place is kept, and the client may ask again. No call of a worker ends with these words.
fn assert_kept(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["reason"], "UPSTREAM_UNAVAILABLE");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("hibernates") && detail.contains("places are kept"), "{detail}");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 60, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_hibernates_is_ready_and_closed_without_a_worker() {
    let gateway = asleep().await;
    let admin = gateway.admin_addr().unwrap();
    let ready = async {
        while send(admin, get("/readyz")).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, ready).await.unwrap();
    let public = gateway.public_addr();
    let new = join("{}", &Uuid::new_v4().to_string());
    let refused = timeout(LIMIT, send(public, new)).await.unwrap();
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.json()["reason"], "QUEUE_CLOSED");
    assert!(refused.json()["detail"].as_str().unwrap().contains("spec.hibernate"), "{refused:?}");
    let queue = timeout(LIMIT, send(public, get("/v1/queues/concert"))).await.unwrap();
    assert_eq!(queue.json()["admission"], "closed", "{queue:?}");
    assert_eq!(send(public, get("/q/concert")).await.status, 200, "the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_place_learns_at_once_that_it_is_kept() {
    let gateway = asleep().await;
    let (public, bearer) = (gateway.public_addr(), bearer(&gateway));
    let asks = [
        join("{}", &Uuid::new_v4().to_string()),
        get(ME),
        ask(Method::DELETE, ME),
        ask(Method::POST, "/v1/queues/concert/places/me/pass"),
        get("/v1/queues/concert/events"),
    ];
    for ask in asks {
        let answer = send(public, ask.with("authorization", &bearer));
        assert_kept(&timeout(LIMIT, answer).await.unwrap());
    }
    let url = format!("ws://{public}/v1/queues/concert/socket");
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "bq1".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let close = async {
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                return frame.unwrap();
            }
        }
    };
    let close = timeout(LIMIT, close).await.unwrap();
    assert_eq!(u16::from(close.code), 1013, "try again later");
}
