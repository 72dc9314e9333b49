//! Opens the long-lived connections of places: WebSockets and event streams.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use crate::close::CloseReason;
use crate::metrics::{self, Transport};
use crate::problem::{Problem, ProblemReason};
use crate::state::{GatewayState, Peer, QueuePath};
use crate::{challenges, events, socket};

/// When a client may ask again for a connection, if there are too many.
const FULL: Duration = Duration::from_secs(5);

/// Opens the WebSocket of a place, protocol `bq1`.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/socket", operation_id = "openSocket", tag = "updates",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 101, description = "A WebSocket; without a valid place it closes with 4401"),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND"),
        (status = 426, description = "UPGRADE_REQUIRED"),
        (status = 429, description = "TOO_MANY_REQUESTS, only without a valid place"),
        (status = 503, description = "TOO_MANY_CONNECTIONS"),
    )
)]
pub async fn open_socket(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        Problem::new(
            ProblemReason::UpgradeRequired,
            format!("connect by WebSocket: {}", error.body_text()),
        )
    })?;
    room(&state, Transport::Socket)?;
    let place = state.place(&queue.name, &headers);
    if place.is_err() {
        let address = state.limits.address(peer.ip(), &headers);
        challenges::admit_stream(&state, address)
            .inspect_err(|_| refused(&state, Transport::Socket, CloseReason::Limit.as_str()))?;
    }
    let client = place.map_err(|_| CloseReason::Gone).and_then(|place| {
        let asleep = |_| CloseReason::Unavailable;
        queue.awake().map(|()| place.claims.client).map_err(asleep)
    });
    Ok(socket::upgrade(Arc::clone(&queue.feed), upgrade, client))
}

/// Opens the event stream of a place: the frames of the WebSocket, for networks without WebSockets.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/events", operation_id = "openEvents", tag = "updates",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream"),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID"),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND"),
        (status = 503, description = "TOO_MANY_CONNECTIONS, or UPSTREAM_UNAVAILABLE while the \
            queue hibernates"),
    )
)]
pub async fn open_events(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if method != Method::GET {
        return Err(Problem::new(
            ProblemReason::MethodNotAllowed,
            "an event stream is read by GET",
        ));
    }
    let place = state
        .place(&queue.name, &headers)
        .inspect_err(|_| refused(&state, Transport::Events, CloseReason::Gone.as_str()))?;
    room(&state, Transport::Events)?;
    queue
        .awake()
        .inspect_err(|_| refused(&state, Transport::Events, CloseReason::Unavailable.as_str()))?;
    Ok(events::stream(Arc::clone(&queue.feed), place.claims.client))
}

/// Refuses a long-lived connection when there are too many, or when this gateway shuts down.
fn room(state: &GatewayState, transport: Transport) -> Result<(), Problem> {
    if state.fanout.is_draining() {
        refused(state, transport, CloseReason::Drain.as_str());
        return Err(Problem::new(ProblemReason::TooManyConnections, "this gateway shuts down"));
    }
    if state.fanout.open() >= state.max_streams {
        refused(state, transport, metrics::FULL);
        let problem = "this gateway has as many WebSockets and event streams as it may have";
        return Err(Problem::new(ProblemReason::TooManyConnections, problem).retry_after(FULL));
    }
    Ok(())
}

fn refused(state: &GatewayState, transport: Transport, outcome: &str) {
    state.fanout.metrics.handshake(transport, outcome);
}
