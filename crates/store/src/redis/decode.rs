//! Answers of the scripts as typed values. What can't be understood is an error for the caller, never a panic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use bookingq_core::{
    Admission, Booking, BookingId, BookingState, ClientId, Details, Outcome, PaymentId, Quantity, Refusal,
    RequestId, ReservationId, Ticket, Timestamp,
};

use crate::task::Settled;
use crate::view::{Opened, Snapshot, Totals};
use crate::{Result, StoreError};

/// The order of a row's fields: that of prelude.lua, counted from 0.
mod field {
    pub(super) const STATE: usize = 0;
    pub(super) const ID: usize = 1;
    pub(super) const REQUEST: usize = 2;
    pub(super) const HOLD: usize = 3;
    pub(super) const PAYMENT: usize = 4;
    pub(super) const REASON: usize = 5;
    pub(super) const POSITION: usize = 6;
}

/// An answer that is not what the scripts promise.
pub(super) fn unexpected(what: &str, value: &Value) -> StoreError {
    let mut shown = format!("{value:?}");
    shown.truncate(shown.floor_char_boundary(200));
    StoreError::Unexpected(format!("{what}: {shown}"))
}

/// An error that came as a value.
pub(super) fn no_error(value: Value) -> Result<Value> {
    match value {
        Value::ServerError(error) => Err(StoreError::Unexpected(format!("{error:?}"))),
        value => Ok(value),
    }
}

/// An array.
pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(unexpected("not a list", &other)),
    }
}

/// A whole number, however it is written; `None` for nil.
pub(super) fn number(value: &Value) -> Result<Option<u64>> {
    match value {
        Value::Nil => Ok(None),
        Value::Int(number) => u64::try_from(*number).map(Some).map_err(|_| unexpected("negative", value)),
        _ => match text(value)?.map(str::parse) {
            Some(Ok(number)) => Ok(Some(number)),
            _ => Err(unexpected("not a number", value)),
        },
    }
}

/// A number that must be there.
pub(super) fn required(value: Option<&Value>) -> Result<u64> {
    let value = value.unwrap_or(&Value::Nil);
    number(value)?.ok_or_else(|| unexpected("a number is missing", value))
}

/// A text; `None` for nil.
pub(super) fn text(value: &Value) -> Result<Option<&str>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            std::str::from_utf8(bytes).map(Some).map_err(|_| unexpected("not UTF-8", value))
        }
        Value::SimpleString(text) => Ok(Some(text)),
        other => Err(unexpected("not a text", other)),
    }
}

/// The schema version and the epoch; a schema newer than `known` is refused.
pub(super) fn opened(value: Value, known: u32) -> Result<Opened> {
    let values = array(value)?;
    let schema = values.first().unwrap_or(&Value::Nil);
    let found = number(schema)?.and_then(|schema| u32::try_from(schema).ok());
    match found {
        Some(found) if found > known => Err(StoreError::NewerSchema { found, known }),
        Some(_) => {
            let epoch = values.get(1).map(text).transpose()?.flatten().unwrap_or_default().to_owned();
            Ok(Opened { epoch, warnings: Vec::new() })
        }
        None => Err(unexpected("not a schema version", schema)),
    }
}

/// Some values of an answer, by their index; what is beyond the end is nil.
#[derive(Clone, Copy)]
pub(super) struct Values<'a>(pub(super) &'a [Value]);

