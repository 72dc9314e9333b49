//! The backend port: the seller's backend confirms payments. Browsers never reach it.
//!
//! A caller is known by its certificate (mTLS), which the handshake checks, or by a token that it
//! signs with a key of purpose `backend`.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequest as _, Request, State};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use bookingq_core::{BookingId, ClientId, Invalid, PaymentId};
use bookingq_identity::{BackendClaims, PassClaims};
use bookingq_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access_log::{self, RequestLog};
use crate::body::JsonBody;
use crate::place_json::PlaceJson;
use crate::problem::{Problem, ProblemReason};
use crate::state::{GatewayState, QueueGateway, QueuePath, now};
use crate::{auth, fallback, trace_header};

/// A payment. It names the booking by its ids, or by the pass of the client.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Payment)]
pub struct PaymentJson {
    /// ID of the payment, 1 to 128 bytes. Repeats with the same one are safe.
    pub payment_id: String,
    /// The pass that the client brought; instead of the two ids.
    pub pass: Option<String>,
    /// ID of the client.
    pub client_id: Option<String>,
    /// ID of the booking that was paid.
    pub booking_id: Option<String>,
    /// If the time to pay is over, try once more to get what was booked.
    #[serde(default)]
    pub reacquire: bool,
}

/// The booking after a payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Paid)]
pub struct PaidJson {
    /// The booking.
    pub place: PlaceJson,
    /// ID of the client.
    pub client_id: String,
    /// ID of the reservation at the Booking Service.
    pub reservation_id: String,
    /// ID of the booking whose time was over, if this one was made for it.
    pub reacquired_for: Option<String>,
}

/// How callers of the backend port are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendAuth {
    /// By the certificate that the handshake has checked.
    Certificate,
    /// By a token.
    Token,
}

#[derive(Clone)]
struct BackendState {
    gateway: Arc<GatewayState>,
    auth: BackendAuth,
}

impl FromRef<BackendState> for Arc<GatewayState> {
    fn from_ref(state: &BackendState) -> Self {
        Arc::clone(&state.gateway)
    }
}

/// The router of the backend port.
pub fn router(gateway: Arc<GatewayState>, auth: BackendAuth, log: RequestLog) -> Router {
    Router::new()
        .route("/v1/queues/{queue}/payments", post(pay_checked))
        .fallback(fallback::missing)
        .method_not_allowed_fallback(fallback::not_allowed)
        .layer(from_fn_with_state(log, access_log::log))
        .with_state(BackendState { gateway, auth })
}

async fn pay_checked(
    State(state): State<BackendState>,
    queue: QueuePath,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    if state.auth == BackendAuth::Token {
        check_token(&state.gateway, &queue.0, &headers)?;
    }
    // Read only now: an unknown caller sends no body.
    let body = JsonBody::from_request(request, &state).await?;
    pay(State(state.gateway), queue, headers, body).await
}

fn check_token(
    state: &GatewayState,
    queue: &QueueGateway,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let token = auth::bearer(headers).ok_or_else(|| {
        let problem = "send Authorization: Bearer with a token of a key of purpose `backend`";
        Problem::new(ProblemReason::BackendUnauthorized, problem)
    })?;
    BackendClaims::verify(token, &state.keys.ring(), &queue.name, &state.issuer, now())
        .map_err(|error| Problem::new(ProblemReason::BackendUnauthorized, error.to_string()))?;
    Ok(())
}

/// Confirms a payment: the reservation becomes the client's.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/payments", operation_id = "confirmPayment", tag = "backend",
    description = "On the backend port only. It succeeds before the deadline, by the queue's \
                   clock. A repeat with the same paymentId succeeds at any time.",
    params(("queue" = String, Path, description = "Name of the queue")),
    request_body = PaymentJson,
    security(("backend" = [])),
    responses(
        (status = 200, description = "The booking: confirmed, confirming, or, if the Booking \
            Service has refused it, releasing or failed; if it was reacquired also reserving, or \
            sold_out: return the payment", body = PaidJson),
        (status = 401, description = "BACKEND_UNAUTHORIZED"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND"),
        (status = 409, description = "NOT_RESERVED or ALREADY_FINAL: return the payment"),
        (status = 410, description = "HOLD_EXPIRED: return the payment, or repeat with reacquire"),
        (status = 413, description = "CONTENT_TOO_LARGE"),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE"),
        (status = 422, description = "INVALID_ARGUMENT"),
        (status = 503, description = "OVERLOADED, STORE_UNAVAILABLE or UPSTREAM_UNAVAILABLE: \
            repeat it unchanged"),
    )
)]
pub async fn pay(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
    JsonBody(payment): JsonBody<PaymentJson>,
) -> Result<Response, Problem> {
    let (client, booking) = booking_of(&state, &queue, &payment)?;
    let call = v1::ConfirmPaymentRequest {
        queue: queue.name.to_string(),
        client_id: client.to_string(),
        booking_id: booking.to_string(),
        payment_id: PaymentId::new(&payment.payment_id)?.to_string(),
        reacquire: payment.reacquire,
    };
    queue.awake()?;
    let mut worker = queue.workers.client().with_trace(trace_header::of(&headers));
    let v1::ConfirmPaymentResponse { booking, reacquired_for } = worker.call(call).await?;
    let booking = booking.ok_or_else(Problem::unreadable)?;
    let paid = PaidJson {
        place: queue.show(&booking),
        client_id: booking.client_id,
        reservation_id: booking.reservation_id,
        reacquired_for: (!reacquired_for.is_empty()).then_some(reacquired_for),
    };
    Ok(Json(paid).into_response())
}

fn booking_of(
    state: &GatewayState,
    queue: &QueueGateway,
    payment: &PaymentJson,
) -> Result<(ClientId, BookingId), Problem> {
    match (&payment.pass, &payment.client_id, &payment.booking_id) {
        (Some(pass), None, None) => {
            let refused = |error: &dyn std::error::Error| {
                Problem::invalid_field("pass".to_owned(), "refused".to_owned(), error.to_string())
            };
            let (keys, audience) = (state.keys.ring(), &queue.settings.audience);
            let claims = PassClaims::verify(pass, &keys, &state.issuer, audience, now())
                .map_err(|error| refused(&error))?;
            if claims.queue != queue.name {
                let error = "a pass of this queue".to_owned();
                return Err(Problem::invalid_field("pass".to_owned(), "refused".to_owned(), error));
            }
            Ok((claims.client, claims.booking))
        }
        (None, Some(client), Some(booking)) => {
            Ok((ClientId::new(client)?, BookingId::new(booking)?))
        }
        _ => {
            let allowed = "either pass, or clientId and bookingId";
            Err(Invalid::new("pass", "", allowed).into())
        }
    }
}
