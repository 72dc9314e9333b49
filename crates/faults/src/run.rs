//! One run: starts everything, injects the faults of the plan while clients call, clears all faults,
//! and checks the result.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{Booking, ClientId};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Snapshot, Store, StoreError};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clients::{self, Hall, Pace};
use crate::follow::Follower;
use crate::plan::{Fault, FaultKind, FaultStep, PlanOptions, plan};
use crate::recorder::Recorder;
use crate::report::Report;
use crate::testbed::{self, HOLD, Testbed, TestbedOptions};
use bookingq_faults::check::{Case, Clock};

/// Without faults, a queue in which nothing has changed for this long has come to rest: every lease,
/// hold and back-off is shorter.
const STANDSTILL: Duration = Duration::from_secs(15);
/// Longest wait for that: a queue that changes for ever does not come to rest either.
const REST: Duration = Duration::from_secs(600);
/// Between two checks whether it has.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Bookings in one read.
const BATCH: usize = 1000;
/// Longest wait for an answer of Redis after all faults were cleared.
const ANSWER: Duration = Duration::from_secs(30);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// The settings of a run.
#[derive(Debug)]
pub struct RunSettings {
    /// What the plan is drawn for.
    pub plan_options: PlanOptions,
    /// How many bookings clients begin.
    pub bookings: u64,
    /// The program under test.
    pub program: PathBuf,
    /// Where everything is written.
    pub folder: PathBuf,
}

/// Runs. Ends early and in order when `leave` is cancelled, and checks what happened until then.
pub async fn run(settings: &RunSettings, leave: &CancellationToken) -> Result<Report> {
    let begin = Instant::now();
    let RunSettings { plan_options, bookings, program, folder } = settings;
    let steps = plan(plan_options);
    write_plan(&folder.join("schedule.jsonl"), &steps)?;
    let stock = bookings * 45 / 100;
    let options = TestbedOptions {
        program,
        folder,
        workers: plan_options.workers,
        stock,
        seed: plan_options.seed,
    };
    let testbed = Testbed::start(&options).await?;
    println!(
        "running: {} workers, {} faults planned over {:?}",
        plan_options.workers,
        steps.len(),
        plan_options.time
    );
    if !testbed.has_clocks() {
        println!("libfaketime is missing: clocks stay right (Debian: apt-get install faketime)");
    }
    let outcome = live(settings, leave, &testbed, &steps).await;
    let starts = testbed.processes().map(|one| (one.name().to_owned(), one.starts())).collect();
    let own_ends = own_ends(&testbed);
    testbed.stop().await;
    let lived = outcome?;
    Ok(Report { starts, own_ends, seconds: begin.elapsed().as_secs_f64(), ..lived })
}

/// The run between the start and the end of all processes.
async fn live(
    settings: &RunSettings,
    leave: &CancellationToken,
    testbed: &Testbed,
    steps: &[FaultStep],
) -> Result<Report> {
    let RunSettings { plan_options, bookings, folder, .. } = settings;
    let store =
        Arc::new(RedisStore::connect(RedisConfig::new(testbed.redis(), testbed::queue()?))?);
    let clock = Clock::new(HOLD);
    let follower = Arc::new(Follower::new(store.clone(), clock, &folder.join("audit.jsonl"))?);
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&follower).follow(stop.clone()));
    let (enough, over) = (CancellationToken::new(), CancellationToken::new());
    let recorder = Recorder::start(&folder.join("history.jsonl"), plan_options.seed)?;
    let hall =
        Arc::new(Hall::open(testbed::queue()?, &testbed.endpoints(), recorder, over.clone())?);
    let pace = Pace::new(*bookings, plan_options.time, enough.clone());
    let mut crowd =
        tokio::spawn(clients::come(Arc::clone(&hall), Arc::clone(&pace), plan_options.seed));

    let mut faults = BTreeMap::new();
    tokio::select! {
        () = inject_all(testbed, steps, plan_options.time, &mut faults) => {}
        () = progress(&hall, &pace, &follower) => {}
        () = leave.cancelled() => println!("ending early, in order"),
    }
    enough.cancel();
    testbed.clear().await;
    let cleared = Instant::now();
    println!("all faults are cleared: waiting until no work is left");
    tokio::select! {
        _ = &mut crowd => {}
        () = standstill(&follower) => {
            over.cancel();
            // Nobody begins another call, and each call has its deadline.
            let _ = crowd.await;
        }
    }
    let snapshot = rest(&*store, &follower).await?;
    let rest_after_ms = cleared.elapsed().as_millis() as u64;
    stop.cancel();
    // It never panics on purpose; what it has not read is read below.
    let _ = following.await;
    follower.catch_up().await?;
    let begun = pace.begun();
    let hall = Arc::into_inner(hall).context("a client has not left")?;
    let calls = hall.recorder().counts();
    let promises = hall.close().finish()?;
    let clients = follower.with(|state| state.history.clients());
    let bookings_now = bookings_of(&*store, &clients).await?;
    let (verdict, findings) = follower.with(|state| {
        let case = Case {
            promises: &promises,
            history: &state.history,
            clock: &state.clock,
            bookings: bookings_now,
            snapshot: snapshot.clone(),
            ledger: testbed.ledger().copy(),
        };
        case.judge()
    });
    let longest_stall_ms = follower.with(|state| state.longest_stall.as_millis() as u64);
    Ok(Report {
        seed: plan_options.seed,
        seconds: 0.0,
        begun,
        wanted: *bookings,
        calls,
        faults,
        starts: BTreeMap::new(),
        own_ends: Vec::new(),
        longest_stall_ms,
        rest_after_ms,
        totals: snapshot.totals,
        verdict,
        findings,
    })
}

