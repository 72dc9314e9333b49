//! Requests as script arguments, and the scripts' answers as results: one pair of functions for
//! each transition.

use std::time::Duration;

use ::redis::{Cmd, Value};
use bookingq_core::time::millis;
use bookingq_core::{Booking, BookingState, ClientId, Place, Refusal, Timestamp};
use tracing::warn;

use super::decode::{self, array, number, refusal, required, text, unexpected};
use super::record::{self, Lead, Record};
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Lease, Result, Scope, Settlement,
    StoreError, Task, TaskOutcome, Try,
};

/// Client, booking id, request and details.
pub(super) fn push_enqueue(call: &mut Cmd, asked: &Enqueue) {
    call.arg(asked.client.as_str()).arg(asked.booking.to_string());
    call.arg(record::request(&asked.request, &asked.details, asked.trace.as_deref()));
}

/// The answers of enqueue.lua.
pub(super) fn enqueued(
    part: &[Enqueue],
    answer: Value,
) -> Result<Vec<std::result::Result<Enqueued, Refusal>>> {
    let mut answers = array(answer)?.into_iter();
    let now = Timestamp(required(answers.next().as_ref())?);
    let offset = match answers.next() {
        Some(Value::Int(offset)) => offset,
        other => return Err(unexpected("not an offset", &other.unwrap_or_default())),
    };
    let place = |asked: &Enqueue, answer: Value| match answer {
        Value::Int(place) => {
            let booking =
                new_booking(asked, Place::numbered(place as u64), (place + offset) as u64, now);
            Ok(Ok(Enqueued { booking, existing: false }))
        }
        Value::Array(_) => {
            let booking = readable(&asked.client, decode::row(&asked.client, answer));
            Ok(booking.map(|booking| Enqueued { booking, existing: true }))
        }
        word => refusal(&word).map(Err),
    };
    if answers.len() != part.len() {
        return Err(StoreError::Unexpected(format!(
            "{} answers to {} items",
            answers.len(),
            part.len()
        )));
    }
    part.iter().zip(answers).map(|(asked, answer)| place(asked, answer)).collect()
}

fn new_booking(asked: &Enqueue, place: Place, position: u64, now: Timestamp) -> Booking {
    Booking {
        client: asked.client.clone(),
        id: asked.booking,
        request: asked.request.clone(),
        state: BookingState::Queued,
        place,
        position: Some(position),
        enqueued_at: now,
        reservation: None,
        deadline: None,
        payment: None,
        outcome: None,
        reason: String::new(),
    }
}

/// A booking that the scripts took for one and that can't be read all the same, is none for its
/// client, and hurts nobody else in the batch.
fn readable<T>(client: &ClientId, read: Result<T>) -> std::result::Result<T, Refusal> {
    read.map_err(|error| {
        warn!(client = client.as_str(), %error, "a booking that can't be read was passed over");
        Refusal::BookingNotFound
    })
}

/// How claim.lua calls a scope.
pub(super) fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Everything => "everything",
        Scope::DueOnly => "due_only",
    }
}

/// The answer of claim.lua. A task that can't be read is left to its lease, so that it never stops
/// the others.
pub(super) fn claim(answer: Value) -> Result<Claim> {
    /// Values in front of the tasks, and of each task.
    const HEAD: usize = 3;
    const TASK: usize = 3;
    let values = array(answer)?;
    let head = |index: usize| values.get(index).unwrap_or(&Value::Nil);
    let mut claim = Claim {
        now: Timestamp(required(values.first())?),
        tasks: Vec::with_capacity(values.len() / TASK),
        next_due: number(head(1))?.map(Duration::from_millis),
        more: required(values.get(2))? == 1,
    };
    for task in values[HEAD..].chunks_exact(TASK) {
        match claimed(task) {
            Ok(task) => claim.tasks.push(task),
            Err(error) => warn!(%error, "a task that can't be read was passed over"),
        }
    }
    Ok(claim)
}

