//! New keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bookingq_core::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::encoding::{encode, shown};
use crate::error::KeyError;
use crate::key_file::{KID_RULE, KeyFile, SECRET_BYTES, is_kid};
use crate::purpose::{KeyAlgorithm, KeyPurpose};
use crate::random::random;

/// The text of a new key file: HS256 with a new secret, or, for passes, a new Ed25519 key. Without
/// a `kid` it gets a random one. `not_before` is the time of its making, from which its age counts.
///
/// # Errors
/// [`KeyError::Field`] for an invalid `kid`, [`KeyError::NoRandomness`].
pub fn new_key_file(
    purpose: KeyPurpose,
    kid: Option<&str>,
    not_before: Option<Timestamp>,
) -> Result<String, KeyError> {
    let kid = match kid {
        Some(kid) if is_kid(kid) => kid.to_owned(),
        Some(kid) => {
            return Err(KeyError::Field {
                file: "new key".to_owned(),
                field: "kid",
                value: shown(kid),
                allowed: KID_RULE,
            });
        }
        None => format!("{purpose}-{}", encode(random::<6>().ok_or(KeyError::NoRandomness)?)),
    };
    let algorithm = purpose.usual_algorithm();
    let mut file = KeyFile {
        kid,
        purpose: purpose.to_string(),
        alg: algorithm.to_string(),
        not_before: not_before.map(rfc3339),
        ..KeyFile::default()
    };
    match algorithm {
        KeyAlgorithm::Hs256 => file.secret = Some(secret()?),
        KeyAlgorithm::EdDsa => file.private_key = Some(private_key()?),
    }
    let mut text = serde_json::to_string_pretty(&file).map_err(|_| KeyError::NoRandomness)?;
    text.push('\n');
    Ok(text)
}

fn secret() -> Result<String, KeyError> {
    random::<SECRET_BYTES>().map(encode).ok_or(KeyError::NoRandomness)
}

fn private_key() -> Result<String, KeyError> {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let der = STANDARD.encode(der.map_err(|_| KeyError::NoRandomness)?);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in der.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.0 / 1000 * 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}
