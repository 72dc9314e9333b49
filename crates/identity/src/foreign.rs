//! What every token of a seller says about itself: until when it is valid, and for whom it is.

use bookingq_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audience::Audience;
use crate::error::TokenError;
use crate::numeric_date::{check_foreign, moment, seconds};

/// The claims that all tokens of a seller share.
#[derive(Serialize, Deserialize)]
pub(crate) struct ForeignWire {
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
}

impl ForeignWire {
    /// Valid until then, for any gateway that has the key.
    pub(crate) fn until(expires_at: Timestamp) -> Self {
        Self { exp: seconds(expires_at), nbf: None, iat: None, aud: None }
    }

    /// When the token ends.
    pub(crate) fn expires_at(&self) -> Timestamp {
        moment(self.exp)
    }

    /// Checks the times, and that an `aud` includes `issuer`, the gateway's name.
    pub(crate) fn check(&self, issuer: &str, now: Timestamp) -> Result<(), TokenError> {
        check_foreign(self.exp, self.nbf, self.iat, now)?;
        Audience::check(self.aud.as_ref(), issuer)
    }
}
