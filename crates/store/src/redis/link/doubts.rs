//! What is known against the connection in use.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the server in use is asked whether it is still the primary.
const ROLE_EVERY: Duration = Duration::from_secs(1);

/// What is known against the connection in use.
#[derive(Default)]
pub(super) struct Doubts {
    /// Since when calls are refused with nothing written in between, or when another connection was
    /// tried last.
    refused: Mutex<Option<Instant>>,
    /// When the role was asked last.
    role_asked: Mutex<Option<Instant>>,
}

impl Doubts {
    /// A call has written something.
    pub(super) fn clear(&self) {
        *self.refused.lock() = None;
    }

    /// Notes a refusal. Whether nothing was written for so long; if so, counting starts again.
    pub(super) fn is_refused_for(&self, time: Duration) -> bool {
        let mut refused = self.refused.lock();
        let is_long = refused.get_or_insert_with(Instant::now).elapsed() >= time;
        if is_long {
            *refused = Some(Instant::now());
        }
        is_long
    }

    /// Whether it is time to ask for the role; if so, the next time is a second away.
    pub(super) fn is_role_due(&self) -> bool {
        let mut asked = self.role_asked.lock();
        let is_due = asked.is_none_or(|asked| asked.elapsed() >= ROLE_EVERY);
        if is_due {
            *asked = Some(Instant::now());
        }
        is_due
    }
}
