//! A crowd while it runs, with a record of every call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_check::{Answers, AuditError, CallRecorder};
use bookingq_crowd::{Crowd, CrowdConfig, CrowdCounters, CrowdReport};
use bookingq_store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::UpError;
use crate::report::CLOCK_MARGIN_MS;

/// How long tasks may still be in flight after the last client has seen its end.
const SETTLING: Duration = Duration::from_secs(10);
/// Between two readings meanwhile.
const SETTLING_POLL: Duration = Duration::from_millis(200);

/// A crowd and its recorder.
pub struct RunningCrowd {
    /// Counters for a live view.
    pub progress: Arc<CrowdCounters>,
    recorder: Arc<CallRecorder>,
    stop: CancellationToken,
    task: JoinHandle<CrowdReport>,
    /// The end of the task, once it has ended.
    report: Option<Result<CrowdReport, JoinError>>,
}

impl RunningCrowd {
    /// Its clients call the `workers`, which may change.
    pub fn start(mut config: CrowdConfig, workers: watch::Receiver<Vec<SocketAddr>>) -> Self {
        let recorder = CallRecorder::start(CLOCK_MARGIN_MS);
        config.recorder = Some(recorder.clone());
        let (crowd, stop) = (Crowd::new(config), CancellationToken::new());
        let progress = crowd.progress();
        let task = tokio::spawn(crowd.run(workers, stop.clone()));
        Self { progress, recorder, stop, task, report: None }
    }

    /// Waits until the last client has finished. Safe to drop and call again.
    pub async fn finished(&mut self) {
        if self.report.is_none() {
            self.report = Some((&mut self.task).await);
        }
    }

    /// Ends it, if it still runs. Returns its report and the answers that its clients received.
    ///
    /// # Errors
    /// When it panicked, or its calls could not be recorded.
    pub async fn stop(mut self) -> Result<(CrowdReport, Answers), UpError> {
        self.stop.cancel();
        self.finished().await;
        let report = self.report.and_then(Result::ok).ok_or(UpError::Crowd)?;
        Ok((report, self.recorder.finish().map_err(AuditError::from)?))
    }
}

/// Waits for a while until nothing is in flight, so that the checks are exact. A store that does
/// not answer shows when they read it.
pub async fn settle(store: &dyn Store) {
    let until = Instant::now() + SETTLING;
    while Instant::now() < until {
        match store.snapshot().await {
            Ok(Snapshot { in_flight: 0, .. }) => return,
            _ => sleep(SETTLING_POLL).await,
        }
    }
}
