//! A client that joins: who it is, what it books, and the token that it gets for its place.

use std::net::IpAddr;

use bookingq_core::{BookingId, ClientId, Details, QueueNumber, RequestId, Timestamp};
use bookingq_identity::{EnqueueClaims, KeyRing, PlaceClaims, ReturnUrl, SignError, TokenError};
use bookingq_proto::v1;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::challenges;
use crate::idempotency::anonymous_key;
use crate::problem::{Problem, ProblemReason};
use crate::state::{GatewayState, QueueGateway, now};

/// What a client books.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Join)]
pub struct JoinJson {
    /// What to book, as the seller names it: at most 128 bytes. Defaults to nothing in particular.
    #[schema(max_length = 128)]
    pub item: Option<String>,
    /// Number of items, 1 to 100. Defaults to 1.
    #[schema(minimum = 1, maximum = 100)]
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
    /// `address` is limited, unless the client has a place or an account.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn new(
        state: &GatewayState,
        queue: &QueueGateway,
        key: &str,
        place: Option<&PlaceClaims>,
        address: IpAddr,
        body: &JoinJson,
    ) -> Result<Self, Problem> {
        queue.awake().map_err(|asleep| refused_asleep(place, asleep))?;
        let details =
            Details::new(body.item.as_deref().unwrap_or_default(), quantity(body.quantity)?, &[])?;
        let return_url = body.return_url.as_deref();
        let return_url = return_url.map(|url| queue.settings.return_origins.parse(url));
        let return_url = return_url.transpose()?;
        let request = RequestId::new(key)?;
        let (keys, moment) = (state.keys.ring(), now());
        let client = match (&body.enqueue_token, place) {
            (Some(token), _) => account(token, &keys, state, queue, moment)?,
            (None, Some(place)) => place.client.clone(),
            (None, None) => {
                let client = anonymous(key, &keys, queue, moment)?;
                let solution = body.challenge.as_ref();
                let solution = solution.map(|it| (it.seed.as_str(), it.nonce.as_str()));
                challenges::admit_join(state, address, key, solution)?;
                client
            }
        };
        Ok(Self { client, request, details, return_url })
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
        let booking = booking.ok_or_else(Problem::unreadable)?;
        let token = place_token(state, queue, self.client, &booking, self.return_url)?;
        Ok(JoinedClient { booking, existing, token })
    }
}

/// A client that may have a booking, which is kept, can ask again; to others the queue is closed.
fn refused_asleep(place: Option<&PlaceClaims>, asleep: Problem) -> Problem {
    if place.is_some() {
        return asleep;
    }
    let closed = "the queue hibernates (spec.hibernate): it takes no new bookings until it wakes, \
                  and keeps the places that there are";
    Problem::new(ProblemReason::QueueClosed, closed)
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
    let invalid = |error: TokenError| {
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
    let key = anonymous_key(key)?;
    keys.anonymous_client(&queue.name, key, now).map_err(|error| unsigned(&error))
}

/// The token of the place that this booking is.
pub(crate) fn place_token(
    state: &GatewayState,
    queue: &QueueGateway,
    client: ClientId,
    booking: &v1::Booking,
    return_url: Option<ReturnUrl>,
) -> Result<String, Problem> {
    let claims = PlaceClaims {
        queue: queue.name.clone(),
        client,
        booking: BookingId::new(&booking.booking_id).map_err(|_| Problem::unreadable())?,
        number: QueueNumber::new(booking.queue_number),
        epoch: queue.feed.view.current().epoch.to_string(),
        return_url,
        expires_at: now() + state.place_lifetime,
    };
    claims.sign(&state.keys.ring(), now()).map_err(|error| unsigned(&error))
}

pub(crate) fn unsigned(error: &SignError) -> Problem {
    tracing::error!(%error, "cannot sign a token");
    Problem::new(ProblemReason::Internal, "this gateway cannot sign tokens; see its log")
}
