//! Requests as script arguments, and the scripts' answers as results: one pair of functions for each transition.

use std::time::Duration;

use ::redis::{Cmd, Value};
use bookingq_core::time::millis;
use bookingq_core::{Booking, BookingState, ClientId, Fence, Outcome, Quantity, Refusal, Ticket, Timestamp};
use tracing::warn;

use super::decode::{self, Values, array, refusal, required, text, unexpected};
use crate::task::{Claim, Lease, Scope, Settlement, Task, TaskKind, Try, Verdict};
use crate::view::{Cancel, Confirm, Confirmed, Enqueue, Enqueued};
use crate::{Result, StoreError, bounds};

/// Client, request, booking id, and the optional fields that are there.
pub(super) fn push_enqueue(call: &mut Cmd, asked: &Enqueue) {
    let details = &asked.details;
    let has_item = !details.item.is_empty() || details.quantity != Quantity::ONE;
    let has_payload = !details.payload.is_empty();
    let present = [has_item, has_payload, asked.trace.is_some()];
    let fields = 2 * present.iter().filter(|there| **there).count();
    call.arg(asked.client.as_str()).arg(asked.request.as_str()).arg(asked.booking.to_string()).arg(fields);
    if has_item {
        call.arg("item").arg(format!("{} {}", details.quantity.get(), details.item));
    }
    if has_payload {
        call.arg("payload").arg(details.payload.as_ref());
    }
    if let Some(trace) = &asked.trace {
        call.arg("trace").arg(trace);
    }
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
        Value::Int(ticket) => {
            let booking = new_booking(asked, Ticket(ticket as u64), (ticket + offset) as u64, now);
            Ok(Ok(Enqueued { booking, existing: false }))
        }
        Value::Array(_) => {
            let booking = decode::booking(&asked.client, answer)?;
            Ok(Ok(Enqueued { booking, existing: true }))
        }
        word => refusal(&word).map(Err),
    };
    if answers.len() != part.len() {
        return Err(StoreError::Unexpected(format!("{} answers to {} items", answers.len(), part.len())));
    }
    part.iter().zip(answers).map(|(asked, answer)| place(asked, answer)).collect()
}

fn new_booking(asked: &Enqueue, ticket: Ticket, position: u64, now: Timestamp) -> Booking {
    Booking {
        client: asked.client.clone(),
        id: asked.booking,
        request: asked.request.clone(),
        state: BookingState::Queued,
        ticket,
        position: Some(position),
        enqueued_at: now,
        reservation: None,
        deadline: None,
        payment: None,
        outcome: None,
        reason: String::new(),
    }
}

/// How claim.lua calls a scope.
pub(super) fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Everything => "everything",
        Scope::DueOnly => "due_only",
    }
}

/// The answer of claim.lua. A task that can't be read is left to its lease, so that it never stops the others.
pub(super) fn claim(answer: Value) -> Result<Claim> {
    /// Values in front of the tasks, and of each task.
    const HEAD: usize = 3;
    const TASK: usize = 10;
    let values = array(answer)?;
    let head = Values(&values);
    let mut claim = Claim {
        now: Timestamp(head.required(0)?),
        tasks: Vec::with_capacity(values.len() / TASK),
        next_due: head.number(1)?.map(Duration::from_millis),
        more: head.required(2)? == 1,
    };
    for task in values[HEAD..].chunks_exact(TASK) {
        match claimed(Values(task)) {
            Ok(task) => claim.tasks.push(task),
            Err(error) => warn!(%error, "a task that can't be read was passed over"),
        }
    }
    Ok(claim)
}

/// The 10 values of a claimed task. One that was queued before was claimed from the line for the first time.
fn claimed(values: Values<'_>) -> Result<Task> {
    let (state, outcome) = values.state(1)?;
    let id = values.id(3)?;
    let kind = match (state, values.hold(5)?.1, values.payment(6)?, outcome) {
        (BookingState::Queued | BookingState::Reserving, ..) => TaskKind::Reserve,
        (BookingState::Confirming, Some(reservation), Some(payment), _) => {
            TaskKind::Confirm { reservation, payment }
        }
        (BookingState::Releasing, reservation, _, Some(outcome)) => {
            TaskKind::Release { reservation, outcome }
        }
        _ => return Err(StoreError::Unexpected(format!("a task of a booking that is {state}"))),
    };
    Ok(Task {
        client: values.needed(0, |word| ClientId::new(word).ok())?,
        booking: id.booking,
        fence: Fence(values.required(2)?),
        kind,
        ticket: id.ticket,
        attempts: values.number(4)?.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        details: values.details(7)?,
        enqueued_at: id.enqueued_at,
        trace: values.text(9)?.map(str::to_owned),
        first: state == BookingState::Queued,
        cancelled: state == BookingState::Reserving && outcome == Some(Outcome::Cancelled),
    })
}

