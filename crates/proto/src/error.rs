//! The closed set of refusals, mapped once to gRPC: a status code, an `ErrorInfo` with the reason,
//! and what helps to mend it.

use std::collections::HashMap;
use std::time::Duration;

use bookingq_core::ids::Invalid;
use bookingq_core::{BookingState, QueueName, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::v1::ErrorReason;

/// `domain` of each `ErrorInfo`.
pub const DOMAIN: &str = "bookingqueue.dev";

/// A request that was refused, with all a caller needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// This worker does not serve that queue.
    #[error("this worker serves queue \"{serves}\", not {asked}")]
    QueueNotFound {
        /// What was asked for, shortened and quoted.
        asked: String,
        /// What is served here.
        serves: QueueName,
    },
    /// A field is not as it must be.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The rules of the queue say no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Too much at once.
    #[error("too many requests wait already; try again in {retry_after:?}")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The store did not answer: the outcome is unknown.
    #[error(
        "the store did not answer, so the outcome is unknown: repeat the request as it was ({cause})"
    )]
    StoreUnavailable {
        /// What happened.
        cause: String,
    },
}

impl ApiError {
    /// Too much at once, with the usual time to retry.
    pub fn overloaded() -> Self {
        Self::Overloaded { retry_after: Duration::from_secs(1) }
    }

    /// The reason of the closed set.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::QueueNotFound { .. } => ErrorReason::QueueNotFound,
            Self::Invalid(_) => ErrorReason::InvalidArgument,
            Self::Refused(Refusal::QueueClosed) => ErrorReason::QueueClosed,
            Self::Refused(Refusal::BookingNotFound) => ErrorReason::BookingNotFound,
            Self::Refused(Refusal::HoldExpired) => ErrorReason::HoldExpired,
            Self::Refused(Refusal::AlreadyFinal(_)) => ErrorReason::AlreadyFinal,
            Self::Refused(Refusal::NotReserved(_)) => ErrorReason::NotReserved,
            Self::Overloaded { .. } => ErrorReason::Overloaded,
            Self::StoreUnavailable { .. } => ErrorReason::StoreUnavailable,
        }
    }

    /// The offending field of an invalid argument; empty otherwise.
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid(invalid) => &invalid.field,
            Self::QueueNotFound { .. } => "queue",
            _ => "",
        }
    }

    fn code(&self) -> Code {
        match self.reason() {
            ErrorReason::QueueNotFound | ErrorReason::BookingNotFound => Code::NotFound,
            ErrorReason::InvalidArgument => Code::InvalidArgument,
            ErrorReason::Overloaded => Code::ResourceExhausted,
            ErrorReason::StoreUnavailable => Code::Unavailable,
            _ => Code::FailedPrecondition,
        }
    }

    fn state(&self) -> Option<BookingState> {
        match self {
            Self::Refused(Refusal::AlreadyFinal(state) | Refusal::NotReserved(state)) => {
                Some(*state)
            }
            _ => None,
        }
    }
}

/// `QUEUE_CLOSED` and so on: what goes into `ErrorInfo.reason`.
pub fn reason_word(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

/// The reason a status carries, if it is one of ours.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN)
        .then(|| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)))?
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut metadata = HashMap::new();
        let mut details = ErrorDetails::new();
        if let ApiError::Invalid(invalid) = &error {
            metadata.insert("field".to_owned(), invalid.field.to_string());
            metadata.insert("value".to_owned(), invalid.value.clone());
            metadata.insert("allowed".to_owned(), invalid.allowed.to_owned());
            details.add_bad_request_violation(invalid.field.as_ref(), invalid.to_string());
        }
        if let ApiError::QueueNotFound { serves, .. } = &error {
            metadata.insert("field".to_owned(), "queue".to_owned());
            metadata.insert("allowed".to_owned(), serves.to_string());
        }
        if let Some(state) = error.state() {
            metadata.insert("state".to_owned(), state.as_str().to_owned());
        }
        match &error {
            ApiError::Overloaded { retry_after } => {
                details.set_retry_info(Some(*retry_after));
            }
            ApiError::StoreUnavailable { .. } => {
                details.set_retry_info(Some(Duration::from_millis(500)));
            }
            _ => {}
        }
        details.set_error_info(reason_word(error.reason()), DOMAIN, metadata);
        Status::with_error_details(error.code(), error.to_string(), details)
    }
}
