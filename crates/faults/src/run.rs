//! One run: starts the testbed, injects the faults of the plan while clients call, clears all
//! faults, and checks the result.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bookingq_check::recorder::ReadPromise;
use bookingq_check::{Audit, AuditTerms, CallRecorder};
use bookingq_core::Timestamp;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_store::{Snapshot, Store, StoreError};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clients::FaultCrowds;
use crate::kinds::FaultKind;
use crate::plan::{Fault, FaultStep, PlanOptions, REDIS_CLOCK_JUMP, plan};
use crate::releases::RollOut;
use crate::report::FaultReport;
use crate::sale::{self, Sale};
use crate::testbed::{self, HOLD, RunSettings, Testbed};

/// Without faults, a queue without a change for this long is at rest: every lease, hold and
/// back-off is shorter.
const STANDSTILL: Duration = Duration::from_secs(15);
/// Longest wait for the rest: a defect may let a queue change without end.
const REST: Duration = Duration::from_secs(600);
/// From the start of the run until the testbed serves, about.
const LEAD: Duration = Duration::from_secs(2);
/// Between two checks of it.
const POLL: Duration = Duration::from_millis(200);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// The store counts milliseconds, so its clock may be one behind ours.
const CLOCK_MARGIN: Duration = Duration::from_millis(1);
/// Longest wait for an answer of the store after all faults are cleared.
const ANSWER: Duration = Duration::from_secs(30);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Runs. When `leave` is cancelled, stops early and in order, and checks the run so far.
pub async fn run(settings: &RunSettings, leave: &CancellationToken) -> Result<FaultReport> {
    let begin = Instant::now();
    let RunSettings { plan_options, folder, .. } = settings;
    let steps = plan(plan_options);
    write_plan(&folder.join("schedule.jsonl"), &steps)?;
    let servers = testbed::start_servers(settings).await?;
    let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64);
    let PlanOptions { seed, time, .. } = *plan_options;
    let mut sale = Sale::draw(seed, settings.stock, settings.bookings, time, now + LEAD);
    if plan_options.redis_clocks {
        // It says how much leaves in a minute of a clock that does not jump.
        sale.rules.outflow.per_minute = None;
    }
    let testbed = Testbed::start(settings, servers, &sale).await?;
    println!(
        "running: {} workers, {} gateways, {} faults planned over {:?}",
        plan_options.workers,
        plan_options.gateways,
        steps.len(),
        plan_options.time
    );
    if steps.iter().any(|step| step.kind == FaultKind::Clock) && !testbed.has_clocks() {
        println!("libfaketime is missing: clocks stay right (Debian: apt-get install faketime)");
    }
    println!("the sale: {:?}, {:?}", sale.stock, sale.rules.outflow);
    let outcome = run_with_faults(settings, leave, (&testbed, &sale), &steps).await;
    let mut starts = BTreeMap::new();
    for process in testbed.processes() {
        *starts.entry(process.name().to_owned()).or_default() += process.starts();
    }
    let left_out = testbed.left_out();
    let own_ends = own_ends(&testbed);
    testbed.stop().await;
    let report = outcome?;
    Ok(FaultReport { starts, left_out, own_ends, seconds: begin.elapsed().as_secs_f64(), ..report })
}

/// The part of the run between the start and the end of all processes.
async fn run_with_faults(
    settings: &RunSettings,
    leave: &CancellationToken,
    (testbed, sale): (&Testbed, &Sale),
    steps: &[FaultStep],
) -> Result<FaultReport> {
    let RunSettings { plan_options, bookings, folder, .. } = settings;
    let (queue, seed) = (testbed::queue()?, plan_options.seed);
    let store = testbed.store()?;
    set_rules(&*store, sale).await?;
    let jump = largest_jump(plan_options);
    let rules = Some(sale.rules.clone());
    // From one server's clock, or offset, to another's.
    let terms = AuditTerms { hold: Some(HOLD), rules, clock_jumps: jump * 2 };
    let copy = folder.join("audit.jsonl");
    let fails_over = plan_options.layout.takes_back();
    let audit = start_audit(&store, terms.clone(), &copy, fails_over)?;
    let margin = CLOCK_MARGIN + jump;
    let recorder = start_recorder(folder, seed, (fails_over, margin))?;
    let demand = (*bookings, plan_options.time);
    let mut crowds = FaultCrowds::start(&queue, demand, seed, &recorder, testbed);
    let mut faults = BTreeMap::new();
    let mut roll_out = RollOut::default();
    tokio::select! {
        () = break_all(settings, (testbed, &store), steps, &mut faults, &mut roll_out) => {}
        () = progress(&recorder, &crowds, &audit) => {}
        () = leave.cancelled() => println!("ending early, in order"),
    }
    crowds.close();
    testbed.clear().await;
    recorder.healed();
    let cleared = Instant::now();
    println!("all faults are cleared: waiting until no work is left");
    let unserved = crowds.finish(standstill(&audit, margin)).await;
    let snapshot = rest(&*store, &audit, margin).await?;
    let rest_after_ms = cleared.elapsed().as_millis() as u64;
    let answers = recorder.finish()?;
    let longest_stall_ms = audit.longest_stall().as_millis() as u64;
    let ledger = async { Ok(Some(testbed.ledger())) };
    let audit =
        if fails_over { Audit::start_with_copy(testbed.store()?, terms, &copy)? } else { audit };
    let verification = audit.verify(&answers, ledger, Some(snapshot.clone())).await?;
    Ok(FaultReport {
        seed: plan_options.seed,
        seconds: 0.0,
        arrived: crowds.arrived(),
        unserved,
        planned: u64::from(*bookings),
        calls: recorder.counts(),
        faults,
        roll_out,
        left_out: 0,
        starts: BTreeMap::new(),
        own_ends: Vec::new(),
        longest_stall_ms,
        rest_after_ms,
        totals: snapshot.totals,
        verification,
    })
}

