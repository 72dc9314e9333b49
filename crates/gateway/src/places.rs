//! Places: a client joins, looks, leaves, takes its place along, and gets a pass for its payment.
//!
//! A place is made by POST only: no request that a browser sends on its own, and no number of GETs,
//! makes a booking.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bookingq_core::{
    BookingId, BookingState, ClientId, Details, Invalid, QueueNumber, RequestId, ReservationId,
    Timestamp,
};
use bookingq_identity::{EnqueueClaims, KeyRing, PassGrant, PlaceClaims, ReturnUrl, SignError};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::{RequestPlace, TokenSource};
use crate::body::JsonBody;
use crate::cookie;
use crate::place_json::{PlaceJson, rfc3339};
use crate::problem::{Problem, ProblemJson, Reason};
use crate::state::{GatewayState, QueueGateway, QueuePath, now};
use crate::trace_header;

/// The header whose repeats are one join.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const UUID_RULE: &str = "a random UUID: who knows it has the place";

/// What a client books.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Join)]
pub struct JoinJson {
    /// What to book, as the seller names it: at most 128 bytes. Defaults to nothing in particular.
    pub item: Option<String>,
    /// Number of items, 1 to 100. Defaults to 1.
    pub quantity: Option<i32>,
    /// Where the client pays when it is its turn: a URL of one of the queue's return origins.
    pub return_url: Option<String>,
    /// A token of the seller that names the account, so that it has one place on all its devices.
    pub enqueue_token: Option<String>,
    /// The solution of a challenge.
    pub challenge: Option<SolutionJson>,
}

/// The solution of a challenge.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Solution)]
pub struct SolutionJson {
    /// The seed of the challenge.
    pub seed: String,
    /// The number that solves it.
    pub nonce: String,
}

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

/// A join that is ready to be sent.
pub struct JoinRequest {
    client: ClientId,
    request: RequestId,
    details: Details,
    return_url: Option<ReturnUrl>,
}

/// A client with a booking.
pub struct JoinedClient {
    /// Its booking.
    pub booking: v1::Booking,
    /// Whether it had one before.
    pub existing: bool,
    /// The token of the place, and the cookie that contains it.
    pub token: String,
}

impl JoinRequest {
    /// Validates a join. A client with a place stays the same client. `key` is its Idempotency-Key.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn new(
        state: &GatewayState,
        queue: &QueueGateway,
        key: &str,
        place: Option<&PlaceClaims>,
        body: &JoinJson,
    ) -> Result<Self, Problem> {
        let details =
            Details::new(body.item.as_deref().unwrap_or_default(), quantity(body.quantity)?, &[])?;
        let return_url = body.return_url.as_deref();
        let return_url = return_url.map(|url| queue.settings.return_origins.parse(url));
        let request = RequestId::new(key)?;
        let (keys, moment) = (state.keys.ring(), now());
        let client = match (&body.enqueue_token, place) {
            (Some(token), _) => account(token, &keys, state, queue, moment)?,
            (None, Some(place)) => place.client.clone(),
            (None, None) => anonymous(key, &keys, queue, moment)?,
        };
        Ok(Self { client, request, details, return_url: return_url.transpose()? })
    }

    /// Joins the line.
    ///
    /// # Errors
    /// The worker's refusal.
    pub async fn send(
        self,
        state: &GatewayState,
        queue: &QueueGateway,
        trace: Option<String>,
    ) -> Result<JoinedClient, Problem> {
        let request = v1::EnqueueRequest {
            queue: queue.name.to_string(),
            client_id: self.client.to_string(),
            request_id: self.request.to_string(),
            item: self.details.item.to_string(),
            quantity: i32::try_from(self.details.quantity.get()).unwrap_or(1),
            ..Default::default()
        };
        let v1::EnqueueResponse { booking, existing } = queue.joins.join(request, trace).await?;
        let booking = booking.ok_or_else(unreadable)?;
        let token = claims(state, queue, self.client, &booking, self.return_url)?;
        let token = token.sign(&state.keys.ring(), now()).map_err(unsigned)?;
        Ok(JoinedClient { booking, existing, token })
    }
}

fn quantity(quantity: Option<i32>) -> Result<i32, Problem> {
    match quantity {
        // 0 means "not set" to a worker, and would silently become 1.
        Some(0) => Err(Problem::invalid("quantity", "0", "1 to 100")),
        Some(quantity) => Ok(quantity),
        None => Ok(1),
    }
}

fn account(
    token: &str,
    keys: &KeyRing,
    state: &GatewayState,
    queue: &QueueGateway,
    now: Timestamp,
) -> Result<ClientId, Problem> {
    let claims = EnqueueClaims::verify(token, keys, &queue.name, &state.issuer, now);
    let invalid = |error: bookingq_identity::TokenError| {
        // The token itself is a secret: not shown.
        Problem::invalid_field("enqueueToken".to_owned(), "refused".to_owned(), error.to_string())
    };
    Ok(claims.map_err(invalid)?.client)
}

