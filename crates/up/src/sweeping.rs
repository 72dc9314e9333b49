//! The sweeper of one queue: in this process, or as a process like those of the CronJob in a
//! cluster.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_harness::command::OrphanSignal;
use bookingq_harness::{Process, ProcessEvent, ProcessSpec, Restart};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::error::UpError;
use crate::services::Services;
use crate::worker_pool::{BACKOFF, BEYOND_GRACE, Runner};

/// How long one process sweeps, as in a cluster.
const ROUND: Duration = Duration::from_secs(60);

/// Starts it; it runs until `stop`.
///
/// # Errors
/// When its process cannot be started.
pub fn start(
    runner: &Runner,
    plan: &Arc<Plan>,
    services: &Arc<Services>,
    console: &Console,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, UpError> {
    let args = services.sweep_args(plan, ROUND);
    match runner {
        Runner::InProcess(store) => {
            let sweeper = Sweeper::new(SweepConfig::try_from(args)?, Arc::clone(store));
            let console = console.clone();
            Ok(tokio::spawn(async move {
                if let Err(error) = sweeper.run(SweepMode::UntilStopped, stop).await {
                    console.report(format!("the sweeper failed: {error}"));
                }
            }))
        }
        Runner::Processes { program, url, directory } => {
            let json = ["--log-format", "json"].map(String::from);
            let arguments = args.to_args().into_iter().chain(json).map(OsString::from).collect();
            let spec = ProcessSpec {
                arguments,
                environment: vec![("BOOKINGQ_REDIS", url.into())],
                log: Some(directory.join(format!("{}-sweeper.log", plan.queue))),
                grace: plan.worker.grace + BEYOND_GRACE,
                restart: Restart::Rounds(BACKOFF),
                orphan_signal: OrphanSignal::Terminate,
                ..ProcessSpec::new(format!("{} sweeper", plan.queue), program)
            };
            let reporter = console.reporter(&spec.name);
            let failures = move |event: ProcessEvent| {
                if matches!(event, ProcessEvent::Ended { .. }) {
                    reporter(event);
                }
            };
            let process = Process::start_with(spec, failures)?;
            Ok(tokio::spawn(async move {
                stop.cancelled().await;
                process.stop().await;
            }))
        }
    }
}
