//! Mutants: engines with one deliberate fault each, built from a copy of the sources. The checker
//! must find every fault, or a test.

mod failover;
mod mutant;
mod replicated;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use self::failover::is_of_failovers;
use self::mutant::Mutant;
use super::programs;
use crate::shell;
use crate::tree::{self, Tree};

const ENQUEUE: &str = "crates/store/src/redis/scripts/enqueue.lua";
const CLAIM: &str = "crates/store/src/redis/scripts/claim.lua";
const DUE: &str = "crates/store/src/redis/scripts/due.lua";
const WAITERS: &str = "crates/store/src/redis/scripts/waiters.lua";
const ITEMS: &str = "crates/store/src/redis/scripts/items.lua";
const STOCK: &str = "crates/store/src/redis/scripts/stock.lua";
const OUTFLOW: &str = "crates/store/src/redis/scripts/outflow.lua";
const SETTLE: &str = "crates/store/src/redis/scripts/settle.lua";
const CONFIRM: &str = "crates/store/src/redis/scripts/confirm.lua";
const CANCEL: &str = "crates/store/src/redis/scripts/cancel.lua";
const SWEEP: &str = "crates/store/src/redis/scripts/sweep.lua";
const SERVICE: &str = "crates/worker/src/service/mod.rs";
const BOOKING: &str = "crates/worker/src/downstream/booking.rs";
const CLASSIFY: &str = "crates/worker/src/processing/classify.rs";

