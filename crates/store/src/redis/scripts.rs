//! The Lua scripts: one file for each transition under `scripts/`, loaded behind a prelude and the
//! parts that it needs.

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
    Reacquire,
    Cancel,
    Status,
    Sweep,
    Snapshot,
    Notifier,
    SetRules,
    Restock,
    ParkedPlaces,
    ItemStates,
}

/// A script, and what is loaded in front of it, behind the prelude.
type Source = (ScriptName, &'static [&'static str], &'static str);

/// Stands for the clock, which a test may replace.
const CLOCK: &str = "clock";
const BOOKING: &str = include_str!("scripts/booking.lua");
const COUNTS: &str = include_str!("scripts/counts.lua");
const ITEMS: &str = include_str!("scripts/items.lua");
const STOCK: &str = include_str!("scripts/stock.lua");
const POSITIONS: &str = include_str!("scripts/positions.lua");
const DUE: &str = include_str!("scripts/due.lua");
const PACE: &str = include_str!("scripts/pace.lua");
const OUTFLOW: &str = include_str!("scripts/outflow.lua");
const FRONT: &str = include_str!("scripts/front.lua");
const WAITERS: &str = include_str!("scripts/waiters.lua");

/// In front of items.lua: a call needs its functions always, when a booking may be parked, or also
/// when a result of settle.lua may change an item.
const ALWAYS: &str = "local uses_items = true\n";
const IF_PARKED: &str = "local uses_items = call('EXISTS', CLOSED, READY) > 0\n";
const IF_CHANGED: &str = "uses_items = uses_items or ARGV[5] == '1'\n";

const SOURCES: [Source; 16] = [
    // Without a clock, so that it works before a test has set the time.
    (ScriptName::Open, &[], include_str!("scripts/open.lua")),
    (ScriptName::Enqueue, &[CLOCK, BOOKING, POSITIONS], include_str!("scripts/enqueue.lua")),
    (
        ScriptName::Claim,
        &[CLOCK, BOOKING, COUNTS, DUE, PACE, OUTFLOW, FRONT, ITEMS, WAITERS],
        include_str!("scripts/claim.lua"),
    ),
    (ScriptName::Renew, &[CLOCK], include_str!("scripts/renew.lua")),
    (
        ScriptName::Settle,
        &[CLOCK, BOOKING, COUNTS, IF_PARKED, IF_CHANGED, ITEMS, STOCK],
        include_str!("scripts/settle.lua"),
    ),
    (ScriptName::Confirm, &[CLOCK, BOOKING], include_str!("scripts/confirm.lua")),
    (
        ScriptName::Reacquire,
        &[CLOCK, BOOKING, ALWAYS, ITEMS],
        include_str!("scripts/reacquire.lua"),
    ),
    (ScriptName::Cancel, &[CLOCK, BOOKING, IF_PARKED, ITEMS], include_str!("scripts/cancel.lua")),
    (ScriptName::Status, &[CLOCK, BOOKING, POSITIONS], include_str!("scripts/status.lua")),
    (ScriptName::Sweep, &[CLOCK], include_str!("scripts/sweep.lua")),
    (
        ScriptName::Snapshot,
        &[CLOCK, BOOKING, IF_PARKED, ITEMS],
        include_str!("scripts/snapshot.lua"),
    ),
    (ScriptName::Notifier, &[CLOCK], include_str!("scripts/notifier.lua")),
    (ScriptName::SetRules, &[CLOCK, ALWAYS, ITEMS, PACE], include_str!("scripts/set_rules.lua")),
    (ScriptName::Restock, &[CLOCK, ALWAYS, ITEMS, STOCK], include_str!("scripts/restock.lua")),
    (ScriptName::ParkedPlaces, &[CLOCK, ALWAYS, ITEMS], include_str!("scripts/parked_places.lua")),
    (ScriptName::ItemStates, &[CLOCK, ALWAYS, ITEMS], include_str!("scripts/item_states.lua")),
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
                .map(|(_, parts, body)| Script::new(&source(parts, clock, body)))
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
fn source(parts: &[&str], clock: &str, body: &str) -> String {
    let mut named = include_str!("scripts/prelude.lua").to_owned();
    for part in parts {
        named += if *part == CLOCK { clock } else { part };
    }
    named += body;
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
            .flat_map(|(_, parts, body)| parts.iter().chain([body]))
            .copied()
            .collect();
        for (name, _) in COLUMNS {
            assert!(bodies.iter().any(|body| body.contains(name)), "no script uses {name}");
        }
        for (name, parts, body) in &SOURCES {
            let text = source(parts, "", body);
            for end in ["_START", "_END", "_AT", "_WIDTH"] {
                assert!(!text.contains(end), "{name:?}: a column is unknown");
            }
        }
    }
}
