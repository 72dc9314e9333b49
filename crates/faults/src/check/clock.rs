//! Whether every time in the audit log is Redis's: it never goes back, and every deadline is one
//! hold after its moment.

use std::time::Duration;

use bookingq_core::{BookingState, Event, Timestamp};

use super::findings::Findings;

/// A host's clock is slewed now and then; ours jump by minutes.
const SLACK_MS: u64 = 100;

/// Follows the times of an audit log.
#[derive(Debug)]
pub struct Clock {
    hold_ms: u64,
    newest: Timestamp,
    findings: Findings,
}

impl Clock {
    /// Of a queue whose holds last this long.
    pub fn new(hold: Duration) -> Self {
        Self {
            hold_ms: hold.as_millis() as u64,
            newest: Timestamp(0),
            findings: Findings::default(),
        }
    }

    /// Takes the next events, oldest first.
    pub fn observe(&mut self, events: &[Event]) {
        for event in events {
            let Event { booking, at, deadline, to, .. } = event;
            if at.0 + SLACK_MS < self.newest.0 {
                let newest = self.newest;
                self.findings.note(7, || {
                    format!("{booking} became {to} at {at}, after it was {newest} already")
                });
            }
            self.newest = self.newest.max(*at);
            let wanted = at.0 + self.hold_ms;
            if *to == BookingState::Reserved && deadline.is_none_or(|deadline| deadline.0 != wanted)
            {
                self.findings.note(7, || {
                    format!("{booking} was reserved at {at} until {deadline:?}, not {wanted}")
                });
            }
        }
    }

    /// Times that are not Redis's.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}