const MUTANTS: [Mutant; 19] = [
    Mutant {
        name: "acknowledge-before-the-write",
        breaks: &[1],
        edits: &[(
            SERVICE,
            "let enqueued = self.store.enqueue(enqueue).await;",
            "let (client, id, request) = (enqueue.client.clone(), enqueue.booking, enqueue.request.clone());
        let enqueued = self.store.enqueue(enqueue).await.or_else(|_| {
            let booking = bookingq_core::Booking {
                client, id, request, state: bookingq_core::BookingState::Queued, place: bookingq_core::Place::numbered(u64::MAX),
                position: None, parked: false, enqueued_at: bookingq_core::Timestamp(0), item: String::new().into(),
                quantity: bookingq_core::Quantity::ONE, reservation: None, deadline: None,
                payment: None, outcome: None, reason: String::new(),
            };
            Ok(Ok(Enqueued { booking, existing: true }))
        });",
        )],
        options: &[],
    },
    Mutant {
        name: "forget-the-request",
        breaks: &[1],
        edits: &[(ENQUEUE, "find(request, made_by, 1, true) == 1", "find(request, made_by, 1, true) == 0")],
        options: &[],
    },
    Mutant {
        name: "forget-earlier-requests",
        breaks: &[1],
        edits: &[(ENQUEUE, "  if earlier then\n", "  if false then\n")],
        options: &[],
    },
    Mutant {
        name: "let-odd-places-wait",
        breaks: &[2],
        edits: &[(
            ENQUEUE,
            "joined[at - 1], joined[at] = number, client",
            "joined[at - 1], joined[at] = format('%012d', last + last % 2 * 60), client",
        )],
        options: &[],
    },
    Mutant {
        name: "drop-the-fence-check",
        breaks: &[3],
        edits: &[(
            SETTLE,
            "if find(value, token, 1, true) == 1 then",
            "if find(value, sub(token, 1, FENCE_START - 1), 1, true) == 1 then",
        )],
        // Somebody else must still have the task when the late worker comes back.
        options: &["--only", "stop-worker", "--only", "half-open", "--only", "service-slow", "--for", "90s", "--bookings", "5000"],
    },
    Mutant {
        name: "forget-a-dead-worker",
        breaks: &[1, 4],
        edits: &[(CLAIM, "zadd(LEASES, leased)", "call('ZREM', LEASES, unpack(due[1] and due or { '' }))")],
        options: &[],
    },
    Mutant {
        name: "another-id-for-a-retry",
        breaks: &[4],
        edits: &[(
            BOOKING,
            "let request = v1::ReserveRequest {
            booking_id: task.booking.to_string(),",
            "let request = v1::ReserveRequest {
            booking_id: if task.first { task.booking } else { bookingq_core::BookingId::generate() }.to_string(),",
        )],
        options: &[],
    },
    Mutant {
        name: "release-without-asking",
        breaks: &[4],
        edits: &[(
            BOOKING,
            "self.release(task, reservation.as_ref(), *outcome).await",
            "if reservation.is_some() { Ok(ServiceAnswer::Released) } else { self.release(task, None, *outcome).await }",
        )],
        options: &[],
    },
    Mutant {
        name: "forget-the-strays",
        breaks: &[4],
        edits: &[(DUE, "state == 'reserving' and '! ' or '* '", "'* '")],
        options: &[],
    },
    Mutant {
        name: "take-late-payments",
        breaks: &[5],
        edits: &[(CONFIRM, "deadline and now < deadline and find(", "deadline and find(")],
        options: &[],
    },
    Mutant {
        name: "expire-a-confirming-hold",
        breaks: &[5, 8],
        edits: &[
            (CONFIRM, "  call('ZREM', TIMEOUTS, unpack(unheld))\n", ""),
            (
                SWEEP,
                "if sub(was, STATE_START - 1, CLAIMED_AT) == '\\nreserved   - -' then",
                "if sub(was, STATE_START - 1, CLAIMED_AT) == '\\nreserved   - -'
      or sub(was, STATE_START - 1, STATE_START + 10) == '\\nconfirming ' then",
            ),
        ],
        options: &[],
    },
    Mutant {
        name: "forget-who-has-left",
        breaks: &[5],
        edits: &[(
            CANCEL,
            "    writes[#writes + 1], writes[#writes + 2] = keys[n], new
  elseif state == 'reserved' then",
            "  elseif state == 'reserved' then",
        )],
        options: &[],
    },
    Mutant {
        name: "trust-the-workers-clock",
        breaks: &[7],
        edits: &[(
            CLASSIFY,
            "            TaskOutcome::Reserved { reservation, hold, left }\n",
            "
            let own = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            TaskOutcome::Reserved { reservation, hold: hold + Duration::from_millis(own.subsec_millis().into()), left }
",
        )],
        options: &[],
    },
    Mutant {
        name: "give-returns-to-the-newest",
        breaks: &[2],
        edits: &[
            (
                WAITERS,
                "call('ZRANGE', set.key, text(set.read), text(last), 'WITHSCORES')",
                "call('ZRANGE', set.key, text(set.read), text(last), 'REV', 'WITHSCORES')",
            ),
            (
                WAITERS,
                "        cut[set.key], set.at = (cut[set.key] or 0) + 1, set.at + 1",
                "        call('ZREM', set.key, client)
        call('HINCRBY', STATS, 'waiting', '-1')
        waiting, set.at, set.read = waiting - 1, set.at + 1, set.read - 1",
            ),
        ],
        options: SLOW_SALE,
    },
    Mutant {
        name: "forget-the-generation",
        breaks: &[9],
        edits: &[(STOCK, "if item.returned <= tonumber(returned) then", "if true then")],
        // While other channels hold tickets, no refusal ends an item; and with few tickets more
        // refusals are under way while a release is settled. This case of the conformance suite
        // finds the mutant always: a_refusal_from_before_a_return_does_not_hide_what_came_back.
        options: &[
            "--only", "service-slow", "--every", "1s", "--for", "25s", "--stock", "3", "--no-returns",
        ],
    },
    Mutant {
        name: "end-what-may-come-back",
        breaks: &[9],
        edits: &[(STOCK, "local is_last = item.unsettled <= 1 and", "local is_last =")],
        options: SLOW_SALE,
    },
    Mutant {
        name: "never-probe",
        breaks: &[1],
        edits: &[(WAITERS, "local probes = waiting > 0 and", "local probes = false and")],
        options: SLOW_SALE,
    },
    Mutant {
        name: "claim-closed-items",
        breaks: &[9, 10],
        edits: &[(
            ITEMS,
            "return item.refused == 0 or quantity < item.refused or quantity <= item.credit",
            "return true",
        )],
        options: SLOW_SALE,
    },
    Mutant {
        name: "spend-no-tokens",
        breaks: &[1, 10],
        edits: &[(OUTFLOW, "room = math.min(room, tokens)", "room = math.min(room, max - given)")],
        // Its sale has a limit for each minute, and enough tickets and time that more would be
        // claimed.
        options: &[
            "--only", "service-slow", "--every", "1s", "--seed", "21", "--stock", "100", "--for", "60s",
        ],
    },
];

/// Items are sold out early, and answers of the Booking Service are late.
const SLOW_SALE: &[&str] = &["--only", "service-slow", "--every", "1s"];

/// Options of each run. Later ones override them.
const OPTIONS: [&str; 8] =
    ["--seed", "11", "--bookings", "2500", "--for", "20s", "--every", "150ms"];