/// Client, booking id, fence.
pub(super) fn push_lease(call: &mut Cmd, lease: &Lease) {
    let Fence(fence) = lease.fence;
    call.arg(lease.client.as_str()).arg(lease.booking.to_string()).arg(fence);
}

/// A lease, the verdict with its two arguments, and the busy time.
pub(super) fn push_settlement(call: &mut Cmd, settlement: &Settlement) {
    push_lease(call, &settlement.lease);
    let ms = |duration: Duration| millis(bounds::span(duration));
    match &settlement.verdict {
        Verdict::Reserved { reservation, hold } => {
            call.arg("reserved").arg(reservation.as_str()).arg(ms(*hold))
        }
        Verdict::SoldOut => call.arg("sold_out").arg("").arg(""),
        Verdict::Rejected { reason } => call.arg("rejected").arg(bounds::reason(reason)).arg(""),
        Verdict::Confirmed => call.arg("confirmed").arg("").arg(""),
        Verdict::Released => call.arg("released").arg("").arg(""),
        Verdict::Retry { after, counts } => {
            call.arg("retry").arg(ms(*after)).arg(u8::from(*counts == Try::Counts))
        }
        Verdict::GiveUp { reason } => call.arg("give_up").arg(bounds::reason(reason)).arg(""),
    };
    call.arg(bounds::busy_us(settlement.busy));
}

/// Client, booking id or nothing, payment.
pub(super) fn push_confirm(call: &mut Cmd, paid: &Confirm) {
    call.arg(paid.client.as_str());
    call.arg(paid.booking.map(|id| id.to_string()).unwrap_or_default()).arg(paid.payment.as_str());
}

/// The answers of confirm.lua.
pub(super) fn confirmed(
    part: &[Confirm],
    answer: Value,
) -> Result<Vec<std::result::Result<Confirmed, Refusal>>> {
    /// Values behind the word "won".
    const WON: usize = 7;
    let mut values = array(answer)?.into_iter();
    let mut results = Vec::with_capacity(part.len());
    for paid in part {
        let value = values.next().unwrap_or_default();
        results.push(if matches!(value, Value::Array(_)) {
            Ok(Confirmed::Repeated(decode::booking(&paid.client, value)?))
        } else if text(&value)? == Some("won") {
            let won: Vec<Value> = values.by_ref().take(WON).collect();
            Ok(self::won(paid, Values(&won))?)
        } else {
            Err(refusal(&value)?)
        });
    }
    Ok(results)
}

/// The 7 values of a payment that won.
fn won(paid: &Confirm, values: Values<'_>) -> Result<Confirmed> {
    let id = values.id(0)?;
    let (deadline, Some(reservation)) = values.hold(3)? else {
        return Err(StoreError::Unexpected("a payment won without a hold".to_owned()));
    };
    let booking = Booking {
        client: paid.client.clone(),
        id: id.booking,
        request: values.request(2)?,
        state: BookingState::Confirming,
        ticket: id.ticket,
        position: None,
        enqueued_at: id.enqueued_at,
        reservation: Some(reservation.clone()),
        deadline,
        payment: Some(paid.payment.clone()),
        outcome: None,
        reason: String::new(),
    };
    let task = Task {
        client: paid.client.clone(),
        booking: id.booking,
        fence: Fence(values.required(1)?),
        kind: TaskKind::Confirm { reservation, payment: paid.payment.clone() },
        ticket: id.ticket,
        attempts: 0,
        details: values.details(4)?,
        enqueued_at: id.enqueued_at,
        trace: values.text(6)?.map(str::to_owned),
        first: false,
        cancelled: false,
    };
    Ok(Confirmed::Won(Box::new(task), booking))
}

/// Client, booking id or nothing.
pub(super) fn push_cancel(call: &mut Cmd, asked: &Cancel) {
    call.arg(asked.client.as_str()).arg(asked.booking.map(|id| id.to_string()).unwrap_or_default());
}

/// An answer of cancel.lua.
pub(super) fn cancelled(asked: &Cancel, answer: Value) -> Result<std::result::Result<Booking, Refusal>> {
    match answer {
        Value::Array(_) => decode::booking(&asked.client, answer).map(Ok),
        word => refusal(&word).map(Err),
    }
}

/// Client.
pub(super) fn push_client(call: &mut Cmd, client: &ClientId) {
    call.arg(client.as_str());
}

/// An answer of status.lua.
pub(super) fn status(client: &ClientId, answer: Value) -> Result<Option<Booking>> {
    match answer {
        Value::Array(_) => decode::booking(client, answer).map(Some),
        _ => Ok(None),
    }
}
