//! When backups were taken last, or failed last: read from the watched statuses on each scrape, so
//! that there is no series to update or to remove.

use bookingq_api::BookingQueueBackupStatus;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use super::key::WatchedBackup;

const LABELS: [&str; 3] = ["namespace", "queue", "backup"];

/// Reads a time from the status of a backup.
pub type BackupTime = fn(&BookingQueueBackupStatus) -> Option<Timestamp>;

/// A gauge with a time of each backup.
pub struct BackupCollector {
    opts: Opts,
    shape: IntGaugeVec,
    backups: Store<WatchedBackup>,
    read: BackupTime,
}

impl BackupCollector {
    /// The gauge with what `read` finds in the statuses of `backups`.
    ///
    /// # Errors
    /// When the name is no name of a metric, which would be a defect.
    pub fn new(
        opts: Opts,
        backups: Store<WatchedBackup>,
        read: BackupTime,
    ) -> prometheus::Result<Self> {
        let shape = IntGaugeVec::new(opts.clone(), &LABELS)?;
        Ok(Self { opts, shape, backups, read })
    }
}

impl Collector for BackupCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauges) = IntGaugeVec::new(self.opts.clone(), &LABELS) else { return Vec::new() };
        for watched in self.backups.state() {
            let Ok(backup) = &watched.0 else { continue };
            let Some(time) = backup.status.as_ref().and_then(self.read) else { continue };
            let namespace = backup.namespace().unwrap_or_default();
            let labels = [namespace.as_str(), &backup.spec.queue, &backup.name_any()];
            gauges.with_label_values(&labels).set(time.as_second());
        }
        gauges.collect()
    }
}
