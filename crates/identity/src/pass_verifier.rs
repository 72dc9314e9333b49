//! The seller's side of a pass: what is checked before a payment page is shown.

use bookingq_core::{Quantity, Timestamp};

use crate::error::{KeyError, TokenError};
use crate::jwks;
use crate::jws;
use crate::key_ring::KeyRing;
use crate::lifetimes::CLOCK_LEEWAY;
use crate::numeric_date::{check_expiry, moment};
use crate::pass::{PassClaims, PassWire};
use crate::purpose::KeyPurpose;

/// Checks passes with the keys of a JWKS.
///
/// An unknown `kid` may be a new key: read the JWKS again, at most once a minute, and try once
/// more.
#[derive(Debug, Clone)]
pub struct PassVerifier {
    keys: KeyRing,
    issuer: String,
    audience: String,
}

impl PassVerifier {
    /// With the text of a JWKS. Keys that are not Ed25519 keys for signatures are skipped.
    ///
    /// # Errors
    /// [`KeyError::Jwks`] if the text is no JWKS, or has no key of ours.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Self, KeyError> {
        let keys = jwks::parse(jwks)?;
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// Verifies a pass. The queue is among the claims: compare it with what is paid for.
    ///
    /// # Errors
    /// [`TokenError`], naming the failed check.
    pub fn verify(&self, pass: &str, now: Timestamp) -> Result<PassClaims, TokenError> {
        PassClaims::verify(pass, &self.keys, &self.issuer, &self.audience, now)
    }
}

impl PassClaims {
    /// Verifies a pass with keys that are at hand, as the gateway does.
    ///
    /// # Errors
    /// [`TokenError`], naming the failed check.
    pub fn verify(
        pass: &str,
        keys: &KeyRing,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let wire: PassWire = jws::open(pass, keys, KeyPurpose::Pass, "pass", now)?;
        if wire.iss != issuer {
            return Err(TokenError::WrongIssuer);
        }
        if wire.aud != audience {
            return Err(TokenError::WrongAudience);
        }
        check_expiry(wire.exp, now, CLOCK_LEEWAY)?;
        if moment(wire.iat) > now + CLOCK_LEEWAY {
            return Err(TokenError::NotYetValid("iat"));
        }
        let quantity = i32::try_from(wire.quantity).ok().filter(|quantity| *quantity > 0);
        let quantity = quantity.and_then(|quantity| Quantity::new(quantity).ok());
        let wrong = TokenError::BadClaim { claim: "quantity", allowed: "1 to 100" };
        Ok(Self {
            client: wire.sub,
            queue: wire.queue,
            booking: wire.booking,
            reservation: wire.reservation,
            item: wire.item,
            quantity: quantity.ok_or(wrong)?,
            deadline: moment(wire.deadline),
            expires_at: moment(wire.exp),
            issued_at: moment(wire.iat),
            id: wire.jti,
        })
    }
}
