//! A worker claims tasks, and renews their leases.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{
    Admission, BookingState, ClientId, Fence, ItemChange, Outcome, Place, Quantity, Timestamp,
};

use crate::bounds;
use crate::item::{Attention, Item};
use crate::queue::Queue;
use crate::record::Slot;
use crate::task::{Claim, Lease, Scope, Task};

/// Least time between two probes of a queue.
const PROBE_SPACING: Duration = Duration::from_millis(100);

/// How many bookings may leave the line in a claim.
struct Room {
    tasks: usize,
    /// What the rate allows, if there is one: how many, and the arrival time, in microseconds, that
    /// the claimed bookings start from.
    rate: Option<(u64, u64)>,
}

/// Bookings that a claim parks: one event for each item and quantity.
type ParkedSets = Vec<(Arc<str>, Quantity, Vec<Place>)>;

impl Queue {
    /// Claims at most `max` tasks until `lease` from now: due ones, earliest lease end first, then
    /// who waits, smallest place first, as far as the rules and the items allow.
    pub fn claim(&mut self, max: usize, lease: Duration, scope: Scope, now: Timestamp) -> Claim {
        self.index.outbox.begin_entry();
        let claim = self.claim_tasks(max, lease, scope, now);
        self.index.outbox.end_entry();
        claim
    }

    /// The answer to a claim that would find nothing to do; `None` if one may find something.
    ///
    /// Such a claim changes nothing that a later command depends on, so a store for which a command
    /// is dear need not make it one.
    pub fn idle_claim(&self, max: usize, scope: Scope, now: Timestamp) -> Option<Claim> {
        let due = self.next_due(now);
        let ends = matches!(self.index.items.urgent(), Some((Attention::End, _)));
        if ends || max == 0 || due == Some(Duration::ZERO) {
            return None;
        }
        let idle = |next| Some(Claim { now, tasks: Vec::new(), next, more: false });
        if let Err(opens) = self.serves_line(scope, now) {
            return idle(earliest(due, opens));
        }
        let room = self.room(max, now);
        let probe = self.index.items.next_probe().map(|at| at.max(self.index.next_probe));
        if room.tasks > 0 && (self.has_claimable() || probe.is_some_and(|at| at <= now)) {
            return None;
        }
        let next = earliest(due, self.token_wait(&room, 0, now));
        let probe = probe.filter(|at| *at > now);
        idle(earliest(next, probe.map(|at| at.since(now))))
    }

    fn claim_tasks(&mut self, max: usize, lease: Duration, scope: Scope, now: Timestamp) -> Claim {
        let end = now + bounds::span(lease);
        let due = self.index.leases.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<ClientId> = due.map(|(_, client)| client.clone()).take(max).collect();
        let mut tasks: Vec<Task> =
            due.iter().filter_map(|client| self.take(client, end, now)).collect();
        let mut more = self.end_parked(now);
        if let Some(opens) = self.serves_line(scope, now).err() {
            return Claim { now, tasks, next: earliest(self.next_due(now), opens), more };
        }
        let room = self.room(max.saturating_sub(tasks.len()), now);
        let due = tasks.len();
        if room.tasks > 0 {
            self.probe(&mut tasks, end, now);
            more |= self.serve(&mut tasks, due + room.tasks, end, now);
        }
        let mut next = self.next_due(now);
        next = earliest(next, self.spend(&room, tasks.len() - due, now));
        // Without room, a due probe would wake workers for nothing.
        let probe = self.index.items.next_probe().map(|at| at.max(self.index.next_probe));
        let probe = probe.filter(|at| room.tasks > 0 || *at > now);
        next = earliest(next, probe.map(|at| at.since(now)));
        more |= tasks.len() >= max && self.has_claimable();
        Claim { now, tasks, next, more }
    }

    /// Time until the earliest lease ends.
    fn next_due(&self, now: Timestamp) -> Option<Duration> {
        self.index.leases.first().map(|(at, _)| at.since(now))
    }

