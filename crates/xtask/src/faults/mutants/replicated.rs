//! Mutants of the store on a log of commands. A test on a log in memory finds each: what they break
//! is a matter of milliseconds on real brokers, which a run meets too seldom.

use std::path::Path;

use anyhow::Result;

use super::mutant::Mutant;
use crate::shell;

const REPLICA: &str = "crates/store/src/replicated/replica.rs";
const SENDER: &str = "crates/store/src/replicated/sender.rs";
const DRIVER: &str = "crates/store/src/replicated/driver.rs";
const STORE: &str = "crates/store/src/replicated/store.rs";
const SNAPSHOT: &str = "crates/store/src/replicated/snapshot.rs";

/// Each with the tests that find it.
pub(super) const MUTANTS: [(Mutant, &str); 5] = [
    (
        Mutant {
            name: "skip-the-dedup",
            breaks: &[],
            edits: &[(REPLICA, "if self.has_applied(incarnation, seq) {", "if seq == 0 {")],
            options: &[],
        },
        "every_envelope_twice",
    ),
    (
        Mutant {
            name: "answer-on-the-acknowledgement",
            breaks: &[],
            edits: &[
                (SENDER, "Ok(Ok(())) => {}", "Ok(Ok(())) => shared.state.lock().guess(bytes),"),
                (
                    DRIVER,
                    "    /// Answers those that wait for an envelope that was read back.",
                    GUESS,
                ),
            ],
            options: &[],
        },
        "a_caller_is_answered_only_by_what_was_read_back",
    ),
    (
        Mutant {
            name: "read-by-the-high-watermark",
            breaks: &[],
            edits: &[(
                STORE,
                "        self.call(vec![Want::Barrier]).await.map(drop)",
                "        let end = bounds(&*self.logs.commands).await;
        let end = end.map_err(|error| StoreError::Unavailable(error.to_string()))?.end;
        let next = || self.shared.state.lock().replica.position().map_or(0, |at| at.offset + 1);
        while next() < end {
            tokio::task::yield_now().await;
        }
        Ok(())",
            )],
            options: &[],
        },
        "a_leader_that_was_cut_off",
    ),
    (
        Mutant {
            name: "forget-on-read",
            breaks: &[],
            edits: &[
                (
                    REPLICA,
                    "    /// The newest record.\n    pub fn position",
                    "    pub(super) fn forget(&mut self) {
        // The clock of this machine is years ahead.
        let now = self.queue.last() + Duration::from_hours(24 * 3650);
        self.queue.forget(now);
    }

    /// The newest record.\n    pub fn position",
                ),
                (
                    STORE,
                    "        let state = self.shared.state.lock();
        let queue = state.replica.queue();
        look(queue, queue.last())",
                    "        let mut state = self.shared.state.lock();
        state.replica.forget();
        let queue = state.replica.queue();
        look(queue, queue.last())",
                ),
            ],
            options: &[],
        },
        "a_read_forgets_nothing",
    ),
    (
        Mutant {
            name: "trim-above-the-snapshot",
            breaks: &[],
            edits: &[(
                SNAPSHOT,
                "drop_below(&*logs.commands, position.offset).await",
                "drop_below(&*logs.commands, position.offset + 2).await",
            )],
            options: &[],
        },
        "a_snapshotter_that_is_killed_at_any_step_loses_nothing",
    ),
];

/// Answers by what the own state would say, as soon as the producer has an acknowledgement.
const GUESS: &str = "    pub(super) fn guess(&mut self, bytes: &[u8]) {
        use bookingq_queue::wire::StateReader;
        type Whole = super::envelope::Envelope<bookingq_queue::QueueCommand>;
        let Ok(envelope) = Whole::decode(bytes) else { return };
        let mut reader = StateReader::new();
        for chunk in self.replica.queue().encode(super::envelope::MAX_ENVELOPE_BYTES) {
            if reader.read(&chunk).is_err() {
                return;
            }
        }
        let Ok(mut queue) = reader.finish() else { return };
        let (limits, now) = (envelope.limits, queue.last());
        let apply = |command| queue.apply(command, limits, now);
        let answers = Some(envelope.commands.iter().map(apply).collect());
        let (incarnation, seq) = (envelope.incarnation, envelope.seq);
        self.answer(AppliedEnvelope { incarnation, seq, answers, wrong: None });
    }

    /// Answers those that wait for an envelope that was read back.";

/// The tests that find a mutant, if it is one of these.
pub(super) fn tests_of(mutant: &Mutant) -> Option<&'static str> {
    MUTANTS.iter().find(|(one, _)| one.name == mutant.name).map(|(_, tests)| *tests)
}

/// Whether the tests of the sources in a folder fail.
pub(super) fn is_found(tests: &str, source: &Path, target: &Path) -> Result<bool> {
    let cargo = |end: &[&str]| {
        let mut cargo = shell::cargo();
        cargo.current_dir(source).args(["test", "--locked", "--package", "bookingq-store"]);
        cargo.args(["--test", "replicated", "--target-dir"]).arg(target).args(end);
        cargo
    };
    // What does not compile is not found.
    shell::run(&mut cargo(&["--no-run"]))?;
    let mut run = cargo(&[tests]);
    shell::announce(&run);
    Ok(!run.status()?.success())
}