/// Sets the rules of the sale at servers that have just started.
async fn set_rules(store: &dyn Store, sale: &Sale) -> Result<()> {
    let set = || store.set_rules(sale.rules.clone());
    Ok(Retry::within(BACKOFF, ANSWER).run(StoreError::is_transient, set).await?)
}

/// How far a clock of Redis may be from the right time.
fn largest_jump(options: &PlanOptions) -> Duration {
    if options.redis_clocks { REDIS_CLOCK_JUMP } else { Duration::ZERO }
}

fn start_audit(
    store: &Arc<dyn Store>,
    terms: AuditTerms,
    copy: &Path,
    fails_over: bool,
) -> Result<Audit> {
    // What a failover takes back is in no log: so that of several servers is read at the end.
    if fails_over {
        return Ok(Audit::start(Arc::clone(store), terms));
    }
    Ok(Audit::start_with_copy(Arc::clone(store), terms, copy)?)
}

fn start_recorder(
    folder: &Path,
    seed: u64,
    (fails_over, margin): (bool, Duration),
) -> Result<Arc<CallRecorder>> {
    let margin = margin.as_millis() as u64;
    let reads = if fails_over { ReadPromise::NoneUntilHealed } else { ReadPromise::Kept };
    let history = folder.join("history.jsonl");
    Ok(CallRecorder::start_with_history(&history, seed, margin, reads)?)
}

/// Injects the faults, and rolls the other release out and back, until the time is over.
async fn break_all(
    settings: &RunSettings,
    (testbed, store): (&Testbed, &Arc<dyn Store>),
    steps: &[FaultStep],
    faults: &mut BTreeMap<FaultKind, u64>,
    roll_out: &mut RollOut,
) {
    let time = settings.plan_options.time;
    let rolls = settings.releases.roll(testbed.of_releases(), time, roll_out);
    tokio::join!(inject_all((testbed, store), steps, time, faults), rolls);
}

/// Injects the faults of the plan, counted in `done`, and waits until the time is over.
async fn inject_all(
    (testbed, store): (&Testbed, &Arc<dyn Store>),
    steps: &[FaultStep],
    time: Duration,
    done: &mut BTreeMap<FaultKind, u64>,
) {
    let start = Instant::now();
    // The end of the newest fault of the Booking Service.
    let mut clear_at: Option<Instant> = None;
    let mut lied = false;
    for step in steps {
        let when = start + Duration::from_millis(step.at_ms);
        if let Some(end) = clear_at.filter(|end| *end < when) {
            sleep_until(end).await;
            testbed.clear_service_fault();
            clear_at = None;
            if std::mem::take(&mut lied) {
                tokio::spawn(take_back(Arc::clone(store)));
            }
        }
        sleep_until(when).await;
        if step.kind == FaultKind::Clock && !testbed.has_clocks() {
            continue;
        }
        if matches!(step.fault, Fault::Service(_)) {
            clear_at = Some(when + Duration::from_millis(step.lasts_ms));
        }
        lied |= matches!(step.kind, FaultKind::ServiceLies | FaultKind::TicketLies);
        testbed.inject(step);
        *done.entry(step.kind).or_default() += 1;
    }
    sleep_until(start + time).await;
}

/// After its lies, the Booking Service says that every item is available again.
async fn take_back(store: Arc<dyn Store>) {
    for item in sale::names() {
        let say = || store.restocked(item.clone(), None);
        let said = Retry::within(BACKOFF, ANSWER).run(StoreError::is_transient, say).await;
        if let Err(error) = said {
            println!("{item} stays as it is: {error}");
        }
    }
}

/// Prints the progress of the run. Never ends.
async fn progress(recorder: &CallRecorder, crowds: &FaultCrowds, audit: &Audit) {
    let start = Instant::now();
    loop {
        sleep(PROGRESS).await;
        let calls = recorder.counts();
        let bookings = audit.bookings();
        println!(
            "{:>5.0} s  {} clients arrived, {bookings} bookings, calls: {} ok, {} unknown, {} refused",
            start.elapsed().as_secs_f64(),
            crowds.arrived(),
            calls.ok,
            calls.unknown,
            calls.refused.values().sum::<u64>(),
        );
    }
}

/// Waits until the queue is at rest, whether or not work is left, at most [`REST`]. A deadline
/// that a clock set while it was ahead, by `margin` at most, ends that much later.
async fn standstill(audit: &Audit, margin: Duration) {
    let start = Instant::now();
    while audit.idle().min(start.elapsed()) < STANDSTILL + margin && start.elapsed() < REST {
        sleep(POLL).await;
    }
}

/// Waits until no work is left, or until the queue is at rest.
async fn rest(store: &dyn Store, audit: &Audit, margin: Duration) -> Result<Snapshot> {
    let start = Instant::now();
    loop {
        // Its servers may still be starting.
        let now = Retry::within(BACKOFF, ANSWER).run(|_| true, || store.snapshot()).await;
        let now = now.context("the store does not answer at the end")?;
        let done = (now.backlog, now.in_flight, now.holds) == (0, 0, 0);
        let idle = audit.idle().min(start.elapsed());
        if done || idle > STANDSTILL + margin || start.elapsed() > REST {
            return Ok(now);
        }
        sleep(POLL).await;
    }
}

/// Ends of processes that no signal of ours explains, and panics: a task may panic while its
/// process goes on.
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
