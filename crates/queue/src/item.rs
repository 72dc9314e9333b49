//! One item: whether it is available, who waits for it, and what may come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::line::PlaceSet;
use bookingq_core::{
    ClientId, Fence, Generation, ItemState, Place, Quantity, SoldOutRule, Timestamp,
};

/// Time from the closing of an item, or from the end of its first probe, to the next one. After
/// each probe that is refused it doubles, up to a minute.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Longest time between two probes of an item, and to the next one when a probe has no end.
const PROBE_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// One item.
#[derive(Debug, Default)]
pub(crate) struct Item {
    /// Bookings of it that are reserving, reserved, confirming or releasing.
    pub(crate) unsettled: u64,
    /// The smallest refused quantity; `None`: open.
    pub(crate) refused: Option<Quantity>,
    /// Quantity that ever came back.
    pub(crate) returned: Generation,
    /// Quantity that came back while closed, and that no claim has used yet.
    pub(crate) credit: u64,
    /// The newest claim when the item was last opened: a refusal of an earlier one closes nothing.
    pub(crate) opened_at: Fence,
    /// When the next probe is due.
    pub(crate) probe_at: Timestamp,
    /// Time from the end of the next probe to the one after it.
    pub(crate) probe_wait: Duration,
    /// Whom the next probe takes.
    pub(crate) probe_next: Probed,
    /// The booking that probes.
    pub(crate) probe: Option<Place>,
    /// Sold out for good.
    pub(crate) ended: bool,
    pub(crate) left: Option<u64>,
    pub(crate) parked: BTreeMap<Quantity, BTreeMap<Place, ClientId>>,
    pub(crate) waiting: PlaceSet,
    /// Those parked bookings whose late Reserve may still arrive.
    pub(crate) strays: BTreeMap<Place, ClientId>,
    /// Changed since the sum of [`Items`](crate::items::Items) held its hash.
    pub(crate) is_touched: bool,
}

/// Which parked booking a probe takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Probed {
    /// The smallest place.
    #[default]
    Place,
    /// The front of the smallest quantity: the smallest place was refused just now.
    Smallest,
    /// The first one whose late Reserve may still arrive: nothing else is under way, so that one is
    /// all that the item waits for.
    Stray,
}

/// A refusal by the Booking Service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) place: Place,
    pub(crate) quantity: Quantity,
    pub(crate) fence: Fence,
    pub(crate) generation: Generation,
    pub(crate) left: Option<u64>,
    pub(crate) elsewhere: u64,
    /// A late Reserve of the booking may still arrive.
    pub(crate) stray: bool,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusalEffect {
    /// The smallest refused quantity, if it has changed.
    pub(crate) closed: Option<Quantity>,
    /// The item ended just now.
    pub(crate) ended: bool,
    /// The refused booking has nothing to wait for.
    pub(crate) is_final: bool,
}

/// When an item needs a claim's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attention {
    /// Bookings that wait for it end.
    End,
    /// A probe is due at this moment.
    Probe(Timestamp),
    /// None.
    Never,
}

impl Item {
    /// Whether a claim may take a booking of this quantity.
    pub(crate) fn is_claimable(&self, quantity: Quantity) -> bool {
        self.refused.is_none_or(|refused| quantity < refused) || self.is_credited(quantity)
    }

    /// Whether a booking that meets the ended item may try all the same: others may have given
    /// stock back.
    pub(crate) fn is_probe_due(&self, now: Timestamp) -> bool {
        self.ended && self.probe_at <= now
    }

    fn is_credited(&self, quantity: Quantity) -> bool {
        u64::from(quantity.get()) <= self.credit
    }

    /// Counts a claim of a claimable quantity, or a probe.
    pub(crate) fn claim(&mut self, quantity: Quantity, probe: Option<Place>, now: Timestamp) {
        if probe.is_some() {
            self.probe = probe;
            self.probe_at = now + PROBE_AT_LEAST_EVERY;
        } else if self.refused.is_some_and(|refused| quantity >= refused) {
            self.credit -= u64::from(quantity.get());
        }
    }