fn anonymous(
    key: &str,
    keys: &KeyRing,
    queue: &QueueGateway,
    now: Timestamp,
) -> Result<ClientId, Problem> {
    let uuid =
        Uuid::try_parse(key).map_err(|_| Problem::invalid("Idempotency-Key", key, UUID_RULE))?;
    keys.anonymous_client(&queue.name, uuid, now).map_err(unsigned)
}

/// The claims of a token for this booking.
fn claims(
    state: &GatewayState,
    queue: &QueueGateway,
    client: ClientId,
    booking: &v1::Booking,
    return_url: Option<ReturnUrl>,
) -> Result<PlaceClaims, Problem> {
    Ok(PlaceClaims {
        queue: queue.name.clone(),
        client,
        booking: BookingId::new(&booking.booking_id).map_err(|_| unreadable())?,
        number: QueueNumber::new(booking.queue_number),
        epoch: queue.feed.view.current().epoch.to_string(),
        return_url,
        expires_at: now() + state.place_lifetime,
    })
}

fn unreadable() -> Problem {
    Problem::new(Reason::UpstreamUnavailable, "a worker's answer cannot be read")
}

fn unsigned(error: SignError) -> Problem {
    tracing::error!(%error, "cannot sign a token");
    Problem::new(Reason::Internal, "this gateway cannot sign tokens; see its log")
}

/// The value of Idempotency-Key.
///
/// # Errors
/// If it is missing or no text.
pub fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(IDEMPOTENCY_KEY).ok_or_else(|| {
        Problem::invalid_field(
            "Idempotency-Key".to_owned(),
            "missing".to_owned(),
            format!("a header with {UUID_RULE}; repeat a request with the same one"),
        )
    })?;
    let text = value.to_str().ok().map(str::trim);
    text.ok_or_else(|| Problem::invalid("Idempotency-Key", "not ASCII", UUID_RULE))
}

/// Joins the line. Repeats with the same Idempotency-Key return the same place.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/places", tag = "place",
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
        (status = 403, description = "ORIGIN_REFUSED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 409, description = "QUEUE_CLOSED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 413, description = "CONTENT_TOO_LARGE", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 422, description = "INVALID_ARGUMENT", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 429, description = "CHALLENGE_REQUIRED or TOO_MANY_REQUESTS", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "OVERLOADED, STORE_UNAVAILABLE or UPSTREAM_UNAVAILABLE",
            body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub async fn join(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
    JsonBody(body): JsonBody<JoinJson>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    // A token that is no longer valid is no reason to refuse a client that joins.
    let place = state.place(&queue.name, &headers).ok().map(|place| place.claims);
    let request = JoinRequest::new(&state, &queue, key, place.as_ref(), &body)?;
    let joined = request.send(&state, &queue, trace_header::of(&headers)).await?;
    let status = if joined.existing { StatusCode::OK } else { StatusCode::CREATED };
    let cookie = cookie::set(&state, &queue.name, &joined.token);
    let location = format!("/v1/queues/{}/places/me", queue.name);
    let place = queue.show(&joined.booking);
    let body = axum::Json(JoinedJson { place, token: joined.token });
    Ok((status, [(header::SET_COOKIE, cookie)], [(header::LOCATION, location)], body)
        .into_response())
}

/// The newest booking of a client, read from the store.
///
/// # Errors
/// [`Reason::BookingNotFound`], or when no worker answers.
pub async fn newest(queue: &QueueGateway, client: ClientId) -> Result<v1::Booking, Problem> {
    let snapshot = queue.feed.snapshots.get(client).await;
    let snapshot = snapshot.map_err(|error| Problem::from(&*error))?;
    let missing = || {
        let problem = "the client has no booking in this queue, or its retention has ended";
        Problem::new(Reason::BookingNotFound, problem)
    };
    snapshot.booking.map(|booking| *booking).ok_or_else(missing)
}

/// Shows the client's place.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/places/me", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The place", body = PlaceJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE", body = ProblemJson,
            content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    let booking = newest(&queue, place.claims.client.clone()).await?;
    let answer = axum::Json(queue.show(&booking)).into_response();
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
    let renewed = claims(state, queue, old.client, booking, old.return_url)
        .and_then(|claims| claims.sign(&state.keys.ring(), now()).map_err(unsigned));
    if let Ok(token) = renewed {
        let cookie = cookie::set(state, &queue.name, &token);
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// Takes a place over: from a link that the client kept, or from another device.
#[utoipa::path(
    put, path = "/v1/queues/{queue}/places/me", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    request_body = PlaceTokenJson,
    responses(
        (status = 200, description = "The place; its cookie is set", body = PlaceJson),
        (status = 401, description = "PLACE_INVALID", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 403, description = "ORIGIN_REFUSED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 413, description = "CONTENT_TOO_LARGE", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 422, description = "INVALID_ARGUMENT", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE", body = ProblemJson,
            content_type = "application/problem+json"),
    )
)]
pub async fn take_over(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    JsonBody(PlaceTokenJson { token }): JsonBody<PlaceTokenJson>,
) -> Result<Response, Problem> {
    let old = PlaceClaims::verify(&token, &state.keys.ring(), &queue.name, now())
        .map_err(|error| Problem::new(Reason::PlaceInvalid, error.to_string()))?;
    let booking = newest(&queue, old.client.clone()).await?;
    let token = claims(&state, &queue, old.client, &booking, old.return_url)?;
    let token = token.sign(&state.keys.ring(), now()).map_err(unsigned)?;
    let cookie = cookie::set(&state, &queue.name, &token);
    Ok(([(header::SET_COOKIE, cookie)], axum::Json(queue.show(&booking))).into_response())
}

