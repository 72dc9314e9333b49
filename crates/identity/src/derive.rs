//! Values that every gateway with the same place key derives alike, without a store.

use bookingq_core::{ClientId, QueueName, Timestamp};
use uuid::Uuid;

use crate::encoding::encode_hex;
use crate::error::SignError;
use crate::key_ring::KeyRing;
use crate::purpose::KeyPurpose;

/// How the client ids of anonymous clients begin. No account may have such a name.
pub(crate) const ANONYMOUS_PREFIX: &str = "anon-";

/// Length of the part of an HMAC that becomes a client id.
const ID_BYTES: usize = 16;

/// No token begins like this, so no token is an HMAC of these uses.
const CLIENT_USE: &[u8] = b"bookingq client\0";
const SEAL_USE: &[u8] = b"bookingq seal\0";

impl KeyRing {
    /// The id of an anonymous client that joins `queue` with this Idempotency-Key. All repeats of
    /// one join, at all gateways, are one client and so one booking. The key must be a random
    /// UUID, because the client that knows it has the place.
    ///
    /// # Errors
    /// [`SignError::NoKey`] without a place key.
    pub fn anonymous_client(
        &self,
        queue: &QueueName,
        idempotency_key: Uuid,
        now: Timestamp,
    ) -> Result<ClientId, SignError> {
        let parts = [CLIENT_USE, queue.as_str().as_bytes(), &[0], idempotency_key.as_bytes()];
        let key = self.signing(KeyPurpose::Place, now)?;
        let tag = key.mac(&parts).ok_or(SignError::NoKey(KeyPurpose::Place))?;
        let id = tag.as_ref().get(..ID_BYTES).map(encode_hex).unwrap_or_default();
        ClientId::new(&format!("{ANONYMOUS_PREFIX}{id}")).map_err(|_| SignError::Unwritable)
    }

    /// Seals data that a client carries and that no client may change: 32 bytes.
    ///
    /// # Errors
    /// [`SignError::NoKey`] without a place key.
    pub fn seal(&self, data: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
        let key = self.signing(KeyPurpose::Place, now)?;
        let tag = key.mac(&[SEAL_USE, data]).ok_or(SignError::NoKey(KeyPurpose::Place))?;
        Ok(tag.as_ref().to_vec())
    }

    /// Whether a place key of this ring made the seal of `data`.
    pub fn is_sealed(&self, data: &[u8], seal: &[u8]) -> bool {
        let message = [SEAL_USE, data].concat();
        self.of(KeyPurpose::Place).any(|key| key.verify(&message, seal).is_ok())
    }
}
