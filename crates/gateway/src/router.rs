//! The paths of the public port.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bookingq_api::args::AccessLog;

use crate::close::CloseReason;
use crate::problem::{Problem, Reason};
use crate::state::{GatewayState, QueuePath};
use crate::{access_log, events, guard, openapi, places, queue, socket};

/// The router of the public port.
pub fn public(state: Arc<GatewayState>, log: AccessLog) -> Router {
    let me = get(places::show).put(places::take_over).delete(places::leave);
    let places = Router::new()
        .route("/v1/queues/{queue}/places", post(places::join))
        .route("/v1/queues/{queue}/places/me", me)
        .route("/v1/queues/{queue}/places/me/pass", post(places::pass))
        .layer(map_response(async |answer: Response| places::private(answer)));
    Router::new()
        .route("/v1/queues/{queue}", get(queue::show))
        .route("/v1/queues/{queue}/tick", get(queue::tick))
        .route("/v1/queues/{queue}/socket", get(open_socket))
        .route("/v1/queues/{queue}/events", get(open_events))
        .route("/.well-known/jwks.json", get(queue::jwks))
        .route("/openapi.json", get(openapi::show))
        .merge(places)
        .fallback(missing)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(&state), guard::guard))
        .layer(from_fn_with_state(log, access_log::log))
        .with_state(state)
}

/// Nothing is at the path.
pub(crate) async fn missing(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(Reason::NotFound, format!("there is nothing at {}", shown(uri.path())))
}

/// The path exists, with other methods.
pub(crate) async fn not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let detail = format!("{} does not accept {}", shown(uri.path()), shown(method.as_str()));
    Problem::new(Reason::MethodNotAllowed, detail)
}

fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// Opens the WebSocket of a place, protocol `bq1`.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/socket", tag = "updates",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 101, description = "A WebSocket; without a valid place it closes with 4401"),
        (status = 403, description = "ORIGIN_REFUSED", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
        (status = 426, description = "UPGRADE_REQUIRED", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "TOO_MANY_CONNECTIONS", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
    )
)]
pub async fn open_socket(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        Problem::new(
            Reason::UpgradeRequired,
            format!("connect by WebSocket: {}", error.body_text()),
        )
    })?;
    room(&state)?;
    let place = state.place(&queue.name, &headers);
    let client = place.map(|place| place.claims.client).map_err(|_| CloseReason::Gone);
    Ok(socket::upgrade(Arc::clone(&queue.feed), upgrade, client))
}

/// Opens the event stream of a place: the frames of the WebSocket, for networks without WebSockets.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/events", tag = "updates",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream"),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID",
            body = crate::problem::ProblemJson, content_type = "application/problem+json"),
        (status = 403, description = "ORIGIN_REFUSED", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "TOO_MANY_CONNECTIONS", body = crate::problem::ProblemJson,
            content_type = "application/problem+json"),
    )
)]
pub async fn open_events(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if method != Method::GET {
        return Ok(not_allowed(method, OriginalUri("/events".parse().unwrap_or_default()))
            .await
            .into_response());
    }
    let place = state.place(&queue.name, &headers)?;
    room(&state)?;
    Ok(events::stream(Arc::clone(&queue.feed), place.claims.client))
}

/// Refuses a long-lived connection when there are too many, or when this gateway shuts down.
fn room(state: &GatewayState) -> Result<(), Problem> {
    if state.fanout.is_draining() {
        return Err(Problem::new(Reason::TooManyConnections, "this gateway shuts down"));
    }
    if state.fanout.open() >= state.max_streams {
        let problem = "this gateway has as many WebSockets and event streams as it may have";
        return Err(Problem::new(Reason::TooManyConnections, problem)
            .retry_after(std::time::Duration::from_secs(5)));
    }
    Ok(())
}
