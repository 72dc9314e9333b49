//! Place tokens: what a client keeps, in a cookie or an app, to come back to its place.

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, QueueName, QueueNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{SignError, TokenError};
use crate::jws;
use crate::key_ring::KeyRing;
use crate::numeric_date::{check_expiry, moment, seconds};
use crate::purpose::KeyPurpose;
use crate::return_url::ReturnUrl;

/// What a place token says. Only gateways read it, and it grants nothing but this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceClaims {
    /// The queue.
    pub queue: QueueName,
    /// The client.
    pub client: ClientId,
    /// Its booking when the token was made. A client that joins again has a newer one.
    pub booking: BookingId,
    /// The number of that booking.
    pub number: QueueNumber,
    /// The epoch of the queue's data when the token was made.
    pub epoch: String,
    /// Where the client goes on when it is its turn. Compare it with the present list of origins
    /// before use.
    pub return_url: Option<ReturnUrl>,
    /// End of the token, rounded down to a second.
    pub expires_at: Timestamp,
}

/// Short names: browsers send this with each request.
#[derive(Serialize, Deserialize)]
struct PlaceWire {
    q: QueueName,
    c: ClientId,
    b: BookingId,
    n: QueueNumber,
    e: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<ReturnUrl>,
    exp: u64,
}

impl PlaceClaims {
    /// Signs them.
    ///
    /// # Errors
    /// [`SignError::NoKey`] without a place key.
    pub fn sign(&self, keys: &KeyRing, now: Timestamp) -> Result<String, SignError> {
        let wire = PlaceWire {
            q: self.queue.clone(),
            c: self.client.clone(),
            b: self.booking,
            n: self.number,
            e: self.epoch.clone(),
            r: self.return_url.clone(),
            exp: seconds(self.expires_at),
        };
        jws::sign(keys.signing(KeyPurpose::Place, now)?, &wire)
    }

    /// Verifies a token for `queue`.
    ///
    /// # Errors
    /// [`TokenError`], naming the failed check.
    pub fn verify(
        token: &str,
        keys: &KeyRing,
        queue: &QueueName,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let wire: PlaceWire = jws::open(token, keys, KeyPurpose::Place, "place token", now)?;
        check_expiry(wire.exp, now, Duration::ZERO)?;
        if wire.q != *queue {
            return Err(TokenError::WrongQueue);
        }
        Ok(Self {
            queue: wire.q,
            client: wire.c,
            booking: wire.b,
            number: wire.n,
            epoch: wire.e,
            return_url: wire.r,
            expires_at: moment(wire.exp),
        })
    }
}
