//! One run: start everything, let clients arrive, carry out the plan, heal, and check.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bookingq_check::{Audit, CallRecorder};
use bookingq_core::backoff::Backoff;
use bookingq_crowd::{Crowd, Progress};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Snapshot, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clients;
use crate::plan::{Fault, Kind, Step, Wish, plan};
use crate::report::FaultReport;
use crate::scene::{self, HOLD, Props, Scene};

/// When nothing is wrong any more and nothing has moved for so long, nothing will: every lease,
/// hold and back-off is shorter.
const STANDSTILL: Duration = Duration::from_secs(15);
/// Something that moves for ever does not come to rest either.
const REST: Duration = Duration::from_secs(600);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Redis counts milliseconds, and so its clock may be behind ours by one.
const CLOCK_MARGIN_MS: u64 = 1;
/// How often Redis is asked at the end, when nothing is wrong with it any more.
const TRIES: u32 = 20;
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// What a run is told.
#[derive(Debug)]
pub struct Settings {
    /// The plan's wish.
    pub wish: Wish,
    /// How many bookings begin.
    pub bookings: u32,
    /// The program under test.
    pub program: PathBuf,
    /// Where everything is written.
    pub folder: PathBuf,
}

/// Runs. Ends early, in order, when `leave` is cancelled: what happened until then is judged.
pub async fn run(settings: &Settings, leave: &CancellationToken) -> Result<FaultReport> {
    let begin = Instant::now();
    let Settings { wish, bookings, program, folder } = settings;
    let steps = plan(wish);
    write_plan(&folder.join("schedule.jsonl"), &steps)?;
    let stock = u64::from(*bookings) * 45 / 100;
    let props = Props { program, folder, workers: wish.workers, stock, seed: wish.seed };
    let scene = Scene::start(&props).await?;
    println!(
        "running: {} workers, {} faults planned over {:?}",
        wish.workers,
        steps.len(),
        wish.time
    );
    if !scene.has_clocks() {
        println!(
            "no libfaketime here: workers' clocks stay right (Debian: apt-get install faketime)"
        );
    }
    let outcome = live(settings, leave, &scene, &steps).await;
    let starts = scene.processes().map(|cage| (cage.name().to_owned(), cage.starts())).collect();
    let own_ends = own_ends(&scene)?;
    scene.close().await;
    let lived = outcome?;
    Ok(FaultReport { starts, own_ends, seconds: begin.elapsed().as_secs_f64(), ..lived })
}

/// The run between the start and the end of all processes.
async fn live(
    settings: &Settings,
    leave: &CancellationToken,
    scene: &Scene,
    steps: &[Step],
) -> Result<FaultReport> {
    let Settings { wish, bookings, folder, .. } = settings;
    let store = Arc::new(RedisStore::connect(RedisConfig::new(scene.redis(), scene::queue()?))?);
    let audit = Audit::start_with_copy(store.clone(), Some(HOLD), &folder.join("audit.jsonl"))?;
    let history = folder.join("history.jsonl");
    let recorder = CallRecorder::start_with_history(&history, wish.seed, CLOCK_MARGIN_MS)?;
    let config =
        clients::crowd(scene::queue()?, *bookings, wish.time, wish.seed, Arc::clone(&recorder));
    let crowd = Crowd::new(config);
    let (arrived, closed, over) = (crowd.progress(), crowd.closed(), CancellationToken::new());
    let (_sender, endpoints) = watch::channel(scene.doors());
    let mut crowd = tokio::spawn(crowd.run(endpoints, over.clone()));

    let mut faults = BTreeMap::new();
    tokio::select! {
        () = torment(scene, steps, wish.time, &mut faults) => {}
        () = progress(&recorder, &arrived, &audit) => {}
        () = leave.cancelled() => println!("leaving early, in order"),
    }
    closed.cancel();
    scene.heal().await;
    let healed = Instant::now();
    println!("healed: waiting until nothing is left to do");
    tokio::select! {
        _ = &mut crowd => {}
        () = standstill(&audit) => {
            over.cancel();
            // A panic of the crowd shows in what it has recorded.
            let _ = crowd.await;
        }
    }
    let snapshot = rest(&*store, &audit).await?;
    let rest_after_ms = healed.elapsed().as_millis() as u64;
    let answers = recorder.finish()?;
    let longest_stall_ms = audit.longest_stall().as_millis() as u64;
    let ledger = async { Ok(Some(scene.shop().copy())) };
    let verification = audit.verify(&answers, ledger, Some(snapshot.clone())).await?;
    Ok(FaultReport {
        seed: wish.seed,
        seconds: 0.0,
        arrived: arrived.view().arrived,
        planned: u64::from(*bookings),
        calls: recorder.counts(),
        faults,
        starts: BTreeMap::new(),
        own_ends: Vec::new(),
        longest_stall_ms,
        rest_after_ms,
        totals: snapshot.totals,
        verification,
    })
}

