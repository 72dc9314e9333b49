//! A refusal as a person, or a script, wants to read it.

use bookingq_proto::error::{DOMAIN, reason_of, reason_word};
use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::output::Output;
use crate::failure::Failure;

/// What a refusal says.
#[derive(Debug, Serialize)]
struct Refusal {
    /// From the closed set of the contract, or the gRPC code's name.
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Refusal {
    fn new(status: &Status) -> Self {
        let ours = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let told = |key: &str| {
            ours.as_ref()
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
            field: told("field"),
            allowed: told("allowed"),
            state: told("state"),
        }
    }

    /// One line; what is allowed is added where the message does not say it already.
    fn line(&self) -> String {
        let allowed =
            self.allowed.as_ref().filter(|allowed| !self.message.contains(allowed.as_str()));
        let allowed = allowed.map(|allowed| format!("; allowed: {allowed}")).unwrap_or_default();
        format!("{}{allowed} ({})", self.message, self.reason)
    }
}

/// The failure that a refusal makes of a command. With JSON output it is JSON too, on stderr:
/// `{"error":{…}}`.
pub fn explain(status: &Status, output: Output) -> Failure {
    let refusal = Refusal::new(status);
    match output {
        Output::Table => Failure::Failed(anyhow::anyhow!(refusal.line())),
        Output::Json => {
            eprintln!("{}", serde_json::json!({ "error": refusal }));
            Failure::Told
        }
    }
}