/// Client, lead, and the booking as it was: one that was queued was claimed from the line for the
/// first time.
fn claimed(values: &[Value]) -> Result<Task> {
    let client = text(&values[0])?.and_then(|client| ClientId::new(client).ok());
    let client = client.ok_or_else(|| unexpected("not a client", &values[0]))?;
    let lead = text(&values[1])?
        .and_then(Lead::parse)
        .ok_or_else(|| unexpected("not a lead", &values[1]))?;
    Record::read(&values[2])?.claimed(client, lead.fence)
}

/// Client, lead.
pub(super) fn push_lease(call: &mut Cmd, lease: &Lease) {
    call.arg(lease.client.as_str()).arg(Lead::of(lease).to_string());
}

/// All of a batch: the slot time of all together, how many, their clients, and for each its lead
/// and its outcome.
pub(super) fn push_settlements(call: &mut Cmd, part: &[Settlement]) {
    call.arg(
        part.iter().map(|settlement| bookingq_queue::bounds::busy_us(settlement.busy)).sum::<u64>(),
    )
    .arg(part.len());
    for settlement in part {
        call.arg(settlement.lease.client.as_str());
    }
    for settlement in part {
        call.arg(Lead::of(&settlement.lease).to_string());
        push_verdict(call, &settlement.outcome);
    }
}

/// A outcome, and as many arguments as it brings.
fn push_verdict(call: &mut Cmd, outcome: &TaskOutcome) {
    let ms = |duration: Duration| millis(bookingq_queue::bounds::span(duration));
    match outcome {
        TaskOutcome::Reserved { reservation, hold } => {
            call.arg("reserved").arg(ms(*hold)).arg(reservation.as_str())
        }
        TaskOutcome::SoldOut => call.arg("sold_out"),
        TaskOutcome::Rejected { reason } => {
            call.arg("rejected").arg(bookingq_queue::bounds::reason(reason))
        }
        TaskOutcome::Confirmed => call.arg("confirmed"),
        TaskOutcome::Released => call.arg("released"),
        TaskOutcome::Retry { after, counts } => {
            call.arg("retry").arg(ms(*after)).arg(u8::from(*counts == Try::Counts))
        }
        TaskOutcome::GiveUp { reason } => {
            call.arg("give_up").arg(bookingq_queue::bounds::reason(reason))
        }
    };
}

/// Client, booking id or nothing, payment.
pub(super) fn push_confirm(call: &mut Cmd, paid: &Confirm) {
    call.arg(paid.client.as_str());
    call.arg(paid.booking.map(|id| id.to_string()).unwrap_or_default()).arg(paid.payment.as_str());
}

/// An answer of confirm.lua.
pub(super) fn confirmed(
    paid: &Confirm,
    answer: Value,
) -> Result<std::result::Result<Confirmed, Refusal>> {
    match &answer {
        Value::BulkString(_) => {
            let won = Record::read(&answer).and_then(|record| record.won(&paid.client));
            Ok(readable(&paid.client, won)
                .map(|(task, booking)| Confirmed::Won(Box::new(task), booking)))
        }
        Value::Array(values) if values.len() == 1 => refusal(&values[0]).map(Err),
        _ => Ok(readable(&paid.client, decode::row(&paid.client, answer)).map(Confirmed::Repeated)),
    }
}

/// Client, booking id or nothing.
pub(super) fn push_cancel(call: &mut Cmd, asked: &Cancel) {
    call.arg(asked.client.as_str()).arg(asked.booking.map(|id| id.to_string()).unwrap_or_default());
}

/// An answer of cancel.lua.
pub(super) fn cancelled(
    asked: &Cancel,
    answer: Value,
) -> Result<std::result::Result<Booking, Refusal>> {
    match answer {
        Value::Array(_) => Ok(readable(&asked.client, decode::row(&asked.client, answer))),
        word => refusal(&word).map(Err),
    }
}

/// Client.
pub(super) fn push_client(call: &mut Cmd, client: &ClientId) {
    call.arg(client.as_str());
}

/// An answer of status.lua.
pub(super) fn status(client: &ClientId, answer: Value) -> Option<Booking> {
    match answer {
        Value::Array(_) => readable(client, decode::row(client, answer)).ok(),
        _ => None,
    }
}