    /// Records a refusal.
    pub(crate) fn refuse(
        &mut self,
        refused: Refused,
        rule: SoldOutRule,
        now: Timestamp,
    ) -> RefusalEffect {
        let Refused { place, quantity, fence, generation, left, elsewhere, stray } = refused;
        let is_stray_probe = self.probe == Some(place) && self.probe_next == Probed::Stray;
        self.end_probe(place, quantity, now);
        self.left = left.or(self.left);
        let mut effect = RefusalEffect { closed: None, ended: false, is_final: false };
        if fence <= self.opened_at {
            return effect;
        }
        let returned = self.returned.0.saturating_sub(generation.0);
        let before = self.refused;
        if before.is_none() {
            self.credit = returned;
            self.probe_soon(now + PROBE_EVERY);
        }
        if returned == 0 {
            let from = quantity.at_most(left.map(|left| left.saturating_add(1)));
            // The refused booking is still unsettled. Smaller ones that wait may fit yet.
            let smallest = self.parked.keys().next();
            let is_last =
                self.unsettled == 1 && smallest.is_none_or(|smallest| quantity <= *smallest);
            let ends = elsewhere == 0 && (rule == SoldOutRule::End || is_last);
            let waits_for_strays = rule == SoldOutRule::Wait && (stray || !self.strays.is_empty());
            // Nothing else is under way, so this is all that is known of the stock.
            let known = before.filter(|_| !is_last || elsewhere > 0);
            self.refused = Some(known.map_or(from, |before| before.min(from)));
            // Fewer than that are left, whatever came back before.
            self.credit = left.unwrap_or(self.credit.min(u64::from(from.get()) - 1));
            if ends && !waits_for_strays {
                effect.ended = !self.ended;
                self.ended = true;
                self.probe_at = now + PROBE_EVERY;
            } else if ends && !stray {
                (self.probe_at, self.probe_next) = (now, Probed::Stray);
            }
            // The smaller ones that wait were refused just before the stray was asked.
            let is_asked = elsewhere == 0 && is_stray_probe && self.unsettled == 1;
            effect.is_final = (ends && (stray || !waits_for_strays)) || is_asked;
        } else if before.is_none() {
            self.refused = Some(quantity);
        }
        effect.closed = self.refused.filter(|_| self.refused != before);
        effect
    }

    /// Records a reservation. Returns whether it was the probe, so that more may be available.
    pub(crate) fn reserved(&mut self, place: Place, left: Option<u64>) -> bool {
        self.left = left.or(self.left);
        let is_probe = self.probe == Some(place);
        if is_probe {
            self.probe = None;
        }
        is_probe
    }

    /// Plans the next probe if this booking was one and has ended as such without a reservation: a
    /// client that wants less tries at once, then the item rests.
    fn end_probe(&mut self, place: Place, quantity: Quantity, now: Timestamp) {
        if self.probe != Some(place) {
            return;
        }
        self.probe = None;
        let smaller = self.parked.keys().next().is_some_and(|smallest| *smallest < quantity);
        if smaller && self.probe_next == Probed::Place {
            (self.probe_at, self.probe_next) = (now, Probed::Smallest);
        } else {
            self.probe_next = Probed::Place;
            self.probe_at = now + self.probe_wait;
            self.probe_wait = (self.probe_wait * 2).min(PROBE_AT_LEAST_EVERY);
        }
    }

    /// Makes the next probes come soon: something has changed.
    fn probe_soon(&mut self, at: Timestamp) {
        (self.probe_at, self.probe_wait, self.probe_next) = (at, PROBE_EVERY, Probed::Place);
    }

    /// Opens it in full; `newest` is the newest claim. If `left` is known and less than what waits,
    /// it stays closed and gives that much credit. Returns whether it has opened.
    pub(crate) fn open(&mut self, newest: Fence, left: Option<u64>, now: Timestamp) -> bool {
        let was_closed = self.refused.is_some();
        if let Some(left) = left.filter(|left| was_closed && *left < self.waiting.len() as u64) {
            self.credit = self.credit.max(left);
            self.probe_soon(now + PROBE_EVERY);
            return false;
        }
        (self.refused, self.credit, self.ended) = (None, 0, false);
        (self.opened_at, self.probe) = (newest, None);
        was_closed
    }

    /// Whether it was never sold out.
    pub(crate) fn is_untouched(&self) -> bool {
        self.refused.is_none() && self.opened_at == Fence(0)
    }

