//! Every wrong request is answered by a problem document that says what is allowed.

use axum::http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::client::{Ask, ask, get, post};
use crate::world::{ME, PLACES, World, join};

fn key() -> String {
    Uuid::new_v4().to_string()
}

fn requests() -> Vec<(Ask, u16, &'static str, Option<&'static str>)> {
    let large = format!("{{\"item\": \"{}\"}}", "x".repeat(9000));
    let text = ask(Method::POST, PLACES).with("content-type", "text/plain");
    let form = ask(Method::POST, PLACES).with("content-type", "application/x-www-form-urlencoded");
    vec![
        (get("/nothing"), 404, "NOT_FOUND", None),
        (get("/v1/queues/other"), 404, "QUEUE_NOT_FOUND", None),
        (get("/v1/queues/Not%20A%20Queue"), 422, "INVALID_ARGUMENT", Some("queue")),
        (get("/v1/queues/%ff"), 404, "QUEUE_NOT_FOUND", None),
        (get(PLACES), 405, "METHOD_NOT_ALLOWED", None),
        (ask(Method::PATCH, ME), 405, "METHOD_NOT_ALLOWED", None),
        (get(ME), 401, "PLACE_REQUIRED", None),
        (get(ME).with("authorization", "Basic YTpi"), 401, "PLACE_INVALID", None),
        (get(ME).with("authorization", "Bearer a.b.c"), 401, "PLACE_INVALID", None),
        (get(ME).with("cookie", "bq-concert=rubbish"), 401, "PLACE_INVALID", None),
        (post(PLACES, "{}"), 422, "INVALID_ARGUMENT", Some("Idempotency-Key")),
        (join("{}", "not-a-uuid"), 422, "INVALID_ARGUMENT", Some("Idempotency-Key")),
        (join("", &key()), 422, "INVALID_ARGUMENT", Some("body")),
        (join("[]", &key()), 422, "INVALID_ARGUMENT", Some("body")),
        (join("{\"quantity\": 0}", &key()), 422, "INVALID_ARGUMENT", Some("quantity")),
        (join("{\"quantity\": 101}", &key()), 422, "INVALID_ARGUMENT", Some("quantity")),
        (join("{\"quantity\": \"2\"}", &key()), 422, "INVALID_ARGUMENT", Some("quantity")),
        (join("{\"item\": \"a\\nb\"}", &key()), 422, "INVALID_ARGUMENT", Some("item")),
        (join("{\"itm\": \"a\"}", &key()), 422, "INVALID_ARGUMENT", Some("itm")),
        (
            join("{\"returnUrl\": \"//evil.test\"}", &key()),
            422,
            "INVALID_ARGUMENT",
            Some("returnUrl"),
        ),
        (
            join("{\"enqueueToken\": \"a.b.c\"}", &key()),
            422,
            "INVALID_ARGUMENT",
            Some("enqueueToken"),
        ),
        (join(&large, &key()), 413, "CONTENT_TOO_LARGE", None),
        (text.with("idempotency-key", &key()), 415, "UNSUPPORTED_MEDIA_TYPE", None),
        (form.with("idempotency-key", &key()), 415, "UNSUPPORTED_MEDIA_TYPE", None),
        (get("/v1/queues/concert/socket"), 426, "UPGRADE_REQUIRED", None),
        (get("/v1/queues/concert/events"), 401, "PLACE_REQUIRED", None),
        // Payments are not on the public port.
        (post("/v1/queues/concert/payments", "{}"), 404, "NOT_FOUND", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_a_problem_with_its_reason_and_field() {
    let world = World::waiting().await;
    for (ask, status, reason, field) in requests() {
        let answer = world.send(ask).await;
        let problem = answer.json();
        assert_eq!(problem["reason"], reason, "{problem}");
        assert_eq!(answer.status, status, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem.get("field").and_then(|field| field.as_str()), field, "{problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let kind = problem["type"].as_str().unwrap();
        assert!(kind.starts_with("https://bookingqueue.dev/problems/"), "{kind}");
        if field.is_some() {
            assert!(problem["value"].is_string() && problem["allowed"].is_string(), "{problem}");
        }
    }
    assert_eq!(world.bookings().await, 0, "none of them is a join");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_its_methods_and_its_request() {
    let world = World::waiting().await;
    let answer = world.send(get(PLACES).with("x-request-id", "my-id_7")).await;
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(answer.header("x-request-id"), "my-id_7");
    let answer = world.send(get(PLACES).with("x-request-id", "no id")).await;
    assert!(Uuid::try_parse(answer.header("x-request-id")).is_ok(), "{answer:?}");
    let head = world.send(ask(Method::HEAD, "/openapi.json")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_a_join_asks_for_a_repeat() {
    let World { gateway, worker, .. } = World::with("stock=1", |config| {
        config.workers.timeout = std::time::Duration::from_millis(200);
    })
    .await;
    worker.kill();
    let answer = crate::client::send(gateway.public_addr(), join("{}", &key())).await;
    let problem = answer.json();
    assert_eq!((answer.status.as_u16(), &problem["reason"]), (503, &json!("UPSTREAM_UNAVAILABLE")));
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    assert_eq!(problem["retryAfter"], seconds);
}
