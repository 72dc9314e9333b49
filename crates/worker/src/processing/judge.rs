//! From what the Booking Service said to what becomes of the task: one pure function.

use std::time::Duration;

use bookingq_core::limits::MAX_REASON_BYTES;
use bookingq_store::{Task, TaskKind, Try, Verdict};

use crate::downstream::Trouble;
use crate::downstream::booking::Answer;
use bookingq_core::backoff::RetryPolicy;

/// What is known about the Booking Service besides this one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It answered others while this call was under way.
    AnswersOthers,
    /// It answered nobody since this call began, but the circuit is closed.
    Quiet,
    /// The circuit is open.
    Out,
}

/// The verdict. `chance` in [0, 1) spreads retries.
///
/// A failed try counts against a booking only if the failure says something about the booking: an
/// error answered while the circuit is closed, or silence while others were answered. Confirm and
/// Release never give up (invariant 4): somebody has paid, or something must go back on sale.
pub fn judge(
    task: &Task,
    answer: Result<Answer, Trouble>,
    service: Service,
    retry: &RetryPolicy,
    hold: Duration,
    chance: f64,
) -> Verdict {
    match (answer, &task.kind) {
        (Ok(Answer::Reserved(reservation)), TaskKind::Reserve) => {
            Verdict::Reserved { reservation, hold }
        }
        (Ok(Answer::SoldOut), TaskKind::Reserve) => Verdict::SoldOut,
        (Ok(Answer::Rejected(reason)), TaskKind::Reserve) => {
            Verdict::Rejected { reason: shorten(reason) }
        }
        (Ok(Answer::Confirmed), TaskKind::Confirm { .. } | TaskKind::Release { .. }) => {
            Verdict::Confirmed
        }
        (Ok(Answer::Rejected(reason)), TaskKind::Confirm { .. }) => {
            Verdict::GiveUp { reason: shorten(reason) }
        }
        (Ok(Answer::Released), TaskKind::Release { .. }) => Verdict::Released,
        // An answer to another question can't come from BookingClient; treated as no answer, it
        // loses nothing.
        (Ok(_), _) => again(task, Try::Free, retry, chance),
        (Err(trouble), kind) => {
            let counts = counts(&trouble, service);
            let last = task.attempts + 1 >= retry.attempts;
            if *kind == TaskKind::Reserve && counts == Try::Counts && last {
                return Verdict::GiveUp {
                    reason: shorten(format!(
                        "gave up after {} tries; the last one: {trouble}",
                        retry.attempts
                    )),
                };
            }
            again(task, counts, retry, chance)
        }
    }
}

fn counts(trouble: &Trouble, service: Service) -> Try {
    match (trouble, service) {
        (Trouble::Answered(..), Service::AnswersOthers | Service::Quiet)
        | (Trouble::Silent(_), Service::AnswersOthers) => Try::Counts,
        (Trouble::Silent(_), Service::Quiet) | (_, Service::Out) => Try::Free,
    }
}

fn again(task: &Task, counts: Try, retry: &RetryPolicy, chance: f64) -> Verdict {
    Verdict::Retry { after: retry.backoff.delay(task.attempts + 1, chance), counts }
}

/// Cuts a reason from outside to what we keep, at a character boundary, without control characters.
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
    use bookingq_core::{BookingId, ClientId, Details, Fence, Outcome, Ticket, Timestamp};
    use tonic::Code;

    use super::*;

    fn task(kind: TaskKind, attempts: u32) -> Task {
        Task {
            client: ClientId::new("c").unwrap(),
            booking: BookingId::from_u128(1),
            fence: Fence(1),
            kind,
            ticket: Ticket(1),
            attempts,
            details: Details::default(),
            enqueued_at: Timestamp(0),
            trace: None,
            first: true,
            cancelled: false,
        }
    }

    fn verdict(task: &Task, trouble: Trouble, service: Service) -> Verdict {
        judge(
            task,
            Err(trouble),
            service,
            &bookingq_core::defaults::RETRY,
            Duration::from_secs(60),
            0.0,
        )
    }

    fn silence() -> Trouble {
        Trouble::Silent("gone".into())
    }

    fn error() -> Trouble {
        Trouble::Answered(Code::Internal, "oops".into())
    }

    #[test]
    fn an_outage_burns_no_attempts() {
        let last = task(TaskKind::Reserve, 4);
        for (trouble, service) in
            [(silence(), Service::Quiet), (silence(), Service::Out), (error(), Service::Out)]
        {
            let verdict = verdict(&last, trouble, service);
            assert!(matches!(verdict, Verdict::Retry { counts: Try::Free, .. }), "{verdict:?}");
        }
    }

    #[test]
    fn a_booking_that_alone_fails_is_given_up_after_its_attempts() {
        for (trouble, service) in [(silence(), Service::AnswersOthers), (error(), Service::Quiet)] {
            let early = verdict(&task(TaskKind::Reserve, 3), trouble.clone(), service);
            assert!(matches!(early, Verdict::Retry { counts: Try::Counts, .. }), "{early:?}");
            let last = verdict(&task(TaskKind::Reserve, 4), trouble, service);
            assert!(matches!(last, Verdict::GiveUp { .. }), "{last:?}");
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
            let verdict = verdict(&task(kind, 1_000_000), error(), Service::AnswersOthers);
            assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn a_reason_from_outside_is_cut_at_a_character() {
        let reason = shorten("ä\n".repeat(1000));
        assert_eq!(reason.len(), MAX_REASON_BYTES);
        assert!(reason.chars().all(|c| c == 'ä'));
    }
}
