//! Bodies of requests: JSON only, small, without unknown fields.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bookingq_core::Invalid;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::{Problem, ProblemReason};

/// The largest body.
const BYTES: usize = 8 * 1024;
/// Limit for a body to arrive.
const LIMIT: Duration = Duration::from_secs(10);

/// A JSON body. The types that it reads refuse unknown fields.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let problem = "Content-Type must be application/json";
            return Err(Problem::new(ProblemReason::UnsupportedMediaType, problem));
        }
        parse(&read(request.into_body()).await?).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Reads a small body.
///
/// # Errors
/// If it is too large, or does not arrive in time.
pub async fn read(body: Body) -> Result<axum::body::Bytes, Problem> {
    let late = |_| Problem::new(ProblemReason::InvalidArgument, "the body did not arrive in time");
    let whole = timeout(LIMIT, Limited::new(body, BYTES).collect()).await.map_err(late)?;
    let bytes = whole.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(ProblemReason::ContentTooLarge, "a body may have 8,192 bytes")
        } else {
            Problem::new(ProblemReason::InvalidArgument, "the body was cut off")
        }
    })?;
    Ok(bytes.to_bytes())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, &error.into_inner())
    })?;
    deserializer.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

/// serde's message names the value and what was expected. The position says little to a program.
fn refused(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let quoted = || text.split('`').nth(1).map(str::to_owned);
    let (value, allowed) = match text.split_once(", expected ") {
        Some((value, allowed)) => (value, allowed),
        None if error.is_data() => (text, "as the OpenAPI document says"),
        None => (text, "a JSON object"),
    };
    let field = match (path, quoted()) {
        // An unknown field of the body itself, or one that is missing.
        (".", Some(field)) => field,
        (".", None) => "body".to_owned(),
        (path, _) => path.to_owned(),
    };
    let Invalid { value, .. } = Invalid::new("body", value, "");
    Problem::invalid_field(field, value, allowed.replace('`', ""))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Example {
        #[allow(dead_code, reason = "it is only parsed")]
        quantity: Option<u32>,
        #[allow(dead_code, reason = "it is only parsed")]
        challenge: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "it is only parsed")]
        nonce: String,
    }

    fn refused(text: &str) -> serde_json::Value {
        let problem = parse::<Example>(text.as_bytes()).unwrap_err();
        let json = serde_json::to_value(problem.json()).unwrap();
        assert_eq!(json["reason"], "INVALID_ARGUMENT", "{json}");
        json
    }

    #[test]
    fn a_wrong_body_names_the_field_and_what_is_allowed() {
        let unknown = refused(r#"{"qantity": 1}"#);
        assert_eq!(unknown["field"], "qantity");
        assert_eq!(unknown["allowed"], "quantity or challenge");
        let wrong = refused(r#"{"quantity": "two"}"#);
        assert_eq!(wrong["field"], "quantity");
        assert_eq!(wrong["allowed"], "u32");
        let nested = refused(r#"{"challenge": {"nonce": 7}}"#);
        assert_eq!(nested["field"], "challenge.nonce");
        assert_eq!(refused("")["field"], "body");
        assert_eq!(refused("[1]")["field"], "body");
        assert_eq!(refused("{} {}")["field"], "body");
        assert_eq!(refused(r#"{"quantity": 1, "quantity": 2}"#)["field"], "quantity");
    }

    #[test]
    fn only_json_is_json() {
        let is_json = |value: &str| {
            is_json(&[(header::CONTENT_TYPE, value.parse().unwrap())].into_iter().collect())
        };
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("text/plain") && !is_json("application/x-www-form-urlencoded"));
        assert!(!is_json("text/plain; application/json"));
    }
}
