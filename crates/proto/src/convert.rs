//! From core types to messages, and back where that can fail.

use std::time::Duration;

use bookingq_core::eta::{Chance, Eta, EtaRange, EtaUnknown};
use bookingq_core::{
    Admission, Booking, BookingState, EventSeq, ItemState, Outcome, Outflow, Place, QueueName,
    Timestamp, Workforce, WorkforceChange,
};

use crate::v1;

/// A moment as protobuf writes it.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: (at.0 / 1000) as i64,
        nanos: ((at.0 % 1000) * 1_000_000) as i32,
    }
}

/// A moment as we write it; what lies before 1970 becomes 1970.
pub fn from_timestamp(at: &prost_types::Timestamp) -> Timestamp {
    let seconds = u64::try_from(at.seconds).unwrap_or(0);
    Timestamp(seconds.saturating_mul(1000) + u64::try_from(at.nanos).unwrap_or(0) / 1_000_000)
}

/// A duration as protobuf writes it; saturates after 292 billion years.
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

impl From<BookingState> for v1::BookingState {
    fn from(state: BookingState) -> Self {
        match state {
            BookingState::Queued => Self::Queued,
            BookingState::Reserving => Self::Reserving,
            BookingState::Reserved => Self::Reserved,
            BookingState::Confirming => Self::Confirming,
            BookingState::Releasing => Self::Releasing,
            BookingState::Confirmed => Self::Confirmed,
            BookingState::Expired => Self::Expired,
            BookingState::Cancelled => Self::Cancelled,
            BookingState::SoldOut => Self::SoldOut,
            BookingState::Rejected => Self::Rejected,
            BookingState::Failed => Self::Failed,
        }
    }
}

impl v1::BookingState {
    /// The core state; `None` for "unspecified".
    pub fn to_core(self) -> Option<BookingState> {
        BookingState::ALL.into_iter().find(|&state| Self::from(state) == self)
    }
}

impl From<Outcome> for v1::ReleaseCause {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Expired => Self::Expired,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed => Self::Failed,
            Outcome::SoldOut | Outcome::Rejected => Self::Refused,
        }
    }
}

impl From<Admission> for v1::Admission {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Open => Self::Open,
            Admission::Paused => Self::Paused,
            Admission::Closed => Self::Closed,
        }
    }
}

impl v1::Booking {
    /// Its place in the order.
    pub fn place(&self) -> Place {
        Place::numbered(self.queue_number)
    }
}

impl v1::BookingUpdate {
    /// Its sequence.
    pub fn sequence(&self) -> EventSeq {
        EventSeq { ms: self.sequence_ms, number: self.sequence_number }
    }
}

impl v1::PublishRequest {
    /// Everything up to this sequence has been sent with the message.
    pub fn through(&self) -> EventSeq {
        EventSeq { ms: self.through_ms, number: self.through_number }
    }
}

impl From<&ItemState> for v1::ItemStatus {
    fn from(state: &ItemState) -> Self {
        let availability = match (state.refused, state.ended) {
            (None, _) => v1::ItemAvailability::Open,
            (Some(_), false) => v1::ItemAvailability::SoldOutAtTheMoment,
            (Some(_), true) => v1::ItemAvailability::SoldOut,
        };
        Self {
            item: state.item.to_string(),
            availability: availability.into(),
            sold_out_from: state.refused.map_or(0, |quantity| quantity.get() as i32),
            unsettled: state.unsettled,
            waiting: state.waiting,
            left: state.left,
        }
    }
}

impl From<Outflow> for v1::Outflow {
    fn from(outflow: Outflow) -> Self {
        Self {
            per_minute: outflow.per_minute.unwrap_or(0),
            burst: outflow.burst.unwrap_or(0),
            max_holds: outflow.max_holds.unwrap_or(0),
        }
    }
}

