//! A crowd while it runs, with a record of every call.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_check::{Answers, AuditError, CallRecorder};
use bookingq_crowd::{Crowd, CrowdConfig, CrowdCounters, CrowdReport};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::error::UpError;
use crate::report::CLOCK_MARGIN_MS;

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
