//! Requests as script arguments, and the scripts' answers as results.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{Cmd, Value, from_redis_value_ref};
use bookingq_core::{
    Admission, Booking, BookingId, BookingState, ClientId, Details, Generation, Place, Quantity,
    Refusal, Timestamp,
};
use bookingq_queue::bounds;
use tracing::warn;

use super::record::{ClaimToken, StoredBooking};
use super::sale;
use super::scripts::ScriptName;
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Lease, OrRefusal, Result, Settled,
    Settlement, Snapshot, StoreError, Task, TaskOutcome, Totals, Try,
};

/// One item of a batch: how its script takes it, and how the script's answer reads.
pub(super) trait BatchItem: Sized {
    /// The script that takes the batch.
    const SCRIPT: ScriptName;
    /// Values in front of the answers.
    const HEAD: usize = 0;
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
        call.arg(busy).arg(part.len());
        for settlement in part {
            call.arg(settlement.lease.client.as_str());
        }
        for Self { lease, outcome, .. } in part {
            call.arg(ClaimToken::of(lease).to_string());
            match outcome {
                TaskOutcome::Reserved { reservation, hold, left } => {
                    call.arg("reserved").arg(bounds::millis(*hold)).arg(reservation.as_str());
                    call.arg(number_or_empty(*left))
                }
                TaskOutcome::SoldOut { left, elsewhere } => {
                    call.arg("sold_out").arg(number_or_empty(*left)).arg(*elsewhere);
                    call.arg(lease.generation.0)
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
            Ok(match first {
                true => Confirmed::Reacquired(Some(Box::new(task)), booking.booking(client)),
                false => Confirmed::Releasing(Box::new(task)),
            })
        };
        Ok(readable(&self.0.client, read()))
    }
}

/// Reads the answer of claim.lua. A corrupt task is left to its lease and never fails the others.
pub(super) fn claim(answer: &[Value]) -> Result<Claim> {
    let [now, next, more, items, tasks @ ..] = answer else {
        return Err(StoreError::unexpected("not the answer of claim.lua", &answer));
    };
    let next: Option<u64> = from_redis_value_ref(next)?;
    let mut claim = Claim {
        now: Timestamp(from_redis_value_ref(now)?),
        tasks: Vec::with_capacity(tasks.len() / 3),
        next: next.map(Duration::from_micros),
        more: from_redis_value_ref(more)?,
    };
    let items: Vec<(String, u64, bool)> = from_redis_value_ref(items)?;
    let items: HashMap<&str, (u64, bool)> =
        items.iter().map(|(name, returned, open)| (&**name, (*returned, *open))).collect();
    for values in tasks.chunks_exact(3) {
        match task(values) {
            Ok(task) => {
                let (returned, item_open) =
                    items.get(&*task.details.item).copied().unwrap_or_default();
                claim.tasks.push(Task { generation: Generation(returned), item_open, ..task });
            }
            Err(error) => warn!(%error, "skipped a corrupt task"),
        }
    }
    Ok(claim)
}

/// Reads client, claim token, and the booking before the claim.
fn task(values: &[Value]) -> Result<Task> {
    let (client, token): (String, String) =
        (from_redis_value_ref(&values[0])?, from_redis_value_ref(&values[1])?);
    let client = ClientId::new(&client).ok();
    let token = ClaimToken::parse(&token);
    match (client, token, &values[2]) {
        (Some(client), Some(token), Value::BulkString(text)) => {
            StoredBooking::parse(text)?.task(&client, Some(token.fence))
        }
        _ => Err(StoreError::unexpected("not a task", &values)),
    }
}

/// The values of snapshot.lua, in its order.
type SnapshotAnswer = (
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    Option<u64>,
    Option<u64>,
    HashMap<String, u64>,
    HashMap<String, String>,
);

/// Reads the answer of snapshot.lua. Returns the number of the newest outbox entry, too.
pub(super) fn snapshot(answer: SnapshotAnswer) -> Result<(u64, Snapshot)> {
    let (
        now,
        backlog,
        parked_and_ready,
        in_flight,
        due,
        holds,
        overdue,
        outbox,
        front,
        joined,
        counters,
        mut meta,
    ) = answer;
    let admission = match meta.get("admission") {
        None => Admission::default(),
        Some(word) => Admission::parse(word)
            .ok_or_else(|| StoreError::unexpected("not an admission", word))?,
    };
    let rules = sale::rules(&meta)?;
    let counter = |name: &str| counters.get(name).copied().unwrap_or_default();
    let totals = Totals {
        enqueued: counter("enqueued"),
        dispatched: counter("dispatched"),
        claimed: counter("claimed"),
        reclaimed: counter("reclaimed"),
        retried: counter("retried"),
        stale: counter("stale"),
        reserved: counter("reserved"),
        confirmed: counter("confirmed"),
        expired: counter("expired"),
        cancelled: counter("cancelled"),
        sold_out: counter("sold_out"),
        rejected: counter("rejected"),
        failed: counter("failed"),
        busy_us: counter("busy_us"),
        damaged: counter("damaged"),
        parked: counter("parked"),
        reacquired: counter("reacquired"),
    };
    let snapshot = Snapshot {
        now: Timestamp(now),
        set_back: false,
        epoch: meta.remove("epoch").unwrap_or_default(),
        admission,
        rules_set: rules.is_some(),
        rules: rules.unwrap_or_default(),
        backlog,
        parked: counter("waiting"),
        claimable: backlog + parked_and_ready,
        in_flight,
        due,
        holds,
        overdue,
        front: front.map(Place::numbered).zip(joined.map(Timestamp)),
        totals,
        swept_at: counters.get("swept_at").copied().map(Timestamp),
        outbox,
    };
    Ok((counter("entries"), snapshot))
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

fn number_or_empty(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
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
