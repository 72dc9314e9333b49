//! One booking as the log shows it, and which state, fence and moment may follow in its life.

use std::fmt;

use bookingq_core::{
    BookingId, BookingState, ClientId, Event, EventSeq, Fence, Outcome, Parked, Place, RequestId,
    Timestamp,
};

use crate::violation::{Violation, Violations};

/// One booking according to the log.
#[derive(Debug, Clone)]
pub struct LoggedBooking {
    /// Its client.
    pub client: ClientId,
    /// Its place in the order.
    pub place: Place,
    /// Its state.
    pub state: BookingState,
    /// Start of this state.
    pub since: Timestamp,
    /// Its newest event.
    pub newest: EventSeq,
    /// The newest claim from the line or the parked bookings.
    pub claimed: EventSeq,
    /// The newest claim of a Reserve that has no answer, or that ended the booking.
    pub asked: Option<EventSeq>,
    /// Reserve was repeated before the outcome of the one before was known: a late one may arrive.
    pub stray: bool,
    /// When it was decided that it ends as sold out: now, or after a Release.
    pub(crate) sent_away: Option<EventSeq>,
    /// What it wants, if it was parked once.
    pub wanted: Option<Parked>,
    /// The expired booking that it was reacquired for.
    pub replaces: Option<BookingId>,
    /// The newest claim.
    pub fence: Fence,
    /// Pay before this; `None` before the first hold.
    pub deadline: Option<Timestamp>,
    /// The time of the accepted payment.
    pub paid_at: Option<Timestamp>,
    /// The state after its release.
    pub outcome: Option<Outcome>,
    /// Gaps of the log before the newest event of this booking.
    pub(crate) gaps: u64,
}

impl LoggedBooking {
    /// Takes an event of the booking.
    pub(crate) fn apply(&mut self, event: &Event) {
        if event.is_reclaim() {
            self.stray |= event.to == BookingState::Reserving;
        } else {
            self.since = event.at;
        }
        if is_sent_away(event) {
            self.sent_away = Some(event.seq);
        }
        self.newest = event.seq;
        if event.from == Some(BookingState::Queued) {
            self.claimed = event.seq;
        }
        match event.to {
            BookingState::Reserving => self.asked = Some(event.seq),
            BookingState::Queued => self.asked = None,
            _ => {}
        }
        if event.to == BookingState::Confirming && !event.is_reclaim() {
            self.paid_at = Some(event.at);
        }
        self.state = event.to;
        self.fence = self.fence.max(event.fence);
        self.deadline = event.deadline.or(self.deadline);
        self.outcome = event.outcome.or(self.outcome);
    }
}

/// Whether it is decided by this event that the booking ends as sold out.
pub(crate) fn is_sent_away(event: &Event) -> bool {
    let decides = event.from != Some(BookingState::Releasing);
    let ends = event.to == BookingState::SoldOut || event.outcome == Some(Outcome::SoldOut);
    decides && ends
}

/// The expired booking for which a booking was reacquired: the request that made it says so.
pub(crate) fn reacquired_for(request: &RequestId) -> Option<BookingId> {
    BookingId::new(request.as_str().strip_prefix("reacquire ")?).ok()
}

/// Whether a booking can go from one state to the other, or stay in it. Only a refused one goes
/// back, to where it came from.
pub(crate) fn reaches(from: BookingState, to: BookingState) -> bool {
    let ahead = |next: &&BookingState| **next != BookingState::Queued;
    from == to
        || from.may_become(to)
        || from.successors().iter().filter(ahead).any(|&next| reaches(next, to))
}

/// The table of transitions allows the event, and it is about the same booking.
pub(crate) fn check_transition(
    violations: &mut Violations,
    logged: &LoggedBooking,
    event: &Event,
    from: BookingState,
) {
    let Event { booking, to, seq, .. } = event;
    let mut illegal = |what: fmt::Arguments<'_>| {
        let case = format!("{booking} at {seq}: {what}");
        violations.record(Violation::IllegalTransition, case);
    };
    if logged.client != event.client || logged.place != event.place {
        illegal(format_args!("belongs to {} at place {}", logged.client, logged.place));
    }
    if logged.state != from {
        illegal(format_args!("went from {from} to {to}, but was {}", logged.state));
    }
    let allowed = if event.is_reclaim() { from.is_leased() } else { from.may_become(*to) };
    if !allowed {
        illegal(format_args!("{to} may not follow {from}"));
    }
    let refused = (from, *to) == (BookingState::Reserving, BookingState::Queued);
    if event.parked.is_some() != refused {
        illegal(format_args!("waits for {:?} from {from} to {to}", event.parked));
    }
    if *to == BookingState::Releasing && event.outcome.is_none() {
        illegal(format_args!("is released without an outcome"));
    }
    if let (BookingState::Releasing, Some(outcome)) = (from, logged.outcome)
        && to.is_final()
        && outcome.state() != *to
    {
        illegal(format_args!("was released to become {outcome:?}, and became {to}"));
    }
}

/// A booking whose late Reserve may still arrive is refused only with a Release.
pub(crate) fn check_stray(violations: &mut Violations, logged: &LoggedBooking, event: &Event) {
    let Event { booking, from, to, seq, .. } = event;
    let is_refused = matches!(to, BookingState::SoldOut | BookingState::Rejected);
    if logged.stray && is_refused && *from != Some(BookingState::Releasing) {
        let case = format!("{booking} ended as {to} at {seq}, and a late Reserve may arrive");
        violations.record(Violation::Orphan, case);
    }
}

/// A claim has a higher fence than every earlier claim of the booking; a settlement has the fence
/// of its claim.
pub(crate) fn check_fence(
    violations: &mut Violations,
    logged: &LoggedBooking,
    event: &Event,
    from: BookingState,
) {
    let Event { booking, fence, to, seq, .. } = event;
    let settles = from.is_leased() && !event.is_reclaim();
    let claims = !settles && matches!(to, BookingState::Reserving | BookingState::Confirming)
        || event.is_reclaim();
    if claims && *fence <= logged.fence || settles && *fence != logged.fence {
        let newest = logged.fence;
        let case = format!(
            "{booking} went from {from} to {to} at {seq} with fence {fence}; the newest was \
                 {newest}"
        );
        violations.record(Violation::StaleSettle, case);
    }
}

/// A hold is paid before its deadline, or expires after it.
pub(crate) fn check_deadline(
    violations: &mut Violations,
    logged: &LoggedBooking,
    event: &Event,
    from: BookingState,
) {
    let (BookingState::Reserved, Some(deadline)) = (from, logged.deadline) else { return };
    let Event { booking, at, .. } = event;
    match (event.to, event.outcome) {
        (BookingState::Confirming, _) if *at >= deadline => violations.record(
            Violation::BrokenDeadline,
            format!("{booking} was paid at {at}, not before its deadline {deadline}"),
        ),
        (BookingState::Releasing, Some(Outcome::Expired)) if *at < deadline => violations.record(
            Violation::BrokenDeadline,
            format!("{booking} expired at {at}, before its deadline {deadline}"),
        ),
        _ => {}
    }
}