    /// Whether bookings that wait may be claimed; otherwise the time until the sale opens, if that
    /// is why.
    fn serves_line(&self, scope: Scope, now: Timestamp) -> Result<(), Option<Duration>> {
        let serves = match scope {
            Scope::Everything => true,
            Scope::OnceRuled => self.index.rules_set,
            Scope::DueOnly => false,
        };
        if !serves || self.index.admission == Admission::Paused {
            return Err(None);
        }
        match self.index.rules.opens_at {
            Some(opens_at) if now < opens_at => Err(Some(opens_at.since(now))),
            _ => Ok(()),
        }
    }

    /// How many bookings may leave the line now, of `most`.
    fn room(&self, most: usize, now: Timestamp) -> Room {
        let outflow = self.index.rules.outflow;
        let mut tasks = most as u64;
        if let Some(max_holds) = outflow.max_holds {
            let held = (self.index.leases.len() + self.index.holds.len()) as u64;
            tasks = tasks.min(u64::from(max_holds).saturating_sub(held));
        }
        let (tat, since) = self.index.tat;
        let rate = outflow.pace().map(|pace| pace.tokens(tat, since, now));
        tasks = rate.map_or(tasks, |(tokens, _)| tasks.min(tokens));
        Room { tasks: tasks as usize, rate }
    }

    /// Spends the tokens of `taken` bookings. Returns the time until the next one, if a
    /// booking waits for it.
    fn spend(&mut self, room: &Room, taken: usize, now: Timestamp) -> Option<Duration> {
        let pace = self.index.rules.outflow.pace()?;
        let (_, tat) = room.rate?;
        self.index.tat = (tat + taken as u64 * pace.interval_us, now);
        self.token_wait(room, taken, now)
    }

    /// Time until the outflow allows one more than the `taken` bookings, if a booking waits for it.
    fn token_wait(&self, room: &Room, taken: usize, now: Timestamp) -> Option<Duration> {
        let pace = self.index.rules.outflow.pace()?;
        let (tokens, tat) = room.rate?;
        let tat = tat + taken as u64 * pace.interval_us;
        (taken as u64 == tokens && self.has_claimable()).then(|| pace.wait(tat, now))
    }

    /// Whether a booking waits that a claim may take.
    fn has_claimable(&self) -> bool {
        !self.index.line.is_empty() || self.index.items.front().is_some()
    }

    /// Ends parked bookings of items that have ended, a step's worth. Returns whether more are to
    /// end.
    fn end_parked(&mut self, now: Timestamp) -> bool {
        let mut left = MAX_STORE_BATCH;
        while let Some((Attention::End, name)) = self.index.items.urgent() {
            if left == 0 {
                return true;
            }
            let clients = self.index.items.get(name).map(|item| item.unclaimable(left));
            for client in clients.unwrap_or_default() {
                left -= 1;
                self.end(&client, now);
            }
        }
        false
    }

    /// Claims a booking of the closed item whose probe is due, to see whether it is available
    /// again.
    fn probe(&mut self, tasks: &mut Vec<Task>, end: Timestamp, now: Timestamp) {
        let Some((Attention::Probe(at), name)) = self.index.items.urgent() else { return };
        let probed = self.index.items.get(name).and_then(|item| item.probed());
        let is_due = (*at).max(self.index.next_probe) <= now;
        if let Some((place, client)) = probed.filter(|_| is_due) {
            let (name, client) = (Arc::clone(name), client.clone());
            self.index.next_probe = now + self.probe_spacing();
            self.index.claim_item(&name, Quantity::ONE, Some(place), now);
            tasks.extend(self.take(&client, end, now));
        }
    }

    /// Time between two probes of the queue: with many closed items they must not take the place of
    /// who can be served.
    fn probe_spacing(&self) -> Duration {
        let tenth = self.index.rules.outflow.pace().map_or(0, |pace| 10 * pace.interval_us);
        PROBE_SPACING.max(Duration::from_millis(tenth / 1000))
    }

