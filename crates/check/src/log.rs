//! The audit log of a queue, checked event by event: transitions, order, fences, deadlines and the
//! store's clock.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use bookingq_core::time::millis;
use bookingq_core::{
    BookingId, BookingState, ClientId, Event, EventSeq, Fence, Outcome, Place, Timestamp,
};
use bookingq_crowd::latency::Latency;

use crate::tally::Timings;
use crate::violation::{Violation, Violations};

/// Hosts slew their clocks; a wrong clock is off by much more.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

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
    /// The newest claim.
    pub fence: Fence,
    /// Pay before this; `None` before the first hold.
    pub deadline: Option<Timestamp>,
    /// The time of the accepted payment.
    pub paid_at: Option<Timestamp>,
    /// The state after its release.
    pub outcome: Option<Outcome>,
    /// Gaps of the log before the newest event of this booking.
    gaps: u64,
}

/// A queue's audit log, as a small record of each booking without its events.
#[derive(Debug, Default)]
pub struct AuditLog {
    hold: Option<Duration>,
    last: EventSeq,
    newest: Timestamp,
    gaps: u64,
    bookings: HashMap<BookingId, LoggedBooking>,
    active: HashMap<ClientId, BookingId>,
    queued: BTreeSet<Place>,
    newest_place: Place,
    violations: Violations,
    pub(crate) times: Timings<Latency>,
}

impl AuditLog {
    /// An empty log of a queue whose holds last `hold`, if that is known.
    pub fn new(hold: Option<Duration>) -> Self {
        Self { hold, ..Self::default() }
    }