impl Values<'_> {
    fn value(&self, index: usize) -> &Value {
        self.0.get(index).unwrap_or(&Value::Nil)
    }

    /// A text; `None` for nil.
    pub(super) fn text(&self, index: usize) -> Result<Option<&str>> {
        text(self.value(index))
    }

    /// A number; `None` for nil.
    pub(super) fn number(&self, index: usize) -> Result<Option<u64>> {
        number(self.value(index))
    }

    /// A number that must be there.
    pub(super) fn required(&self, index: usize) -> Result<u64> {
        required(self.0.get(index))
    }

    /// A text that must be there, as `parse` understands it.
    pub(super) fn needed<T>(&self, index: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        self.optional(index, parse)?.ok_or_else(|| unexpected("a field is missing", self.value(index)))
    }

    /// A text that may be there, as `parse` understands it.
    pub(super) fn optional<T>(
        &self,
        index: usize,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.text(index)? {
            None => Ok(None),
            Some(word) => {
                parse(word).map(Some).ok_or_else(|| unexpected("not a valid field", self.value(index)))
            }
        }
    }

    /// `<booking id> <ticket> <when it joined>`.
    pub(super) fn id(&self, index: usize) -> Result<Id> {
        self.needed(index, id)
    }

    /// `<state> <fence>[ <outcome>]`: the state and the outcome.
    pub(super) fn state(&self, index: usize) -> Result<(BookingState, Option<Outcome>)> {
        self.needed(index, state)
    }

    /// A request.
    pub(super) fn request(&self, index: usize) -> Result<RequestId> {
        self.needed(index, |word| RequestId::new(word).ok())
    }

    /// `<deadline or -> <reservation>`, if it is there.
    pub(super) fn hold(&self, index: usize) -> Result<(Option<Timestamp>, Option<ReservationId>)> {
        let hold = self.optional(index, hold)?;
        Ok(hold.map_or((None, None), |(deadline, reservation)| (deadline, Some(reservation))))
    }

    /// A payment, if there is one.
    pub(super) fn payment(&self, index: usize) -> Result<Option<PaymentId>> {
        self.optional(index, |word| PaymentId::new(word).ok())
    }

    /// `<quantity> <item>`, and behind it the payload.
    pub(super) fn details(&self, index: usize) -> Result<Details> {
        let (quantity, item) = self.optional(index, item)?.unwrap_or((Quantity::ONE, Arc::from("")));
        let payload = match self.value(index + 1) {
            Value::BulkString(bytes) => bytes.as_slice(),
            _ => &[],
        };
        Ok(Details { item, quantity, payload: Arc::from(payload) })
    }
}

/// Which booking, and its place in the order.
pub(super) struct Id {
    pub(super) booking: BookingId,
    pub(super) ticket: Ticket,
    pub(super) enqueued_at: Timestamp,
}

fn id(word: &str) -> Option<Id> {
    let mut parts = word.split(' ');
    Some(Id {
        booking: BookingId::new(parts.next()?).ok()?,
        ticket: Ticket(parts.next()?.parse().ok()?),
        enqueued_at: Timestamp(parts.next()?.parse().ok()?),
    })
}

fn state(word: &str) -> Option<(BookingState, Option<Outcome>)> {
    let mut parts = word.split(' ');
    let state = BookingState::parse(parts.next()?)?;
    let _fence = parts.next()?;
    let outcome = match parts.next() {
        None => None,
        Some(outcome) => Some(Outcome::parse(outcome)?),
    };
    Some((state, outcome))
}

fn hold(word: &str) -> Option<(Option<Timestamp>, ReservationId)> {
    let (deadline, reservation) = word.split_once(' ')?;
    let deadline = if deadline == "-" { None } else { Some(Timestamp(deadline.parse().ok()?)) };
    Some((deadline, ReservationId::new(reservation).ok()?))
}

fn item(word: &str) -> Option<(Quantity, Arc<str>)> {
    let (quantity, item) = word.split_once(' ')?;
    Some((Quantity::new(quantity.parse().ok()?).ok()?, Arc::from(item)))
}

/// The booking of a row.
pub(super) fn booking(client: &ClientId, row: Value) -> Result<Booking> {
    let values = array(row)?;
    let row = Values(&values);
    let id = row.id(field::ID)?;
    let (state, outcome) = row.state(field::STATE)?;
    let (deadline, reservation) = row.hold(field::HOLD)?;
    Ok(Booking {
        client: client.clone(),
        id: id.booking,
        request: row.request(field::REQUEST)?,
        state,
        ticket: id.ticket,
        position: row.number(field::POSITION)?,
        enqueued_at: id.enqueued_at,
        reservation,
        deadline,
        payment: row.payment(field::PAYMENT)?,
        outcome,
        reason: row.text(field::REASON)?.unwrap_or_default().to_owned(),
    })
}

