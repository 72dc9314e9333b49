//! What a gateway answers, as far as a crowd reads it.

use bookingq_core::{BookingId, BookingState, Place, RequestId};
use bookingq_proto::error::DOMAIN;
use bookingq_proto::v1::ErrorReason;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::call::BookingSnapshot;

/// A place, in an answer or in `hello`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceView {
    pub booking_id: String,
    pub request_id: String,
    pub number: u64,
    pub state: String,
    pub position: Option<u64>,
    pub parked: bool,
    pub deadline: Option<jiff::Timestamp>,
    pub outcome: Option<String>,
}

/// The answer to a join.
#[derive(Debug, Deserialize)]
pub struct JoinedView {
    pub place: PlaceView,
    pub token: String,
}

/// The answer to a payment.
#[derive(Debug, Deserialize)]
pub struct PaymentView {
    pub place: PlaceView,
}

impl PlaceView {
    /// `None` if it is malformed.
    pub fn snapshot(&self, existing: bool) -> Option<BookingSnapshot> {
        let outcome = self.outcome.as_deref().map(BookingState::parse);
        Some(BookingSnapshot {
            booking: BookingId::new(&self.booking_id).ok()?,
            request: RequestId::new(&self.request_id).ok()?,
            place: Place::numbered(self.number),
            state: BookingState::parse(&self.state)?,
            follows: outcome.flatten(),
            deadline_ms: self.deadline.and_then(|at| u64::try_from(at.as_millisecond()).ok()),
            parked: self.parked,
            position: None,
            existing,
            version: None,
        })
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProblemView {
    reason: String,
    #[serde(default)]
    detail: String,
    retry_after: Option<u64>,
}

/// The refusal as a worker would send it, so that one rule decides what is retried.
pub fn status_of(http: http::StatusCode, body: &[u8]) -> Status {
    let Ok(problem) = serde_json::from_slice::<ProblemView>(body) else {
        return Status::new(code(http), format!("HTTP {http} without a problem document"));
    };
    let message = format!("{}: {}", problem.reason, problem.detail);
    let mut details = ErrorDetails::new();
    if let Some(seconds) = problem.retry_after {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    if ErrorReason::from_str_name(&format!("ERROR_REASON_{}", problem.reason)).is_some() {
        details.set_error_info(problem.reason, DOMAIN, HashMap::new());
    }
    Status::with_error_details(code(http), message, details)
}

/// Another try may help after a server's error, and after too many requests.
fn code(http: http::StatusCode) -> Code {
    if http.is_server_error() || http == http::StatusCode::TOO_MANY_REQUESTS {
        Code::Unknown
    } else {
        Code::FailedPrecondition
    }
}

#[cfg(test)]
mod tests {
    use bookingq_client::retry::{RetryDecision, decide};
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_problem_of_a_worker_is_retried_as_if_the_worker_had_sent_it() {
        let unavailable = br#"{"reason":"STORE_UNAVAILABLE","detail":"later","retryAfter":2}"#;
        let status = status_of(StatusCode::SERVICE_UNAVAILABLE, unavailable);
        assert_eq!(decide(&status), RetryDecision::Later(Duration::from_secs(2)));
        let expired = status_of(StatusCode::GONE, br#"{"reason":"HOLD_EXPIRED","detail":""}"#);
        assert_eq!(decide(&expired), RetryDecision::Never);
    }

    #[test]
    fn a_problem_of_the_gateway_is_retried_if_it_may_pass() {
        let limited = br#"{"reason":"TOO_MANY_REQUESTS","detail":"","retryAfter":3}"#;
        let status = status_of(StatusCode::TOO_MANY_REQUESTS, limited);
        assert_eq!(decide(&status), RetryDecision::Later(Duration::from_secs(3)));
        let bad_gateway = status_of(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(decide(&bad_gateway), RetryDecision::Later(Duration::ZERO));
        let refused = status_of(StatusCode::FORBIDDEN, br#"{"reason":"ORIGIN_REFUSED"}"#);
        assert_eq!(decide(&refused), RetryDecision::Never);
    }
}
