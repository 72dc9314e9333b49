//! What a request without a place must bring when too many come from its address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use crate::idempotency::idempotency_key;
use crate::limits::challenge::Challenge;
use crate::limits::decision::{LimitDecision, LimitedUse};
use crate::place_json::rfc3339;
use crate::problem::{ChallengeJson, Problem, ProblemReason};
use crate::state::{GatewayState, now};

/// Decides whether a client without a place may join. `solution` is the seed and the nonce of a
/// challenge; one that does not count is no reason to refuse while the address is within its limit.
///
/// # Errors
/// [`ProblemReason::ChallengeRequired`] with a challenge, [`ProblemReason::TooManyRequests`].
pub fn admit_join(
    state: &GatewayState,
    address: IpAddr,
    key: &str,
    solution: Option<(&str, &str)>,
) -> Result<(), Problem> {
    let limits = &state.limits;
    let outcome = solution.map(|it| Challenge::check(&state.keys.ring(), key, it, now()));
    if let Some(outcome) = outcome {
        limits.metrics().checked(outcome);
    }
    match limits.count(LimitedUse::Join, address, outcome == Some(Ok(()))) {
        LimitDecision::Allowed => Ok(()),
        LimitDecision::Challenge => {
            let challenge = issue(state, key)?;
            let why = match outcome {
                Some(Err(error)) => error.to_string(),
                _ => "many clients join from this address: solve the challenge, and send the \
                      solution with the same Idempotency-Key"
                    .to_owned(),
            };
            Err(Problem::new(ProblemReason::ChallengeRequired, why).with_challenge(challenge))
        }
        LimitDecision::Refused { retry_after } => Err(too_many().retry_after(retry_after)),
    }
}

/// Decides whether a client without a valid place may open a WebSocket, on which it learns that its
/// place is unknown. There is no challenge for that.
///
/// # Errors
/// [`ProblemReason::TooManyRequests`].
pub fn admit_stream(state: &GatewayState, address: IpAddr) -> Result<(), Problem> {
    match state.limits.count(LimitedUse::Stream, address, true) {
        LimitDecision::Refused { retry_after } => Err(too_many().retry_after(retry_after)),
        LimitDecision::Allowed | LimitDecision::Challenge => Ok(()),
    }
}

fn too_many() -> Problem {
    Problem::new(ProblemReason::TooManyRequests, "far too many requests come from this address")
}

fn issue(state: &GatewayState, key: &str) -> Result<ChallengeJson, Problem> {
    let challenge = Challenge::issue(&state.keys.ring(), key, now()).map_err(|error| {
        tracing::error!(%error, "cannot seal a challenge");
        Problem::new(ProblemReason::Internal, "this gateway cannot sign; see its log")
    })?;
    state.limits.metrics().issued();
    let Challenge { seed, difficulty, expires_at } = challenge;
    Ok(ChallengeJson { seed, difficulty, expires_at: rfc3339(expires_at) })
}

/// Makes a challenge in advance. Its solution is good for joins with the same Idempotency-Key.
#[utoipa::path(
    get, path = "/v1/challenges", operation_id = "getChallenge", tag = "place",
    params(("Idempotency-Key" = String, Header, description = "Of the join that follows")),
    responses(
        (status = 200, description = "Find a number, as decimal digits, for which SHA-256 of \
            `seed:number` begins with `difficulty` zero bits", body = ChallengeJson),
        (status = 422, description = "INVALID_ARGUMENT: no Idempotency-Key"),
    )
)]
pub async fn show(
    State(state): State<Arc<GatewayState>>,
    headers: HeaderMap,
) -> Result<Json<ChallengeJson>, Problem> {
    issue(&state, idempotency_key(&headers)?).map(Json)
}
