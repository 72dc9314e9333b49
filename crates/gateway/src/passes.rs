//! Passes: a client with a reservation carries one to the seller, to pay.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use bookingq_core::{BookingId, BookingState, Details, ReservationId};
use bookingq_identity::{PassGrant, PlaceClaims, ReturnUrl, SignError};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::join_request::unsigned;
use crate::place_json::rfc3339;
use crate::places::newest;
use crate::problem::{Problem, ProblemReason};
use crate::state::{GatewayState, QueueGateway, QueuePath, now};

/// A pass for the payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pass)]
pub struct PassJson {
    /// A signed token (JWT, EdDSA) that names the reservation. Send it in a body, not in a URL.
    pub pass: String,
    /// When it ends.
    pub expires_at: String,
    /// Where to send it: what the client named when it joined, or else the queue's own setting.
    pub continue_url: Option<String>,
}

/// Makes a pass: it shows the seller that the client has this reservation.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/places/me/pass", operation_id = "makePass", tag = "pass",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The pass", body = PassJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID"),
        (status = 403, description = "ORIGIN_REFUSED"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND"),
        (status = 409, description = "NOT_RESERVED or ALREADY_FINAL"),
        (status = 410, description = "HOLD_EXPIRED"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE"),
    )
)]
pub async fn make(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    pass_for(&state, &queue, &place.claims).await.map(|pass| Json(pass).into_response())
}

/// The pass of a client that has a reservation.
///
/// # Errors
/// [`ProblemReason::NotReserved`], [`ProblemReason::AlreadyFinal`] or
/// [`ProblemReason::HoldExpired`].
pub async fn pass_for(
    state: &GatewayState,
    queue: &QueueGateway,
    place: &PlaceClaims,
) -> Result<PassJson, Problem> {
    let booking = newest(queue, place.client.clone()).await?;
    check_reserved(&booking)?;
    let reservation = ReservationId::new(&booking.reservation_id);
    let deadline = booking.deadline.as_ref().map(from_timestamp).ok_or_else(Problem::unreadable)?;
    let details = Details::new(&booking.item, booking.quantity, &[]);
    let grant = PassGrant {
        issuer: &state.issuer,
        audience: &queue.settings.audience,
        client: &place.client,
        queue: &queue.name,
        booking: BookingId::new(&booking.booking_id).map_err(|_| Problem::unreadable())?,
        reservation: &reservation.map_err(|_| Problem::unreadable())?,
        item: &booking.item,
        quantity: details.map_err(|_| Problem::unreadable())?.quantity,
        deadline,
    };
    let (pass, expires_at) = match grant.sign(&state.keys.ring(), now()) {
        Ok(signed) => signed,
        Err(SignError::DeadlinePassed) => return Err(expired()),
        Err(error) => return Err(unsigned(&error)),
    };
    // The list may have changed since the client joined.
    let allowed = |url: &&ReturnUrl| queue.settings.return_origins.allows(url);
    let own = place.return_url.as_ref().filter(allowed);
    let continue_url = own.or(queue.settings.return_url.as_ref());
    Ok(PassJson {
        pass,
        expires_at: rfc3339(expires_at),
        continue_url: continue_url.map(|url| url.as_str().to_owned()),
    })
}

fn check_reserved(booking: &v1::Booking) -> Result<(), Problem> {
    let state = booking.state().to_core().ok_or_else(Problem::unreadable)?;
    let refused =
        |reason, what: &'static str| Err(Problem::new(reason, what).with_state(state.as_str()));
    match state {
        BookingState::Reserved => Ok(()),
        BookingState::Queued | BookingState::Reserving => {
            refused(ProblemReason::NotReserved, "nothing is reserved for this place yet")
        }
        BookingState::Expired => Err(expired()),
        BookingState::Releasing if booking.outcome() == v1::BookingState::Expired => Err(expired()),
        _ => refused(ProblemReason::AlreadyFinal, "this place is decided and needs no pass"),
    }
}

fn expired() -> Problem {
    Problem::new(
        ProblemReason::HoldExpired,
        "the time to pay is over: the reservation was given back",
    )
}
