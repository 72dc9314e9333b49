//! The crowd: a Job in the cluster, which outlives every killed Pod, read through its log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cluster::{NAMESPACE, QUEUE, apply, get, kubectl};
use super::objects::{PASSWORD_FILE, SecretMount, job, password_of};
use crate::check_report;
use crate::within::{Look, until};

/// The crowd of the sale, which calls the workers.
pub const SALE: CrowdJob = CrowdJob { job: "crowd", queue: QUEUE, store: CrowdStore::Redis(1) };

/// A crowd.
pub struct CrowdJob {
    /// Name of its Job.
    pub job: &'static str,
    /// Its queue.
    pub queue: &'static str,
    /// Where its bookings are checked.
    pub store: CrowdStore,
}

/// The store that a crowd checks every booking in.
#[derive(Clone, Copy)]
pub enum CrowdStore {
    /// A managed Redis of so many nodes.
    Redis(u32),
    /// Kafka at this address.
    Kafka(&'static str),
}

/// The progress of the crowd: its counters by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress(BTreeMap<String, u64>);

impl JobProgress {
    /// The last line with counters: `  12.0s  concert arrived=310/20000 in_line_or_past=309 …`.
    fn read(log: &str) -> Option<Self> {
        let line = log.lines().rev().find(|line| line.contains(" arrived="))?;
        let number = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.split('/').next()?.parse().ok()?))
        };
        Some(Self(line.split_whitespace().filter_map(number).collect()))
    }

    /// A counter; 0 if there is none of that name.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl CrowdJob {
    /// Deadline of the Job, in seconds.
    pub const DEADLINE: u64 = 900;

    /// Starts a crowd of `clients` that call the workers, arrive within `arrive`, and check
    /// everything at the end.
    pub fn send(&self, image: &str, clients: u64, arrive: Duration) -> Result<()> {
        let mut arguments = self.checked_arguments(clients, arrive);
        arguments.push(format!("--server=http://{}-workers:50051", self.queue));
        let mounts = self.password();
        apply(&job(self.job, image, &arguments, Self::DEADLINE, mounts.as_slice()).to_string())
    }

    /// The arguments of a crowd that checks everything at the end. How it comes is missing.
    pub fn checked_arguments(&self, clients: u64, arrive: Duration) -> Vec<String> {
        let mut arguments = vec![
            "crowd".to_owned(),
            format!("--queue={}", self.queue_in_store()),
            format!("--clients={clients}"),
            format!("--arrive={}s", arrive.as_secs()),
            format!("--for={}s", Self::DEADLINE - 60),
            "--ledger=http://booking-service:6080".to_owned(),
            "--output=json".to_owned(),
        ];
        arguments.extend(match self.store {
            CrowdStore::Redis(nodes) => vec![
                format!("--redis=redis://{}", self.redis(nodes)),
                format!("--redis-password-file={PASSWORD_FILE}"),
            ],
            CrowdStore::Kafka(address) => vec![format!("--store={address}")],
        });
        arguments
    }

    /// The name of the queue, which has the namespace in it where the store may be shared.
    fn queue_in_store(&self) -> String {
        match self.store {
            CrowdStore::Redis(_) => self.queue.to_owned(),
            CrowdStore::Kafka(_) => format!("{NAMESPACE}.{}", self.queue),
        }
    }

    /// Where the queue's Redis is: its Service, or each of its nodes.
    fn redis(&self, nodes: u32) -> String {
        let queue = self.queue;
        if nodes == 1 {
            return format!("{queue}-redis:6379");
        }
        let node = |node| format!("{queue}-redis-{node}.{queue}-redis:6379");
        (0..nodes).map(node).collect::<Vec<_>>().join(",")
    }

    /// The password of the queue's Redis, if it has one.
    pub fn password(&self) -> Option<SecretMount> {
        match self.store {
            CrowdStore::Redis(_) => Some(password_of(self.queue)),
            CrowdStore::Kafka(_) => None,
        }
    }

    /// The current progress.
    pub fn progress(&self) -> Result<JobProgress> {
        let log = kubectl(&["logs", "--namespace", NAMESPACE, "--tail=5", &self.path()])?;
        if let Some(ended) = self.ending()? {
            bail!("the crowd has ended: its Job is {ended}");
        }
        JobProgress::read(&log).context("the crowd has not logged its progress yet")
    }

    /// Waits until the progress is `enough`.
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut enough: impl FnMut(&JobProgress) -> bool,
    ) -> Result<JobProgress> {
        until(what, limit, || {
            let progress = self.progress()?;
            Ok(if enough(&progress) {
                Look::Done(progress)
            } else {
                Look::NotYet(format!("{progress:?}"))
            })
        })
    }

    /// Waits until more bookings have ended than at the time of `line`.
    pub fn wait_until_served(&self, line: &JobProgress, limit: Duration) -> Result<JobProgress> {
        self.wait_until("bookings to end", limit, |now| now.of("ended") > line.of("ended"))
    }

    /// Waits for the end of the crowd, and fails unless its report is that of `clients` to whom
    /// every promise was kept.
    pub fn check(&self, clients: u64) -> Result<Value> {
        let report = self.report(Duration::from_secs(600))?;
        let problems = problems(&report, clients)?;
        if problems.is_empty() { Ok(report) } else { bail!("{}", problems.join("; ")) }
    }

    /// Waits for the end of the crowd and returns its report.
    fn report(&self, limit: Duration) -> Result<Value> {
        let ended = until("the crowd to end", limit, || {
            Ok(match self.ending()? {
                Some(ended) => Look::Done(ended),
                None => Look::NotYet(
                    self.progress()
                        .map_or_else(|error| error.to_string(), |far| format!("{far:?}")),
                ),
            })
        })?;
        let log = kubectl(&["logs", "--namespace", NAMESPACE, "--tail=200", &self.path()])?;
        let report = log.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        report
            .filter(|report| report.get("sound").is_some())
            .with_context(|| format!("the crowd's Job is {ended} without a report: {}", last(&log)))
    }

    fn ending(&self) -> Result<Option<String>> {
        let job = get(&self.path())?;
        let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
        let mut ended = conditions.filter(|one| {
            one["status"] == "True" && ["Complete", "Failed"].iter().any(|end| one["type"] == *end)
        });
        Ok(ended.next().map(|one| format!("{} {}", one["type"], one["message"])))
    }

    fn path(&self) -> String {
        format!("job/{}", self.job)
    }
}

