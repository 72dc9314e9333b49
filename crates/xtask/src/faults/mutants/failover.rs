//! Mutants that only a failover, or a slot that moves, shows. Others of the operator's planner are
//! in `mutants_of_the_planner_are_found` (`crates/operator/tests/failover/mutants.rs`): their harm
//! is a matter of milliseconds, which a run meets too seldom.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::mutant::Mutant;

const BLOCKING: &str = "crates/store/src/redis/link/blocking.rs";
const FAULT: &str = "crates/store/src/redis/fault.rs";
const REPLACING: &str = "crates/store/src/redis/link/replacing.rs";
const PLAN: &str = "crates/operator/src/redis_failover/plan.rs";

/// Until Redis 7.0, WAIT asks about all writes of the server, so that it hides this mutant.
const WITHOUT_BARRIER: &str = "wait-without-barrier";

pub(super) const MUTANTS: [Mutant; 1] = [Mutant {
    name: "keep-moved-slots",
    breaks: &[1],
    edits: &[
        (
            FAULT,
            "            | Server::ClusterDown
            // The slot is at another node.
            | Server::Moved,",
            "            | Server::ClusterDown,",
        ),
        (
            FAULT,
            "Server::NoScript | Server::TryAgain | Server::Ask)",
            "Server::NoScript | Server::TryAgain | Server::Ask | Server::Moved)",
        ),
        // The second guard, which alone would help after three seconds.
        (
            REPLACING,
            "if self.doubts.refused.has_lasted(REFUSED) {",
            "if self.doubts.refused.has_lasted(REFUSED * 1000) {",
        ),
    ],
    options: &["--redis", "cluster", "--only", "move-slot", "--every", "3s", "--gateways", "0"],
}];

/// Mutants of the operator's planner and of the store, which are parts of the program that injects
/// the faults. Their runs are those of its command `failovers`.
pub(super) const OF_FAILOVERS: [Mutant; 2] = [
    Mutant {
        name: "promote-first",
        breaks: &[1],
        edits: &[
            (
                PLAN,
                "    if !fences.is_empty() {
        return FailoverPlan::new(FailoverState::FailingOver, fences);
    }
",
                "    drop(fences);
",
            ),
            (
                PLAN,
                "    let best = best(view, record.primary).unwrap_or(record.primary);
",
                "    let best = match view.nodes[record.primary].answer {
        Some(_) => record.primary,
        None => best(view, record.primary).unwrap_or(record.primary),
    };
",
            ),
            // The second guards: looks at the others before and after the term is written.
            (
                PLAN,
                "any(|(_, node)| !is_led(view, record.primary, &node))",
                "any(|(_, node)| false && !is_led(view, record.primary, &node))",
            ),
            (
                PLAN,
                "any(|(_, node)| node.progress > primary.progress)",
                "any(|(_, node)| false && node.progress > primary.progress)",
            ),
        ],
        options: &["--runs", "14"],
    },
    Mutant {
        name: WITHOUT_BARRIER,
        breaks: &[1],
        edits: &[(
            BLOCKING,
            "calls.cmd(\"INCR\").arg(&self.keys.barrier);",
            "calls.cmd(\"EXISTS\").arg(&self.keys.barrier);",
        )],
        // A place that no replica has, its repeat by another connection that has written nothing
        // since, and then another primary: the replicas stay connected and get nothing.
        options: &["--runs", "6", "--only", "half-open"],
    },
];

pub(super) fn is_of_failovers(mutant: &Mutant) -> bool {
    OF_FAILOVERS.iter().any(|one| one.name == mutant.name)
}

/// Whether the installed redis-server hides the mutant.
pub(super) fn is_hidden(mutant: &Mutant) -> Result<bool> {
    if mutant.name != WITHOUT_BARRIER {
        return Ok(false);
    }
    let output = Command::new("redis-server").arg("--version").output();
    let output = output.context("redis-server could not be started")?;
    Ok(hides_missing_barriers(&String::from_utf8_lossy(&output.stdout)))
}

/// Whether this is the version of a Redis before 7.2. Every Valkey is newer.
fn hides_missing_barriers(version: &str) -> bool {
    let Some(version) = version.strip_prefix("Redis server v=") else { return false };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) < (Some(7), Some(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redis_before_7_2_hides_that_a_barrier_is_missing() {
        assert!(hides_missing_barriers("Redis server v=7.0.15 sha=00000000:0 bits=64"));
        assert!(hides_missing_barriers("Redis server v=6.2.7 sha=00000000:0 bits=64"));
        assert!(!hides_missing_barriers("Redis server v=7.2.5 sha=00000000:0 bits=64"));
        assert!(!hides_missing_barriers("Redis server v=8.0.0 sha=00000000:0 bits=64"));
        assert!(!hides_missing_barriers("Valkey server v=8.0.1 sha=00000000:0 bits=64"));
    }
}
