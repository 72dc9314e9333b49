//! The Lua scripts: one file for each transition under `scripts/`, each behind the same prelude, a
//! clock, and what it needs to look into bookings.

use std::sync::LazyLock;

use ::redis::Script;

/// Which clock the scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptClock {
    /// Redis's own.
    Redis,
    /// A key that a test sets.
    Test,
}

/// All scripts of a store.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) enqueue: Script,
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) settle: Script,
    pub(super) confirm: Script,
    pub(super) cancel: Script,
    pub(super) status: Script,
    pub(super) sweep: Script,
    pub(super) snapshot: Script,
    pub(super) notifier: Script,
}

/// The scripts are the same for every queue, and a process may have a thousand.
static REDIS: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(ScriptClock::Redis));
static TEST: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(ScriptClock::Test));

impl Scripts {
    /// With this clock.
    pub(super) fn of(clock: ScriptClock) -> &'static Self {
        match clock {
            ScriptClock::Redis => &REDIS,
            ScriptClock::Test => &TEST,
        }
    }

    fn new(clock: ScriptClock) -> Self {
        let prelude = include_str!("scripts/prelude.lua");
        let clock = match clock {
            ScriptClock::Redis => include_str!("scripts/clock.lua"),
            ScriptClock::Test => include_str!("scripts/clock_for_tests.lua"),
        };
        let booking = include_str!("scripts/booking.lua");
        let script = |body: &str| Script::new(&[prelude, clock, body].concat());
        let reader = |body: &str| Script::new(&[prelude, clock, booking, body].concat());
        Self {
            // Asks for no time, and so works before a test has set its clock.
            open: Script::new(&[prelude, include_str!("scripts/open.lua")].concat()),
            enqueue: reader(include_str!("scripts/enqueue.lua")),
            claim: reader(include_str!("scripts/claim.lua")),
            renew: script(include_str!("scripts/renew.lua")),
            settle: reader(include_str!("scripts/settle.lua")),
            confirm: reader(include_str!("scripts/confirm.lua")),
            cancel: reader(include_str!("scripts/cancel.lua")),
            status: reader(include_str!("scripts/status.lua")),
            sweep: script(include_str!("scripts/sweep.lua")),
            snapshot: reader(include_str!("scripts/snapshot.lua")),
            notifier: script(include_str!("scripts/notifier.lua")),
        }
    }

    /// All of them, to load them into a server.
    pub(super) fn all(&self) -> [&Script; 11] {
        [
            &self.open,
            &self.enqueue,
            &self.claim,
            &self.renew,
            &self.settle,
            &self.confirm,
            &self.cancel,
            &self.status,
            &self.sweep,
            &self.snapshot,
            &self.notifier,
        ]
    }
}
