//! Errors of the API server.

use bookingq_operator::error::ApiCallError;
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
