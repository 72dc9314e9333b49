//! Passes: what a client carries to the seller, to show that a reservation is its own.

use bookingq_core::{BookingId, ClientId, Quantity, QueueName, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::encode;
use crate::error::SignError;
use crate::jws;
use crate::key_ring::KeyRing;
use crate::lifetimes::PASS_LIFETIME;
use crate::numeric_date::{moment, seconds};
use crate::purpose::KeyPurpose;
use crate::random::random;

/// The reservation that a pass is made for.
#[derive(Debug, Clone, Copy)]
pub struct PassGrant<'a> {
    /// `iss`: the gateway's name, the same for all of its replicas.
    pub issuer: &'a str,
    /// `aud`: the seller that reads it.
    pub audience: &'a str,
    /// `sub`.
    pub client: &'a ClientId,
    /// The queue.
    pub queue: &'a QueueName,
    /// The reserved booking.
    pub booking: BookingId,
    /// The Booking Service's name for the reservation.
    pub reservation: &'a ReservationId,
    /// The item; empty if the queue has only one.
    pub item: &'a str,
    /// How many.
    pub quantity: Quantity,
    /// Time before which the payment must arrive.
    pub deadline: Timestamp,
}

/// What a pass says. It names one booking and one reservation, so who replays it gains the same
/// single hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassClaims {
    /// `sub`: the client.
    pub client: ClientId,
    /// The queue.
    pub queue: QueueName,
    /// The reserved booking.
    pub booking: BookingId,
    /// The Booking Service's name for the reservation.
    pub reservation: ReservationId,
    /// The item; empty if the queue has only one.
    pub item: String,
    /// How many.
    pub quantity: Quantity,
    /// Time before which the payment must arrive, rounded down to a second.
    pub deadline: Timestamp,
    /// `exp`: end of the pass.
    pub expires_at: Timestamp,
    /// `iat`: when it was made.
    pub issued_at: Timestamp,
    /// `jti`: its own id.
    pub id: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PassWire {
    pub iss: String,
    pub aud: String,
    pub sub: ClientId,
    pub queue: QueueName,
    pub booking: BookingId,
    pub reservation: ReservationId,
    pub item: String,
    pub quantity: u32,
    pub deadline: u64,
    pub exp: u64,
    pub iat: u64,
    pub jti: String,
}

impl PassGrant<'_> {
    /// Makes a pass, and says when it ends.
    ///
    /// # Errors
    /// [`SignError::DeadlinePassed`]; [`SignError::NoKey`] without a private pass key.
    pub fn sign(&self, keys: &KeyRing, now: Timestamp) -> Result<(String, Timestamp), SignError> {
        let expires_at = self.deadline.min(now + PASS_LIFETIME);
        if seconds(expires_at) <= seconds(now) {
            return Err(SignError::DeadlinePassed);
        }
        let wire = PassWire {
            iss: self.issuer.to_owned(),
            aud: self.audience.to_owned(),
            sub: self.client.clone(),
            queue: self.queue.clone(),
            booking: self.booking,
            reservation: self.reservation.clone(),
            item: self.item.to_owned(),
            quantity: self.quantity.get(),
            deadline: seconds(self.deadline),
            exp: seconds(expires_at),
            iat: seconds(now),
            jti: random::<16>().map(encode).ok_or(SignError::NoRandomness)?,
        };
        let pass = jws::sign(keys.signing(KeyPurpose::Pass, now)?, &wire)?;
        Ok((pass, moment(wire.exp)))
    }
}
