//! When, and how fast, the line is served: the opening time and the outflow of a sale.

use std::collections::VecDeque;
use std::time::Duration;

use bookingq_core::{BookingState, Event, Outflow, SaleRules, Timestamp};

/// The outflow limits claims in any closed window of this length.
const WINDOW: Duration = Duration::from_secs(60);

/// The first claims of the last minute, and what is in progress.
#[derive(Debug, Default)]
pub(crate) struct ClaimPace {
    claims: VecDeque<Timestamp>,
    /// Bookings that are reserving, reserved, confirming or releasing.
    in_progress: u64,
}

impl ClaimPace {
    /// Takes the next event. Returns how it breaks the rules of the sale.
    pub(crate) fn observe(&mut self, event: &Event, rules: Option<&SaleRules>) -> Option<String> {
        use BookingState as S;
        let broken = match (event.from, event.to, rules) {
            (Some(S::Queued), S::Reserving, Some(rules)) => self.claim(event.at, rules),
            _ => None,
        };
        let counts = |state: S| state != S::Queued && !state.is_final();
        let before = u64::from(event.from.is_some_and(counts));
        self.in_progress = (self.in_progress + u64::from(counts(event.to))).saturating_sub(before);
        broken.map(|rule| format!("{} was claimed at {} {rule}", event.booking, event.at))
    }

    fn claim(&mut self, at: Timestamp, rules: &SaleRules) -> Option<String> {
        let SaleRules { opens_at, outflow: Outflow { per_minute, max_holds, .. }, .. } = rules;
        self.claims.push_back(at);
        while self.claims.front().is_some_and(|first| at.since(*first) > WINDOW) {
            self.claims.pop_front();
        }
        let count = self.claims.len();
        if let Some(opens_at) = opens_at.filter(|opens_at| at < *opens_at) {
            return Some(format!("before the sale opens at {opens_at}"));
        }
        if let Some(most) = per_minute.filter(|most| count > *most as usize) {
            return Some(format!("as number {count} within a minute, of at most {most}"));
        }
        let most = max_holds.filter(|most| self.in_progress >= u64::from(*most))?;
        Some(format!("while {} of at most {most} were in progress", self.in_progress))
    }
}
