//! One call of a client with its answer, as a line of the history.
//!
//! docs/reliability.md describes the format, so that other checkers can read it.

use std::fmt::Debug;

use bookingq_core::{BookingId, BookingState, ClientId, EventSeq, PaymentId, Place, RequestId};
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::Status;

/// The method of a call with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum CallKind {
    /// Enqueue.
    Enqueue {
        /// The request id.
        request: RequestId,
    },
    /// GetStatus.
    Status,
    /// An update of an open WatchStatus stream or WebSocket. The `start` of each is the moment at
    /// which the client opened it.
    Watch,
    /// Cancel.
    Cancel {
        /// The booking.
        of: BookingId,
    },
    /// ConfirmPayment.
    Pay {
        /// The booking.
        of: BookingId,
        /// The payment id.
        payment: PaymentId,
        /// Whether to try once more if the hold has expired.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reacquire: bool,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CallAnswer {
    /// It took effect, and this is the booking after it.
    Ok(BookingSnapshot),
    /// It was refused and changed nothing.
    Refused {
        /// The reason of the closed set, such as `HOLD_EXPIRED`.
        reason: String,
    },
    /// No answer, or one that leaves the outcome open: the call may have taken effect, or may
    /// still do so.
    Unknown {
        /// The error that came instead of an answer.
        error: String,
    },
}

/// A booking as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingSnapshot {
    /// The booking.
    pub booking: BookingId,
    /// The request that made it.
    #[serde(rename = "made_by")]
    pub request: RequestId,
    /// Its place in the order.
    #[serde(flatten)]
    pub place: Place,
    /// Its state.
    pub state: BookingState,
    /// The state after its release, if a release is under way or certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<BookingState>,
    /// Pay before this, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether it waits for an item that is sold out at the moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
    /// Its position in line, if an update of a watch shows one; 1 = next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Whether an Enqueue found an existing booking.
    #[serde(default)]
    pub existing: bool,
    /// The data that an update of a WebSocket comes from; other answers do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ShownVersion>,
}

/// Which data a gateway showed, and up to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownVersion {
    /// Identifies the data of the queue: another one after Redis has lost it.
    pub epoch: String,
    /// Everything up to this event was shown.
    pub sequence: EventSeq,
}

impl BookingSnapshot {
    /// From a worker's answer; `None` if the answer is malformed.
    pub fn from_proto(booking: &v1::Booking, existing: bool) -> Option<Self> {
        Some(Self {
            booking: BookingId::new(&booking.booking_id).ok()?,
            request: RequestId::new(&booking.request_id).ok()?,
            place: booking.place(),
            state: booking.state().to_core()?,
            follows: booking.outcome().to_core(),
            deadline_ms: booking.deadline.as_ref().map(|at| from_timestamp(at).0),
            parked: booking.parked,
            position: None,
            existing,
            version: None,
        })
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The caller.
    pub client: ClientId,
    /// The method with its arguments.
    #[serde(flatten)]
    pub kind: CallKind,
    /// When it was sent, in µs after the start of the run.
    pub start: u64,
    /// When the answer arrived, or the client stopped waiting for it.
    pub end: u64,
    /// The answer.
    #[serde(flatten)]
    pub answer: CallAnswer,
}

/// Records every call of a crowd.
pub trait Recorder: Debug + Send + Sync {
    /// Records a call that was sent at `start` and has just ended.
    fn record(&self, client: &ClientId, kind: &CallKind, start: Instant, answer: CallAnswer);
}

/// Final and without one of our reasons, so that the checker reports it.
pub(crate) fn malformed() -> Status {
    Status::out_of_range("an answer without a well-formed booking")
}
