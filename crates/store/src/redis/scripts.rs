//! The Lua scripts: one file for each transition under `scripts/`, loaded behind a prelude, a clock
//! and, where it parses bookings, `booking.lua`.

use std::sync::LazyLock;

use ::redis::Script;
use ::redis::aio::MultiplexedConnection;

use super::record::COLUMNS;

/// Which clock the scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptClock {
    /// Redis's own.
    Redis,
    /// A key that a test sets.
    Test,
}

/// One script; its number is its index in [`SOURCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptName {
    Open,
    Enqueue,
    Claim,
    Renew,
    Settle,
    Confirm,
    Cancel,
    Status,
    Sweep,
    Snapshot,
    Notifier,
}

/// What is loaded in front of a script, behind the prelude.
#[derive(PartialEq)]
enum Needs {
    Nothing,
    Clock,
    ClockAndBookings,
}

const SOURCES: [(ScriptName, Needs, &str); 11] = [
    // Without a clock, so that it works before a test has set the time.
    (ScriptName::Open, Needs::Nothing, include_str!("scripts/open.lua")),
    (ScriptName::Enqueue, Needs::ClockAndBookings, include_str!("scripts/enqueue.lua")),
    (ScriptName::Claim, Needs::ClockAndBookings, include_str!("scripts/claim.lua")),
    (ScriptName::Renew, Needs::Clock, include_str!("scripts/renew.lua")),
    (ScriptName::Settle, Needs::ClockAndBookings, include_str!("scripts/settle.lua")),
    (ScriptName::Confirm, Needs::ClockAndBookings, include_str!("scripts/confirm.lua")),
    (ScriptName::Cancel, Needs::ClockAndBookings, include_str!("scripts/cancel.lua")),
    (ScriptName::Status, Needs::ClockAndBookings, include_str!("scripts/status.lua")),
    (ScriptName::Sweep, Needs::Clock, include_str!("scripts/sweep.lua")),
    (ScriptName::Snapshot, Needs::ClockAndBookings, include_str!("scripts/snapshot.lua")),
    (ScriptName::Notifier, Needs::Clock, include_str!("scripts/notifier.lua")),
];

/// All scripts of a store, in the order of [`SOURCES`].
pub(super) struct Scripts(pub(super) Vec<Script>);

/// The scripts are the same for every queue, and a process may have a thousand.
static REDIS: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(ScriptClock::Redis));
static TEST: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(ScriptClock::Test));

impl Scripts {
    pub(super) fn of(clock: ScriptClock) -> &'static Self {
        match clock {
            ScriptClock::Redis => &REDIS,
            ScriptClock::Test => &TEST,
        }
    }

    fn new(clock: ScriptClock) -> Self {
        let clock = match clock {
            ScriptClock::Redis => include_str!("scripts/clock.lua"),
            ScriptClock::Test => include_str!("scripts/clock_for_tests.lua"),
        };
        Self(
            SOURCES
                .iter()
                .map(|(_, needs, body)| Script::new(&source(needs, clock, body)))
                .collect(),
        )
    }

    /// Loads them into a server.
    pub(super) async fn load(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> ::redis::RedisResult<()> {
        for script in &self.0 {
            script.load_async(connection).await?;
        }
        Ok(())
    }
}

/// The whole text of a script, with numbers for the names of columns: Lua would look up a variable
/// or a table field at every use.
fn source(needs: &Needs, clock: &str, body: &str) -> String {
    let prelude = include_str!("scripts/prelude.lua");
    let clock = if *needs == Needs::Nothing { "" } else { clock };
    let booking =
        if *needs == Needs::ClockAndBookings { include_str!("scripts/booking.lua") } else { "" };
    let named = [prelude, clock, booking, body].concat();
    COLUMNS.iter().fold(named, |text, (name, column)| text.replace(name, &column.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_by_its_name() {
        for (index, (name, ..)) in SOURCES.iter().enumerate() {
            assert_eq!(*name as usize, index, "{name:?}");
        }
    }

    #[test]
    fn every_column_has_a_use_and_every_name_a_column() {
        let bodies: Vec<&str> = SOURCES
            .iter()
            .map(|(.., body)| *body)
            .chain([include_str!("scripts/booking.lua")])
            .collect();
        for (name, _) in COLUMNS {
            assert!(bodies.iter().any(|body| body.contains(name)), "no script uses {name}");
        }
        for (name, needs, body) in &SOURCES {
            let text = source(needs, "", body);
            for end in ["_START", "_END", "_AT", "_WIDTH"] {
                assert!(!text.contains(end), "{name:?}: a column is unknown");
            }
        }
    }
}