/// Builds and runs one mutant, or all, with these options.
pub fn run(name: &str, options: &[String]) -> Result<()> {
    let chosen: Vec<_> = all().filter(|mutant| name == "all" || name == mutant.name).collect();
    if chosen.is_empty() {
        let names: Vec<_> = all().map(|mutant| mutant.name).collect();
        bail!("--mutate is {name:?}; allowed: all, {}", names.join(", "));
    }
    let needs_programs =
        |mutant: &&Mutant| replicated::tests_of(mutant).is_none() && !is_of_failovers(mutant);
    if chosen.iter().any(needs_programs) {
        programs::build(options, false)?;
    }
    let mut survivors = Vec::new();
    for mutant in chosen {
        if failover::is_hidden(mutant)? {
            println!("mutant {}: SKIPPED, it needs Redis 7.2 or Valkey", mutant.name);
            continue;
        }
        // Its runs have options of their own.
        let options = if name == "all" && is_of_failovers(mutant) { &[] } else { options };
        let found = mutant.run(options).with_context(|| format!("mutant {}", mutant.name))?;
        if !found {
            survivors.push(mutant.name);
        }
    }
    if !survivors.is_empty() {
        bail!("not found by the checker: {}", survivors.join(", "));
    }
    Ok(())
}

fn all() -> impl Iterator<Item = &'static Mutant> {
    let replicated = replicated::MUTANTS.iter().map(|(mutant, _)| mutant);
    MUTANTS.iter().chain(&failover::MUTANTS).chain(&failover::OF_FAILOVERS).chain(replicated)
}

fn folder() -> PathBuf {
    tree::root().join("target/mutants")
}

/// Fails if a text that a mutant edits is not in the sources.
pub fn check_edits() -> Result<()> {
    for mutant in all() {
        for (file, ..) in mutant.edits {
            mutant.edited(file, tree::read(file)?.into_bytes())?;
        }
    }
    Ok(())
}

impl Mutant {
    /// Whether the checker, or its tests, find it.
    fn run(&self, options: &[String]) -> Result<bool> {
        let (source, target) = (folder().join("source"), folder().join("target"));
        self.write(&source)?;
        if let Some(tests) = replicated::tests_of(self) {
            let found = replicated::is_found(tests, &source, &target)?;
            let result = if found { "found" } else { "NOT FOUND" };
            println!("mutant {}: {result} by {tests}", self.name);
            return Ok(found);
        }
        let (package, program) = if is_of_failovers(self) {
            ("bookingq-faults", target.join("debug/bookingq-faults"))
        } else {
            ("bookingq", tree::released("bookingq-faults"))
        };
        let mut build = shell::cargo();
        build.current_dir(&source).args(["build", "--locked", "--package", package]);
        shell::run(build.arg("--target-dir").arg(&target))?;
        let report = folder().join(format!("{}.json", self.name));
        let mut run = Command::new(program);
        if is_of_failovers(self) {
            run.args(["failovers", "--seed", "11"]);
        } else {
            run.args(OPTIONS).arg("--program").arg(target.join("debug/bookingq"));
        }
        run.current_dir(tree::root()).arg("--out").arg(&report).args(self.options).args(options);
        shell::announce(&run);
        let _ = fs::remove_file(&report);
        let start = Instant::now();
        run.status().context("bookingq-faults could not be started")?;
        let seconds = start.elapsed().as_secs();
        let text = fs::read_to_string(&report).context("the run has written no report")?;
        let broken = broken(&serde_json::from_str(&text)?);
        let found = self.breaks.iter().any(|number| broken.contains(number));
        let result = if found { "found" } else { "NOT FOUND" };
        println!("mutant {}: {result} in {seconds} s, broken invariants {broken:?}", self.name);
        Ok(found)
    }

    /// Copies the sources with its edits. Files that are up to date stay, so that little is
    /// compiled again.
    fn write(&self, to: &Path) -> Result<()> {
        let root = tree::root();
        for file in Tree::read(&root)?.files {
            let text = self.edited(&file, fs::read(root.join(&file))?)?;
            let path = to.join(&file);
            if fs::read(&path).ok().as_ref() != Some(&text) {
                fs::create_dir_all(path.parent().unwrap_or(to))?;
                fs::write(&path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// The text of a file with its edits.
    fn edited(&self, file: &str, original: Vec<u8>) -> Result<Vec<u8>> {
        let mut edits = self.edits.iter().filter(|(of, ..)| *of == file).peekable();
        if edits.peek().is_none() {
            return Ok(original);
        }
        let mut text = String::from_utf8(original)?;
        for (_, before, after) in edits {
            let found = text.matches(before).count();
            if found != 1 {
                bail!("{file} has {found} times, not once, the text to edit: {before}");
            }
            text = text.replace(before, after);
        }
        Ok(text.into_bytes())
    }
}

/// The numbers of the invariants that a report calls broken.
pub fn broken(report: &serde_json::Value) -> Vec<u64> {
    let invariants = report["invariants"].as_array().into_iter().flatten();
    invariants
        .filter(|one| one["broken"].as_u64() != Some(0))
        .filter_map(|one| one["number"].as_u64())
        .collect()
}
