//! The checker: follows the audit log of a queue and judges, with what clients, store and shop say,
//! whether a promise broke.
//!
//! ```text
//!   outbox events ──> History::observe   (order, transitions, fences, deadlines: as they come)
//!   Evidence ───────> History::judge ──> Verdict {tallies, violations, latencies}
//!     acknowledgements of the crowd, bookings read from the store, copy of the shop's ledger
//! ```
//!
//! It shares no code with the stores but the table of transitions: it is a second opinion.

mod judge;
#[cfg(test)]
mod tests;
mod verdict;
mod violation;
#[cfg(test)]
mod world;

use std::collections::{BTreeSet, HashMap};

use bookingq_core::{
    BookingId, BookingState, ClientId, Event, EventSeq, Fence, Outcome, Place, Timestamp,
};

use crate::latency::Latency;

pub use self::verdict::{Evidence, FinalTallies, Moment, Tallies, Timings, Verdict};
pub use self::violation::{Violation, Violations};

/// One booking as the log tells it.
#[derive(Debug, Clone)]
pub struct Life {
    /// Whose.
    pub client: ClientId,
    /// Its place in the order.
    pub place: Place,
    /// Where it is now.
    pub state: BookingState,
    /// When it came into this state.
    pub since: Timestamp,
    /// The newest claim.
    pub fence: Fence,
    /// Pay before this; `None` before there was a hold.
    pub deadline: Option<Timestamp>,
    /// When a payment won; `None` unless one did.
    pub paid_at: Option<Timestamp>,
    /// What follows, or followed, its release.
    pub outcome: Option<Outcome>,
    /// How many gaps there were before it was last seen. What happened to it in a later gap is not
    /// known.
    gaps: u64,
}

/// Follows a queue's audit log. Keeps a small record of each booking for as long as it lives, and
/// nothing of each event.
#[derive(Debug, Default)]
pub struct History {
    last: EventSeq,
    gaps: u64,
    lives: HashMap<BookingId, Life>,
    active: HashMap<ClientId, BookingId>,
    queued: BTreeSet<Place>,
    newest_place: Place,
    violations: Violations,
    times: Times,
}

#[derive(Debug, Default)]
struct Times {
    queued: Latency,
    reserve: Latency,
    confirm: Latency,
    release_lag: Latency,
}

impl History {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the log, oldest first. Pieces may overlap: what was seen before is
    /// skipped.
    pub fn observe(&mut self, events: &[Event]) {
        for event in events {
            if event.seq <= self.last {
                continue;
            }
            self.last = event.seq;
            match event.from {
                None => self.begin(event),
                Some(from) => self.advance(event, from),
            }
        }
    }

    /// Events are missing before the next piece (the log was trimmed before it was read). What they
    /// may have changed is not known any more, and is not held against anybody.
    pub fn note_gap(&mut self) {
        self.gaps += 1;
        self.queued.clear();
        self.active.clear();
    }

    /// The newest event seen: where to read on.
    pub fn last(&self) -> EventSeq {
        self.last
    }

    /// How many bookings were seen.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// Whether no booking was seen.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// One booking as the log tells it.
    pub fn life(&self, booking: BookingId) -> Option<&Life> {
        self.lives.get(&booking)
    }

    /// All bookings that were seen, in no order.
    pub fn lives(&self) -> impl Iterator<Item = (BookingId, &Life)> {
        self.lives.iter().map(|(booking, life)| (*booking, life))
    }

