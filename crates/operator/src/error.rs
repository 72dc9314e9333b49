//! What can stand between a `BookingQueue` and its objects.

use std::time::Duration;

use bookingq_api::Problems;

use crate::secrets::SecretProblem;

/// No call to the API server takes longer than this.
pub const API_DEADLINE: Duration = Duration::from_secs(10);

/// A call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was refused, or did not arrive.
    #[error("{doing}: {}", words(.cause))]
    Failed {
        /// What was tried, for a person.
        doing: String,
        /// Why it failed.
        cause: kube::Error,
    },
    /// No answer within [`API_DEADLINE`].
    #[error("{doing}: the API server did not answer within {API_DEADLINE:?}")]
    Timeout {
        /// What was tried, for a person.
        doing: String,
    },
}

impl CallError {
    /// The HTTP status, if the API server gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Failed { cause: kube::Error::Api(status), .. } => Some(status.code),
            _ => None,
        }
    }
}

impl CallError {
    /// Whether the API server found what was sent wrong. An apply with a value of the wrong kind is
    /// answered with 500, though nothing failed but what was applied.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Failed { cause: kube::Error::Api(status), .. } => {
                (400..500).contains(&status.code)
                    || WRONG_KIND.iter().any(|beginning| status.message.starts_with(beginning))
            }
            _ => false,
        }
    }
}

/// How messages of the API server begin when a value is of the wrong kind.
const WRONG_KIND: [&str; 2] =
    ["failed to create typed patch object", "failed to convert new object"];

/// What the API server says, without the numbers and repetitions around it.
fn words(cause: &kube::Error) -> String {
    match cause {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// One call to the API server, within its deadline.
pub async fn call<T>(
    doing: impl Into<String> + Send,
    call: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, CallError> {
    match tokio::time::timeout(API_DEADLINE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cause)) => Err(CallError::Failed { doing: doing.into(), cause }),
        Err(_) => Err(CallError::Timeout { doing: doing.into() }),
    }
}

/// Why a queue's objects are not as its spec says.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The spec is wrong. What runs is left as it is.
    #[error("{0}")]
    Refused(Problems),
    /// A Secret that the spec names is not there or not whole.
    #[error("{}", listed(.0))]
    Secrets(Vec<SecretProblem>),
    /// An object of ours has the name of somebody else's.
    #[error(
        "{kind} {name} exists and does not belong to this BookingQueue; delete or rename one of them"
    )]
    Foreign {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The store cannot be used as configured.
    #[error(transparent)]
    Store(#[from] bookingq_store::StoreError),
    /// The API server.
    #[error(transparent)]
    Api(#[from] CallError),
}

impl ReconcileError {
    /// The word in conditions and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "InvalidSpec",
            Self::Secrets(_) => "SecretMissing",
            Self::Foreign { .. } => "NameConflict",
            Self::Store(_) => "InvalidRedisConfig",
            Self::Api(error) if error.is_refusal() => "ApplyRejected",
            Self::Api(_) => "ApiServerUnavailable",
        }
    }

    /// Whether only a change by a person ends it. A Secret that appears is such a change, and it is
    /// watched.
    pub fn waits_for_a_person(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Secrets(_) | Self::Store(_))
    }
}

fn listed(problems: &[SecretProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_value_of_the_wrong_kind_is_a_refusal_told_in_the_words_of_the_api_server() {
        let message = "failed to convert new object (shop/a; apps/v1, Kind=Deployment) to proper version: no quantity";
        let status = Status::failure(message, "").with_code(500);
        let cause = kube::Error::Api(Box::new(status));
        let error = CallError::Failed { doing: "apply Deployment a".to_owned(), cause };
        assert!(error.is_refusal());
        assert_eq!(error.to_string(), format!("apply Deployment a: {message}"));
    }
}
