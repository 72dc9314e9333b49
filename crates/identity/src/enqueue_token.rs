//! Enqueue tokens: the seller vouches for an account, so an account has one place on all devices.

use bookingq_core::{ClientId, QueueName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::derive::ANONYMOUS_PREFIX;
use crate::error::{SignError, TokenError};
use crate::foreign::ForeignWire;
use crate::jws;
use crate::key::Key;
use crate::key_ring::KeyRing;
use crate::purpose::KeyPurpose;

/// What an enqueue token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnqueueClaims {
    /// `sub`: the account, which becomes the client's id.
    pub client: ClientId,
    /// The queue that it may join.
    pub queue: QueueName,
    /// `jti`: the token's own id, for the seller's logs.
    pub id: String,
    /// `exp`, at most 5 min ahead.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct EnqueueWire {
    sub: String,
    queue: String,
    jti: String,
    #[serde(flatten)]
    foreign: ForeignWire,
}

impl EnqueueClaims {
    /// Verifies a token for `queue`. If it has an `aud`, that must be `issuer`, the gateway's
    /// name.
    ///
    /// # Errors
    /// [`TokenError`], naming the failed check.
    pub fn verify(
        token: &str,
        keys: &KeyRing,
        queue: &QueueName,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let wire: EnqueueWire = jws::open(token, keys, KeyPurpose::Enqueue, "enqueue token", now)?;
        wire.foreign.check(issuer, now)?;
        if wire.queue != queue.as_str() {
            return Err(TokenError::WrongQueue);
        }
        if !(1..=MAX_JTI).contains(&wire.jti.len()) {
            return Err(TokenError::BadClaim { claim: "jti", allowed: "1 to 128 bytes" });
        }
        // An account of this name would be the place of an anonymous client.
        let client = ClientId::new(&wire.sub).ok();
        let client = client.filter(|client| !client.as_str().starts_with(ANONYMOUS_PREFIX));
        let wrong = TokenError::BadClaim { claim: "sub", allowed: SUB_RULE };
        Ok(Self {
            client: client.ok_or(wrong)?,
            queue: queue.clone(),
            id: wire.jti,
            expires_at: wire.foreign.expires_at(),
        })
    }

    /// Signs them as a seller does.
    ///
    /// # Errors
    /// [`SignError::PublicKey`].
    pub fn sign(&self, key: &Key) -> Result<String, SignError> {
        let wire = EnqueueWire {
            sub: self.client.to_string(),
            queue: self.queue.to_string(),
            jti: self.id.clone(),
            foreign: ForeignWire::until(self.expires_at),
        };
        jws::sign(key, &wire)
    }
}

const MAX_JTI: usize = 128;
const SUB_RULE: &str =
    "1 to 128 bytes of UTF-8 without control characters, not starting with `anon-`";
