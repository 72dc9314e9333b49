//! What may be retried: the one rule for every caller of a worker.
//!
//! Every call of `BookingWorkerService` may be repeated as it was: `request_id`, `booking_id` and
//! `payment_id` make the repetition harmless. So the only question is whether another try can bring
//! another answer:
//!
//! - A refusal with one of our reasons is final, except `OVERLOADED` and `STORE_UNAVAILABLE`.
//! - A worker that leaves, or is gone, did not process the call: another worker can, at once.
//! - Any other error comes from the network or from a proxy, and the outcome is unknown: retry it
//!   later, unless its code says that it will stay.

use std::error::Error;
use std::time::Duration;

use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt as _;

/// What to do after a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// The error is the answer: a retry does not change it.
    Never,
    /// This worker did not process the call; another one can at once. Not a failure of the queue.
    AtAnotherWorker,
    /// Retry after a back-off, and not before the time that the server asks for (0 if it does not).
    Later(Duration),
}

/// Decides what to do after a call failed with `status`.
pub fn decide(status: &Status) -> RetryDecision {
    match reason_of(status) {
        Some(ErrorReason::Overloaded | ErrorReason::StoreUnavailable) => later(status),
        Some(_) => RetryDecision::Never,
        None if is_permanent(status.code()) => RetryDecision::Never,
        None if is_not_processed(status) => RetryDecision::AtAnotherWorker,
        None => later(status),
    }
}

fn later(status: &Status) -> RetryDecision {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    RetryDecision::Later(asked.unwrap_or_default())
}

/// Codes that a proxy, or a server of another kind, keeps answering with.
fn is_permanent(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::OutOfRange
    )
}

/// Whether the worker never handled the call: it refused the connection, closed it before the call
/// was sent, or answered that it is leaving.
fn is_not_processed(status: &Status) -> bool {
    let Some(source) = status.source() else {
        // Sent by the peer: a worker that is leaving, or a proxy without one.
        return status.code() == Code::Unavailable;
    };
    std::iter::successors(Some(source), |&error| error.source()).any(|error| {
        let of_http2 = |error: &h2::Error| {
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
        };
        error.is::<ConnectError>()
            || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref::<h2::Error>().is_some_and(of_http2)
    })
}
