//! A backup: from spec to plan.

use bookingq_core::QueueName;

use super::{Problems, SpecCheck};
use crate::backup::{BackupDestination, BackupPlan, BackupTiming, BookingQueueBackupSpec};
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
        let destination = check.destination(self);
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

    fn destination(&mut self, spec: &BookingQueueBackupSpec) -> Option<BackupDestination> {
        let Some(volume) = &spec.persistent_volume_claim else {
            self.refuse("spec", "without a destination", "persistentVolumeClaim");
            return None;
        };
        Some(BackupDestination::Volume(volume.claim_name.clone()))
    }
}
