//! Requests as script arguments, and the scripts' answers as results.

use ::redis::{Cmd, Value, from_redis_value_ref};
use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, Generation, Place, Quantity, Refusal,
    Timestamp,
};
use bookingq_queue::bounds;
use tracing::warn;

use super::record::{ClaimToken, StoredBooking};
use super::scripts::ScriptName;
use crate::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, Lease, OrRefusal, Result, Settled, Settlement,
    StoreError, Task, TaskOutcome, Try,
};

/// One item of a batch: how its script takes it, and how the script's answer reads.
pub(super) trait BatchItem: Sized {
    /// The script that takes the batch.
    const SCRIPT: ScriptName;
    /// Values in front of the answers.
    const HEAD: usize = 0;
    /// Whether the script may write an outbox entry.
    const PUBLISHES: bool = true;
    type Answer: Send;

    /// A script decides about all items before it writes, so a call names each client once.
    fn client(&self) -> &ClientId;

    /// Adds the arguments of all items of a call.
    fn push(part: &[Self], call: &mut Cmd);

    fn read(&self, head: &[Value], answer: &Value) -> Result<Self::Answer>;
}

impl BatchItem for Enqueue {
    const SCRIPT: ScriptName = ScriptName::Enqueue;
    const HEAD: usize = 2;
    type Answer = OrRefusal<Enqueued>;

    fn client(&self) -> &ClientId {
        &self.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        for enqueue in part {
            call.arg(enqueue.client.as_str()).arg(enqueue.booking.to_string());
            let quantity = match (&*enqueue.details.item, enqueue.details.quantity) {
                ("", Quantity::ONE) => String::new(),
                (_, quantity) => format!("{} ", quantity.get()),
            };
            // The trace comes from a header. One with a line end would run into the payload.
            let trace = enqueue.trace.as_deref().filter(|trace| !trace.contains('\n'));
            let Enqueue { request, details: Details { item, payload, .. }, .. } = enqueue;
            let trace = trace.unwrap_or_default();
            let mut lines = format!("{request}\n{quantity}{item}\n{trace}\n").into_bytes();
            lines.extend_from_slice(payload);
            call.arg(lines);
        }
    }

    fn read(&self, head: &[Value], answer: &Value) -> Result<Self::Answer> {
        match (head, answer) {
            (&[Value::Int(now), Value::Int(offset)], &Value::Int(number)) => {
                let booking = Booking {
                    client: self.client.clone(),
                    id: self.booking,
                    request: self.request.clone(),
                    state: BookingState::Queued,
                    place: Place::numbered(number as u64),
                    position: Some((number + offset) as u64),
                    parked: false,
                    item: self.details.item.clone(),
                    quantity: self.details.quantity,
                    enqueued_at: Timestamp(now as u64),
                    reservation: None,
                    deadline: None,
                    payment: None,
                    outcome: None,
                    reason: String::new(),
                };
                Ok(Ok(Enqueued { booking, existing: false }))
            }
            (_, Value::Array(_)) => {
                Ok(row(&self.client, answer).map(|booking| Enqueued { booking, existing: true }))
            }
            _ => refusal(answer).map(Err),
        }
    }
}

impl BatchItem for Lease {
    const SCRIPT: ScriptName = ScriptName::Renew;
    const PUBLISHES: bool = false;
    type Answer = bool;