/// `applied <state>`, `repeated <state>` or `stale`.
pub(super) fn settled(value: &Value) -> Result<Settled> {
    let word = text(value)?.unwrap_or_default();
    let settled = match word.split_once(' ') {
        Some(("applied", state)) => BookingState::parse(state).map(Settled::Applied),
        Some(("repeated", state)) => BookingState::parse(state).map(Settled::Repeated),
        _ => (word == "stale").then_some(Settled::Stale),
    };
    settled.ok_or_else(|| unexpected("not a settlement", value))
}

/// `closed`, `not_found`, `expired`, `final <state>` or `not_reserved <state>`.
pub(super) fn refusal(value: &Value) -> Result<Refusal> {
    let word = text(value)?.unwrap_or_default();
    let refusal = match word.split_once(' ') {
        Some(("final", state)) => BookingState::parse(state).map(Refusal::AlreadyFinal),
        Some(("not_reserved", state)) => BookingState::parse(state).map(Refusal::NotReserved),
        _ => match word {
            "closed" => Some(Refusal::QueueClosed),
            "not_found" => Some(Refusal::BookingNotFound),
            "expired" => Some(Refusal::HoldExpired),
            _ => None,
        },
    };
    refusal.ok_or_else(|| unexpected("not a refusal", value))
}

/// The answer of snapshot.lua.
pub(super) fn snapshot(value: Value) -> Result<Snapshot> {
    let values = array(value)?;
    let at = |index: usize| values.get(index).unwrap_or(&Value::Nil);
    let admission = match text(at(1))? {
        None => Admission::default(),
        Some(word) => Admission::parse(word).ok_or_else(|| unexpected("not an admission", at(1)))?,
    };
    let counters = counters(at(10))?;
    let joined = text(at(9))?.and_then(id).map(|id| id.enqueued_at);
    let front = number(at(8))?.map(Ticket).zip(joined);
    Ok(Snapshot {
        now: Timestamp(required(values.first())?),
        admission,
        backlog: required(values.get(2))?,
        in_flight: required(values.get(3))?,
        due: required(values.get(4))?,
        holds: required(values.get(5))?,
        overdue: required(values.get(6))?,
        front,
        totals: totals(&counters),
        swept_at: counters.get("swept_at").copied().map(Timestamp),
        outbox: required(values.get(7))?,
    })
}

fn counters(value: &Value) -> Result<HashMap<&str, u64>> {
    let Value::Array(values) = value else { return Err(unexpected("not counters", value)) };
    values
        .chunks_exact(2)
        .map(|pair| Ok((text(&pair[0])?.unwrap_or_default(), number(&pair[1])?.unwrap_or_default())))
        .collect()
}

fn totals(counters: &HashMap<&str, u64>) -> Totals {
    let of = |name: &str| counters.get(name).copied().unwrap_or(0);
    Totals {
        enqueued: of("enqueued"),
        dispatched: of("dispatched"),
        claimed: of("claimed"),
        reclaimed: of("reclaimed"),
        retried: of("retried"),
        stale: of("stale"),
        reserved: of("reserved"),
        confirmed: of("confirmed"),
        expired: of("expired"),
        cancelled: of("cancelled"),
        sold_out: of("sold_out"),
        rejected: of("rejected"),
        failed: of("failed"),
        busy_us: of("busy_us"),
        damaged: of("damaged"),
    }
}

/// How long until something, in milliseconds; `None` for nil.
pub(super) fn milliseconds(value: Option<&Value>) -> Result<Option<Duration>> {
    Ok(number(value.unwrap_or(&Value::Nil))?.map(Duration::from_millis))
}
