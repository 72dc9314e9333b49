//! The waiting clients as the log shows them: the line, and who is parked for which item. From
//! these follows whether a claim passed over a client that could have been served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bookingq_core::{EventSeq, ItemChange, ItemEvent, Parked, Place, Quantity, Timestamp};

/// Everyone who waits, with the states of the items.
#[derive(Debug, Default)]
pub(crate) struct WaitingClients {
    line: BTreeSet<Place>,
    parked: HashMap<Place, Parked>,
    items: HashMap<Arc<str>, LoggedItem>,
    /// Events are missing: an item may have been closed in them.
    after_gap: bool,
}

/// One item.
#[derive(Debug, Default)]
struct LoggedItem {
    /// The smallest refused quantity; `None`: open.
    refused: Option<Quantity>,
    ended: bool,
    /// The newest outbox entry in which it went on after it had ended: the entry may end bookings
    /// too.
    went_on: Option<EventSeq>,
    tries: Tries,
    parked: BTreeMap<Quantity, BTreeSet<Place>>,
}

/// The claims of parked bookings whose item was closed: by credit, or as probes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// How many.
    pub(crate) count: u64,
    /// The first one.
    pub(crate) first: Timestamp,
    /// The last one.
    pub(crate) last: Timestamp,
}

impl WaitingClients {
    /// The waiting clients after missing events: nothing is known of earlier ones.
    pub(crate) fn after_gap() -> Self {
        Self { after_gap: true, ..Self::default() }
    }

    /// A new booking joins the line.
    pub(crate) fn join(&mut self, place: Place) {
        self.line.insert(place);
    }

    /// A refused booking waits with its old place.
    pub(crate) fn park(&mut self, place: Place, wanted: &Parked) {
        let refused = self.after_gap.then_some(wanted.quantity);
        let unknown = || LoggedItem { refused, ..LoggedItem::default() };
        let item = self.items.entry(wanted.item.clone()).or_insert_with(unknown);
        item.parked.entry(wanted.quantity).or_default().insert(place);
        self.parked.insert(place, wanted.clone());
    }

    /// A booking waits no longer; returns what it was parked for.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Parked> {
        self.line.remove(&place);
        let wanted = self.parked.remove(&place)?;
        let item = self.items.get_mut(&wanted.item);
        if let Some(places) = item.and_then(|item| item.parked.get_mut(&wanted.quantity)) {
            places.remove(&place);
        }
        Some(wanted)
    }

    /// Clients of the line wait for an item. Returns one that was not in the line, or whose item
    /// was available.
    pub(crate) fn park_from_line(&mut self, places: &[Place], wanted: &Parked) -> Option<Place> {
        let item = self.items.get(&wanted.item);
        let open = item.is_none_or(|item| !item.is_closed_for(wanted.quantity));
        let mut wrong = None;
        for place in places {
            let was_in_line = self.line.remove(place);
            wrong = wrong.or((open || !was_in_line).then_some(*place));
            self.park(*place, wanted);
        }
        wrong
    }

    /// An item changes.
    pub(crate) fn change(&mut self, event: &ItemEvent) {
        let item = self.items.entry(event.item.clone()).or_default();
        match &event.change {
            ItemChange::SoldOut { quantity } => {
                item.refused = Some(*quantity);
                if std::mem::take(&mut item.ended) {
                    item.went_on = Some(event.seq);
                }
            }
            ItemChange::Open => (item.refused, item.ended) = (None, false),
            ItemChange::Ended => item.ended = true,
            ItemChange::Parked { .. } => {}
        }
    }

    /// A waiting client with a smaller place that could have been served when this one was claimed.
    pub(crate) fn passed_over(&self, place: Place) -> Option<Place> {
        let earlier = |found: Option<Place>| found.filter(|other| *other < place);
        let wanted = self.parked.get(&place);
        if let Some((wanted, item)) = wanted.and_then(|one| Some((one, self.items.get(&one.item)?)))
            && item.is_closed_for(wanted.quantity)
        {
            // By credit, or as a probe: the first that asks for as much or less goes first.
            return earlier(item.front(|quantity| quantity <= wanted.quantity));
        }
        let parked = self.items.values().map(|item| item.front(|q| !item.is_closed_for(q)));
        parked.chain([self.line.first().copied()]).filter_map(earlier).min()
    }

    /// Whether the item is closed, and not for this quantity.
    pub(crate) fn is_closed_above(&self, item: &str, quantity: Quantity) -> bool {
        let refused = self.items.get(item).and_then(|item| item.refused);
        refused.is_some_and(|refused| quantity < refused)
    }

    /// Whether a parked booking waits for an item that is closed.
    pub(crate) fn is_closed_for(&self, place: Place) -> bool {
        let Some(wanted) = self.parked.get(&place) else { return false };
        self.items.get(&wanted.item).is_some_and(|item| item.is_closed_for(wanted.quantity))
    }

    /// Counts a claim of a parked booking if its item is closed.
    pub(crate) fn try_item(&mut self, place: Place, at: Timestamp) {
        let Some(wanted) = self.parked.get(&place) else { return };
        let Some(item) = self.items.get_mut(&wanted.item) else { return };
        if item.is_closed_for(wanted.quantity) {
            let Tries { count, first, .. } = item.tries;
            let first = if count == 0 { at } else { first };
            item.tries = Tries { count: count + 1, first, last: at };
        }
    }

    /// The claims of each item while it was closed.
    pub(crate) fn tries(&self) -> impl Iterator<Item = (&Arc<str>, Tries)> {
        self.items.iter().map(|(item, logged)| (item, logged.tries))
    }

    /// Whether the item, or any if it is unknown, is over in the outbox entry of `seq`. `closed` is
    /// enough where bookings end as soon as their item is refused.
    pub(crate) fn is_over(&self, item: Option<&str>, closed: bool, seq: EventSeq) -> bool {
        let over = |one: &LoggedItem| {
            let went_on = one.went_on.is_some_and(|at| same_entry(at, seq));
            one.ended || went_on || closed && one.refused.is_some()
        };
        match item {
            Some(item) => self.items.get(item).is_some_and(over),
            None => self.items.values().any(over),
        }
    }
}

impl LoggedItem {
    fn is_closed_for(&self, quantity: Quantity) -> bool {
        self.refused.is_some_and(|refused| quantity >= refused)
    }

    /// The smallest parked place of these quantities.
    fn front(&self, of: impl Fn(Quantity) -> bool) -> Option<Place> {
        let sets = self.parked.iter().filter(|(quantity, _)| of(**quantity));
        sets.filter_map(|(_, places)| places.first().copied()).min()
    }
}

/// Whether two events were written by one call of the store.
pub(crate) fn same_entry(one: EventSeq, other: EventSeq) -> bool {
    (one.ms, one.entry()) == (other.ms, other.entry())
}
