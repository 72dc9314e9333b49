//! The public halves of the pass keys, as a JWK Set (RFC 7517, RFC 8037).

use serde::{Deserialize, Serialize};

use crate::encoding::{decode, encode};
use crate::error::KeyError;
use crate::key_file::is_kid;
use crate::key_ring::{KeyRing, MAX_KEYS};
use crate::purpose::{KeyAlgorithm, KeyPurpose};

/// Longest JWKS that is read.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Default, Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    kid: String,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    alg: Option<String>,
}

impl KeyRing {
    /// The JWKS of all pass keys, also of those that do not sign yet or any more. It holds no
    /// private key.
    pub fn jwks(&self) -> String {
        let jwk = |kid: &str, public: &[u8]| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: encode(public),
            kid: kid.to_owned(),
            usage: Some("sig".to_owned()),
            alg: Some(KeyAlgorithm::EdDsa.to_string()),
        };
        let keys = self.of(KeyPurpose::Pass);
        let keys = keys.filter_map(|key| key.public().map(|public| jwk(key.kid(), public)));
        serde_json::json!(JwkSet { keys: keys.collect() }).to_string()
    }
}

/// The pass keys of a JWKS.
pub(crate) fn parse(text: &str) -> Result<KeyRing, KeyError> {
    if text.len() > MAX_BYTES {
        return Err(KeyError::Jwks("it is longer than 64 KiB"));
    }
    let set: JwkSet =
        serde_json::from_str(text).map_err(|_| KeyError::Jwks("it is no JSON object with keys"))?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeyError::TooMany { count: set.keys.len(), allowed: MAX_KEYS });
    }
    let mut ring = KeyRing::default();
    for jwk in set.keys.iter().filter(|jwk| jwk.is_ours()) {
        let public = decode(&jwk.x).and_then(|bytes| bytes.try_into().ok());
        let public = public.ok_or(KeyError::Jwks("an Ed25519 key has no x of 32 bytes"))?;
        ring.insert_public(&jwk.kid, KeyPurpose::Pass, public)?;
    }
    if ring.keys().next().is_none() {
        return Err(KeyError::Jwks("it has no Ed25519 key with a kid"));
    }
    Ok(ring)
}

impl Jwk {
    fn is_ours(&self) -> bool {
        let is = |field: &Option<String>, one: &str| field.as_deref().is_none_or(|it| it == one);
        self.kty == "OKP"
            && self.crv == "Ed25519"
            && is_kid(&self.kid)
            && is(&self.usage, "sig")
            && (is(&self.alg, "EdDSA") || is(&self.alg, "Ed25519"))
    }
}
