//! The rule of what may be retried, for every kind of error; and the URLs of workers.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bookingq_client::WorkerEndpoints;
use bookingq_client::retry::{RetryDecision, decide};
use bookingq_core::Refusal;
use bookingq_core::ids::Invalid;
use bookingq_proto::error::ApiError;
use tonic::{Code, Status};

#[test]
fn a_refusal_with_a_reason_of_ours_is_final() {
    let refusals = [
        ApiError::from(Refusal::QueueClosed),
        ApiError::from(Refusal::BookingNotFound),
        ApiError::from(Refusal::HoldExpired),
        ApiError::from(Invalid::new("item", "x", "y")),
    ];
    for refusal in refusals {
        assert_eq!(decide(&refusal.into()), RetryDecision::Never);
    }
}

#[test]
fn overload_and_a_store_that_does_not_answer_are_retried_when_the_server_asks_for_it() {
    let retry_after = Duration::from_secs(3);
    let overloaded = ApiError::Overloaded { retry_after };
    assert_eq!(decide(&overloaded.into()), RetryDecision::Later(retry_after));
    let unavailable = ApiError::StoreUnavailable { cause: "gone".into() };
    assert!(matches!(decide(&unavailable.into()), RetryDecision::Later(asked) if !asked.is_zero()));
}

#[test]
fn an_error_without_a_reason_is_retried_unless_its_code_is_permanent() {
    for code in [Code::Unknown, Code::Internal, Code::Cancelled, Code::DeadlineExceeded] {
        assert_eq!(decide(&Status::new(code, "?")), RetryDecision::Later(Duration::ZERO));
    }
    for code in [Code::Unimplemented, Code::PermissionDenied, Code::NotFound] {
        assert_eq!(decide(&Status::new(code, "?")), RetryDecision::Never);
    }
}

#[test]
fn a_call_that_the_worker_did_not_process_goes_to_another_one() {
    let leaving = Status::unavailable("this worker is leaving");
    assert_eq!(decide(&leaving), RetryDecision::AtAnotherWorker);
    for reason in [h2::Reason::REFUSED_STREAM, h2::Reason::NO_ERROR] {
        let status = Status::from_error(Box::new(h2::Error::from(reason)));
        let expected = if reason == h2::Reason::REFUSED_STREAM {
            RetryDecision::AtAnotherWorker
        } else {
            RetryDecision::Later(Duration::ZERO)
        };
        assert_eq!(decide(&status), expected, "{status:?}");
    }
}

#[test]
fn a_url_reads_back_as_it_was_written() {
    for url in ["http://10.0.0.1:50051", "https://[::1]:7", "http://workers.sale:80"] {
        assert_eq!(url.parse::<WorkerEndpoints>().unwrap().to_string(), url);
    }
    assert_eq!("https://workers".parse::<WorkerEndpoints>().unwrap().port, 443);
    for bad in ["localhost:1", "ftp://host:1", "http://", "", "http://a b:1"] {
        assert!(bad.parse::<WorkerEndpoints>().is_err(), "{bad}");
    }
}
