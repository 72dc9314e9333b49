//! Compact JWS (RFC 7515): three base64url parts, signed over the first two.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bookingq_core::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::encoding::{decode, shown};
use crate::error::{SignError, TokenError};
use crate::key::Key;
use crate::key_ring::KeyRing;
use crate::purpose::KeyPurpose;

/// Longest token that is read or made. Browsers keep cookies of at most 4,096 bytes with their
/// names and attributes.
pub const MAX_TOKEN_BYTES: usize = 3800;

/// What is read of a header. A key inside of the token (`jwk`, `jku`, `x5u`) is never used.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Signs the claims.
pub(crate) fn sign(key: &Key, claims: &impl Serialize) -> Result<String, SignError> {
    let claims = serde_json::to_vec(claims).map_err(|_| SignError::Unwritable)?;
    let mut token = String::with_capacity(512);
    token.push_str(key.header());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.signature(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    if token.len() > MAX_TOKEN_BYTES {
        return Err(SignError::TooLong { bytes: token.len(), allowed: MAX_TOKEN_BYTES });
    }
    Ok(token)
}

/// Verifies the signature by the key that `kid` names, and reads the claims. `kind` names the token
/// in an error.
pub(crate) fn open<C: DeserializeOwned>(
    token: &str,
    keys: &KeyRing,
    purpose: KeyPurpose,
    kind: &'static str,
    now: Timestamp,
) -> Result<C, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong { bytes: token.len(), allowed: MAX_TOKEN_BYTES });
    }
    let (message, signature) = token.rsplit_once('.').ok_or(NOT_THREE)?;
    let (header, claims) = message.split_once('.').ok_or(NOT_THREE)?;
    if claims.contains('.') {
        return Err(NOT_THREE);
    }
    let key = select(header, keys, purpose, now)?;
    let signature = decode(signature).ok_or(TokenError::Malformed("signature: no base64url"))?;
    key.verify(message.as_bytes(), &signature)?;
    let claims = decode(claims).ok_or(TokenError::Malformed("claims: no base64url"))?;
    serde_json::from_slice(&claims).map_err(|_| TokenError::BadClaims(kind))
}

const NOT_THREE: TokenError = TokenError::Malformed("it needs three parts");

fn select<'k>(
    header: &str,
    keys: &'k KeyRing,
    needed: KeyPurpose,
    now: Timestamp,
) -> Result<&'k Key, TokenError> {
    let header = decode(header).ok_or(TokenError::Malformed("header: no base64url"))?;
    let header: Header =
        serde_json::from_slice(&header).map_err(|_| TokenError::Malformed("header: no JSON"))?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let kid = header.kid.ok_or(TokenError::Malformed("header: no kid"))?;
    let Some(key) = keys.find(&kid, now) else {
        return Err(TokenError::UnknownKey(shown(&kid)));
    };
    let kid = || key.kid().to_owned();
    if key.purpose() != needed {
        return Err(TokenError::WrongPurpose { kid: kid(), purpose: key.purpose(), needed });
    }
    if header.alg != key.algorithm().as_str() {
        return Err(TokenError::WrongAlgorithm { kid: kid(), needed: key.algorithm() });
    }
    Ok(key)
}