    /// Takes the next events, oldest first. Pieces may overlap: known events are skipped.
    pub fn observe<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) {
        for event in events {
            if event.seq <= self.last {
                continue;
            }
            self.last = event.seq;
            self.check_clock(event);
            match event.from {
                None => self.begin(event),
                Some(from) => self.advance(event, from),
            }
        }
    }

    /// Events are missing before the next piece: the log was trimmed before it was read. The
    /// changes of those events are unknown, and are never reported as violations.
    pub fn record_gap(&mut self) {
        self.gaps += 1;
        self.queued.clear();
        self.active.clear();
    }

    /// The number of gaps.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// One booking.
    pub fn booking(&self, booking: BookingId) -> Option<&LoggedBooking> {
        self.bookings.get(&booking)
    }

    /// One booking, unless a later gap may hide some of its events.
    pub(crate) fn certain(&self, booking: BookingId) -> Option<&LoggedBooking> {
        self.booking(booking).filter(|logged| logged.gaps == self.gaps)
    }

    /// All bookings, in no order.
    pub fn bookings(&self) -> impl ExactSizeIterator<Item = (BookingId, &LoggedBooking)> {
        self.bookings.iter().map(|(booking, logged)| (*booking, logged))
    }

    /// Violations within the log.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// The store's clock never goes back, and every deadline is one hold after its event.
    fn check_clock(&mut self, event: &Event) {
        let Event { booking, at, deadline, to, .. } = event;
        let newest = self.newest;
        if *at + CLOCK_SLACK < newest {
            let case = format!("{booking} became {to} at {at}, after an event at {newest}");
            self.violations.record(Violation::WrongClock, case);
        }
        self.newest = newest.max(*at);
        let Some(hold) = self.hold.filter(|_| *to == BookingState::Reserved) else { return };
        let wanted = *at + hold;
        if *deadline != Some(wanted) {
            let hold_ms = millis(hold);
            let case =
                format!("{booking} was reserved at {at} for {hold_ms} ms, until {deadline:?}");
            self.violations.record(Violation::WrongClock, case);
        }
    }

    fn begin(&mut self, event: &Event) {
        let Event { booking, client, place, seq, to, .. } = event;
        let violations = &mut self.violations;
        if *to != BookingState::Queued {
            let case = format!("{booking} began as {to} at {seq}");
            violations.record(Violation::IllegalTransition, case);
        }
        if self.bookings.contains_key(booking) {
            let case = format!("{booking} began again at {seq}");
            violations.record(Violation::IllegalTransition, case);
        }
        if let Some(other) = self.active.insert(client.clone(), *booking) {
            let case = format!("{client} got {booking} while {other} was active");
            violations.record(Violation::Duplicated, case);
        }
        let newest = self.newest_place;
        if *place <= newest {
            let case = format!("{booking} got place {place} after place {newest} was given");
            violations.record(Violation::UnorderedPlace, case);
        }
        self.newest_place = newest.max(*place);
        self.adopt(event);
    }

    /// Inserts a booking with the state of the event.
    fn adopt(&mut self, event: &Event) {
        if event.to == BookingState::Queued {
            self.queued.insert(event.place);
        }
        let logged = LoggedBooking {
            client: event.client.clone(),
            place: event.place,
            state: event.to,
            since: event.at,
            fence: event.fence,
            deadline: event.deadline,
            paid_at: None,
            outcome: event.outcome,
            gaps: self.gaps,
        };
        self.bookings.insert(event.booking, logged);
    }

    fn advance(&mut self, event: &Event, from: BookingState) {
        let logged = match self.bookings.get(&event.booking) {
            Some(logged) if logged.gaps == self.gaps => logged,
            None if self.gaps == 0 => {
                let Event { booking, to, seq, .. } = event;
                let case =
                    format!("{booking}, which never began, went from {from} to {to} at {seq}");
                self.violations.record(Violation::IllegalTransition, case);
                return self.adopt(event);
            }
            Some(_) | None => return self.adopt(event),
        };
        let violations = &mut self.violations;
        check_transition(violations, logged, event, from);
        check_fence(violations, logged, event, from);
        check_deadline(violations, logged, event, from);
        if from == BookingState::Queued {
            self.leave_line(event);
        }
        self.time(event, from);
        if event.to.is_final() && self.active.get(&event.client) == Some(&event.booking) {
            self.active.remove(&event.client);
        }
        if let Some(logged) = self.bookings.get_mut(&event.booking) {
            logged.apply(event);
        }
    }

    fn leave_line(&mut self, event: &Event) {
        let Event { booking, place, .. } = event;
        if let Some(first) = self.queued.first().filter(|first| *first < place)
            && event.to == BookingState::Reserving
        {
            let case = format!("place {place} ({booking}) was claimed while place {first} waited");
            self.violations.record(Violation::DispatchInversion, case);
        }
        self.queued.remove(place);
    }

    fn time(&mut self, event: &Event, from: BookingState) {
        use BookingState as S;
        let Some(logged) = self.bookings.get(&event.booking) else { return };
        let spent = event.at.since(logged.since);
        match (from, event.to) {
            (S::Queued, S::Reserving) => self.times.queued.record(spent),
            (S::Reserving, S::Reserved | S::SoldOut | S::Rejected) => {
                self.times.reserve.record(spent);
            }
            (S::Confirming, S::Confirmed) => self.times.confirm.record(spent),
            (S::Releasing, S::Expired) => {
                if let Some(deadline) = logged.deadline {
                    self.times.release_lag.record(event.at.since(deadline));
                }
            }
            _ => {}
        }
    }
}

impl LoggedBooking {
    fn apply(&mut self, event: &Event) {
        if !event.is_reclaim() {
            self.since = event.at;
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

fn check_transition(
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

/// A claim has a higher fence than every earlier claim of the booking; a settlement has the fence
/// of its claim.
fn check_fence(
    violations: &mut Violations,
    logged: &LoggedBooking,
    event: &Event,
    from: BookingState,
) {
    let Event { booking, fence, to, seq, .. } = event;
    let claims =
        event.is_reclaim() || matches!(to, BookingState::Reserving | BookingState::Confirming);
    let settles = from.is_leased() && !event.is_reclaim();
    if claims && *fence <= logged.fence || settles && *fence != logged.fence {
        let newest = logged.fence;
        let case = format!(
            "{booking} went from {from} to {to} at {seq} with fence {fence}; the newest was \
                 {newest}"
        );
        violations.record(Violation::StaleSettle, case);
    }
}

fn check_deadline(
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
