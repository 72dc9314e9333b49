//! Places: a client joins, looks, leaves, and takes its place along.
//!
//! A place is made by POST only: no request that a browser sends on its own, and no number of GETs,
//! makes a booking.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bookingq_core::ClientId;
use bookingq_identity::PlaceClaims;
use bookingq_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{RequestPlace, TokenSource};
use crate::body::JsonBody;
use crate::cookie;
use crate::idempotency::idempotency_key;
use crate::join_request::{JoinJson, JoinRequest, place_token};
use crate::place_json::PlaceJson;
use crate::problem::{Problem, ProblemReason};
use crate::state::{GatewayState, Peer, QueueGateway, QueuePath, now};
use crate::trace_header;

/// A place with its token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Joined)]
pub struct JoinedJson {
    /// The place.
    pub place: PlaceJson,
    /// Its token, for apps: `Authorization: Bearer`. Browsers have it as a cookie.
    pub token: String,
}

/// A place token from elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlaceToken)]
pub struct PlaceTokenJson {
    /// The token.
    pub token: String,
}

/// Joins the line. Repeats with the same Idempotency-Key return the same place.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/places", operation_id = "join", tag = "place",
    params(
        ("queue" = String, Path, description = "Name of the queue"),
        ("Idempotency-Key" = String, Header, description =
            "A random UUID. Repeats with the same one are one join. With an enqueueToken: any text \
             of 1 to 128 bytes"),
    ),
    request_body = JoinJson,
    responses(
        (status = 201, description = "The client joined", body = JoinedJson),
        (status = 200, description = "The client had this place already", body = JoinedJson),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND"),
        (status = 409, description = "QUEUE_CLOSED"),
        (status = 413, description = "CONTENT_TOO_LARGE"),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE"),
        (status = 422, description = "INVALID_ARGUMENT"),
        (status = 429, description = "CHALLENGE_REQUIRED or TOO_MANY_REQUESTS"),
        (status = 503, description = "OVERLOADED, STORE_UNAVAILABLE or UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn join(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    JsonBody(body): JsonBody<JoinJson>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let address = state.limits.address(peer.ip(), &headers);
    // A token that is no longer valid is no reason to refuse a client that joins.
    let place = state.place(&queue.name, &headers).ok().map(|place| place.claims);
    let request = JoinRequest::new(&state, &queue, key, place.as_ref(), address, &body)?;
    let joined = request.send(&state, &queue, trace_header::of(&headers)).await?;
    let status = if joined.existing { StatusCode::OK } else { StatusCode::CREATED };
    let cookie = cookie::set(&state, &queue.name, &joined.token);
    let location = format!("/v1/queues/{}/places/me", queue.name);
    let place = queue.show(&joined.booking);
    let body = Json(JoinedJson { place, token: joined.token });
    Ok((status, [(header::SET_COOKIE, cookie)], [(header::LOCATION, location)], body)
        .into_response())
}

/// The newest booking of a client, read from the store.
///
/// # Errors
/// [`ProblemReason::BookingNotFound`], or when no worker answers or the queue hibernates.
pub async fn newest(queue: &QueueGateway, client: ClientId) -> Result<v1::Booking, Problem> {
    queue.awake()?;
    let snapshot = queue.feed.snapshots.get(client).await;
    let snapshot = snapshot.map_err(|error| Problem::from(&*error))?;
    let missing = || {
        let problem = "the client has no booking in this queue, or its retention has ended";
        Problem::new(ProblemReason::BookingNotFound, problem)
    };
    snapshot.booking.map(|booking| *booking).ok_or_else(missing)
}

/// Shows the client's place.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/places/me", operation_id = "getPlace", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The place", body = PlaceJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn show(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    let booking = newest(&queue, place.claims.client.clone()).await?;
    let answer = Json(queue.show(&booking)).into_response();
    Ok(renew(&state, &queue, place, &booking, answer))
}

/// Renews the cookie of a client that is seen, when half of its time is over or it names another
/// booking.
pub fn renew(
    state: &GatewayState,
    queue: &QueueGateway,
    place: RequestPlace,
    booking: &v1::Booking,
    mut answer: Response,
) -> Response {
    let RequestPlace { claims: old, source } = place;
    let is_young = old.expires_at > now() + state.place_lifetime / 2;
    let is_same = old.booking.to_string() == booking.booking_id;
    if source != TokenSource::Cookie || is_young && is_same {
        return answer;
    }
    if let Ok(token) = place_token(state, queue, old.client, booking, old.return_url) {
        let cookie = cookie::set(state, &queue.name, &token);
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// Takes a place over: from a link that the client kept, or from another device.
#[utoipa::path(
    put, path = "/v1/queues/{queue}/places/me", operation_id = "takeOver", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    request_body = PlaceTokenJson,
    responses(
        (status = 200, description = "The place; its cookie is set", body = PlaceJson),
        (status = 401, description = "PLACE_INVALID"),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND"),
        (status = 413, description = "CONTENT_TOO_LARGE"),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE"),
        (status = 422, description = "INVALID_ARGUMENT"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn take_over(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    JsonBody(PlaceTokenJson { token }): JsonBody<PlaceTokenJson>,
) -> Result<Response, Problem> {
    let old = PlaceClaims::verify(&token, &state.keys.ring(), &queue.name, now())
        .map_err(|error| Problem::new(ProblemReason::PlaceInvalid, error.to_string()))?;
    let booking = newest(&queue, old.client.clone()).await?;
    let token = place_token(&state, &queue, old.client, &booking, old.return_url)?;
    let cookie = cookie::set(&state, &queue.name, &token);
    Ok(([(header::SET_COOKIE, cookie)], Json(queue.show(&booking))).into_response())
}

/// Leaves the line, or gives the reservation back.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/places/me", operation_id = "leave", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The place after it", body = PlaceJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID"),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND"),
        (status = 409, description = "ALREADY_FINAL"),
        (status = 503, description = "OVERLOADED, STORE_UNAVAILABLE or UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn leave(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    let trace = trace_header::of(&headers);
    let booking = cancel(&queue, &place.claims, trace).await?;
    Ok(Json(queue.show(&booking)).into_response())
}

/// Cancels the booking of a place. A newer booking of the client stays: a late repeat does not end
/// it.
///
/// # Errors
/// The worker's refusal.
pub async fn cancel(
    queue: &QueueGateway,
    place: &PlaceClaims,
    trace: Option<String>,
) -> Result<v1::Booking, Problem> {
    queue.awake()?;
    let call = v1::CancelRequest {
        queue: queue.name.to_string(),
        client_id: place.client.to_string(),
        booking_id: place.booking.to_string(),
    };
    let answer = queue.workers.client().with_trace(trace).call(call).await?;
    answer.booking.ok_or_else(Problem::unreadable)
}
