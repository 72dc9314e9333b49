//! Leases and settlements of workers.

use std::time::Duration;

use bookingq_core::{ClientId, Fence, Generation, Place, ReservationId};

use super::Unreadable;
use super::ids::{BookingIdWire, booking_id, millis, number, span};
use crate::bounds;
use crate::task::{Lease, Settlement, TaskOutcome, Try};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LeaseWire {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(message, optional, tag = "2")]
    booking: Option<BookingIdWire>,
    #[prost(uint64, tag = "3")]
    place: u64,
    #[prost(uint64, tag = "4")]
    fence: u64,
    #[prost(uint64, tag = "5")]
    generation: u64,
}

impl From<&Lease> for LeaseWire {
    fn from(lease: &Lease) -> Self {
        Self {
            client: lease.client.as_str().to_owned(),
            booking: Some(lease.booking.into()),
            place: number(lease.place),
            fence: lease.fence.0,
            generation: lease.generation.0,
        }
    }
}

impl TryFrom<LeaseWire> for Lease {
    type Error = Unreadable;

    fn try_from(wire: LeaseWire) -> Result<Self, Unreadable> {
        Ok(Self {
            client: ClientId::new(&wire.client)?,
            booking: booking_id(wire.booking)?,
            place: Place::numbered(wire.place),
            fence: Fence(wire.fence),
            generation: Generation(wire.generation),
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SettlementWire {
    #[prost(message, optional, tag = "1")]
    lease: Option<LeaseWire>,
    #[prost(uint64, tag = "2")]
    busy_us: u64,
    #[prost(oneof = "OutcomeWire", tags = "3, 4, 5, 6, 7, 8, 9")]
    outcome: Option<OutcomeWire>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OutcomeWire {
    #[prost(message, tag = "3")]
    Reserved(ReservedWire),
    #[prost(message, tag = "4")]
    SoldOut(SoldOutWire),
    #[prost(string, tag = "5")]
    Rejected(String),
    #[prost(message, tag = "6")]
    Confirmed(()),
    #[prost(message, tag = "7")]
    Released(()),
    #[prost(message, tag = "8")]
    Retry(RetryWire),
    #[prost(string, tag = "9")]
    GiveUp(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReservedWire {
    #[prost(string, tag = "1")]
    reservation: String,
    #[prost(uint64, tag = "2")]
    hold_ms: u64,
    #[prost(uint64, optional, tag = "3")]
    left: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SoldOutWire {
    #[prost(uint64, optional, tag = "1")]
    left: Option<u64>,
    #[prost(uint64, tag = "2")]
    elsewhere: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RetryWire {
    #[prost(uint64, tag = "1")]
    after_ms: u64,
    #[prost(bool, tag = "2")]
    counts: bool,
}

impl From<&Settlement> for SettlementWire {
    fn from(settlement: &Settlement) -> Self {
        let outcome = match &settlement.outcome {
            TaskOutcome::Reserved { reservation, hold, left } => {
                OutcomeWire::Reserved(ReservedWire {
                    reservation: reservation.as_str().to_owned(),
                    hold_ms: millis(*hold),
                    left: *left,
                })
            }
            TaskOutcome::SoldOut { left, elsewhere } => {
                OutcomeWire::SoldOut(SoldOutWire { left: *left, elsewhere: *elsewhere })
            }
            TaskOutcome::Rejected { reason } => OutcomeWire::Rejected(bounds::reason(reason)),
            TaskOutcome::Confirmed => OutcomeWire::Confirmed(()),
            TaskOutcome::Released => OutcomeWire::Released(()),
            TaskOutcome::Retry { after, counts } => OutcomeWire::Retry(RetryWire {
                after_ms: millis(*after),
                counts: *counts == Try::Counts,
            }),
            TaskOutcome::GiveUp { reason } => OutcomeWire::GiveUp(bounds::reason(reason)),
        };
        Self {
            lease: Some((&settlement.lease).into()),
            busy_us: bounds::busy_us(settlement.busy),
            outcome: Some(outcome),
        }
    }
}

impl TryFrom<SettlementWire> for Settlement {
    type Error = Unreadable;

    fn try_from(wire: SettlementWire) -> Result<Self, Unreadable> {
        let lease = wire.lease.ok_or_else(|| Unreadable::missing("the lease"))?;
        let outcome = wire.outcome.ok_or_else(|| Unreadable::missing("the outcome of a task"))?;
        Ok(Self {
            lease: lease.try_into()?,
            outcome: outcome.try_into()?,
            busy: Duration::from_micros(wire.busy_us),
        })
    }
}

impl TryFrom<OutcomeWire> for TaskOutcome {
    type Error = Unreadable;

    fn try_from(wire: OutcomeWire) -> Result<Self, Unreadable> {
        Ok(match wire {
            OutcomeWire::Reserved(ReservedWire { reservation, hold_ms, left }) => Self::Reserved {
                reservation: ReservationId::new(&reservation)?,
                hold: span(hold_ms),
                left,
            },
            OutcomeWire::SoldOut(SoldOutWire { left, elsewhere }) => {
                Self::SoldOut { left, elsewhere }
            }
            OutcomeWire::Rejected(reason) => Self::Rejected { reason },
            OutcomeWire::Confirmed(()) => Self::Confirmed,
            OutcomeWire::Released(()) => Self::Released,
            OutcomeWire::Retry(RetryWire { after_ms, counts }) => Self::Retry {
                after: span(after_ms),
                counts: if counts { Try::Counts } else { Try::Free },
            },
            OutcomeWire::GiveUp(reason) => Self::GiveUp { reason },
        })
    }
}