/// Leaves the line, or gives the reservation back.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/places/me", tag = "place",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The place after it", body = PlaceJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 403, description = "ORIGIN_REFUSED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 409, description = "ALREADY_FINAL", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "OVERLOADED, STORE_UNAVAILABLE or UPSTREAM_UNAVAILABLE",
            body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub async fn leave(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    let trace = trace_header::of(&headers);
    let booking = cancel(&queue, &place.claims.client, trace).await?;
    Ok(axum::Json(queue.show(&booking)).into_response())
}

/// Cancels the client's newest booking.
///
/// # Errors
/// The worker's refusal.
pub async fn cancel(
    queue: &QueueGateway,
    client: &ClientId,
    trace: Option<String>,
) -> Result<v1::Booking, Problem> {
    let call = v1::CancelRequest {
        queue: queue.name.to_string(),
        client_id: client.to_string(),
        booking_id: String::new(),
    };
    let answer = queue.workers.client().with_trace(trace).call(call).await?;
    answer.booking.ok_or_else(unreadable)
}

/// Makes a pass: it shows the seller that the client has this reservation.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/places/me/pass", tag = "pass",
    params(("queue" = String, Path, description = "Name of the queue")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The pass", body = PassJson),
        (status = 401, description = "PLACE_REQUIRED or PLACE_INVALID", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 403, description = "ORIGIN_REFUSED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 404, description = "QUEUE_NOT_FOUND or BOOKING_NOT_FOUND", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 409, description = "NOT_RESERVED or ALREADY_FINAL", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 410, description = "HOLD_EXPIRED", body = ProblemJson,
            content_type = "application/problem+json"),
        (status = 503, description = "UPSTREAM_UNAVAILABLE", body = ProblemJson,
            content_type = "application/problem+json"),
    )
)]
pub async fn pass(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.place(&queue.name, &headers)?;
    make_pass(&state, &queue, &place.claims).await.map(|pass| axum::Json(pass).into_response())
}

/// The pass of a client that has a reservation.
///
/// # Errors
/// [`Reason::NotReserved`], [`Reason::AlreadyFinal`] or [`Reason::HoldExpired`].
pub async fn make_pass(
    state: &GatewayState,
    queue: &QueueGateway,
    place: &PlaceClaims,
) -> Result<PassJson, Problem> {
    let booking = newest(queue, place.client.clone()).await?;
    check_reserved(&booking)?;
    let reservation = ReservationId::new(&booking.reservation_id);
    let deadline = booking.deadline.as_ref().map(from_timestamp).ok_or_else(unreadable)?;
    let details = Details::new(&booking.item, booking.quantity, &[]);
    let grant = PassGrant {
        issuer: &state.issuer,
        audience: &queue.settings.audience,
        client: &place.client,
        queue: &queue.name,
        booking: BookingId::new(&booking.booking_id).map_err(|_| unreadable())?,
        reservation: &reservation.map_err(|_| unreadable())?,
        item: &booking.item,
        quantity: details.map_err(|_: Invalid| unreadable())?.quantity,
        deadline,
    };
    let (pass, expires_at) = match grant.sign(&state.keys.ring(), now()) {
        Ok(signed) => signed,
        Err(SignError::DeadlinePassed) => return Err(expired()),
        Err(error) => return Err(unsigned(error)),
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
    let state = booking.state().to_core().ok_or_else(unreadable)?;
    let refused =
        |reason, what: &'static str| Err(Problem::new(reason, what).with_state(state.as_str()));
    match state {
        BookingState::Reserved => Ok(()),
        BookingState::Queued | BookingState::Reserving => {
            refused(Reason::NotReserved, "nothing is reserved for this place yet")
        }
        BookingState::Expired => Err(expired()),
        BookingState::Releasing if booking.outcome() == v1::BookingState::Expired => Err(expired()),
        _ => refused(Reason::AlreadyFinal, "this place is decided and needs no pass"),
    }
}

fn expired() -> Problem {
    Problem::new(Reason::HoldExpired, "the time to pay is over: the reservation was given back")
}

/// Keeps answers about one client out of every cache.
pub fn private(mut answer: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    answer
}
