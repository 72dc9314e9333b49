//! Answers of the scripts as typed values. What can't be understood is an error for the caller,
//! never a panic.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::Value;
use bookingq_core::{Admission, Booking, BookingState, ClientId, Place, Refusal, Timestamp};

use super::record::Record;
use crate::Settled;
use crate::{Opened, Snapshot, Totals};
use crate::{Result, StoreError};

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
        Value::Int(number) => {
            u64::try_from(*number).map(Some).map_err(|_| unexpected("negative", value))
        }
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
            let epoch =
                values.get(1).map(text).transpose()?.flatten().unwrap_or_default().to_owned();
            Ok(Opened { epoch, warnings: Vec::new() })
        }
        None => Err(unexpected("not a schema version", schema)),
    }
}

/// A booking and its position, as `{ booking, position }`.
pub(super) fn row(client: &ClientId, row: Value) -> Result<Booking> {
    let values = array(row)?;
    let position = number(values.get(1).unwrap_or(&Value::Nil))?;
    let record = Record::read(values.first().unwrap_or(&Value::Nil))?;
    Ok(Booking { position, ..record.booking(client) })
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

/// The answer of snapshot.lua, and how many outbox entries were ever written.
pub(super) fn snapshot(value: Value) -> Result<(u64, Snapshot)> {
    let values = array(value)?;
    let at = |index: usize| values.get(index).unwrap_or(&Value::Nil);
    let admission = match text(at(1))? {
        None => Admission::default(),
        Some(word) => {
            Admission::parse(word).ok_or_else(|| unexpected("not an admission", at(1)))?
        }
    };
    let counters = counters(at(10))?;
    let front = number(at(8))?.map(Place::numbered).zip(number(at(9))?.map(Timestamp));
    let entries = counters.get("entries").copied().unwrap_or_default();
    let snapshot = Snapshot {
        now: Timestamp(required(values.first())?),
        set_back: false,
        epoch: text(at(11))?.unwrap_or_default().to_owned(),
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
    };
    Ok((entries, snapshot))
}

fn counters(value: &Value) -> Result<HashMap<&str, u64>> {
    let Value::Array(values) = value else { return Err(unexpected("not counters", value)) };
    values
        .chunks_exact(2)
        .map(|pair| {
            Ok((text(&pair[0])?.unwrap_or_default(), number(&pair[1])?.unwrap_or_default()))
        })
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
