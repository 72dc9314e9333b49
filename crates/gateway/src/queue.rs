//! What all clients of a queue see alike: the queue, its line, and the public keys.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::problem::{Problem, ProblemReason};
use crate::queue_reader::QueueJson;
use crate::state::{GatewayState, QueuePath};
use crate::view::TickJson;

/// What browsers and proxies may keep.
const SHARED: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// Shows a queue.
#[utoipa::path(
    get, path = "/v1/queues/{queue}", operation_id = "getQueue", tag = "queue",
    params(("queue" = String, Path, description = "Name of the queue")),
    responses(
        (status = 200, description = "The queue, at most two seconds old", body = QueueJson),
        (status = 404, description = "QUEUE_NOT_FOUND"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn show(QueuePath(queue): QueuePath) -> Result<Response, Problem> {
    let json = queue.reader.json(&queue.feed.view.current()).await?;
    Ok(shared_json(json))
}

/// Shows the line as a whole, from which each client computes its position: for clients without a
/// WebSocket, and for proxies that keep it for all of them.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/tick", operation_id = "getTick", tag = "queue",
    params(("queue" = String, Path, description = "Name of the queue")),
    responses(
        (status = 200, description = "The newest tick", body = TickJson),
        (status = 404, description = "QUEUE_NOT_FOUND"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE: no worker is followed yet"),
    )
)]
pub async fn tick(QueuePath(queue): QueuePath) -> Result<Response, Problem> {
    let missing = || Problem::new(ProblemReason::UpstreamUnavailable, "no worker is followed yet");
    Ok(shared_json(queue.feed.view.tick_json().ok_or_else(missing)?))
}

fn shared_json(json: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, SHARED),
    ];
    (headers, json).into_response()
}

/// The public keys of passes.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "getKeys", tag = "pass",
    responses((status = 200, description = "A JSON Web Key Set (RFC 7517) of Ed25519 keys"))
)]
pub async fn jwks(State(state): State<Arc<GatewayState>>) -> Response {
    let age = bookingq_identity::JWKS_MAX_AGE.as_secs();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={age}")),
    ];
    (headers, state.keys.ring().jwks()).into_response()
}
