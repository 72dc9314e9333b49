//! A backup: from spec to plan.

use bookingq_core::QueueName;

use super::{Problems, SpecCheck};
use crate::backup::place::{BackupBucket, BackupPlace};
use crate::backup::{BackupPlan, BackupTiming, BookingQueueBackupSpec};
use crate::update::{crontab, time_zone};

/// Most backups that `spec.keep` keeps, as `bookingq backup create --keep` takes it.
const MOST: u32 = 10_000;

impl BookingQueueBackupSpec {
    /// The plan.
    ///
    /// # Errors
    /// [`Problems`]: all of them.
    pub fn resolve(&self) -> Result<BackupPlan, Problems> {
        let mut check = SpecCheck::default();
        let queue = check.keep("spec.queue", QueueName::new(&self.queue));
        let timing = check.timing(self);
        let keep = self.keep.map(|keep| check.number("spec.keep", keep, 1..=MOST));
        let destination = check.place("spec", self.place());
        match (queue, destination, check.problems.as_slice()) {
            (Some(queue), Some(destination), []) => {
                Ok(BackupPlan { queue, timing, keep, destination })
            }
            _ => Err(Problems(check.problems)),
        }
    }
}

impl SpecCheck {
    fn timing(&mut self, spec: &BookingQueueBackupSpec) -> BackupTiming {
        let Some(schedule) = &spec.schedule else {
            for (field, is_set) in
                [("timeZone", spec.time_zone.is_some()), ("suspend", spec.suspend.is_some())]
            {
                if is_set {
                    let path = format!("spec.{field}");
                    self.refuse(&path, "set", "absent without spec.schedule");
                }
            }
            return BackupTiming::Once;
        };
        if crontab(schedule).is_none() {
            let allowed = "five cron fields, such as \"17 * * * *\"";
            self.refuse("spec.schedule", format!("{schedule:?}"), allowed);
        }
        if let Some(zone) = spec.time_zone.as_ref().filter(|zone| time_zone(zone).is_none()) {
            let allowed = "the IANA name of a time zone, such as \"Europe/Berlin\"";
            self.refuse("spec.timeZone", format!("{zone:?}"), allowed);
        }
        BackupTiming::Repeated {
            schedule: schedule.clone(),
            time_zone: spec.time_zone.clone(),
            suspended: spec.suspend.unwrap_or_default(),
        }
    }

    /// The place that is given at this path of a spec.
    pub(super) fn place(&mut self, path: &str, place: Option<BackupPlace>) -> Option<BackupPlace> {
        match &place {
            None => {
                let allowed = "exactly one of persistentVolumeClaim and s3";
                self.refuse(path, "without a place for backups, or with two", allowed);
            }
            Some(BackupPlace::Bucket(bucket)) => self.bucket(path, bucket),
            Some(BackupPlace::Volume(_)) => {}
        }
        place
    }

    fn bucket(&mut self, path: &str, bucket: &BackupBucket) {
        if !bucket.has_valid_url() {
            let allowed = "s3://BUCKET/PREFIX: letters, digits, '.', '_', '-' and '/', no part of \
                           the prefix starting with '.'";
            self.refuse(&format!("{path}.s3.url"), format!("{:?}", bucket.url), allowed);
        }
        if !bucket.has_valid_endpoint() {
            // The value is not repeated: it may hold a login.
            let allowed = "http:// or https://, a host and a port";
            self.refuse(&format!("{path}.s3.endpoint"), "no plain address", allowed);
        }
        if let Some(region) = bucket.region.as_ref().filter(|_| !bucket.has_valid_region()) {
            let allowed = "1 to 64 letters, digits and '-'";
            self.refuse(&format!("{path}.s3.region"), format!("{region:?}"), allowed);
        }
    }
}
