//! From the Booking Service's answer to the task's outcome: one pure function.

use std::time::Duration;

use bookingq_core::backoff::RetryPolicy;
use bookingq_core::limits::MAX_REASON_BYTES;
use bookingq_store::{Task, TaskKind, TaskOutcome, Try};

use crate::downstream::CallError;
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
    answer: Result<ServiceAnswer, CallError>,
    health: ServiceHealth,
    retry: &RetryPolicy,
    hold: Duration,
    chance: f64,
) -> TaskOutcome {
    match (answer, &task.kind) {
        (Ok(ServiceAnswer::Reserved(reservation)), TaskKind::Reserve) => {
            TaskOutcome::Reserved { reservation, hold }
        }
        (Ok(ServiceAnswer::SoldOut), TaskKind::Reserve) => TaskOutcome::SoldOut,
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

fn counts(error: &CallError, health: ServiceHealth) -> Try {
    match (error, health) {
        (CallError::Answered(..), ServiceHealth::AnsweringOthers | ServiceHealth::Silent)
        | (CallError::Silent(_), ServiceHealth::AnsweringOthers) => Try::Counts,
        (CallError::Silent(_), ServiceHealth::Silent) | (_, ServiceHealth::CircuitOpen) => {
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

#[cfg(test)]
mod tests {
    use bookingq_core::{BookingId, ClientId, Details, Fence, Outcome, Place, Timestamp};
    use tonic::Code;

    use super::*;

    fn task(kind: TaskKind, attempts: u32) -> Task {
        Task {
            client: ClientId::new("c").unwrap(),
            booking: BookingId::from_u128(1),
            fence: Fence(1),
            kind,
            place: Place::numbered(1),
            attempts,
            details: Details::default(),
            enqueued_at: Timestamp(0),
            trace: None,
            first: true,
            cancelled: false,
        }
    }

    fn outcome(task: &Task, error: CallError, health: ServiceHealth) -> TaskOutcome {
        classify(
            task,
            Err(error),
            health,
            &bookingq_core::defaults::RETRY,
            Duration::from_secs(60),
            0.0,
        )
    }

    fn silence() -> CallError {
        CallError::Silent("gone".into())
    }

    fn error() -> CallError {
        CallError::Answered(Code::Internal, "oops".into())
    }

    #[test]
    fn an_outage_burns_no_attempts() {
        let last = task(TaskKind::Reserve, 4);
        for (error, health) in [
            (silence(), ServiceHealth::Silent),
            (silence(), ServiceHealth::CircuitOpen),
            (error(), ServiceHealth::CircuitOpen),
        ] {
            let outcome = outcome(&last, error, health);
            assert!(matches!(outcome, TaskOutcome::Retry { counts: Try::Free, .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_booking_that_alone_fails_is_given_up_after_its_attempts() {
        for (error, health) in
            [(silence(), ServiceHealth::AnsweringOthers), (error(), ServiceHealth::Silent)]
        {
            let early = outcome(&task(TaskKind::Reserve, 3), error.clone(), health);
            assert!(matches!(early, TaskOutcome::Retry { counts: Try::Counts, .. }), "{early:?}");
            let last = outcome(&task(TaskKind::Reserve, 4), error, health);
            assert!(matches!(last, TaskOutcome::GiveUp { .. }), "{last:?}");
        }
    }

    #[test]
    fn invariant_4_confirm_and_release_are_never_given_up() {
        let confirm = TaskKind::Confirm {
            reservation: bookingq_core::ReservationId::new("r").unwrap(),
            payment: bookingq_core::PaymentId::new("p").unwrap(),
        };
        let release = TaskKind::Release { reservation: None, outcome: Outcome::Expired };
        for kind in [confirm, release] {
            let outcome = outcome(&task(kind, 1_000_000), error(), ServiceHealth::AnsweringOthers);
            assert!(matches!(outcome, TaskOutcome::Retry { .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_reason_from_outside_is_cut_at_a_character() {
        let reason = shorten("ä\n".repeat(1000));
        assert_eq!(reason.len(), MAX_REASON_BYTES);
        assert!(reason.chars().all(|c| c == 'ä'));
    }
}