/// Carries the plan out, and lets the rest of the time pass.
async fn torment(scene: &Scene, steps: &[Step], time: Duration, done: &mut BTreeMap<Kind, u64>) {
    let start = Instant::now();
    // When the Booking Service's newest mood ends.
    let mut calm: Option<Instant> = None;
    for step in steps {
        let when = start + Duration::from_millis(step.at_ms);
        if let Some(end) = calm.filter(|end| *end < when) {
            sleep_until(end).await;
            scene.calm();
            calm = None;
        }
        sleep_until(when).await;
        if matches!(step.fault, Fault::Clock(..)) && !scene.has_clocks() {
            continue;
        }
        if matches!(step.fault, Fault::Shop(_)) {
            calm = Some(when + Duration::from_millis(step.lasts_ms));
        }
        scene.suffer(step);
        *done.entry(step.kind).or_default() += 1;
    }
    sleep_until(start + time).await;
}

/// Says now and then how it goes. Never ends.
async fn progress(recorder: &CallRecorder, arrived: &Progress, audit: &Audit) {
    let start = Instant::now();
    loop {
        sleep(PROGRESS).await;
        let calls = recorder.counts();
        let bookings = audit.bookings();
        println!(
            "{:>5.0} s  {} clients came, {bookings} bookings, calls: {} ok, {} unknown, {} refused",
            start.elapsed().as_secs_f64(),
            arrived.view().arrived,
            calls.ok,
            calls.unknown,
            calls.refused.values().sum::<u64>(),
        );
    }
}

/// Waits until nothing moves any more, whether or not something should; or for too long.
async fn standstill(audit: &Audit) {
    let start = Instant::now();
    while audit.idle().min(start.elapsed()) < STANDSTILL && start.elapsed() < REST {
        sleep(LOOK).await;
    }
}

/// Waits until nothing is left to do; at a standstill, gives up with what is.
async fn rest(store: &dyn Store, audit: &Audit) -> Result<Snapshot> {
    let start = Instant::now();
    loop {
        let now = insist(|| store.snapshot()).await?;
        let done = (now.backlog, now.in_flight, now.holds) == (0, 0, 0);
        if done || audit.idle().min(start.elapsed()) > STANDSTILL || start.elapsed() > REST {
            return Ok(now);
        }
        sleep(LOOK).await;
    }
}

/// Redis may still be starting.
async fn insist<T, F: Future<Output = Result<T, StoreError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let mut tries = 0;
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if tries == TRIES => {
                return Err(error).context("Redis does not answer at the end");
            }
            Err(_) => tries += 1,
        }
        sleep(BACKOFF.delay(tries, rand::random())).await;
    }
}

/// Ends that nobody caused, and panics: a task may die and leave its process alive.
fn own_ends(scene: &Scene) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for cage in scene.processes() {
        found.extend(cage.own_ends().into_iter().map(|end| format!("{}: {end}", cage.name())));
        let log =
            std::fs::read(cage.log()).with_context(|| format!("no log of {}", cage.name()))?;
        let log = String::from_utf8_lossy(&log);
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        found.extend(panics.map(|line| format!("{}: {line}", cage.name())));
    }
    Ok(found)
}

fn write_plan(path: &Path, steps: &[Step]) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for step in steps {
        writeln!(file, "{}", serde_json::to_string(step)?)?;
    }
    Ok(file.flush()?)
}
