//! A booking as the engine keeps it.

use bookingq_core::{
    BookingState, ClientId, Fence, Outcome, PaymentId, Place, RequestId, ReservationId, Timestamp,
};

use super::Unreadable;
use super::ids::{BookingIdWire, DetailsWire, booking_id, details, number};
use crate::record::{Record, Slot};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RecordWire {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(message, optional, tag = "2")]
    id: Option<BookingIdWire>,
    #[prost(string, tag = "3")]
    request: String,
    #[prost(string, tag = "4")]
    state: String,
    #[prost(uint32, tag = "5")]
    slot: u32,
    /// When the slot ends; 0 where it has no end.
    #[prost(uint64, tag = "6")]
    slot_end: u64,
    #[prost(uint64, tag = "7")]
    place: u64,
    #[prost(uint64, tag = "8")]
    enqueued_at: u64,
    #[prost(message, optional, tag = "9")]
    details: Option<DetailsWire>,
    #[prost(string, optional, tag = "10")]
    trace: Option<String>,
    #[prost(uint64, tag = "11")]
    fence: u64,
    #[prost(uint64, tag = "12")]
    settled: u64,
    #[prost(bool, tag = "13")]
    stray: bool,
    #[prost(uint32, tag = "14")]
    attempts: u32,
    #[prost(string, optional, tag = "15")]
    reservation: Option<String>,
    #[prost(uint64, optional, tag = "16")]
    deadline: Option<u64>,
    #[prost(string, optional, tag = "17")]
    payment: Option<String>,
    #[prost(string, optional, tag = "18")]
    outcome: Option<String>,
    #[prost(string, tag = "19")]
    reason: String,
}

impl RecordWire {
    pub(crate) fn new(client: &ClientId, record: &Record) -> Self {
        let (slot, slot_end) = from_slot(record.slot);
        Self {
            client: client.as_str().to_owned(),
            id: Some(record.id.into()),
            request: record.request.as_str().to_owned(),
            state: record.state.as_str().to_owned(),
            slot,
            slot_end,
            place: number(record.place),
            enqueued_at: record.enqueued_at.0,
            details: Some((&record.details).into()),
            trace: record.trace.clone(),
            fence: record.fence.0,
            settled: record.settled.0,
            stray: record.stray,
            attempts: record.attempts,
            reservation: record.reservation.as_ref().map(|id| id.as_str().to_owned()),
            deadline: record.deadline.map(|at| at.0),
            payment: record.payment.as_ref().map(|id| id.as_str().to_owned()),
            outcome: record.outcome.map(|outcome| outcome.as_str().to_owned()),
            reason: record.reason.clone(),
        }
    }

    pub(crate) fn read(self) -> Result<(ClientId, Record), Unreadable> {
        let state = BookingState::parse(&self.state)
            .ok_or_else(|| Unreadable::unknown("the state of a booking", &self.state))?;
        let outcome = |word: String| {
            Outcome::parse(&word).ok_or_else(|| Unreadable::unknown("an outcome", &word))
        };
        let record = Record {
            id: booking_id(self.id)?,
            request: RequestId::new(&self.request)?,
            state,
            slot: to_slot(self.slot, self.slot_end)?,
            place: Place::numbered(self.place),
            enqueued_at: Timestamp(self.enqueued_at),
            details: details(self.details)?,
            trace: self.trace,
            fence: Fence(self.fence),
            settled: Fence(self.settled),
            stray: self.stray,
            attempts: self.attempts,
            reservation: self.reservation.map(|id| ReservationId::new(&id)).transpose()?,
            deadline: self.deadline.map(Timestamp),
            payment: self.payment.map(|id| PaymentId::new(&id)).transpose()?,
            outcome: self.outcome.map(outcome).transpose()?,
            reason: self.reason,
            is_touched: false,
        };
        check(&record)?;
        Ok((ClientId::new(&self.client)?, record))
    }
}

/// Whether a booking stands where its state belongs.
fn check(record: &Record) -> Result<(), Unreadable> {
    let fits = match record.slot {
        Slot::Line | Slot::Parked => record.state == BookingState::Queued,
        Slot::Leased(_) => record.state.is_leased(),
        Slot::Held(_) => record.state == BookingState::Reserved,
        Slot::Final(_) => record.state.is_final(),
    };
    if !fits || record.settled > record.fence {
        let Record { state, slot, settled, fence, .. } = record;
        let what =
            format!("a booking is {state} in slot {slot:?}, settled {settled:?} of {fence:?}");
        return Err(Unreadable::new(what));
    }
    Ok(())
}

pub(super) fn from_slot(slot: Slot) -> (u32, u64) {
    match slot {
        Slot::Line => (1, 0),
        Slot::Parked => (2, 0),
        Slot::Leased(end) => (3, end.0),
        Slot::Held(end) => (4, end.0),
        Slot::Final(end) => (5, end.0),
    }
}

fn to_slot(slot: u32, end: u64) -> Result<Slot, Unreadable> {
    let end = Timestamp(end);
    match slot {
        1 => Ok(Slot::Line),
        2 => Ok(Slot::Parked),
        3 => Ok(Slot::Leased(end)),
        4 => Ok(Slot::Held(end)),
        5 => Ok(Slot::Final(end)),
        other => Err(Unreadable::unknown("the slot of a booking", &other)),
    }
}
