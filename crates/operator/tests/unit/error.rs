//! Errors of the API server.

use bookingq_operator::error::{ApiCallError, ReconcileError};
use kube::core::Status;

#[test]
fn a_value_of_the_wrong_type_is_a_rejection_with_the_message_of_the_api_server() {
    let message = "failed to convert new object (default/a; apps/v1, Kind=Deployment) to proper \
                   version: no quantity";
    let cause = kube::Error::Api(Box::new(Status::failure(message, "").with_code(500)));
    let error = ApiCallError { action: "apply Deployment a".to_owned(), cause };
    assert!(error.is_rejection());
    assert_eq!(error.to_string(), format!("apply Deployment a: {message}"));
}

#[test]
fn only_an_error_of_one_object_says_that_the_others_follow_the_spec() {
    let refused = || {
        let cause = kube::Error::Api(Box::new(Status::failure("no", "").with_code(403)));
        ApiCallError { action: "read Secret a".to_owned(), cause }
    };
    let before = ReconcileError::Api(refused());
    assert_eq!(before.others(), "The existing objects are left unchanged.");
    let applying = ReconcileError::Apply(refused());
    assert!(applying.others().starts_with("The objects that do not need it follow the spec"));
    assert!(!ReconcileError::Late(refused()).others().contains("follow the spec,"));
    assert_eq!((before.reason(), applying.reason()), ("ApplyRejected", "ApplyRejected"));
}
