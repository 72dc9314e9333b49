//! A booking as Redis stores it: a text of nine lines, as docs/redis-keys.md and prelude.lua
//! describe it.

use std::fmt;
use std::sync::Arc;

use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, Fence, Generation, Outcome, PaymentId,
    Place, Quantity, RequestId, ReservationId, Timestamp,
};

use crate::{Lease, Result, StoreError, Task, TaskKind};

/// Columns of the two lines of fixed width and of what may follow them, counted from 1 as Lua does,
/// by the names that the scripts use.
pub(super) const COLUMNS: [(&str, usize); 11] = [
    ("BOOKING_END", 36),
    ("FENCE_START", 51),
    ("TOKEN_END", 65),
    ("STATE_START", 67),
    ("OUTCOME_AT", 78),
    ("CLAIMED_AT", 80),
    ("TRIES_START", 82),
    ("HOLD_START", 86),
    ("DEADLINE_END", 98),
    // Of a queued booking, whose hold, payment and reason are empty lines.
    ("QUEUED_REQUEST_START", 103),
    // The width of a moment in milliseconds.
    ("TIME_WIDTH", 13),
];

/// Parses the text of a booking in Redis, of any origin.
///
/// # Errors
/// [`StoreError::Unexpected`] if it is corrupt, of another release, or something else.
pub fn read_booking(client: &ClientId, text: &[u8]) -> Result<Booking> {
    let stored = StoredBooking::parse(text)?;
    stored.details()?;
    Ok(stored.booking(client))
}

/// The first line of a booking: its id, its place and its newest claim. The scripts compare it as a
/// whole, so its numbers have a fixed width.
#[derive(Clone, Copy)]
pub(super) struct ClaimToken {
    pub(super) booking: BookingId,
    pub(super) place: Place,
    pub(super) fence: Fence,
}

impl ClaimToken {
    pub(super) fn of(lease: &Lease) -> Self {
        Self { booking: lease.booking, place: lease.place, fence: lease.fence }
    }

    /// Parses `<booking id> <queue number> <fence>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            booking: BookingId::new(parts.next()?).ok()?,
            place: Place::numbered(parts.next()?.parse().ok()?),
            fence: Fence(parts.next()?.parse().ok()?),
        })
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, Fence(fence)) = (self.place.number.get(), self.fence);
        write!(f, "{} {number:012} {fence:015}", self.booking)
    }
}

/// The lines of a booking, parsed.
pub(super) struct StoredBooking<'a> {
    token: ClaimToken,
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

