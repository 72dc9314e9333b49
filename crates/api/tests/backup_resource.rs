//! Validation of `BookingQueueBackup` manifests.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use bookingq_api::backup::BackupTiming;
use bookingq_api::backup::place::{BackupPlace, BackupVolume};
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
    let volume = BackupVolume { claim_name: "concert-backups".to_owned() };
    assert_eq!(plan.destination, BackupPlace::Volume(volume));
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

#[test]
fn a_bucket_has_a_url_and_a_secret_and_is_the_only_place() {
    let bucket = |fields: Value| {
        let mut bucket = json!({ "url": "s3://sale/backups/", "secretName": "s3" });
        for (name, value) in fields.as_object().unwrap() {
            bucket[name] = value.clone();
        }
        json!({ "persistentVolumeClaim": null, "s3": bucket })
    };
    let plan = with(bucket(json!({}))).resolve().unwrap();
    let BackupPlace::Bucket(found) = plan.destination else { panic!("{:?}", plan.destination) };
    assert_eq!(found.url_of(None), "s3://sale/backups");
    assert_eq!(found.url_of(Some("a/b.rdb")), "s3://sale/backups/a/b.rdb");
    let whole = with(bucket(json!({ "url": "s3://sale" }))).resolve().unwrap().destination;
    let BackupPlace::Bucket(whole) = whole else { panic!("{whole:?}") };
    assert_eq!(whole.url_of(Some("b.rdb")), "s3://sale/b.rdb");

    let mut both = bucket(json!({}));
    both["persistentVolumeClaim"] = json!({ "claimName": "c" });
    let found = problems(both);
    let two = "spec is without a place for backups, or with two; allowed: exactly one of \
               persistentVolumeClaim and s3";
    assert_eq!(found, [two]);
    for url in ["sale", "s3://ab", "s3:///a", "s3://sale//a", "s3://sale/../a", "s3://sale/a b"] {
        let found = problems(bucket(json!({ "url": url })));
        assert!(found[0].starts_with(&format!("spec.s3.url is {url:?}; allowed: s3://")), "{url}");
    }
    let found = problems(bucket(json!({ "endpoint": "https://me:pw@minio", "region": "a b" })));
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    assert_eq!(paths, ["spec.s3.endpoint", "spec.s3.region"]);
    assert!(!found[0].contains("pw"), "{}", found[0]);
}
