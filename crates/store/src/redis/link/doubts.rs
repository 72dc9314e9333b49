//! What is known against the connection in use.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the server in use is asked whether it is still the primary.
const ROLE_EVERY: Duration = Duration::from_secs(1);

/// What is known against the connection in use.
#[derive(Default)]
pub(super) struct Doubts {
    /// Calls are refused with nothing written in between.
    pub(super) refused: LastingFault,
    /// Writes reach too few replicas.
    pub(super) unreplicated: LastingFault,
    /// When the role was asked last.
    role_asked: Mutex<Option<Instant>>,
}

/// Since when something fails with no success in between, or when another connection was tried
/// last.
#[derive(Default)]
pub(super) struct LastingFault(Mutex<Option<Instant>>);

impl LastingFault {
    /// Notes a success.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }

    /// Notes a failure. Whether it has failed for so long; if so, counting starts again.
    pub(super) fn has_lasted(&self, time: Duration) -> bool {
        let mut since = self.0.lock();
        let is_long = since.get_or_insert_with(Instant::now).elapsed() >= time;
        if is_long {
            *since = Some(Instant::now());
        }
        is_long
    }
}

impl Doubts {
    /// There is another connection.
    pub(super) fn clear(&self) {
        self.refused.end();
        self.unreplicated.end();
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
