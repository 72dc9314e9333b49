//! The answers to clients, against the log and the store.

use bookingq_core::{Booking, BookingId, BookingState};

use super::{Comparison, Moment};
use crate::answers::{AnsweredBooking, SentPayment};
use crate::logged::{LoggedBooking, reaches};
use crate::violation::Violation;

impl Comparison<'_> {
    pub(super) fn check_answers(&mut self) {
        for (booking, answered) in &self.answers.bookings {
            if let Some(logged) = self.log.certain(*booking) {
                self.check_answered(*booking, answered, logged);
            }
        }
        if self.evidence.whole.is_some() {
            self.check_paid();
        }
    }

    fn check_answered(
        &mut self,
        booking: BookingId,
        answered: &AnsweredBooking,
        logged: &LoggedBooking,
    ) {
        let violations = &mut self.violations;
        let client = &answered.client;
        if logged.client != *client || logged.place != answered.place {
            let case =
                format!("{booking} has another client or place in the log than {client} was shown");
            violations.record(Violation::MovedPlace, case);
        }
        if let Some(state) = answered.newest_states().find(|state| !reaches(*state, logged.state)) {
            let case =
                format!("{booking} was shown as {state}, and is {} in the log", logged.state);
            violations.record(Violation::Disagreement, case);
        }
        let deadline = logged.deadline.map(|deadline| deadline.0);
        // Events before a gap may have had the deadline.
        let known = self.log.gaps() == 0;
        if known && answered.deadline_ms.is_some() && answered.deadline_ms != deadline {
            let shown = answered.deadline_ms;
            let case =
                format!("{booking}: its client saw the deadline {shown:?}, not {deadline:?}");
            violations.record(Violation::WrongClock, case);
        }
        let has_ended = self.moment == Moment::AtRest || logged.state.is_final();
        let left = matches!(
            logged.state,
            BookingState::Cancelled | BookingState::SoldOut | BookingState::Rejected
        );
        if answered.cancelled && has_ended && !left {
            let case = format!("{booking} was acknowledged as cancelled, and is {}", logged.state);
            violations.record(Violation::BrokenPayment, case);
        }
        let mut acknowledged = answered.payments.iter().filter(|payment| payment.acknowledged);
        let (first, second) = (acknowledged.next(), acknowledged.next());
        if let Some(second) = second {
            let case =
                format!("{booking}: two payments were acknowledged, {} the second", second.id);
            violations.record(Violation::BrokenPayment, case);
        }
        if let Some(payment) = first.filter(|_| known) {
            let stored = self.store.get(&booking).copied();
            self.check_payment(booking, payment, logged, stored, has_ended);
        }
    }

    /// An acknowledged payment came in time and is the one in the store.
    fn check_payment(
        &mut self,
        booking: BookingId,
        payment: &SentPayment,
        logged: &LoggedBooking,
        stored: Option<&Booking>,
        has_ended: bool,
    ) {
        let SentPayment { id, sent, .. } = payment;
        let violations = &mut self.violations;
        match (logged.paid_at, logged.deadline) {
            (Some(paid), Some(deadline)) if paid < deadline => {}
            (Some(_), None) if logged.replaces.is_some() => {}
            (paid, deadline) => violations.record(
                Violation::BrokenPayment,
                format!(
                    "{booking}: payment {id} was acknowledged; the log says paid at {paid:?}, \
                     deadline {deadline:?}"
                ),
            ),
        }
        let late = logged.deadline.filter(|deadline| self.answers.is_after(*sent, deadline.0));
        if let Some(deadline) = late {
            let case = format!("{booking}: payment {id} was first sent after {deadline}, and won");
            violations.record(Violation::BrokenDeadline, case);
        }
        let won = matches!(logged.state, BookingState::Confirmed | BookingState::Failed);
        if has_ended && !won {
            let case =
                format!("{booking}: payment {id} was acknowledged, and it is {}", logged.state);
            violations.record(Violation::BrokenPayment, case);
        }
        let known = stored.map(|stored| &stored.payment).filter(|known| known.as_ref() != Some(id));
        if let Some(known) = known {
            let case = format!("{booking}: payment {id} was acknowledged, the store has {known:?}");
            violations.record(Violation::BrokenPayment, case);
        }
    }

    /// Every paid booking has a payment of its client.
    fn check_paid(&mut self) {
        for (booking, logged) in self.log.bookings().filter(|(_, logged)| logged.paid_at.is_some())
        {
            let ids = [Some(booking), logged.replaces].into_iter().flatten();
            let mut answered = ids.filter_map(|id| self.answers.bookings.get(&id));
            if answered.all(|answered| answered.payments.is_empty()) {
                let case =
                    format!("{booking} of {} was paid, and no payment was sent", logged.client);
                self.violations.record(Violation::BrokenPayment, case);
            }
        }
    }
}
