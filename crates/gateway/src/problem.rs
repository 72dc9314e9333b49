//! Errors as RFC 9457 problem documents.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bookingq_client::WorkerCallError;
use bookingq_core::Invalid;
use bookingq_proto::error::reason_of;
use bookingq_proto::v1;
use rand::Rng as _;
use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt as _;
use utoipa::ToSchema;

pub use crate::reason::ProblemReason;

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What precedes the reason in `type`.
const TYPE: &str = "https://bookingqueue.dev/problems/";
/// The wait before a retry, where the worker asks for none.
const RETRY: Duration = Duration::from_secs(1);

/// A proof of work that a client must do before it may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Challenge)]
pub struct ChallengeJson {
    /// What the nonce is appended to.
    pub seed: String,
    /// Leading zero bits that SHA-256 of seed and nonce must have.
    pub difficulty: u8,
    /// Until when the solution is accepted.
    pub expires_at: String,
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemJson {
    /// A URI for the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "https://bookingqueue.dev/problems/queue-closed")]
    kind: String,
    /// The same sentence for each problem of this kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: Cow<'static, str>,
    /// The kind of problem, for programs.
    reason: ProblemReason,
    /// The invalid field, or the invalid header.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Its value, escaped and cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The allowed values.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    /// State of the booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Seconds to wait before the request is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// The challenge to solve.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeJson>,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<ProblemJson>);

impl Problem {
    /// A problem of this kind.
    pub fn new(reason: ProblemReason, detail: impl Into<Cow<'static, str>>) -> Self {
        let kind = format!("{TYPE}{}", reason.as_str().to_ascii_lowercase().replace('_', "-"));
        Self(Box::new(ProblemJson {
            kind,
            title: reason.title(),
            status: reason.status().as_u16(),
            detail: detail.into(),
            reason,
            field: None,
            value: None,
            allowed: None,
            state: None,
            retry_after: reason.is_transient().then(|| jittered(RETRY)),
            challenge: None,
        }))
    }

    /// A worker's answer lacks what it must have.
    pub(crate) fn unreadable() -> Self {
        Self::new(ProblemReason::UpstreamUnavailable, "a worker's answer cannot be read")
    }

    /// An invalid field; `field` is its name in the API, `value` is shown cut and escaped.
    pub fn invalid(field: &'static str, value: &str, allowed: &'static str) -> Self {
        Invalid::new(field, value, allowed).into()
    }

    /// An invalid field of a body; `value` is shown as it is.
    pub fn invalid_field(field: String, value: String, allowed: String) -> Self {
        let detail = format!("{field} is {value}; allowed: {allowed}");
        let mut problem = Self::new(ProblemReason::InvalidArgument, detail);
        problem.0.field = Some(field);
        (problem.0.value, problem.0.allowed) = (Some(value), Some(allowed));
        problem
    }

    /// With the state of the booking that the request is about.
    #[must_use]
    pub fn with_state(mut self, state: &'static str) -> Self {
        self.0.state = Some(state.to_owned());
        self
    }

    /// The document.
    pub fn json(&self) -> &ProblemJson {
        &self.0
    }

    /// Its kind.
    pub fn reason(&self) -> ProblemReason {
        self.0.reason
    }

    /// What is wrong with the request, for a person.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Asks for a repeat after about this time.
    #[must_use]
    pub fn retry_after(mut self, asked: Duration) -> Self {
        self.0.retry_after = Some(jittered(asked));
        self
    }

    /// With a challenge to solve.
    #[must_use]
    pub fn with_challenge(mut self, challenge: ChallengeJson) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// An error that a worker answered with.
    pub fn of_status(status: &Status) -> Self {
        let Some(reason) = reason_of(status) else {
            return Self::new(ProblemReason::UpstreamUnavailable, "no worker of the queue answers");
        };
        let mut problem = Self::new(reason.into(), status.message().to_owned());
        let details = status.get_error_details();
        if let Some(info) = details.error_info() {
            let text = |key: &str| info.metadata.get(key).cloned();
            problem.0.field = text("field").map(|field| api_field(&field));
            (problem.0.value, problem.0.allowed) = (text("value"), text("allowed"));
            problem.0.state = text("state");
        }
        let retry = details.retry_info().and_then(|retry| retry.retry_delay);
        match retry {
            Some(asked) => problem.retry_after(asked),
            None => problem,
        }
    }

    /// The error of one request of a batch.
    pub fn of_batch(error: v1::EnqueueError) -> Self {
        let mut problem = Self::new(error.reason().into(), error.message);
        problem.0.field = (!error.field.is_empty()).then(|| api_field(&error.field));
        problem
    }
}

/// The name that the HTTP API has for a field of the gRPC API.
fn api_field(field: &str) -> String {
    if field == "request_id" {
        return "Idempotency-Key".to_owned();
    }
    let mut upper = false;
    let camel = field.chars().filter_map(|letter| {
        if letter == '_' {
            upper = true;
            return None;
        }
        Some(if std::mem::take(&mut upper) { letter.to_ascii_uppercase() } else { letter })
    });
    camel.collect()
}

/// Whole seconds, at least `asked`, drawn up to three times as long: clients that were refused
/// together must not come back together.
fn jittered(asked: Duration) -> u64 {
    let least = asked.as_millis().div_ceil(1000).clamp(1, 600) as u64;
    rand::rng().random_range(least..=least * 3)
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let mut problem = Self::new(ProblemReason::InvalidArgument, invalid.to_string());
        problem.0.field = Some(api_field(&invalid.field));
        problem.0.value = Some(invalid.value);
        problem.0.allowed = Some(invalid.allowed.to_owned());
        problem
    }
}

impl From<WorkerCallError> for Problem {
    fn from(error: WorkerCallError) -> Self {
        Self::from(&error)
    }
}

impl From<&WorkerCallError> for Problem {
    fn from(error: &WorkerCallError) -> Self {
        match error {
            WorkerCallError::Refused(status) | WorkerCallError::NoAnswer(status) => {
                Self::of_status(status)
            }
            WorkerCallError::Stopped => {
                Self::new(ProblemReason::UpstreamUnavailable, "this gateway is shutting down")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.0.reason.status();
        let retry_after = self.0.retry_after.map(HeaderValue::from);
        // A structure of texts and numbers always serializes.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (status, headers, body).into_response();
        if let Some(retry_after) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_grpc_api_is_named_as_in_the_http_api() {
        let problem = Problem::from(Invalid::new("client_id", "", "a text"));
        let json = serde_json::to_value(&problem.0).unwrap();
        assert_eq!(json["field"], "clientId");
        assert_eq!(json["value"], "\"\"");
        assert_eq!(json["allowed"], "a text");
        assert_eq!(json["type"], "https://bookingqueue.dev/problems/invalid-argument");
        assert_eq!(api_field("request_id"), "Idempotency-Key");
    }

    #[test]
    fn a_refusal_that_passes_asks_for_a_repeat_in_whole_seconds() {
        for _ in 0..100 {
            let problem = Problem::new(ProblemReason::Overloaded, "full");
            let response = problem.retry_after(Duration::from_millis(1500)).into_response();
            let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((2..=6).contains(&seconds), "{seconds}");
        }
        let final_answer = Problem::new(ProblemReason::QueueClosed, "closed").into_response();
        assert!(!final_answer.headers().contains_key("retry-after"));
    }
}
