//! Tokens of clients, sellers and backends.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bookingq_core::{QueueName, Timestamp};
use bookingq_identity::{BackendClaims, EnqueueClaims, KeyRing, PlaceClaims, TokenError};
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::Value;

/// 2026-11-30T12:00:00Z.
const NOW: Timestamp = Timestamp(1_796_040_000_000);
const ISSUER: &str = "bookingq";
const SECRET: [u8; 32] = [7; 32];
/// Longest error: it goes to clients.
const MAX_ERROR: usize = 250;

/// Keys of one secret, which this target signs with.
static KEYS: LazyLock<Option<KeyRing>> = LazyLock::new(|| {
    let file = |purpose: &str| {
        let secret = URL_SAFE_NO_PAD.encode(SECRET);
        serde_json::json!({"kid": purpose, "purpose": purpose, "alg": "HS256", "secret": secret})
            .to_string()
    };
    let files = ["place", "enqueue", "backend"].map(|purpose| (purpose, file(purpose)));
    KeyRing::parse(files.iter().map(|(name, text)| (*name, text.as_str()))).ok()
});

/// A token, or a line with a header and a line with claims, which are signed here so that an input
/// comes as far as the claims.
///
/// # Panics
/// When claims are read differently from how they were signed, or an error is long or shows the
/// token.
pub fn token(data: &[u8]) -> bool {
    let (Ok(text), Some(keys), Ok(queue)) =
        (std::str::from_utf8(data), KEYS.as_ref(), QueueName::new("concert"))
    else {
        return false;
    };
    let text = text.trim_end_matches('\n');
    let token = text.split_once('\n').map_or_else(|| text.to_owned(), |(h, c)| signed(h, c));
    let place = PlaceClaims::verify(&token, keys, &queue, NOW);
    let enqueue = EnqueueClaims::verify(&token, keys, &queue, ISSUER, NOW);
    let backend = BackendClaims::verify(&token, keys, &queue, ISSUER, NOW);
    if let Ok(place) = &place {
        assert!(place.queue == queue && place.expires_at > NOW);
        let again = place.sign(keys, NOW).map(|it| PlaceClaims::verify(&it, keys, &queue, NOW));
        // What is signed again may be longer than a token may be: escapes.
        assert!(again.as_ref().is_ok_and(|again| again == &Ok(place.clone())) || again.is_err());
    }
    if let Ok(claims) = &enqueue {
        assert!(claimed(&token, "sub").is_none_or(|sub| sub == claims.client.as_str()));
        assert!(!claims.client.as_str().starts_with("anon-"));
    }
    if let Ok(claims) = &backend {
        assert!(claimed(&token, "sub").is_none_or(|sub| sub == claims.backend));
    }
    [place.is_ok(), enqueue.is_ok(), backend.is_ok()].contains(&true)
        || refused(&token, [place.err(), enqueue.err(), backend.err()])
}

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = sign(&Key::new(HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A claim as JSON has it. None where a whole value cannot be read: a claim that is not read
/// may be a number that is too large.
fn claimed(token: &str, name: &str) -> Option<String> {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.map(|claims| claims[name].as_str().unwrap_or_default().to_owned())
}

/// Checks the errors.
fn refused(token: &str, errors: [Option<TokenError>; 3]) -> bool {
    for error in errors.into_iter().flatten() {
        let text = error.to_string();
        assert!(text.len() < MAX_ERROR, "too long: {text}");
        assert!(token.len() < 40 || !text.contains(token), "shows the token: {text}");
    }
    false
}
