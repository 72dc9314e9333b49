//! The outbox: the newest events, in order.

use std::collections::VecDeque;

use bookingq_core::{EventSeq, OutboxEvent};

/// A piece of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<OutboxEvent>,
    /// Where to read on; equals the `after` of the call when there were no events.
    pub next: EventSeq,
    /// Events between `after` and the first one here were trimmed or lost: the follower must
    /// resync.
    pub gap: bool,
}

/// The newest events.
#[derive(Debug)]
pub(crate) struct Outbox {
    kept: VecDeque<OutboxEvent>,
    cap: usize,
    /// The newest event ever written.
    last: EventSeq,
    /// The newest event dropped for room.
    dropped: EventSeq,
    /// The next events belong to the entry of the newest one; `None`: each has an entry of its own.
    joins: Option<bool>,
}

impl Outbox {
    /// Keeps at most `cap` events, and at least one.
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            cap: cap.max(1),
            last: EventSeq::START,
            dropped: EventSeq::START,
            joins: None,
        }
    }

    /// Of a queue whose newest event was `last`, without the events themselves.
    pub(crate) fn after_loss(last: EventSeq) -> Self {
        Self { last, dropped: last, ..Self::new(1) }
    }

    /// Keeps at most `cap` events from now on, and at least one.
    pub(crate) fn keep(&mut self, cap: usize) {
        self.cap = cap.max(1);
        self.trim();
    }

    fn trim(&mut self) {
        while self.kept.len() > self.cap
            && let Some(oldest) = self.kept.pop_front()
        {
            self.dropped = oldest.seq();
        }
    }

    /// The events of a claim are one entry: who is parked leaves the line before others are served.
    pub(crate) fn begin_entry(&mut self) {
        self.joins = Some(false);
    }

    /// Later events have entries of their own again.
    pub(crate) fn end_entry(&mut self) {
        self.joins = None;
    }

    /// Appends an event and numbers it.
    pub(crate) fn push(&mut self, mut event: OutboxEvent) {
        // A clock that went back must not make the order go back.
        let ms = event.at().0.max(self.last.ms);
        self.last = match (ms == self.last.ms, self.joins) {
            (true, Some(true)) => EventSeq { number: self.last.number + 1, ..self.last },
            (true, _) => EventSeq::new(ms, self.last.entry() + 1, 0),
            (false, _) => EventSeq::new(ms, 0, 0),
        };
        self.joins = self.joins.map(|_| true);
        match &mut event {
            OutboxEvent::Booking(event) => event.seq = self.last,
            OutboxEvent::Item(event) => event.seq = self.last,
        }
        self.kept.push_back(event);
        self.trim();
    }

    /// The newest event.
    pub(crate) fn last(&self) -> EventSeq {
        self.last
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// About `max` events after `after`, in whole entries, and at least one if there is one.
    pub(crate) fn after(&self, after: EventSeq, max: usize) -> Events {
        // A follower that has seen more than was ever written here followed another store.
        if after > self.last {
            return Events { events: Vec::new(), next: self.last, gap: true };
        }
        let start = self.kept.partition_point(|event| event.seq() <= after);
        let mut events: Vec<OutboxEvent> = Vec::new();
        for event in self.kept.range(start..) {
            let entry = (event.seq().ms, event.seq().entry());
            let last = events.last().map(|last| (last.seq().ms, last.seq().entry()));
            if events.len() >= max.max(1) && last != Some(entry) {
                break;
            }
            events.push(event.clone());
        }
        let next = events.last().map_or(after, OutboxEvent::seq);
        Events { events, next, gap: after < self.dropped }
    }
}

#[cfg(test)]
mod tests {
    use bookingq_core::{ItemChange, ItemEvent, Timestamp};

    use super::*;

    fn event(at: u64) -> OutboxEvent {
        OutboxEvent::Item(ItemEvent {
            seq: EventSeq::START,
            at: Timestamp(at),
            item: "stalls".into(),
            change: ItemChange::Open,
        })
    }

    #[test]
    fn the_order_grows_even_when_the_clock_goes_back() {
        let mut outbox = Outbox::new(10);
        for at in [5, 5, 3, 7] {
            outbox.push(event(at));
        }
        let seen = outbox.after(EventSeq::START, 10).events;
        assert!(seen.is_sorted_by(|a, b| a.seq() < b.seq()), "{seen:?}");
    }

    #[test]
    fn a_follower_that_fell_behind_gets_a_gap() {
        let mut outbox = Outbox::new(2);
        for at in 1..=4 {
            outbox.push(event(at));
        }
        let behind = outbox.after(EventSeq::START, 10);
        assert!(behind.gap);
        assert_eq!(behind.events.len(), 2);
        assert!(!outbox.after(EventSeq::new(2, 0, 0), 10).gap, "it saw all that was dropped");
        assert!(outbox.after(EventSeq::new(9, 0, 0), 10).gap, "it followed another store");
    }
}