/// Injects the faults of the plan and waits until the time is over. Counts them in `done`.
async fn inject_all(
    testbed: &Testbed,
    steps: &[FaultStep],
    time: Duration,
    done: &mut BTreeMap<FaultKind, u64>,
) {
    let start = Instant::now();
    // When the newest fault of the Booking Service ends.
    let mut clear_at: Option<Instant> = None;
    for step in steps {
        let when = start + Duration::from_millis(step.at_ms);
        if let Some(end) = clear_at.filter(|end| *end < when) {
            sleep_until(end).await;
            testbed.clear_service_fault();
            clear_at = None;
        }
        sleep_until(when).await;
        if matches!(step.fault, Fault::Clock(..)) && !testbed.has_clocks() {
            continue;
        }
        if matches!(step.fault, Fault::Service(_)) {
            clear_at = Some(when + Duration::from_millis(step.lasts_ms));
        }
        testbed.inject(step);
        *done.entry(step.kind).or_default() += 1;
    }
    sleep_until(start + time).await;
}

/// Prints the progress of the run. Never ends.
async fn progress(hall: &Hall, pace: &Pace, follower: &Follower) {
    let start = Instant::now();
    loop {
        sleep(PROGRESS).await;
        let calls = hall.recorder().counts();
        let bookings = follower.with(|state| state.history.len());
        println!(
            "{:>5.0} s  {} clients came, {bookings} bookings, calls: {} ok, {} unknown, {} refused",
            start.elapsed().as_secs_f64(),
            pace.begun(),
            calls.ok,
            calls.unknown,
            calls.refused.values().sum::<u64>(),
        );
    }
}

/// Waits until nothing changes any more, whether or not work is left, at most [`REST`].
async fn standstill(follower: &Follower) {
    let start = Instant::now();
    while follower.idle().min(start.elapsed()) < STANDSTILL && start.elapsed() < REST {
        sleep(LOOK).await;
    }
}

/// Waits until no work is left, or until nothing changes any more.
async fn rest(store: &dyn Store, follower: &Follower) -> Result<Snapshot> {
    let start = Instant::now();
    loop {
        let now = retried(|| store.snapshot()).await?;
        let done = (now.backlog, now.in_flight, now.holds) == (0, 0, 0);
        if done || follower.idle().min(start.elapsed()) > STANDSTILL || start.elapsed() > REST {
            return Ok(now);
        }
        sleep(LOOK).await;
    }
}

async fn bookings_of(store: &dyn Store, clients: &[ClientId]) -> Result<Vec<Booking>> {
    let mut bookings = Vec::with_capacity(clients.len());
    for batch in clients.chunks(BATCH) {
        bookings.extend(retried(|| store.status(batch.to_vec())).await?.into_iter().flatten());
    }
    Ok(bookings)
}

/// Repeats a call while Redis may still be starting.
async fn retried<T, F: Future<Output = Result<T, StoreError>>>(
    call: impl FnMut() -> F,
) -> Result<T> {
    let answer = Retry::within(BACKOFF, ANSWER).run(|_| true, call).await;
    answer.context("Redis does not answer at the end")
}

/// Ends of processes that no signal of ours explains, and panics: a task may die and leave its process
/// alive.
fn own_ends(testbed: &Testbed) -> Vec<String> {
    let mut found = Vec::new();
    for process in testbed.processes() {
        let ends = process.unexplained_ends().into_iter();
        found.extend(ends.map(|end| format!("{}: {end}", process.name())));
        let log = process.log();
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        found.extend(panics.map(|line| format!("{}: {line}", process.name())));
    }
    found
}

fn write_plan(path: &Path, steps: &[FaultStep]) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for step in steps {
        writeln!(file, "{}", serde_json::to_string(step)?)?;
    }
    Ok(file.flush()?)
}
