//! What reaches a caller: refusals with their details, states and moments.

#![allow(clippy::unwrap_used)]

use bookingq_core::ids::Invalid;
use bookingq_core::{BookingState, Timestamp};
use bookingq_proto::convert::{from_timestamp, timestamp};
use bookingq_proto::error::{ApiError, reason_of};
use bookingq_proto::v1::{self, ErrorReason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[test]
fn the_reason_and_the_field_reach_the_caller() {
    let invalid = Invalid::new("client_id", "", "1 to 128 bytes");
    let status = Status::from(ApiError::from(invalid));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status), Some(ErrorReason::InvalidArgument));
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "INVALID_ARGUMENT");
    assert_eq!(info.metadata["field"], "client_id");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "client_id");
}

#[test]
fn an_unknown_outcome_says_when_to_repeat() {
    let status = Status::from(ApiError::StoreUnavailable { cause: "gone".into() });
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
}

#[test]
fn every_state_survives_the_wire() {
    for state in BookingState::ALL {
        assert_eq!(v1::BookingState::from(state).to_core(), Some(state));
    }
    assert_eq!(v1::BookingState::Unspecified.to_core(), None);
}

#[test]
fn a_moment_survives_the_wire() {
    let at = Timestamp(1_763_846_400_123);
    assert_eq!(from_timestamp(&timestamp(at)), at);
}
