//! The header whose repeats are one join.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

use crate::problem::Problem;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const UUID_RULE: &str = "a random UUID: who knows it has the place";

/// The value of Idempotency-Key.
///
/// # Errors
/// If it is missing or no text.
pub fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(IDEMPOTENCY_KEY).ok_or_else(|| {
        Problem::invalid_field(
            "Idempotency-Key".to_owned(),
            "missing".to_owned(),
            format!("a header with {UUID_RULE}; repeat a request with the same one"),
        )
    })?;
    let text = value.to_str().ok().map(str::trim);
    text.ok_or_else(|| Problem::invalid("Idempotency-Key", "not ASCII", UUID_RULE))
}

/// The key of a client without an account, which is known by nothing else.
///
/// # Errors
/// If it is no UUID, or the one with all bits 0 or all bits 1.
pub fn anonymous_key(key: &str) -> Result<Uuid, Problem> {
    let uuid = Uuid::try_parse(key).ok().filter(|uuid| !uuid.is_nil() && !uuid.is_max());
    uuid.ok_or_else(|| Problem::invalid("Idempotency-Key", key, UUID_RULE))
}
