//! Validation of `BookingQueueBackup` manifests.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use bookingq_api::backup::{BackupDestination, BackupTiming};
use bookingq_api::{BookingQueueBackupSpec, Problems};
use serde_json::{Value, json};

/// The given fields and the required ones.
fn with(fields: Value) -> BookingQueueBackupSpec {
    let mut whole = json!({
        "queue": "concert", "persistentVolumeClaim": { "claimName": "concert-backups" },
    });
    for (name, value) in fields.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn problems(fields: Value) -> Vec<String> {
    let Problems(found) = with(fields).resolve().unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_queue_and_a_volume_are_enough_for_one_backup() {
    let plan = with(json!({})).resolve().unwrap();
    assert_eq!(plan.queue.as_str(), "concert");
    assert_eq!((plan.timing, plan.keep), (BackupTiming::Once, None));
    assert_eq!(plan.destination, BackupDestination::Volume("concert-backups".to_owned()));
}

#[test]
fn a_schedule_has_cron_fields_and_may_have_a_zone_and_be_suspended() {
    let fields = json!({
        "schedule": "17 * * * *", "timeZone": "Europe/Berlin", "suspend": true, "keep": 48,
    });
    let plan = with(fields).resolve().unwrap();
    let timing = BackupTiming::Repeated {
        schedule: "17 * * * *".to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        suspended: true,
    };
    assert_eq!((plan.timing, plan.keep), (timing, Some(48)));
}

#[test]
fn every_problem_of_a_backup_is_reported_with_what_is_allowed() {
    let found = problems(json!({
        "queue": "Concert!", "schedule": "17 25 * * *", "timeZone": "Berlin", "keep": 0,
        "persistentVolumeClaim": null,
    }));
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    let expected = ["spec.queue", "spec.schedule", "spec.timeZone", "spec.keep", "spec"];
    assert_eq!(paths, expected, "{found:#?}");
    let once = problems(json!({ "timeZone": "UTC", "suspend": false }));
    assert_eq!(once[0], "spec.timeZone is set; allowed: absent without spec.schedule");
    assert_eq!(once[1], "spec.suspend is set; allowed: absent without spec.schedule");
}
