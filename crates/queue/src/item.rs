//! One item: whether it is to be had, who waits for it, and what may come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::line::PlaceSet;
use bookingq_core::{
    ClientId, Fence, Generation, ItemState, Place, Quantity, SoldOutRule, Timestamp,
};

/// Time from the closing of an item, or from a probe, to the next probe.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

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
    opened_at: Fence,
    /// When the next probe is due.
    probe_at: Timestamp,
    /// The claim that probes.
    probe: Option<Fence>,
    /// Sold out for good.
    pub(crate) ended: bool,
    left: Option<u64>,
    parked: BTreeMap<Quantity, BTreeMap<Place, ClientId>>,
    waiting: PlaceSet,
}

/// A refusal by the Booking Service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) quantity: Quantity,
    pub(crate) fence: Fence,
    pub(crate) generation: Generation,
    pub(crate) left: Option<u64>,
    pub(crate) elsewhere: u64,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
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

    /// Whether a booking that meets the ended item may try all the same: others may have given stock
    /// back.
    pub(crate) fn is_probe_due(&self, now: Timestamp) -> bool {
        self.ended && self.probe_at <= now
    }

    fn is_credited(&self, quantity: Quantity) -> bool {
        u64::from(quantity.get()) <= self.credit
    }

    /// Counts a claim of a claimable quantity, or a probe.
    pub(crate) fn claim(&mut self, quantity: Quantity, probe: Option<Fence>, now: Timestamp) {
        if probe.is_some() {
            self.probe = probe;
            self.probe_at = now + PROBE_EVERY;
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
    ) -> Verdict {
        let Refused { quantity, fence, generation, left, elsewhere } = refused;
        self.finish_probe(fence);
        self.left = left.or(self.left);
        let mut verdict = Verdict { closed: None, ended: false, is_final: false };
        if fence <= self.opened_at {
            return verdict;
        }
        let returned = self.returned.0.saturating_sub(generation.0);
        let before = self.refused;
        if returned == 0 {
            let from = left.and_then(|left| i32::try_from(left + 1).ok());
            let from = from.and_then(|from| Quantity::new(from).ok()).unwrap_or(quantity);
            let from = from.min(quantity);
            // The refused booking is still unsettled. Smaller ones that wait may fit yet.
            let smallest = self.parked.keys().next();
            let is_last = self.unsettled == 1
                && elsewhere == 0
                && smallest.is_none_or(|smallest| quantity <= *smallest);
            verdict.is_final = rule == SoldOutRule::End || is_last;
            // Nothing else is under way, so this is all that is known of the stock.
            let known = before.filter(|_| !is_last);
            self.refused = Some(known.map_or(from, |before| before.min(from)));
            verdict.ended = verdict.is_final && !self.ended;
            self.ended |= verdict.is_final;
            if verdict.is_final {
                self.probe_at = now + PROBE_EVERY;
            }
        } else if before.is_none() {
            self.refused = Some(quantity);
        }
        if before.is_none() {
            self.credit = returned;
            self.probe_at = now + PROBE_EVERY;
        }
        verdict.closed = self.refused.filter(|_| self.refused != before);
        verdict
    }

    /// Records a reservation. Returns whether it was the probe, so that the item is to be had again.
    pub(crate) fn reserved(&mut self, fence: Fence, left: Option<u64>) -> bool {
        self.left = left.or(self.left);
        self.finish_probe(fence)
    }

    /// Forgets the probe if this claim is it.
    fn finish_probe(&mut self, fence: Fence) -> bool {
        let is_probe = self.probe == Some(fence);
        if is_probe {
            self.probe = None;
        }
        is_probe
    }

    /// Opens it in full; `newest` is the newest claim.
    pub(crate) fn open(&mut self, newest: Fence) {
        (self.refused, self.credit, self.ended, self.opened_at) = (None, 0, false, newest);
        self.probe = None;
    }

    /// Takes what the Booking Service or the Ticket Service says to be left.
    pub(crate) fn set_left(&mut self, left: Option<u64>) {
        self.left = left.or(self.left);
    }

    /// Counts stock that came back.
    pub(crate) fn take_back(&mut self, quantity: Quantity) {
        self.returned.0 += u64::from(quantity.get());
        self.give_credit(quantity);
    }

    /// Gives a claim's credit back: it used none of the stock.
    pub(crate) fn give_credit(&mut self, quantity: Quantity) {
        if self.refused.is_some() {
            self.credit += u64::from(quantity.get());
        }
    }

    /// One booking less that may come back. The last one makes a probe due, which decides, unless it
    /// was itself refused and waits.
    pub(crate) fn settle(&mut self, waits: bool, now: Timestamp) {
        self.unsettled -= 1;
        if self.unsettled == 0 && !waits && !self.ended {
            self.probe_at = now;
        }
    }

    pub(crate) fn park(&mut self, quantity: Quantity, place: Place, client: ClientId) {
        self.parked.entry(quantity).or_default().insert(place, client);
        self.waiting.join(place);
    }

    pub(crate) fn unpark(&mut self, quantity: Quantity, place: Place) {
        self.waiting.leave(place);
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

    /// The front of the smallest parked quantity: whom a probe takes.
    pub(crate) fn probed(&self) -> Option<&ClientId> {
        let (_, clients) = self.parked.first_key_value()?;
        clients.first_key_value().map(|(_, client)| client)
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