impl<'a> StoredBooking<'a> {
    /// Parses a text of any origin: a corrupt one is an error, never a panic.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self> {
        let corrupt = || StoreError::unexpected("not a booking", &String::from_utf8_lossy(text));
        Self::parse_lines(text).ok_or_else(corrupt)
    }

    fn parse_lines(text: &'a [u8]) -> Option<Self> {
        let mut lines = text.splitn(9, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
        let token = ClaimToken::parse(line()?)?;
        let mut second = line()?.split_ascii_whitespace();
        let state = BookingState::parse(second.next()?)?;
        let outcome = match second.next()? {
            "-" => None,
            "e" => Some(Outcome::Expired),
            "c" => Some(Outcome::Cancelled),
            "f" => Some(Outcome::Failed),
            "s" => Some(Outcome::SoldOut),
            "r" => Some(Outcome::Rejected),
            _ => return None,
        };
        let _claimed = second.next()?;
        let tries = second.next()?.parse().ok()?;
        let (deadline, reservation) = match line()? {
            "" => (None, None),
            hold => {
                let (deadline, reservation) = hold.split_once(' ')?;
                let deadline = match deadline {
                    "-" => None,
                    at => Some(Timestamp(at.parse().ok()?)),
                };
                (deadline, Some(ReservationId::new(reservation).ok()?))
            }
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
            token,
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

    /// The booking, without its position, which is not stored with it.
    pub(super) fn booking(self, client: &ClientId) -> Booking {
        let details = self.details().unwrap_or_default();
        Booking {
            client: client.clone(),
            id: self.token.booking,
            request: self.request,
            state: self.state,
            place: self.token.place,
            position: None,
            parked: false,
            item: details.item,
            quantity: details.quantity,
            enqueued_at: self.enqueued_at,
            reservation: self.reservation,
            deadline: self.deadline,
            payment: self.payment,
            outcome: self.outcome,
            reason: self.reason.to_owned(),
        }
    }

    /// The task of its newest claim; `claimed` is the claim if the text is of before it.
    pub(super) fn task(&self, client: &ClientId, claimed: Option<Fence>) -> Result<Task> {
        let kind = match (self.state, &self.reservation, &self.payment, self.outcome) {
            (BookingState::Queued | BookingState::Reserving, ..) => TaskKind::Reserve,
            (BookingState::Confirming, Some(reservation), Some(payment), _) => {
                TaskKind::Confirm { reservation: reservation.clone(), payment: payment.clone() }
            }
            (BookingState::Releasing, reservation, _, Some(outcome)) => {
                TaskKind::Release { reservation: reservation.clone(), outcome }
            }
            (state, ..) => return Err(StoreError::unexpected("no task has the state", &state)),
        };
        Ok(Task {
            details: self.details()?,
            client: client.clone(),
            booking: self.token.booking,
            fence: claimed.unwrap_or(self.token.fence),
            kind,
            place: self.token.place,
            attempts: self.tries,
            enqueued_at: self.enqueued_at,
            trace: self.trace.map(str::to_owned),
            first: self.state == BookingState::Queued && self.token.fence == Fence(0),
            item_open: false,
            generation: Generation::default(),
            cancelled: self.state == BookingState::Reserving
                && self.outcome == Some(Outcome::Cancelled),
        })
    }

    fn details(&self) -> Result<Details> {
        let parse = |item: &'a str| {
            let (quantity, item) = item.split_once(' ')?;
            Some((Quantity::new(quantity.parse().ok()?).ok()?, item))
        };
        let (quantity, item) = match self.item {
            "" => (Quantity::ONE, ""),
            item => parse(item).ok_or_else(|| StoreError::unexpected("not an item", &item))?,
        };
        Ok(Details { item: Arc::from(item), quantity, payload: Arc::from(self.payload) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_text() {
        let column = |name: &str| COLUMNS.iter().find(|(one, _)| *one == name).expect(name).1;
        let (id, place) = (BookingId::from_u128(7), Place::numbered(3));
        let token = ClaimToken { booking: id, place, fence: Fence(9) }.to_string();
        assert_eq!(token.len(), column("TOKEN_END"));
        assert_eq!(token[..column("BOOKING_END")], id.to_string());
        assert_eq!(token[column("FENCE_START") - 1..], format!("{:015}", 9));

        let at = format!("{:013}", 1_800_000_000_000_u64);
        assert_eq!(at.len(), column("TIME_WIDTH"));
        let reserved =
            format!("{token}\nreserved   c * 042\n{at} seat 7\n\n\n{at} request\n2 stalls\n\n");
        let found = |start: &str, end: usize| &reserved[column(start) - 1..end];
        let stored = StoredBooking::parse(reserved.as_bytes()).expect("a booking");
        let outcome = column("OUTCOME_AT");
        assert_eq!(found("STATE_START", outcome - 2).trim_end(), stored.state.as_str());
        assert_eq!((found("OUTCOME_AT", outcome), stored.outcome), ("c", Some(Outcome::Cancelled)));
        assert_eq!(found("CLAIMED_AT", column("CLAIMED_AT")), "*");
        assert_eq!(found("TRIES_START", column("HOLD_START") - 2), format!("{:03}", stored.tries));
        assert_eq!(found("HOLD_START", column("DEADLINE_END")), at);
        assert_eq!(stored.deadline, Some(stored.enqueued_at));

        let queued = format!("{token}\nqueued     - - 000\n\n\n\n{at} request\n\n\n");
        assert!(queued[column("QUEUED_REQUEST_START") - 1..].starts_with("request\n"));
    }
}
