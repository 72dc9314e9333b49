//! Paths and methods that do not exist.

use axum::extract::OriginalUri;
use axum::http::Method;

use crate::problem::{Problem, ProblemReason};

/// Nothing is at the path.
pub(crate) async fn missing(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(ProblemReason::NotFound, format!("there is nothing at {}", shown(uri.path())))
}

/// The path exists, with other methods.
pub(crate) async fn not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let detail = format!("{} does not accept {}", shown(uri.path()), shown(method.as_str()));
    Problem::new(ProblemReason::MethodNotAllowed, detail)
}

fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}
