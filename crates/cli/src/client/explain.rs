//! A refusal as a person or a script reads it.

use bookingq_proto::error::{DOMAIN, reason_of, reason_word};
use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::output::Output;
use crate::failure::Failure;

/// The content of a refusal.
#[derive(Debug, Serialize)]
struct Explanation {
    /// A reason of the contract, or the name of the gRPC code.
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Explanation {
    fn new(status: &Status) -> Self {
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let metadata = |key: &str| {
            info.as_ref()
                .and_then(|info| info.metadata.get(key))
                .filter(|text| !text.is_empty())
                .cloned()
        };
        Self {
            reason: reason_of(status).map_or_else(
                || format!("{:?}", status.code()),
                |reason| reason_word(reason).to_owned(),
            ),
            message: status.message().to_owned(),
            field: metadata("field"),
            allowed: metadata("allowed"),
            state: metadata("state"),
        }
    }

    /// One line; adds what is allowed unless the message says it already.
    fn line(&self) -> String {
        let allowed =
            self.allowed.as_ref().filter(|allowed| !self.message.contains(allowed.as_str()));
        let allowed = allowed.map(|allowed| format!("; allowed: {allowed}")).unwrap_or_default();
        format!("{}{allowed} ({})", self.message, self.reason)
    }
}

/// Turns a refusal into a failure of the command. With JSON output it prints `{"error":{…}}` on
/// stderr.
pub fn explain(status: &Status, output: Output) -> Failure {
    let explanation = Explanation::new(status);
    match output {
        Output::Table => Failure::Failed(anyhow::anyhow!(explanation.line())),
        Output::Json => {
            eprintln!("{}", serde_json::json!({ "error": explanation }));
            Failure::Reported
        }
    }
}
