//! The place that a request is about: by cookie, by bearer token, or by subprotocol.

use axum::http::{HeaderMap, header};
use bookingq_core::{QueueName, Timestamp};
use bookingq_identity::{KeyRing, PlaceClaims};

use crate::problem::{Problem, ProblemReason};

/// Where a place token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSource {
    /// The `Authorization` header: an app.
    Bearer,
    /// The cookie: a browser.
    Cookie,
    /// The second subprotocol of a WebSocket: an app that cannot set headers.
    Subprotocol,
}

/// The place of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPlace {
    /// What its token says.
    pub claims: PlaceClaims,
    /// Where the token was.
    pub source: TokenSource,
}

/// Names the cookie of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieStyle {
    /// `__Host-…`, with `Secure`: browsers accept it from this host over TLS only.
    Secure,
    /// Without `Secure`, for plain http:// on localhost.
    Insecure,
}

impl CookieStyle {
    /// The cookie's name.
    pub fn name(self, queue: &QueueName) -> String {
        match self {
            Self::Secure => format!("__Host-bq-{queue}"),
            Self::Insecure => format!("bq-{queue}"),
        }
    }
}

/// Finds and verifies the place token of a request.
///
/// # Errors
/// [`ProblemReason::PlaceRequired`] if there is none, [`ProblemReason::PlaceInvalid`] if it is not
/// valid.
pub fn place(
    headers: &HeaderMap,
    style: CookieStyle,
    queue: &QueueName,
    keys: &KeyRing,
    now: Timestamp,
) -> Result<RequestPlace, Problem> {
    let cookie = style.name(queue);
    let (token, source) = token(headers, &cookie).ok_or_else(|| {
        let problem = "the request has neither the cookie of a place nor a bearer token";
        Problem::new(ProblemReason::PlaceRequired, problem)
    })?;
    let claims = PlaceClaims::verify(token, keys, queue, now)
        .map_err(|error| Problem::new(ProblemReason::PlaceInvalid, error.to_string()))?;
    Ok(RequestPlace { claims, source })
}

fn token<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<(&'a str, TokenSource)> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Some((bearer(headers).unwrap_or_default(), TokenSource::Bearer));
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    if let Some((_, token)) = pairs.find(|(name, _)| name.trim() == cookie) {
        return Some((token.trim(), TokenSource::Cookie));
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut protocols =
        protocols.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(','));
    let token = protocols.find_map(|protocol| protocol.trim().strip_prefix("place."))?;
    Some((token, TokenSource::Subprotocol))
}

/// The token of `Authorization: Bearer TOKEN`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
