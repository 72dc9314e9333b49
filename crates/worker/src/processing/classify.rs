//! From the Booking Service's answer to the task's outcome: one pure function.

use std::time::Duration;

use bookingq_core::backoff::RetryPolicy;
use bookingq_core::limits::MAX_REASON_BYTES;
use bookingq_store::{Task, TaskKind, TaskOutcome, Try};

use crate::downstream::ServiceCallError;
use crate::downstream::booking::ServiceAnswer;
use crate::downstream::breaker::ServiceHealth;

/// The task's outcome. `chance` in [0, 1) spreads retries.
///
/// A failed attempt counts against a booking only if the failure says something about the booking:
/// an error answered while the circuit is closed, or silence while others were answered. Confirm
/// and Release never give up (invariant 4): a client has paid, or a reservation must go back on
/// sale.
pub fn classify(
    task: &Task,
    answer: Result<ServiceAnswer, ServiceCallError>,
    health: ServiceHealth,
    retry: &RetryPolicy,
    hold: Duration,
    chance: f64,
) -> TaskOutcome {
    match (answer, &task.kind) {
        (Ok(ServiceAnswer::Reserved { reservation, left }), TaskKind::Reserve) => {
            TaskOutcome::Reserved { reservation, hold, left }
        }
        (Ok(ServiceAnswer::SoldOut { left, elsewhere }), TaskKind::Reserve) => {
            TaskOutcome::SoldOut { left, elsewhere }
        }
        (Ok(ServiceAnswer::Rejected(reason)), TaskKind::Reserve) => {
            TaskOutcome::Rejected { reason: shorten(reason) }
        }
        (Ok(ServiceAnswer::Confirmed), TaskKind::Confirm { .. } | TaskKind::Release { .. }) => {
            TaskOutcome::Confirmed
        }
        (Ok(ServiceAnswer::Rejected(reason)), TaskKind::Confirm { .. }) => {
            TaskOutcome::GiveUp { reason: shorten(reason) }
        }
        (Ok(ServiceAnswer::Released), TaskKind::Release { .. }) => TaskOutcome::Released,
        // BookingClient never returns an answer of another kind. A retry loses nothing.
        (Ok(_), _) => retry_later(task, Try::Free, retry, chance),
        (Err(error), kind) => {
            let counts = counts(&error, health);
            let last = task.attempts + 1 >= retry.attempts;
            if *kind == TaskKind::Reserve && counts == Try::Counts && last {
                return TaskOutcome::GiveUp {
                    reason: shorten(format!(
                        "gave up after {} attempts; the last one: {error}",
                        retry.attempts
                    )),
                };
            }
            retry_later(task, counts, retry, chance)
        }
    }
}

fn counts(error: &ServiceCallError, health: ServiceHealth) -> Try {
    match (error, health) {
        (
            ServiceCallError::Answered(..),
            ServiceHealth::AnsweringOthers | ServiceHealth::Silent,
        )
        | (ServiceCallError::Silent(_), ServiceHealth::AnsweringOthers) => Try::Counts,
        (ServiceCallError::Silent(_), ServiceHealth::Silent) | (_, ServiceHealth::CircuitOpen) => {
            Try::Free
        }
    }
}

fn retry_later(task: &Task, counts: Try, retry: &RetryPolicy, chance: f64) -> TaskOutcome {
    TaskOutcome::Retry { after: retry.backoff.delay(task.attempts + 1, chance), counts }
}

/// Limits a reason from outside to what the store keeps, without control characters.
fn shorten(mut reason: String) -> String {
    reason.retain(|c| !c.is_control());
    if reason.len() > MAX_REASON_BYTES {
        let end = (0..=MAX_REASON_BYTES).rev().find(|&i| reason.is_char_boundary(i)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}