    /// Everybody who was seen, each once: whose bookings to read from the store for [`Evidence`].
    pub fn clients(&self) -> Vec<ClientId> {
        let mut clients: Vec<ClientId> =
            self.lives.values().map(|life| life.client.clone()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// What was found so far.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    fn begin(&mut self, event: &Event) {
        let Event { booking, client, place, seq, .. } = event;
        if event.to != BookingState::Queued {
            let to = event.to;
            self.violations
                .note(Violation::IllegalTransition, || format!("{booking} began as {to} at {seq}"));
        }
        if self.lives.contains_key(booking) {
            self.violations
                .note(Violation::IllegalTransition, || format!("{booking} began again at {seq}"));
        }
        if let Some(other) = self.active.insert(client.clone(), *booking) {
            self.violations.note(Violation::Duplicated, || {
                format!("{client} got {booking} while {other} was active")
            });
        }
        if *place <= self.newest_place {
            let newest = self.newest_place;
            self.violations.note(Violation::UnorderedPlace, || {
                format!("{booking} got place {place} after place {newest} was given")
            });
        }
        self.newest_place = self.newest_place.max(*place);
        self.adopt(event);
    }

    /// Takes a booking as the event shows it.
    fn adopt(&mut self, event: &Event) {
        if event.to == BookingState::Queued {
            self.queued.insert(event.place);
        }
        let life = Life {
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
        self.lives.insert(event.booking, life);
    }

    fn advance(&mut self, event: &Event, from: BookingState) {
        let life = match self.lives.get(&event.booking) {
            Some(life) if life.gaps == self.gaps => life,
            None if self.gaps == 0 => {
                let Event { booking, to, seq, .. } = event;
                self.violations.note(Violation::IllegalTransition, || {
                    format!("{booking}, which never began, went from {from} to {to} at {seq}")
                });
                return self.adopt(event);
            }
            Some(_) | None => return self.adopt(event),
        };
        let violations = &mut self.violations;
        check_transition(violations, life, event, from);
        check_fence(violations, life, event, from);
        check_deadline(violations, life, event, from);
        if from == BookingState::Queued {
            self.leave_line(event);
        }
        self.time(event, from);
        if event.to.is_final() && self.active.get(&event.client) == Some(&event.booking) {
            self.active.remove(&event.client);
        }
        if let Some(life) = self.lives.get_mut(&event.booking) {
            life.take(event);
        }
    }

    fn leave_line(&mut self, event: &Event) {
        let Event { booking, place, .. } = event;
        if let Some(first) = self.queued.first().filter(|first| *first < place)
            && event.to == BookingState::Reserving
        {
            self.violations.note(Violation::DispatchInversion, || {
                format!("place {place} ({booking}) was claimed while place {first} waited")
            });
        }
        self.queued.remove(place);
    }

    fn time(&mut self, event: &Event, from: BookingState) {
        use BookingState as S;
        let Some(life) = self.lives.get(&event.booking) else { return };
        let spent = event.at.since(life.since);
        match (from, event.to) {
            (S::Queued, S::Reserving) => self.times.queued.record(spent),
            (S::Reserving, S::Reserved | S::SoldOut | S::Rejected) => {
                self.times.reserve.record(spent)
            }
            (S::Confirming, S::Confirmed) => self.times.confirm.record(spent),
            (S::Releasing, S::Expired) => {
                if let Some(deadline) = life.deadline {
                    self.times.release_lag.record(event.at.since(deadline));
                }
            }
            _ => {}
        }
    }
}

impl Life {
    fn take(&mut self, event: &Event) {
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

fn check_transition(violations: &mut Violations, life: &Life, event: &Event, from: BookingState) {
    let Event { booking, to, seq, .. } = event;
    let mut illegal = |what: &dyn Fn() -> String| {
        violations.note(Violation::IllegalTransition, || format!("{booking} at {seq}: {}", what()));
    };
    if life.client != event.client || life.place != event.place {
        illegal(&|| format!("belongs to {} with place {}", life.client, life.place));
    }
    if life.state != from {
        illegal(&|| format!("went from {from} to {to}, but was {}", life.state));
    }
    let allowed = if event.is_reclaim() { from.is_leased() } else { from.may_become(*to) };
    if !allowed {
        illegal(&|| format!("{to} may not follow {from}"));
    }
    if *to == BookingState::Releasing && event.outcome.is_none() {
        illegal(&|| "is released without an outcome".to_owned());
    }
    if let (BookingState::Releasing, Some(outcome)) = (from, life.outcome)
        && to.is_final()
        && outcome.state() != *to
    {
        illegal(&|| format!("was released to become {outcome:?}, and became {to}"));
    }
}

/// A claim has a higher fence than every claim of the booking before; what settles a task has the
/// fence of its claim.
fn check_fence(violations: &mut Violations, life: &Life, event: &Event, from: BookingState) {
    let Event { booking, fence, to, seq, .. } = event;
    let claims =
        event.is_reclaim() || matches!(to, BookingState::Reserving | BookingState::Confirming);
    let settles = from.is_leased() && !event.is_reclaim();
    if claims && *fence <= life.fence || settles && *fence != life.fence {
        let newest = life.fence;
        violations.note(Violation::StaleSettle, || {
            format!("{booking} went from {from} to {to} at {seq} with fence {fence}; the newest was {newest}")
        });
    }
}

fn check_deadline(violations: &mut Violations, life: &Life, event: &Event, from: BookingState) {
    let (BookingState::Reserved, Some(deadline)) = (from, life.deadline) else { return };
    let Event { booking, at, .. } = event;
    match (event.to, event.outcome) {
        (BookingState::Confirming, _) if *at >= deadline => violations
            .note(Violation::BrokenDeadline, || {
                format!("{booking} was paid at {at}, not before its deadline {deadline}")
            }),
        (BookingState::Releasing, Some(Outcome::Expired)) if *at < deadline => violations
            .note(Violation::BrokenDeadline, || {
                format!("{booking} expired at {at}, before its deadline {deadline}")
            }),
        _ => {}
    }
}
