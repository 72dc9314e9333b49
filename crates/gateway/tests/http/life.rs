//! A place from joining to its end.

use axum::http::Method;
use bookingq_core::QueueName;
use bookingq_gateway::config::QueueConfig;
use bookingq_gateway::origin::AllowedOrigins;
use bookingq_identity::{PassVerifier, ReturnOrigins, WebOrigin};
use serde_json::json;

use crate::client::{ask, get, post};
use crate::world::{ME, PLACES, World};

const PASS: &str = "/v1/queues/concert/places/me/pass";

fn pays_at(origin: &str) -> impl FnOnce(&mut bookingq_gateway::GatewayConfig) {
    let origin = WebOrigin::new(origin).unwrap();
    move |config| {
        config.queues[0].settings.return_origins = ReturnOrigins::new(vec![origin]);
        "tickets.example".clone_into(&mut config.queues[0].settings.audience);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_gets_a_pass_that_the_seller_can_verify() {
    let world = World::with("stock=5", pays_at("https://tickets.example")).await;
    let url = "https://tickets.example/pay?order=7";
    let joined =
        world.join(&json!({"item": "seat", "quantity": 2, "returnUrl": url}).to_string()).await;
    let cookie = joined.cookie();
    assert!(cookie.starts_with("bq-concert="), "{cookie}");
    let place = world.until(&cookie, "reserved").await;
    assert_eq!(place["item"]["name"], "seat");
    assert_eq!(place["quantity"], 2);
    assert!(place["deadline"].is_string() && place["position"].is_null(), "{place}");
    let answer = world.send(post(PASS, "").browser(&cookie, &world.host())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let pass = answer.json();
    assert_eq!(pass["continueUrl"], url);
    let jwks = world.send(get("/.well-known/jwks.json")).await;
    assert_eq!(jwks.header("content-type"), "application/jwk-set+json");
    let jwks = String::from_utf8(jwks.body.to_vec()).unwrap();
    let verifier = PassVerifier::new(&jwks, "bookingq", "tickets.example").unwrap();
    let now = bookingq_gateway::place_json::wall_clock();
    let claims = verifier.verify(pass["pass"].as_str().unwrap(), now).unwrap();
    assert_eq!(claims.booking.to_string(), place["bookingId"]);
    assert_eq!((claims.item.as_str(), claims.quantity.get()), ("seat", 2));
    assert_eq!(claims.queue, QueueName::new("concert").unwrap());
    let left = world.send(ask(Method::DELETE, ME).browser(&cookie, &world.host())).await;
    assert_eq!(left.status, 200, "{left:?}");
    world.until(&cookie, "cancelled").await;
    let refused = world.send(post(PASS, "").browser(&cookie, &world.host())).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["state"]), (409, &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_place_is_shown_by_cookie_and_by_token_and_has_no_pass() {
    let world = World::waiting().await;
    world.join("{}").await;
    world.join("{}").await;
    let joined = world.join("{}").await;
    let (cookie, token) = (joined.cookie(), joined.json()["token"].as_str().unwrap().to_owned());
    let by_cookie = world.send(get(ME).with("cookie", &format!("other=1; {cookie}"))).await;
    let bearer = format!("Bearer {token}");
    let by_token = world.send(get(ME).with("authorization", &bearer)).await;
    assert_eq!(by_cookie.json()["bookingId"], by_token.json()["bookingId"]);
    assert_eq!(by_cookie.json()["state"], "queued");
    assert_eq!(by_cookie.header("cache-control"), "no-store");
    assert!(!by_cookie.headers.contains_key("set-cookie"), "it is young");
    let refused = world.send(post(PASS, "").with("authorization", &bearer)).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["reason"]), (409, &json!("NOT_RESERVED")));
    assert_eq!(refused.json()["state"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_of_leaving_does_not_end_a_newer_booking() {
    let world = World::waiting().await;
    // The first booking is being reserved, and what is cancelled then ends later.
    world.join("{}").await;
    let host = world.host();
    let old = world.join("{}").await.cookie();
    let leave = |cookie: &str| ask(Method::DELETE, ME).browser(cookie, &host);
    assert_eq!(world.send(leave(&old)).await.json()["state"], "cancelled");
    let again = crate::world::join("{}", &uuid::Uuid::new_v4().to_string()).browser(&old, &host);
    let again = world.send(again).await;
    assert_eq!(again.status, 201, "{again:?}");
    let (new, booking) = (again.cookie(), again.json()["place"]["bookingId"].clone());
    let late = world.send(leave(&old)).await;
    assert!(late.status.is_client_error(), "{late:?}");
    let place = world.send(get(ME).with("cookie", &old)).await;
    assert_eq!((&place.json()["bookingId"], &place.json()["state"]), (&booking, &json!("queued")));
    assert!(place.cookie() != old, "the cookie names the new booking from now on");
    assert_eq!(world.send(leave(&new)).await.json()["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_moves_to_another_browser_by_its_token() {
    let world = World::waiting().await;
    let joined = world.join("{}").await;
    let token = json!({"token": joined.json()["token"]}).to_string();
    let moved =
        ask(Method::PUT, ME).json(&token).with("origin", &format!("http://{}", world.host()));
    let moved = world.send(moved).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let place = world.send(get(ME).with("cookie", &moved.cookie())).await.json();
    assert_eq!(place["bookingId"], joined.json()["place"]["bookingId"]);
    let forged = ask(Method::PUT, ME).json(r#"{"token": "a.b.c"}"#);
    assert_eq!(world.send(forged).await.json()["reason"], "PLACE_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_gateway_behind_tls_is_for_this_host_and_tls_only() {
    let world = World::with("stock=1", |config| config.insecure_cookies = false).await;
    let joined = world.join("{}").await;
    let cookie = joined.header("set-cookie");
    assert!(cookie.starts_with("__Host-bq-concert="), "{cookie}");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(joined.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(joined.header("location"), ME);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_own_and_listed_pages_may_act_for_a_client() {
    let listed = AllowedOrigins::new("origin", ["https://www.example.com"]).unwrap();
    let world = World::with("stock=9,latency=1h", |config| {
        config.queues[0].settings.origins = listed;
    });
    let world = world.await;
    let cookie = world.join("{}").await.cookie();
    let own = format!("http://{}", world.host());
    let table = [
        (Some(own.as_str()), 200),
        (Some("https://www.example.com"), 200),
        (Some("https://evil.test"), 403),
        (Some("null"), 403),
        (None, 403),
    ];
    let key = uuid::Uuid::new_v4().to_string();
    for (origin, expected) in table {
        let mut join = crate::world::join("{}", &key).with("cookie", &cookie);
        let mut events = get("/v1/queues/concert/socket").with("cookie", &cookie);
        if let Some(origin) = origin {
            (join, events) = (join.with("origin", origin), events.with("origin", origin));
        }
        let answer = world.send(join).await;
        assert_eq!(answer.status, expected, "{origin:?}: {answer:?}");
        let socket = world.send(events).await;
        assert_eq!(socket.status == 403, expected == 403, "{origin:?}: {socket:?}");
        if expected == 403 {
            assert_eq!(answer.json()["reason"], "ORIGIN_REFUSED");
        }
        let allows = answer.headers.get("access-control-allow-origin");
        let listed = origin == Some("https://www.example.com");
        assert_eq!(allows.is_some(), listed, "{origin:?}: {answer:?}");
    }
    let preflight = |origin: &str| {
        ask(Method::OPTIONS, ME)
            .with("origin", origin)
            .with("access-control-request-method", "DELETE")
    };
    let allowed = world.send(preflight("https://www.example.com")).await;
    assert_eq!(allowed.status, 204, "{allowed:?}");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert_eq!(world.send(preflight("https://evil.test")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_listed_for_one_queue_may_not_act_in_another_however_its_name_is_written() {
    let listed = AllowedOrigins::new("origin", ["https://www.example.com"]).unwrap();
    let world = World::with("stock=1,latency=1h", |config| {
        let workers = config.queues[0].workers.clone();
        let mut other = QueueConfig::new(QueueName::new("other").unwrap(), workers);
        other.settings.origins = listed;
        config.queues.push(other);
    });
    let world = world.await;
    let cookie = world.join("{}").await.cookie();
    for path in [PLACES, "/v1/queues/%63oncert/places", "/v1/queues/c%6Fncert/places"] {
        let key = uuid::Uuid::new_v4().to_string();
        let join = post(path, "{}").with("idempotency-key", &key).with("cookie", &cookie);
        let answer = world.send(join.with("origin", "https://www.example.com")).await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert_eq!(answer.json()["reason"], "ORIGIN_REFUSED", "{path}");
    }
}
