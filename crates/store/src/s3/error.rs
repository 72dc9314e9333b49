//! Why a call to S3 fails.

use std::time::Duration;

/// A call to S3 failed. The text names what, where, and why in the words of S3.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {object}: {fault}")]
pub struct S3Error {
    /// What was to be done.
    pub action: &'static str,
    /// With this bucket or object, as `s3://BUCKET/KEY at ENDPOINT`.
    pub object: String,
    /// Why it failed.
    pub fault: S3Fault,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum S3Fault {
    /// S3 refused it.
    #[error("{code}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The code of S3, such as `NoSuchBucket`.
        code: String,
        /// What S3 adds.
        message: String,
    },
    /// Nothing moved.
    #[error("no sign of life for {0:?}")]
    Silent(Duration),
    /// The connection could not be made, or was cut.
    #[error("{0}")]
    Connection(String),
    /// The answer is none of S3.
    #[error("its answer is none of S3: {0}")]
    Unexpected(String),
    /// A header cannot hold a setting. The text does not repeat it.
    #[error("the call cannot be written: {0}")]
    Unwritable(String),
    /// The object has more bytes than S3 takes in parts of this size.
    #[error("it has more than {0} bytes, which is the limit")]
    TooLarge(u64),
}

impl S3Fault {
    /// Whether another try can help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                // A try that stalled is answered with 400, and one that came too fast with 429.
                *status >= 500 && *status != 501 || *status == 429 || code == "RequestTimeout"
            }
            Self::Silent(_) | Self::Connection(_) => true,
            Self::Unexpected(_) | Self::Unwritable(_) | Self::TooLarge(_) => false,
        }
    }
}
