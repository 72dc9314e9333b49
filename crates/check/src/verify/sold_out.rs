//! The bookings that ended as sold out, against the reservations that came back later.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bookingq_core::{BookingId, BookingState as S, EventSeq, SoldOutRule};

use super::Comparison;
use crate::violation::Violation;

impl Comparison<'_> {
    /// No reservation that was under way when a client was sent away came back afterwards: it might
    /// have been that client's.
    pub(super) fn check_sent_away(&mut self) {
        let mut sent_away: HashMap<Arc<str>, BTreeMap<EventSeq, BookingId>> = HashMap::new();
        let mut came_back = Vec::new();
        for (booking, logged) in self.log.bookings() {
            let Some(item) = self.item(booking) else { continue };
            match logged.state {
                S::SoldOut if logged.replaces.is_none() => {
                    sent_away.entry(item).or_default().insert(logged.newest, booking);
                }
                S::Expired | S::Cancelled | S::Failed if logged.deadline.is_some() => {
                    came_back.push((item, logged.claimed..logged.newest, booking));
                }
                _ => {}
            }
        }
        for (item, under_way, booking) in came_back {
            let early = sent_away.get(&item).and_then(|ends| ends.range(under_way).next());
            if let Some((_, client)) = early
                && self.log.rule_of(&item) == Some(SoldOutRule::Wait)
            {
                let case =
                    format!("{client} ended while {booking} held {item:?}, and gave it back");
                self.violations.record(Violation::SentAway, case);
            }
        }
    }

    /// What a booking wants, if the log knows.
    fn item(&self, booking: BookingId) -> Option<Arc<str>> {
        self.log.certain(booking)?.wanted.as_ref().map(|wanted| wanted.item.clone())
    }
}
