//! One call of a client, as a line of the history: what was asked, when, and what was answered.
//!
//! The format is described in docs/reliability.md, for checkers that we did not write.

use bookingq_core::{BookingId, BookingState, ClientId, PaymentId, Place, RequestId};
use serde::{Deserialize, Serialize};

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// A place in line.
    Enqueue {
        /// The request's name.
        request: RequestId,
    },
    /// How the newest booking is.
    Status,
    /// To leave.
    Cancel {
        /// Which booking.
        of: BookingId,
    },
    /// To pay.
    Pay {
        /// Which booking.
        of: BookingId,
        /// The payment's name.
        payment: PaymentId,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and this is the booking after it.
    Ok(Seen),
    /// It was refused, and changed nothing.
    Refused {
        /// The reason of the closed set, as in `HOLD_EXPIRED`.
        reason: String,
    },
    /// No answer, or one that does not say: it may have been done, or may still be.
    Unknown {
        /// What was heard instead.
        error: String,
    },
}

/// A booking as a client was shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub booking: BookingId,
    /// The request that made it.
    #[serde(rename = "made_by")]
    pub request: RequestId,
    /// Its place in the order.
    #[serde(flatten)]
    pub place: Place,
    /// Where it is in its life.
    pub state: BookingState,
    /// What follows its release, where one is under way or certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<BookingState>,
    /// Pay before this, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether an Enqueue found a place that was there.
    #[serde(default)]
    pub existing: bool,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who.
    pub client: ClientId,
    /// What.
    #[serde(flatten)]
    pub operation: Operation,
    /// When it was sent, in µs after the start of the run.
    pub start: u64,
    /// When the answer was there, or was no longer waited for.
    pub end: u64,
    /// The answer.
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_of_the_history_reads_as_documented_and_can_be_read_back() {
        let booking = BookingId::from_u128(1);
        let call = Call {
            client: ClientId::new("c1").unwrap(),
            operation: Operation::Pay { of: booking, payment: PaymentId::new("p1").unwrap() },
            start: 5,
            end: 9,
            outcome: Outcome::Refused { reason: "HOLD_EXPIRED".into() },
        };
        let line = serde_json::to_string(&call).unwrap();
        let wanted = format!(
            r#"{{"client":"c1","op":"pay","of":"{booking}","payment":"p1","start":5,"end":9,"outcome":"refused","reason":"HOLD_EXPIRED"}}"#
        );
        assert_eq!(line, wanted);
        assert_eq!(serde_json::from_str::<Call>(&line).unwrap(), call);
    }
}