    /// Claims who waits, smallest place first, until there are `most` tasks, and parks or ends
    /// clients whose item is not available. Returns whether it stopped early, having parked or
    /// ended enough.
    fn serve(
        &mut self,
        tasks: &mut Vec<Task>,
        most: usize,
        end: Timestamp,
        now: Timestamp,
    ) -> bool {
        let mut parked = ParkedSets::new();
        let mut passed = 0;
        while tasks.len() < most && passed < MAX_STORE_BATCH {
            let line = self.index.places.first_key_value();
            let client = match (line, self.index.items.front()) {
                (Some((place, client)), Some((first, ..))) if place < first => client,
                (Some((_, client)), None) => client,
                (_, Some((place, quantity, name))) => {
                    let item = self.index.items.get(name);
                    match item.and_then(|item| item.parked_at(*quantity, *place)) {
                        Some(client) => client,
                        None => break,
                    }
                }
                (None, None) => break,
            };
            let client = client.clone();
            let task = self.look(&client, &mut parked, end, now);
            passed += usize::from(task.is_none());
            tasks.extend(task);
        }
        for (item, quantity, places) in parked {
            self.index.emit_item(&item, ItemChange::Parked { quantity, places }, now);
        }
        passed == MAX_STORE_BATCH && tasks.len() < most
    }

    /// Claims, parks or ends one booking.
    fn look(
        &mut self,
        client: &ClientId,
        parked: &mut ParkedSets,
        end: Timestamp,
        now: Timestamp,
    ) -> Option<Task> {
        let record = self.bookings.get_mut(client)?;
        let (name, quantity) = (Arc::clone(&record.details.item), record.details.quantity);
        let item = self.index.items.get(&name);
        let ended = item.is_some_and(|item| item.ended);
        let claimable = item.is_none_or(|item| item.is_claimable(quantity));
        let probes = !claimable && item.is_some_and(|item| item.is_probe_due(now));
        if claimable || probes {
            let probe = probes.then_some(record.place);
            self.index.claim_item(&name, quantity, probe, now);
            return self.take(client, end, now);
        }
        if ended {
            self.end(client, now);
            return None;
        }
        self.index.move_to(client, record, Slot::Parked, now);
        self.index.totals.parked += 1;
        match parked.iter_mut().find(|(item, of, _)| (&*name, quantity) == (&**item, *of)) {
            Some((.., places)) => places.push(record.place),
            None => parked.push((name, quantity, vec![record.place])),
        }
        None
    }

    /// Ends a waiting booking of an item that has ended.
    fn end(&mut self, client: &ClientId, now: Timestamp) {
        if let Some(record) = self.bookings.get_mut(client) {
            self.index.turn_away(client, record, Outcome::SoldOut, now);
        }
    }

    /// Gives one booking's task to the caller until `end`.
    pub(crate) fn take(
        &mut self,
        client: &ClientId,
        end: Timestamp,
        now: Timestamp,
    ) -> Option<Task> {
        let record = self.bookings.get_mut(client)?;
        let totals = &mut self.index.totals;
        let first = record.fence == Fence(0);
        totals.claimed += 1;
        totals.reclaimed += u64::from(record.is_held());
        record.fence = Fence(totals.claimed);
        record.stray |= record.state == BookingState::Reserving;
        if record.state == BookingState::Queued {
            totals.dispatched += u64::from(first);
            self.index.transition(client, record, BookingState::Reserving, Slot::Leased(end), now);
        } else {
            self.index.move_to(client, record, Slot::Leased(end), now);
            self.index.emit(client, record, Some(record.state), now);
        }
        let item = self.index.items.get(&record.details.item);
        let item_open = item.is_some_and(Item::is_untouched);
        let generation = item.map(|item| item.returned).unwrap_or_default();
        record.task(client).map(|task| Task { first, item_open, generation, ..task })
    }

    /// Extends a lease from now; `false` unless it is the newest claim and not settled.
    pub fn renew(&mut self, lease: &Lease, length: Duration, now: Timestamp) -> bool {
        let Some(record) = self.bookings.get_mut(&lease.client) else { return false };
        let holds = record.is_newest_claim(lease) && record.is_held();
        if holds {
            let end = now + bounds::span(length);
            self.index.move_to(&lease.client, record, Slot::Leased(end), now);
        }
        holds
    }
}

/// The earlier of two times that may be unknown.
fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