impl From<&Workforce> for v1::Workforce {
    fn from(workforce: &Workforce) -> Self {
        let change = |change: &WorkforceChange| v1::WorkforceChange {
            at: Some(timestamp(change.at)),
            from: change.from,
            to: change.to,
            reason: change.reason.clone(),
            note: change.note.clone(),
        };
        let last_scaling = workforce.last_scaling.as_ref().map(change);
        Self { wanted: workforce.wanted, ready: workforce.ready, last_scaling }
    }
}

impl v1::GetQueueResponse {
    /// Whether the outflow decides how fast the line is served.
    pub fn is_limited(&self) -> bool {
        let serves = self.admission() != v1::Admission::Paused && self.opens_in.is_none();
        let outflow = self.outflow.unwrap_or_default().to_core();
        serves && outflow.is_reached(self.backlog, self.rate, self.in_flight + self.holds)
    }
}

impl v1::Outflow {
    /// The core limits, not validated.
    pub fn to_core(self) -> Outflow {
        let limit = |value: u32| (value > 0).then_some(value);
        Outflow {
            per_minute: limit(self.per_minute),
            burst: limit(self.burst),
            max_holds: limit(self.max_holds),
        }
    }
}

impl From<EtaRange> for v1::EtaRange {
    fn from(range: EtaRange) -> Self {
        Self { low: Some(duration(range.low)), high: Some(duration(range.high)) }
    }
}

impl From<EtaUnknown> for v1::EtaUnknown {
    fn from(reason: EtaUnknown) -> Self {
        match reason {
            EtaUnknown::NotOpen => Self::NotOpen,
            EtaUnknown::Paused => Self::Paused,
            EtaUnknown::Outage => Self::Outage,
            EtaUnknown::SoldOut => Self::SoldOut,
            EtaUnknown::NoData => Self::NoData,
        }
    }
}

impl From<Chance> for v1::Chance {
    fn from(chance: Chance) -> Self {
        match chance {
            Chance::Likely => Self::Likely,
            Chance::Uncertain => Self::Uncertain,
            Chance::Unlikely => Self::Unlikely,
        }
    }
}

/// What is known of a booking that waits, besides the booking.
#[derive(Debug, Clone, Default)]
pub struct Prospect {
    /// The item, if it is closed for the booking.
    pub item: Option<ItemState>,
    /// The expected wait.
    pub eta: Option<Eta>,
    /// The chance of getting what is booked, if the stock is known.
    pub chance: Option<Chance>,
}

/// The range of a wait, or the reason why there is none.
pub fn range_or_reason(eta: Eta) -> (Option<EtaRange>, v1::EtaUnknown) {
    match eta {
        Eta::Range(range) => (Some(range), v1::EtaUnknown::Unspecified),
        Eta::Unknown(reason) => (None, reason.into()),
    }
}

/// A booking as a client may see it.
pub fn booking(queue: &QueueName, booking: &Booking, prospect: &Prospect) -> v1::Booking {
    let (range, unknown) =
        prospect.eta.map_or((None, v1::EtaUnknown::Unspecified), range_or_reason);
    v1::Booking {
        queue: queue.to_string(),
        client_id: booking.client.to_string(),
        booking_id: booking.id.to_string(),
        request_id: booking.request.to_string(),
        state: v1::BookingState::from(booking.state).into(),
        queue_number: booking.place.number.get(),
        position: booking.position.unwrap_or(0),
        eta: range.map(|range| duration(range.expected)),
        enqueued_at: Some(timestamp(booking.enqueued_at)),
        reservation_id: booking.reservation.as_ref().map(ToString::to_string).unwrap_or_default(),
        deadline: booking.deadline.map(timestamp),
        outcome: booking.outcome.map_or(v1::BookingState::Unspecified, |o| o.state().into()).into(),
        reason: booking.reason.clone(),
        item: booking.item.to_string(),
        quantity: booking.quantity.get() as i32,
        parked: booking.parked,
        item_status: prospect.item.as_ref().map(Into::into),
        eta_range: range.map(Into::into),
        eta_unknown: unknown.into(),
        chance: prospect.chance.map_or(v1::Chance::Unspecified, Into::into).into(),
    }
}
