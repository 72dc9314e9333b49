//! A booking as it is kept in Redis: one text of nine lines. Their meaning is in docs/redis-keys.md
//! and prelude.lua.

use std::fmt;
use std::sync::Arc;

use ::redis::Value;
use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, Fence, Outcome, PaymentId, Place,
    Quantity, RequestId, ReservationId, Timestamp,
};

use super::decode::unexpected;
use crate::{Lease, Task, TaskKind};
use crate::{Result, StoreError};

/// Understands a booking's text as it is found in Redis (docs/redis-keys.md), whoever wrote it.
///
/// # Errors
/// [`StoreError::Unexpected`]: it was cut off, is of another release, or is something else.
pub fn read_booking(client: &ClientId, text: &[u8]) -> Result<Booking> {
    let value = Value::BulkString(text.to_vec());
    let record = Record::read(&value)?;
    record.details()?;
    Ok(record.booking(client))
}

/// The last four lines of a new booking, but for when it joined: request, item, trace, payload.
pub(super) fn request(request: &RequestId, details: &Details, trace: Option<&str>) -> Vec<u8> {
    let mut lines = Vec::with_capacity(details.item.len() + details.payload.len() + 128);
    lines.extend_from_slice(request.as_str().as_bytes());
    lines.push(b'\n');
    if !details.item.is_empty() || details.quantity != Quantity::ONE {
        lines.extend_from_slice(details.quantity.get().to_string().as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(details.item.as_bytes());
    }
    lines.push(b'\n');
    // It comes from a header and could not be told from the payload if it had lines of its own.
    lines.extend_from_slice(
        trace.filter(|trace| !trace.contains('\n')).unwrap_or_default().as_bytes(),
    );
    lines.push(b'\n');
    lines.extend_from_slice(&details.payload);
    lines
}

/// The first line of a booking: which one, its place in the order, and its newest claim. The
/// scripts compare it as a whole, so its numbers have a fixed width.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    pub(super) booking: BookingId,
    pub(super) place: Place,
    pub(super) fence: Fence,
}

impl Lead {
    /// Of the claim that a lease names.
    pub(super) fn of(lease: &Lease) -> Self {
        Self { booking: lease.booking, place: lease.place, fence: lease.fence }
    }

    /// Of `<booking id> <queue number> <fence>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            booking: BookingId::new(parts.next()?).ok()?,
            place: Place::numbered(parts.next()?.parse().ok()?),
            fence: Fence(parts.next()?.parse().ok()?),
        })
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, Fence(fence)) = (self.place.number.get(), self.fence);
        write!(f, "{} {number:012} {fence:015}", self.booking)
    }
}

