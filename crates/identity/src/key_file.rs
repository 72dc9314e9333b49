//! The file of one key: JSON, of a mounted Secret or made by `bookingq keys new`.

use std::sync::Arc;

use bookingq_core::Timestamp;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};

use crate::encoding::{decode, shown};
use crate::error::KeyError;
use crate::key::{Key, Material, PUBLIC_BYTES};
use crate::purpose::{KeyAlgorithm, KeyPurpose};

/// Longest file that is parsed.
const MAX_FILE_BYTES: usize = 16 * 1024;
/// Shortest HS256 secret: the length of the hash, as RFC 7518 section 3.2 asks.
pub(crate) const SECRET_BYTES: usize = 32;
/// An Ed25519 `SubjectPublicKeyInfo` is this and the 32 bytes of the key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

pub(crate) const KID_RULE: &str = "1 to 64 ASCII letters, digits, '-', '_', '.', ':' and '~'";
const PURPOSES: &str = "place, pass, enqueue, backend";
const ALGORITHMS: &str = "HS256 (place, enqueue, backend), EdDSA (pass, enqueue, backend)";
const MATERIALS: &str = "one of secret (HS256), privateKey (EdDSA, pass only), publicKey (EdDSA)";
const SECRET_RULE: &str = "base64url of at least 32 bytes, without padding";
const PRIVATE_RULE: &str = "PEM of an Ed25519 key, PKCS #8";
const PUBLIC_RULE: &str = "PEM of an Ed25519 public key, or base64url of its 32 bytes";

/// As written. Everything is text, so that a parse error never quotes a value.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyFile {
    pub kid: String,
    pub purpose: String,
    pub alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// Parses the text of `file`.
pub(crate) fn parse(file: &str, text: &str) -> Result<Key, KeyError> {
    let not_a_key = |what: String| KeyError::NotAKey { file: file.to_owned(), what };
    if text.len() > MAX_FILE_BYTES {
        return Err(not_a_key(format!("{} bytes, more than {MAX_FILE_BYTES}", text.len())));
    }
    let parsed: KeyFile = serde_json::from_str(text).map_err(|cause| not_a_key(brief(&cause)))?;
    parsed.resolve().map_err(|wrong| KeyError::Field {
        file: file.to_owned(),
        field: wrong.field,
        value: wrong.value,
        allowed: wrong.allowed,
    })
}

/// The part of a JSON error that quotes nothing but names of fields.
fn brief(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let about_a_field = ["missing field", "duplicate field", "unknown field"];
    if about_a_field.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    format!("wrong JSON at line {} column {}", cause.line(), cause.column())
}

struct Wrong {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

fn wrong(field: &'static str, value: &str, allowed: &'static str) -> Wrong {
    Wrong { field, value: shown(value), allowed }
}

/// For fields whose value must not be shown.
fn secret(field: &'static str, allowed: &'static str) -> Wrong {
    Wrong { field, value: "invalid (not shown)".to_owned(), allowed }
}

impl KeyFile {
    fn resolve(&self) -> Result<Key, Wrong> {
        if !is_kid(&self.kid) {
            return Err(wrong("kid", &self.kid, KID_RULE));
        }
        let purpose = KeyPurpose::ALL.into_iter().find(|one| one.as_str() == self.purpose);
        let purpose = purpose.ok_or_else(|| wrong("purpose", &self.purpose, PURPOSES))?;
        let material = self.material(purpose)?;
        Ok(Key::new(&self.kid, purpose, self.not_before()?, material))
    }

    fn not_before(&self) -> Result<Timestamp, Wrong> {
        let Some(text) = &self.not_before else { return Ok(Timestamp(0)) };
        let parsed = text.parse::<jiff::Timestamp>().ok();
        let millis = parsed.and_then(|time| u64::try_from(time.as_millisecond()).ok());
        let rule = "a time such as 2026-11-30T12:00:00Z";
        millis.map(Timestamp).ok_or_else(|| wrong("notBefore", text, rule))
    }

    /// Which purpose may have which material: a gateway holds no private key of a seller, and
    /// place tokens are read by gateways only.
    fn material(&self, purpose: KeyPurpose) -> Result<Material, Wrong> {
        let algorithm = [KeyAlgorithm::Hs256, KeyAlgorithm::EdDsa]
            .into_iter()
            .find(|one| one.as_str() == self.alg)
            .filter(|one| {
                !matches!(
                    (purpose, one),
                    (KeyPurpose::Place, KeyAlgorithm::EdDsa)
                        | (KeyPurpose::Pass, KeyAlgorithm::Hs256)
                )
            })
            .ok_or_else(|| wrong("alg", &self.alg, ALGORITHMS))?;
        match (algorithm, &self.secret, &self.private_key, &self.public_key) {
            (KeyAlgorithm::Hs256, Some(text), None, None) => {
                let bytes = decode(text).filter(|bytes| bytes.len() >= SECRET_BYTES);
                let bytes = bytes.ok_or_else(|| secret("secret", SECRET_RULE))?;
                Ok(Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
            }
            (KeyAlgorithm::EdDsa, None, Some(pem), None) if purpose == KeyPurpose::Pass => {
                let pair = pair(pem).ok_or_else(|| secret("privateKey", PRIVATE_RULE))?;
                Ok(Material::Pair(Arc::new(pair)))
            }
            (KeyAlgorithm::EdDsa, None, None, Some(text)) => {
                let public = public(text).ok_or_else(|| secret("publicKey", PUBLIC_RULE))?;
                Ok(Material::Public(public))
            }
            _ => {
                let given = [
                    self.secret.as_ref().map(|_| "secret"),
                    self.private_key.as_ref().map(|_| "privateKey"),
                    self.public_key.as_ref().map(|_| "publicKey"),
                ];
                let given: Vec<&str> = given.into_iter().flatten().collect();
                let value = format!("{} with {} of {purpose}", given.join(" and "), self.alg);
                Err(wrong("key", &value, MATERIALS))
            }
        }
    }
}

pub(crate) fn is_kid(kid: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:~".contains(&b);
    (1..=64).contains(&kid.len()) && kid.bytes().all(allowed)
}

/// OpenSSL writes PKCS #8 without the public key, others with it.
fn pair(pem: &str) -> Option<Ed25519KeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
}

fn public(text: &str) -> Option<[u8; PUBLIC_BYTES]> {
    if !text.contains("-----BEGIN") {
        return decode(text)?.try_into().ok();
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).ok()?;
    der.as_ref().strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}
