//! The simulator's HTTP port, over a real socket.

#![allow(clippy::unwrap_used)]

use bookingq_core::QueueName;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_service_client::BookingServiceClient;
use bookingq_sim::inspect::RemoteLedger;
use bookingq_sim::{Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One HTTP request by hand: its status and its JSON (or text) answer.
async fn http(simulator: &Simulator, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(simulator.admin_address().unwrap()).await.unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n");
    let rest = format!("Content-Length: {length}\r\n\r\n{body}");
    stream.write_all((head + &rest).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

async fn with_three_bookings() -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
    let address = simulator.booking.as_ref().unwrap().address();
    let mut client = BookingServiceClient::connect(format!("http://{address}")).await.unwrap();
    for number in 1..=3 {
        let request = v1::ReserveRequest {
            booking_id: format!("b{number}"),
            client_id: format!("c{number}"),
            quantity: 2,
            ..Default::default()
        };
        client.reserve(request).await.unwrap();
    }
    simulator
}

#[tokio::test]
async fn the_ledger_is_readable_over_http() {
    let simulator = with_three_bookings().await;
    let (status, totals) = http(&simulator, "GET", "/ledger", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&totals["stock"], &totals["held"], &totals["held_bookings"]),
        (&json!(1000), &json!(6), &json!(3))
    );
    assert_eq!(totals["calls"]["reserve"], 3);

    let (_, page) = http(&simulator, "GET", "/ledger/bookings?from=1&limit=1", "").await;
    assert_eq!((&page["total"], page["bookings"].as_array().unwrap().len()), (&json!(3), 1));
    assert_eq!(page["bookings"][0]["client_id"], "c2");

    let (_, entry) = http(&simulator, "GET", "/ledger/bookings/b3", "").await;
    assert_eq!((&entry["state"], &entry["quantity"]), (&json!("held"), &json!(2)));
    assert_eq!(http(&simulator, "GET", "/ledger/bookings/b9", "").await.0, 404);
    assert_eq!(http(&simulator, "GET", "/ledger/overlaps", "").await, (200, json!([])));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(http(&simulator, "GET", path, "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn stock_of_an_item_is_added_and_removed_over_http() {
    let simulator = with_three_bookings().await;
    let (status, item) = http(&simulator, "POST", "/restock?item=A&quantity=3", "").await;
    assert_eq!((status, &item["stock"], &item["restocked"]), (200, &json!(1003), &json!(3)));
    let (_, item) = http(&simulator, "POST", "/withdraw?quantity=2000", "").await;
    assert_eq!(
        (&item["stock"], &item["withdrawn"], &item["held"]),
        (&json!(6), &json!(994), &json!(6))
    );
    let (_, items) = http(&simulator, "GET", "/ledger/items", "").await;
    assert_eq!((&items["A"]["available"], &items[""]["available"]), (&json!(1003), &json!(0)));
    assert_eq!(http(&simulator, "POST", "/restock?item=A", "").await.0, 400);
}

#[tokio::test]
async fn faults_are_changed_key_by_key_or_not_at_all() {
    let simulator = with_three_bookings().await;
    let body = r#"{"errors":"5%","latency":"20ms","rejects":0.5}"#;
    let (status, faults) = http(&simulator, "PUT", "/faults", body).await;
    assert_eq!(status, 200, "{faults}");
    let expected = json!({
        "latency": "20ms", "jitter": "0s", "errors": "5%", "lost_replies": "0%",
        "rejects": "50%", "confirm_rejects": "0%", "lies": "0%", "ticket_lies": "0%"
    });
    assert_eq!(faults, expected);

    let (status, error) =
        http(&simulator, "PUT", "/faults", r#"{"errors":"0%","latency":"soon"}"#).await;
    assert_eq!(status, 400);
    assert!(error["error"].as_str().unwrap().contains("latency is \"soon\""), "{error}");
    assert_eq!(http(&simulator, "GET", "/faults", "").await.1, expected, "nothing was changed");

    let (status, error) =
        http(&simulator, "PUT", "/faults?service=realtime", r#"{"rejects":"1%"}"#).await;
    assert_eq!(status, 400);
    assert!(
        error["error"].as_str().unwrap().contains("latency, jitter, errors, lost_replies"),
        "{error}"
    );
    assert_eq!(http(&simulator, "PUT", "/faults", "{").await.0, 400);
    assert_eq!(http(&simulator, "GET", "/faults?service=cinema", "").await.0, 400);
}

#[tokio::test]
async fn services_are_paused_and_resumed() {
    let simulator = with_three_bookings().await;
    let injector = simulator.booking.as_ref().unwrap().injector();
    assert_eq!(
        http(&simulator, "POST", "/pause?for=30s", "").await,
        (200, json!({ "paused": true }))
    );
    assert!(injector.is_paused());
    assert_eq!(http(&simulator, "POST", "/resume", "").await, (200, json!({ "paused": false })));
    assert!(!injector.is_paused());
    assert_eq!(http(&simulator, "POST", "/pause?for=never", "").await.0, 400);
    assert_eq!(http(&simulator, "POST", "/pause?service=realtime", "").await.0, 200);
    assert!(simulator.realtime.as_ref().unwrap().backend().injector().is_paused());
    assert!(!injector.is_paused());
}

#[tokio::test]
async fn the_updates_of_clients_are_readable_over_http() {
    use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
    let simulator = with_three_bookings().await;
    let address = simulator.realtime.as_ref().unwrap().address();
    let mut client = RealtimeServiceClient::connect(format!("http://{address}")).await.unwrap();
    let update = v1::BookingUpdate {
        sequence_ms: 1,
        client_id: "c1".into(),
        booking_id: "b1".into(),
        state: v1::BookingState::Queued.into(),
        ..Default::default()
    };
    let batch = v1::PublishRequest { updates: vec![update], ..Default::default() };
    client.publish(tokio_stream::iter(vec![batch])).await.unwrap();
    let (status, record) = http(&simulator, "GET", "/clients/c1", "").await;
    assert_eq!((status, &record["state"], &record["updates"]), (200, &json!("queued"), &json!(1)));
    assert_eq!(http(&simulator, "GET", "/clients/c2", "").await.0, 404);
    let totals = http(&simulator, "GET", "/stats", "").await.1;
    assert_eq!((&totals["deliveries"]["clients"], &totals["tick"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn the_ledger_is_read_from_elsewhere_page_by_page_and_of_one_queue() {
    let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
    let service = simulator.booking.as_ref().unwrap();
    let address = format!("http://{}", service.address());
    let mut client = BookingServiceClient::connect(address).await.unwrap();
    for (booking, queue) in [("b1", "concert"), ("b2", "concert"), ("b3", "other")] {
        let (booking_id, queue, client_id) =
            (booking.to_owned(), queue.to_owned(), "ann".to_owned());
        let request =
            v1::ReserveRequest { booking_id, queue, client_id, quantity: 1, ..Default::default() };
        client.reserve(request).await.unwrap();
    }
    let remote: RemoteLedger =
        format!("http://{}/ledger", simulator.admin_address().unwrap()).parse().unwrap();
    let copy = remote.copy(&QueueName::new("concert").unwrap()).await.unwrap();
    let whole = service.ledger().copy();
    assert_eq!((copy.totals, &copy.items), (whole.totals, &whole.items));
    assert_eq!(copy.entries, whole.entries[..2]);
    assert_eq!(copy.overlaps, whole.overlaps, "ann holds two of this queue");
    assert_eq!(copy.overlaps.len(), 1);
}

#[tokio::test]
async fn an_unreachable_ledger_is_an_error_with_its_address() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let remote: RemoteLedger = format!("http://{free}").parse().unwrap();
    let error = remote.copy(&QueueName::new("concert").unwrap()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("ledger at http://{free}/ledger cannot be read: ")), "{error}");
}