/// The problems in the report of a crowd of `clients`.
fn problems(report: &Value, clients: u64) -> Result<Vec<String>> {
    let mut problems = check_report::check(report, Some(clients))?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    for (pointer, what) in
        [("/crowd/acknowledged", "got a place"), ("/crowd/finished", "saw their booking end")]
    {
        let count = number(pointer);
        if count != clients {
            problems.push(format!("{count} of {clients} clients {what}"));
        }
    }
    if number("/final/expired") == 0 {
        problems.push("no unpaid hold was released".to_owned());
    }
    let broken = number("/crowd/promises_broken_total");
    if broken > 0 {
        problems.push(format!(
            "{broken} promises to clients were broken: {}",
            report["crowd"]["promises_broken"]
        ));
    }
    if report["violation_examples"].as_object().is_some_and(|examples| !examples.is_empty()) {
        problems.push(format!("examples: {}", report["violation_examples"]));
    }
    Ok(problems)
}

fn last(log: &str) -> &str {
    log.lines().next_back().unwrap_or("the log is empty")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_newest_numbers_are_read_from_a_log() {
        let log = "  1.0s  concert arrived=10/300 held=1 errors=0\n  2.0s  concert arrived=20/300 held=4 errors=0\n  2.1s  warning\n";
        let progress = JobProgress::read(log).unwrap();
        assert_eq!((progress.of("arrived"), progress.of("held"), progress.of("other")), (20, 4, 0));
        assert_eq!(JobProgress::read("  0.0s  warning: appendonly is no\n"), None);
    }
}
