//! The sweeper of one queue: in this process, or as a process like those of the CronJob in a
//! cluster.

use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_harness::{Process, ProcessEvent, ProcessSpec, Restart};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::error::UpError;
use crate::runner::{BACKOFF, Runner};
use crate::services::Services;

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
        Runner::Processes(own) => {
            let (name, log) =
                (format!("{} sweeper", plan.queue), format!("{}-sweeper.log", plan.queue));
            let spec = own.spec(name, args.to_args(), &log, plan.worker.grace);
            let spec = ProcessSpec { restart: Restart::Rounds(BACKOFF), ..spec };
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
