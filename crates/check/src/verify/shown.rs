//! What gateways showed last, against the store.

use std::collections::HashMap;

use bookingq_core::{BookingId, ClientId};

use super::Comparison;
use crate::answers::Answers;
use crate::violation::Violation;
use crate::watched::WatchedView;

/// How long after a change, the end of the last fault, or its connection, a client may be shown
/// the state before.
const LATEST_MS: u64 = 5000;

impl Comparison<'_> {
    /// Once every fault has ended and the queue is at rest, each client of a gateway was last shown
    /// what the store has, and in time.
    pub(super) fn check_shown(&mut self) {
        let answers = self.answers;
        let Some(healed) = answers.healed else { return };
        let healed = answers.time_of_day_ms(healed);
        for (client, (booking, view)) in last_shown(answers) {
            let Some(state) = self.state(booking) else { continue };
            let shown = view.state;
            // A socket closes after a final state, also after one that a failover takes back.
            if view.is_hint && shown.is_final() {
                continue;
            }
            if shown != state {
                let case = format!("{client} was last shown {booking} as {shown}; it is {state}");
                self.violations.record(Violation::StaleView, case);
                continue;
            }
            let Some(logged) = self.log.certain(booking) else { continue };
            let [opened, seen] = [view.opened, view.since].map(|at| answers.time_of_day_ms(at));
            let late = seen.saturating_sub(logged.since.0.max(healed).max(opened));
            if state.is_final() && late > LATEST_MS {
                let case = format!("{client} was shown that {booking} is {state} {late} ms late");
                self.violations.record(Violation::StaleView, case);
            }
        }
    }
}

/// The booking that each client was shown last by a gateway.
fn last_shown(answers: &Answers) -> HashMap<&ClientId, (BookingId, &WatchedView)> {
    let mut last: HashMap<&ClientId, (BookingId, &WatchedView)> = HashMap::new();
    for (booking, answered) in &answers.bookings {
        let view = answered.watched.as_ref().filter(|view| view.version.is_some());
        let Some(view) = view else { continue };
        let newest = last.entry(&answered.client).or_insert((*booking, view));
        if newest.1.until < view.until {
            *newest = (*booking, view);
        }
    }
    last
}
