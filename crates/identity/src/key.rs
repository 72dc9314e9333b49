//! One key: its id, its purpose, and the algorithm that it alone is used with.

use std::fmt;
use std::sync::Arc;

use bookingq_core::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ring::{hmac, signature};

use crate::encoding::encode;
use crate::error::{SignError, TokenError};
use crate::purpose::{KeyAlgorithm, KeyPurpose};

/// A key with everything that decides its use. `Debug` shows no secret.
#[derive(Clone)]
pub struct Key {
    kid: Arc<str>,
    purpose: KeyPurpose,
    not_before: Timestamp,
    material: Material,
    /// The encoded header of every token that it signs.
    header: Arc<str>,
}

#[derive(Clone)]
pub(crate) enum Material {
    Secret(hmac::Key),
    Pair(Arc<Ed25519KeyPair>),
    Public([u8; PUBLIC_BYTES]),
}

/// Length of an Ed25519 public key.
pub(crate) const PUBLIC_BYTES: usize = 32;

impl Key {
    pub(crate) fn new(
        kid: &str,
        purpose: KeyPurpose,
        not_before: Timestamp,
        material: Material,
    ) -> Self {
        let algorithm = material.algorithm();
        // A kid needs no escapes in JSON.
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"JWT"}}"#);
        Self { kid: kid.into(), purpose, not_before, material, header: encode(header).into() }
    }

    /// Its id, which tokens name in their header.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it is for.
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    /// The algorithm it is used with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.material.algorithm()
    }

    /// When it begins to be valid; 0 if its file does not say.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether it holds what is needed to sign.
    pub fn can_sign(&self) -> bool {
        !matches!(self.material, Material::Public(_))
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The public half of an EdDSA key.
    pub(crate) fn public(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Secret(_) => None,
            Material::Pair(pair) => Some(pair.public_key().as_ref()),
            Material::Public(bytes) => Some(bytes),
        }
    }

    /// An HMAC of `parts` for a use other than tokens; `None` for an EdDSA key.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Option<hmac::Tag> {
        let Material::Secret(secret) = &self.material else { return None };
        let mut context = hmac::Context::with_key(secret);
        for part in parts {
            context.update(part);
        }
        Some(context.sign())
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.material {
            Material::Secret(secret) => Ok(hmac::sign(secret, message).as_ref().to_vec()),
            Material::Pair(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Material::Public(_) => Err(SignError::PublicKey(self.kid.to_string())),
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let outcome = match (&self.material, self.public()) {
            (Material::Secret(secret), _) => hmac::verify(secret, message, signature),
            (_, Some(public)) => {
                UnparsedPublicKey::new(&signature::ED25519, public).verify(message, signature)
            }
            (_, None) => Err(ring::error::Unspecified),
        };
        outcome.map_err(|_| TokenError::BadSignature)
    }
}

impl Material {
    fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Secret(_) => KeyAlgorithm::Hs256,
            Self::Pair(_) | Self::Public(_) => KeyAlgorithm::EdDsa,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("purpose", &self.purpose)
            .field("algorithm", &self.algorithm())
            .field("not_before", &self.not_before)
            .finish_non_exhaustive()
    }
}
