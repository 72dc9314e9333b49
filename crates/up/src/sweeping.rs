//! The sweeper of one queue: in this process, or as the process that the CronJob of a cluster would
//! start.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::args::SweepArgs;
use bookingq_api::{DurationString, Plan};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::fleet::Home;
use crate::process::{self, Life, Recipe};
use crate::services::Services;

/// How long one process sweeps, as in a cluster.
const ROUND: Duration = Duration::from_secs(60);
/// How long a sweeper process may take to leave beyond its grace.
const BEYOND_GRACE: Duration = Duration::from_secs(2);

/// Starts it; it runs until `leave`.
pub fn start(
    home: &Home,
    plan: &Arc<Plan>,
    services: &Arc<Services>,
    console: &Console,
    leave: CancellationToken,
) -> JoinHandle<()> {
    match home {
        Home::Here(store) => {
            let sweeper = Sweeper::new(config(plan, services), Arc::clone(store));
            let console = console.clone();
            tokio::spawn(async move {
                if let Err(error) = sweeper.run(SweepMode::UntilStopped, leave).await {
                    console.tell(format!("the sweeper failed: {error}"));
                }
            })
        }
        Home::Processes { program, url, directory } => {
            let mut args = SweepArgs::of(plan, ROUND);
            args.booking = Some(services.booking.endpoint.clone());
            args.grace = DurationString::new(plan.worker.grace);
            let json = ["--log-format", "json"].map(String::from);
            let arguments = args.to_args().into_iter().chain(json).map(OsString::from).collect();
            let recipe = Recipe {
                name: format!("{} sweeper", plan.queue),
                program: program.clone(),
                arguments,
                environment: vec![("BOOKINGQ_REDIS", url.into())],
                log: directory.join(format!("{}-sweeper.log", plan.queue)),
                port: None,
                grace: plan.worker.grace + BEYOND_GRACE,
                life: Life::Rounds,
            };
            tokio::spawn(process::keep(recipe, console.clone(), leave, |_| ()))
        }
    }
}

fn config(plan: &Plan, services: &Services) -> SweepConfig {
    SweepConfig {
        id: format!("{}-sweeper", plan.queue),
        booking: Some(services.booking.clone()),
        concurrency: plan.worker.concurrency as usize,
        lease: plan.worker.lease,
        hold: plan.hold,
        retry: plan.retry,
        grace: plan.worker.grace,
        admin: None,
    }
}