    fn client(&self) -> &ClientId {
        &self.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        for lease in part {
            call.arg(lease.client.as_str()).arg(ClaimToken::of(lease).to_string());
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<bool> {
        Ok(from_redis_value_ref(answer)?)
    }
}

impl BatchItem for Settlement {
    const SCRIPT: ScriptName = ScriptName::Settle;
    type Answer = Settled;

    fn client(&self) -> &ClientId {
        &self.lease.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        let busy: u64 = part.iter().map(|settlement| bounds::busy_us(settlement.busy)).sum();
        let changes_items = part.iter().any(|settlement| may_change_items(&settlement.outcome));
        call.arg(busy).arg(part.len()).arg(u8::from(changes_items));
        for settlement in part {
            call.arg(settlement.lease.client.as_str());
        }
        for Self { lease, outcome, .. } in part {
            call.arg(ClaimToken::of(lease).to_string());
            match outcome {
                TaskOutcome::Reserved { reservation, hold, left } => {
                    call.arg(if left.is_some() { "left" } else { "reserved" });
                    call.arg(bounds::millis(*hold)).arg(reservation.as_str()).arg(*left)
                }
                TaskOutcome::SoldOut { left, elsewhere } => {
                    let left = left.map(|left| left.to_string()).unwrap_or_default();
                    call.arg("sold_out").arg(left).arg(*elsewhere).arg(lease.generation.0)
                }
                TaskOutcome::Rejected { reason } => {
                    call.arg("rejected").arg(bounds::reason(reason))
                }
                TaskOutcome::Confirmed => call.arg("confirmed"),
                TaskOutcome::Released => call.arg("released"),
                TaskOutcome::Retry { after, counts } => {
                    let counts = u8::from(*counts == Try::Counts);
                    call.arg("retry").arg(bounds::millis(*after)).arg(counts)
                }
                TaskOutcome::GiveUp { reason } => call.arg("give_up").arg(bounds::reason(reason)),
            };
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<Settled> {
        let answer: String = from_redis_value_ref(answer)?;
        let settled = match answer.split_once(' ') {
            Some(("applied", state)) => BookingState::parse(state).map(Settled::Applied),
            Some(("repeated", state)) => BookingState::parse(state).map(Settled::Repeated),
            _ => (answer == "stale").then_some(Settled::Stale),
        };
        settled.ok_or_else(|| StoreError::unexpected("not a settlement", &answer))
    }
}

impl BatchItem for Confirm {
    const SCRIPT: ScriptName = ScriptName::Confirm;
    type Answer = OrRefusal<Confirmed>;

    fn client(&self) -> &ClientId {
        &self.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        for confirm in part {
            let booking = confirm.booking.map(|id| id.to_string()).unwrap_or_default();
            call.arg(confirm.client.as_str()).arg(booking).arg(confirm.payment.as_str());
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<Self::Answer> {
        match answer {
            Value::BulkString(text) => {
                let won = StoredBooking::parse(text).and_then(|stored| {
                    let task = stored.task(&self.client, None)?;
                    Ok(Confirmed::Won(Box::new(task), stored.booking(&self.client)))
                });
                Ok(readable(&self.client, won))
            }
            Value::Array(values) if values.len() == 1 => refusal(&values[0]).map(Err),
            _ => Ok(row(&self.client, answer).map(Confirmed::Repeated)),
        }
    }
}

impl BatchItem for Cancel {
    const SCRIPT: ScriptName = ScriptName::Cancel;
    type Answer = OrRefusal<Booking>;

    fn client(&self) -> &ClientId {
        &self.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        for cancel in part {
            let booking = cancel.booking.map(|id| id.to_string()).unwrap_or_default();
            call.arg(cancel.client.as_str()).arg(booking);
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<Self::Answer> {
        match answer {
            Value::Array(_) => Ok(row(&self.client, answer)),
            _ => refusal(answer).map(Err),
        }
    }
}

/// A request for the status of a client.
impl BatchItem for ClientId {
    const SCRIPT: ScriptName = ScriptName::Status;
    const PUBLISHES: bool = false;
    type Answer = Option<Booking>;

    fn client(&self) -> &ClientId {
        self
    }

    fn push(part: &[Self], call: &mut Cmd) {
        for client in part {
            call.arg(client.as_str());
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<Self::Answer> {
        Ok(matches!(answer, Value::Array(_)).then(|| row(self, answer).ok()).flatten())
    }
}

/// A payment whose hold has expired, and that asks for another booking.
pub(super) struct Reacquire(pub(super) Confirm);

impl BatchItem for Reacquire {
    const SCRIPT: ScriptName = ScriptName::Reacquire;
    type Answer = OrRefusal<Confirmed>;

    fn client(&self) -> &ClientId {
        &self.0.client
    }

    fn push(part: &[Self], call: &mut Cmd) {
        let id = |id: Option<BookingId>| id.map(|id| id.to_string()).unwrap_or_default();
        for Self(confirm) in part {
            call.arg(confirm.client.as_str()).arg(id(confirm.booking));
            call.arg(confirm.payment.as_str()).arg(id(confirm.reacquire));
        }
    }

    fn read(&self, _: &[Value], answer: &Value) -> Result<Self::Answer> {
        if !matches!(answer, Value::Array(_)) {
            return refusal(answer).map(Err);
        }
        let read = || {
            let (word, text, generation, item_open): (String, Vec<u8>, u64, bool) =
                from_redis_value_ref(answer)?;
            let client = &self.0.client;
            let booking = StoredBooking::parse(&text)?;
            if word == "sold_out" {
                return Ok(Confirmed::Reacquired(None, booking.booking(client)));
            }
            let (generation, first) = (Generation(generation), word == "reacquired");
            let task = Task { generation, item_open, first, ..booking.task(client, None)? };
            if first {
                return Ok(Confirmed::Reacquired(Some(Box::new(task)), booking.booking(client)));
            }
            Ok(Confirmed::Releasing(Box::new(task)))
        };
        Ok(readable(&self.0.client, read()))
    }
}

/// Reads `{ booking, position, 1 if it is parked }`.
fn row(client: &ClientId, row: &Value) -> OrRefusal<Booking> {
    let read = || {
        if let Value::Array(values) = row
            && let [Value::BulkString(text), position, parked @ ..] = &values[..]
        {
            let (position, parked) = (from_redis_value_ref(position)?, !parked.is_empty());
            return Ok(Booking { position, parked, ..StoredBooking::parse(text)?.booking(client) });
        }
        Err(StoreError::unexpected("not a booking", row))
    };
    readable(client, read())
}

/// A corrupt record counts as missing for that client and never fails the batch.
fn readable<T>(client: &ClientId, read: Result<T>) -> OrRefusal<T> {
    read.map_err(|error| {
        warn!(client = client.as_str(), %error, "skipped a corrupt booking");
        Refusal::BookingNotFound
    })
}

/// Whether an item may close or open by the outcome, or what is known of it changes.
fn may_change_items(outcome: &TaskOutcome) -> bool {
    match outcome {
        TaskOutcome::Reserved { left, .. } => left.is_some(),
        TaskOutcome::SoldOut { .. } | TaskOutcome::Rejected { .. } | TaskOutcome::Released => true,
        TaskOutcome::Confirmed | TaskOutcome::Retry { .. } | TaskOutcome::GiveUp { .. } => false,
    }
}

/// Reads `closed`, `not_found`, `expired`, `final <state>` or `not_reserved <state>`.
fn refusal(answer: &Value) -> Result<Refusal> {
    let answer: String = from_redis_value_ref(answer)?;
    let refusal = match (&*answer, answer.split_once(' ')) {
        ("closed", _) => Some(Refusal::QueueClosed),
        ("not_found", _) => Some(Refusal::BookingNotFound),
        ("expired", _) => Some(Refusal::HoldExpired),
        (_, Some(("final", state))) => BookingState::parse(state).map(Refusal::AlreadyFinal),
        (_, Some(("not_reserved", state))) => BookingState::parse(state).map(Refusal::NotReserved),
        _ => None,
    };
    refusal.ok_or_else(|| StoreError::unexpected("not a refusal", &answer))
}
