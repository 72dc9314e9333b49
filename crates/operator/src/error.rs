//! Why a queue cannot be reconciled.

use std::time::Duration;

use bookingq_api::Problems;

use crate::build::component::ObjectKind;
use crate::secrets::SecretProblem;

/// Deadline of a call to the API server.
pub const API_DEADLINE: Duration = Duration::from_secs(10);

/// A failed call to the API server.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {}", message(.cause))]
pub struct ApiCallError {
    /// What was attempted, such as `apply Deployment concert-worker`.
    pub action: String,
    /// The answer, or why there is none.
    pub cause: kube::Error,
}

impl ApiCallError {
    /// The API server has not answered `action` for this time.
    pub(crate) fn late(action: String, limit: Duration) -> Self {
        Self { action, cause: no_answer(limit) }
    }

    /// The HTTP status, if the API server answered.
    pub fn code(&self) -> Option<u16> {
        match &self.cause {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the cluster lacks the kind.
    pub fn lacks(&self, kind: &ObjectKind) -> bool {
        kind.optional && self.code() == Some(404)
    }

    /// Whether the API server rejected the object. A value of the wrong type is a rejection, though
    /// the API server answers 500.
    pub fn is_rejection(&self) -> bool {
        match &self.cause {
            kube::Error::Api(status) => {
                (400..500).contains(&status.code)
                    || WRONG_TYPE.iter().any(|beginning| status.message.starts_with(beginning))
            }
            _ => false,
        }
    }
}

/// Beginnings of the API server's messages about a value of the wrong type.
const WRONG_TYPE: [&str; 2] =
    ["failed to create typed patch object", "failed to convert new object"];

/// The API server's message, without the status around it.
fn message(cause: &kube::Error) -> String {
    match cause {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Service(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn no_answer(limit: Duration) -> kube::Error {
    kube::Error::Service(format!("the API server did not answer within {limit:?}").into())
}

/// Calls the API server, within [`API_DEADLINE`].
pub async fn call<T>(
    action: impl Into<String> + Send,
    call: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, ApiCallError> {
    call_within(API_DEADLINE, action, call).await
}

/// Calls the API server, within `limit`.
pub async fn call_within<T>(
    limit: Duration,
    action: impl Into<String> + Send,
    call: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, ApiCallError> {
    let answer = tokio::time::timeout(limit, call).await;
    let answer = answer.unwrap_or_else(|_| Err(no_answer(limit)));
    answer.map_err(|cause| ApiCallError { action: action.into(), cause })
}

/// Why the objects of a queue do not match its spec.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The spec is invalid.
    #[error("{0}")]
    InvalidSpec(Problems),
    /// Secrets of the spec are missing or incomplete.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Secrets(Vec<SecretProblem>),
    /// An object has the name that one of the queue needs, and another owner.
    #[error(
        "{kind} {name} exists and does not belong to this BookingQueue; delete or rename one of them"
    )]
    NameConflict {
        /// Kind of the object.
        kind: &'static str,
        /// Name of the object.
        name: String,
    },
    /// A new queue with one Redis Pod finds volumes of one with three.
    #[error(
        "PersistentVolumeClaim {0} is left of a queue with three Redis Pods, and any of its volumes \
         may have the newest bookings; set spec.redis.managed.replicas to 3, or delete the claims \
         of the second and the third Pod"
    )]
    VolumesOfThree(String),
    /// The configuration of Redis is invalid.
    #[error(transparent)]
    Store(#[from] bookingq_store::StoreError),
    /// A call to the API server failed, before an object was applied.
    #[error(transparent)]
    Api(#[from] ApiCallError),
    /// An object could not be applied, or deleted.
    #[error(transparent)]
    Apply(ApiCallError),
    /// The objects are being applied, and that takes long.
    #[error(transparent)]
    Late(ApiCallError),
}

impl ReconcileError {
    /// The API server has not answered `action` for this time.
    pub(crate) fn late(action: String, limit: Duration) -> Self {
        Self::Late(ApiCallError::late(action, limit))
    }

    /// The same error, where it is of one object.
    pub(crate) fn of_apply(self) -> Self {
        match self {
            Self::Api(error) | Self::Late(error) => Self::Apply(error),
            other => other,
        }
    }

    fn api(&self) -> Option<&ApiCallError> {
        match self {
            Self::Api(error) | Self::Apply(error) | Self::Late(error) => Some(error),
            _ => None,
        }
    }

    /// The reason in conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec(_) => "InvalidSpec",
            Self::Secrets(_) => "SecretMissing",
            Self::NameConflict { .. } => "NameConflict",
            Self::VolumesOfThree(_) => "VolumesOfThree",
            Self::Store(_) => "InvalidRedisConfig",
            Self::Api(error) | Self::Apply(error) | Self::Late(error) => {
                if error.is_rejection() {
                    "ApplyRejected"
                } else {
                    "ApiServerUnavailable"
                }
            }
        }
    }

    /// A sentence about the objects that it does not name.
    pub fn others(&self) -> &'static str {
        match self {
            Self::Apply(_) | Self::NameConflict { .. } => {
                "The objects that do not need it follow the spec; the operator deletes none before \
                 all are applied."
            }
            Self::Late(_) => "It goes on; some objects may not follow the spec yet.",
            _ => "The existing objects are left unchanged.",
        }
    }

    /// Whether repeating alone may help: the API server is away, or does not answer in time.
    pub fn may_pass(&self) -> bool {
        self.api().is_some_and(|error| !error.is_rejection())
    }

    /// Whether only a change of the spec or of a Secret can help; both are watched.
    pub fn needs_a_change(&self) -> bool {
        matches!(self, Self::InvalidSpec(_) | Self::Secrets(_) | Self::Store(_))
    }
}
