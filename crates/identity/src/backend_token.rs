//! Tokens of the seller's backend, which reports payments.

use bookingq_core::{QueueName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{SignError, TokenError};
use crate::foreign::ForeignWire;
use crate::jws;
use crate::key::Key;
use crate::key_ring::KeyRing;
use crate::purpose::KeyPurpose;

/// What a backend token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendClaims {
    /// `sub`: which backend, for logs.
    pub backend: String,
    /// The only queue it is for; all queues if not set.
    pub queue: Option<QueueName>,
    /// `exp`, at most 5 min ahead.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct BackendWire {
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<QueueName>,
    #[serde(flatten)]
    foreign: ForeignWire,
}

impl BackendClaims {
    /// Verifies a token for calls about `queue`. If it has an `aud`, that must be `issuer`, the
    /// gateway's name.
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
        let wire: BackendWire = jws::open(token, keys, KeyPurpose::Backend, "backend token", now)?;
        wire.foreign.check(issuer, now)?;
        if wire.queue.as_ref().is_some_and(|only| only != queue) {
            return Err(TokenError::WrongQueue);
        }
        Ok(Self { backend: wire.sub, queue: wire.queue, expires_at: wire.foreign.expires_at() })
    }

    /// Signs them as a backend does.
    ///
    /// # Errors
    /// [`SignError::PublicKey`].
    pub fn sign(&self, key: &Key) -> Result<String, SignError> {
        let wire = BackendWire {
            sub: self.backend.clone(),
            queue: self.queue.clone(),
            foreign: ForeignWire::until(self.expires_at),
        };
        jws::sign(key, &wire)
    }
}