/// The lines of a booking, understood.
pub(super) struct Record<'a> {
    lead: Lead,
    state: BookingState,
    outcome: Option<Outcome>,
    tries: u32,
    enqueued_at: Timestamp,
    deadline: Option<Timestamp>,
    reservation: Option<ReservationId>,
    payment: Option<PaymentId>,
    reason: &'a str,
    request: RequestId,
    item: &'a str,
    trace: Option<&'a str>,
    payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads it, payments and reservations included: what we did not write is an error, never a
    /// panic.
    pub(super) fn read(value: &'a Value) -> Result<Self> {
        let Value::BulkString(bytes) = value else {
            return Err(unexpected("not a booking", value));
        };
        Self::parse(bytes).ok_or_else(|| unexpected("not a valid booking", value))
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut lines = bytes.splitn(9, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
        let lead = Lead::parse(line()?)?;
        let mut second = line()?.split_ascii_whitespace();
        let state = BookingState::parse(second.next()?)?;
        let outcome = match second.next()? {
            "-" => None,
            letter => Some(outcome(letter)?),
        };
        let _mark = second.next()?;
        let tries = second.next()?.parse().ok()?;
        let (deadline, reservation) = match line()? {
            "" => (None, None),
            hold => self::hold(hold)?,
        };
        let payment = match line()? {
            "" => None,
            payment => Some(PaymentId::new(payment).ok()?),
        };
        let reason = line()?;
        let (joined, request) = line()?.split_once(' ')?;
        let item = line()?;
        let trace = Some(line()?).filter(|trace| !trace.is_empty());
        Some(Self {
            lead,
            state,
            outcome,
            tries,
            enqueued_at: Timestamp(joined.parse().ok()?),
            deadline,
            reservation,
            payment,
            reason,
            request: RequestId::new(request).ok()?,
            item,
            trace,
            payload: lines.next().unwrap_or_default(),
        })
    }

    /// Without a position: that is not kept with it.
    pub(super) fn booking(self, client: &ClientId) -> Booking {
        Booking {
            client: client.clone(),
            id: self.lead.booking,
            request: self.request,
            state: self.state,
            place: self.lead.place,
            position: None,
            enqueued_at: self.enqueued_at,
            reservation: self.reservation,
            deadline: self.deadline,
            payment: self.payment,
            outcome: self.outcome,
            reason: self.reason.to_owned(),
        }
    }

    /// The task that a claim of it gives.
    pub(super) fn claimed(self, client: ClientId, fence: Fence) -> Result<Task> {
        let kind = match (self.state, &self.reservation, &self.payment, self.outcome) {
            (BookingState::Queued | BookingState::Reserving, ..) => TaskKind::Reserve,
            (BookingState::Confirming, Some(reservation), Some(payment), _) => {
                TaskKind::Confirm { reservation: reservation.clone(), payment: payment.clone() }
            }
            (BookingState::Releasing, reservation, _, Some(outcome)) => {
                TaskKind::Release { reservation: reservation.clone(), outcome }
            }
            (state, ..) => {
                return Err(StoreError::Unexpected(format!("a task of a booking that is {state}")));
            }
        };
        Ok(Task {
            details: self.details()?,
            client,
            booking: self.lead.booking,
            fence,
            kind,
            place: self.lead.place,
            attempts: self.tries,
            enqueued_at: self.enqueued_at,
            trace: self.trace.map(str::to_owned),
            first: self.state == BookingState::Queued,
            cancelled: self.state == BookingState::Reserving
                && self.outcome == Some(Outcome::Cancelled),
        })
    }

    /// The task of a payment that has just won, and the booking.
    pub(super) fn won(self, client: &ClientId) -> Result<(Task, Booking)> {
        let (Some(reservation), Some(payment)) = (self.reservation.clone(), self.payment.clone())
        else {
            return Err(StoreError::Unexpected("a payment won without a hold".to_owned()));
        };
        let task = Task {
            client: client.clone(),
            booking: self.lead.booking,
            fence: self.lead.fence,
            kind: TaskKind::Confirm { reservation, payment },
            place: self.lead.place,
            attempts: 0,
            details: self.details()?,
            enqueued_at: self.enqueued_at,
            trace: self.trace.map(str::to_owned),
            first: false,
            cancelled: false,
        };
        Ok((task, self.booking(client)))
    }

    fn details(&self) -> Result<Details> {
        let (quantity, item) = match self.item {
            "" => (Quantity::ONE, ""),
            item => item
                .split_once(' ')
                .and_then(|(quantity, item)| {
                    Some((Quantity::new(quantity.parse().ok()?).ok()?, item))
                })
                .ok_or_else(|| StoreError::Unexpected(format!("not an item: {item}")))?,
        };
        Ok(Details { item: Arc::from(item), quantity, payload: Arc::from(self.payload) })
    }
}

/// What the scripts write of an outcome.
fn outcome(letter: &str) -> Option<Outcome> {
    match letter {
        "e" => Some(Outcome::Expired),
        "c" => Some(Outcome::Cancelled),
        "f" => Some(Outcome::Failed),
        _ => None,
    }
}

fn hold(line: &str) -> Option<(Option<Timestamp>, Option<ReservationId>)> {
    let (deadline, reservation) = line.split_once(' ')?;
    let deadline = if deadline == "-" { None } else { Some(Timestamp(deadline.parse().ok()?)) };
    Some((deadline, Some(ReservationId::new(reservation).ok()?)))
}