    /// It had ended, and clients may wait for it now: what is unsettled may come back.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.ended = false;
        self.probe_soon(now + PROBE_EVERY);
    }

    /// Takes what the Booking Service or the Ticket Service says to be left.
    pub(crate) fn set_left(&mut self, left: Option<u64>) {
        self.left = left.or(self.left);
    }

    /// Counts stock that came back.
    pub(crate) fn take_back(&mut self, quantity: Quantity, now: Timestamp) {
        self.returned.0 = self.returned.0.saturating_add(u64::from(quantity.get()));
        self.give_credit(quantity);
        // If that fits no client, a probe shows whether it is enough with what is left.
        let at = if self.fronts().next().is_none() { now } else { now + PROBE_EVERY };
        self.probe_soon(at);
    }

    /// Gives a claim's credit back: it used none of the stock.
    pub(crate) fn give_credit(&mut self, quantity: Quantity) {
        if self.refused.is_some() {
            // A Booking Service may say that any number is left.
            self.credit = self.credit.saturating_add(u64::from(quantity.get()));
        }
    }

    /// One booking less that may come back. The last one makes a probe due, which decides, unless
    /// it was itself refused and waits.
    pub(crate) fn settle(&mut self, waits: bool, now: Timestamp) {
        self.unsettled -= 1;
        if self.unsettled == 0 && !waits && !self.ended {
            self.probe_soon(now);
        }
    }

    pub(crate) fn park(&mut self, quantity: Quantity, place: Place, client: ClientId) {
        self.parked.entry(quantity).or_default().insert(place, client);
        self.waiting.join(place);
    }

    pub(crate) fn unpark(&mut self, quantity: Quantity, place: Place) {
        self.waiting.leave(place);
        self.strays.remove(&place);
        if let Some(clients) = self.parked.get_mut(&quantity) {
            clients.remove(&place);
            if clients.is_empty() {
                self.parked.remove(&quantity);
            }
        }
    }

    /// The first place of each parked quantity that a claim may take.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = (Place, Quantity)> {
        let claimable = self.parked.iter().filter(|(quantity, _)| self.is_claimable(**quantity));
        claimable.filter_map(|(quantity, clients)| Some((*clients.first_key_value()?.0, *quantity)))
    }

    /// How many parked bookings of this quantity a claim could take now.
    pub(crate) fn claimable(&self, quantity: Quantity) -> u64 {
        let parked = self.parked.get(&quantity).map_or(0, |clients| clients.len() as u64);
        match self.refused {
            Some(refused) if quantity >= refused => {
                parked.min(self.credit / u64::from(quantity.get()))
            }
            _ => parked,
        }
    }

    pub(crate) fn parked_at(&self, quantity: Quantity, place: Place) -> Option<&ClientId> {
        self.parked.get(&quantity)?.get(&place)
    }

    /// Whom a probe takes.
    pub(crate) fn probed(&self) -> Option<(Place, &ClientId)> {
        let mut fronts = self.parked.values().filter_map(|clients| clients.first_key_value());
        let front = match (self.probe_next, self.strays.first_key_value()) {
            (Probed::Stray, Some(stray)) => Some(stray),
            (Probed::Smallest, _) => fronts.next(),
            (Probed::Place | Probed::Stray, _) => fronts.min(),
        };
        front.map(|(place, client)| (*place, client))
    }

    /// The first `max` parked bookings that cannot be claimed, by place.
    pub(crate) fn unclaimable(&self, max: usize) -> Vec<ClientId> {
        let sets = self.parked.iter().filter(|(quantity, _)| !self.is_claimable(**quantity));
        let mut found: Vec<_> = sets.flat_map(|(_, clients)| clients.iter().take(max)).collect();
        found.sort();
        found.into_iter().take(max).map(|(_, client)| client.clone()).collect()
    }

    /// When a claim must look at it.
    pub(crate) fn attention(&self) -> Attention {
        let claimable = self.fronts().count();
        if self.ended && claimable < self.parked.len() {
            Attention::End
        } else if self.refused.is_none() || self.ended || self.parked.is_empty() || claimable > 0 {
            Attention::Never
        } else {
            Attention::Probe(self.probe_at)
        }
    }

    /// Whether nothing of it needs to be remembered.
    pub(crate) fn is_idle(&self) -> bool {
        self.refused.is_none() && self.unsettled == 0 && self.parked.is_empty()
    }

    pub(crate) fn waiting(&self) -> &PlaceSet {
        &self.waiting
    }

    pub(crate) fn state(&self, item: Arc<str>) -> ItemState {
        ItemState {
            item,
            refused: self.refused,
            ended: self.ended,
            credit: self.credit,
            unsettled: self.unsettled,
            waiting: self.waiting.len() as u64,
            left: self.left,
        }
    }
}
