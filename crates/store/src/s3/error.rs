//! Why a call to S3 fails.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

/// Characters of a foreign text that an error shows.
const SHOWN: usize = 300;

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
    #[error("{code}: {message}")]
    Refused {
        /// The code of S3, such as `NoSuchBucket`.
        code: String,
        /// What S3 adds.
        message: String,
    },
    /// No answer came within this time, also when it was tried again.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The connection could not be made, or was cut.
    #[error("{0}")]
    Connection(String),
    /// The answer is none of S3.
    #[error("{0}")]
    Unexpected(String),
}

impl S3Fault {
    /// What is at the bottom of an error. The texts above it repeat what [`S3Error`] says, with the
    /// queries of calls. A call may take `silence`.
    pub(super) fn of(error: &object_store::Error, silence: Duration) -> Self {
        let cut = causes(Some(error)).find_map(|cause| cause.downcast_ref::<HttpError>());
        if let Some(cut) = cut {
            return match cut.kind() {
                HttpErrorKind::Timeout => Self::Silent(silence),
                _ => Self::Connection(joined(causes(cut.source()))),
            };
        }
        let last = joined(causes(Some(error)).last());
        match (element(&last, "Code"), element(&last, "Message")) {
            (Some(code), message) => {
                Self::Refused { code: shown(code), message: shown(message.unwrap_or_default()) }
            }
            (None, _) => Self::Unexpected(shown(&last)),
        }
    }
}

/// An error and its causes, down to what happened.
fn causes<'a>(
    error: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error, |cause| (*cause).source())
}

fn joined<'a>(errors: impl IntoIterator<Item = &'a (dyn Error + 'static)>) -> String {
    let texts: Vec<_> = errors.into_iter().map(ToString::to_string).collect();
    texts.join(": ")
}

/// The text of the first element with this name. Whether S3 refused a call is known already, so a
/// parser has nothing to check.
fn element<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// One line of a text that comes from elsewhere. A status without a text ends with a colon.
fn shown(text: &str) -> String {
    let text = text.trim_end().trim_end_matches(':');
    let one_line = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    one_line.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(answer: &str) -> String {
        let store = "S3";
        let source = std::io::Error::other(answer.to_owned()).into();
        let error = object_store::Error::Generic { store, source };
        S3Fault::of(&error, Duration::from_secs(1)).to_string()
    }

    #[test]
    fn a_refusal_has_the_words_of_s3_and_nothing_that_is_signed() {
        let refused = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
                       <Message>It does not\nmatch.</Message><StringToSign>hidden</StringToSign>";
        assert_eq!(fault(refused), "SignatureDoesNotMatch: It does not match.");
        assert_eq!(fault("502 Bad Gateway: <html>Bad\n"), "502 Bad Gateway: <html>Bad");
        assert_eq!(fault("404 Not Found: "), "404 Not Found");
        assert_eq!(fault(&"a".repeat(SHOWN + 1)).len(), SHOWN);
    }
}
