//! The Job and the CronJob of backups.

use bookingq_api::BookingQueueBackupSpec;
use bookingq_operator::backups::build::{BackupInputs, build};
use bookingq_operator::target::QueueTarget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{environment, folder, queue, yaml};

/// Builds the backup of the queue `concert` and compares it with its golden file.
fn check(name: &str, queue_spec: &Value, backup: &Value) -> Value {
    let target = QueueTarget::resolve(&queue("concert", queue_spec)).unwrap();
    let spec: BookingQueueBackupSpec = serde_json::from_value(backup.clone()).unwrap();
    let owner = OwnerReference {
        api_version: "bookingqueue.dev/v1alpha1".to_owned(),
        kind: "BookingQueueBackup".to_owned(),
        name: name.to_owned(),
        uid: "00000000-0000-0000-0000-000000000002".to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let plan = spec.resolve().unwrap();
    let environment = environment();
    let inputs =
        BackupInputs { name, owner, plan: &plan, target: &target, environment: &environment };
    let built = build(&inputs).unwrap();
    let (file, text) = (folder().join(format!("{name}.yaml")), yaml(&built.value));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(text == expected, "{} is not what is built", file.display());
    built.value
}

fn volume() -> Value {
    json!({ "claimName": "concert-backups" })
}

fn managed() -> Value {
    json!({ "booking": { "endpoint": "http://booking:1" } })
}

#[test]
fn a_backup_without_a_schedule_is_a_job_with_the_labels_that_redis_lets_in() {
    let backup = json!({ "queue": "concert", "persistentVolumeClaim": volume() });
    let job = check("backup-once", &managed(), &backup);
    assert_eq!(job["kind"], "Job");
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let target = QueueTarget::resolve(&queue("concert", &managed())).unwrap();
    let admitted = bookingq_operator::build::names::backup_selector(&target.name);
    for (name, value) in admitted.match_labels.unwrap() {
        assert_eq!(labels[&name], value, "{name}");
    }
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(!arguments.contains("--keep"), "{arguments}");
}

#[test]
fn a_schedule_is_a_cron_job_with_its_zone_and_how_many_backups_stay() {
    let backup = json!({
        "queue": "concert", "schedule": "17 * * * *", "timeZone": "Europe/Berlin", "suspend": true,
        "keep": 48, "persistentVolumeClaim": volume(),
    });
    let spec = &check("backup-scheduled", &managed(), &backup)["spec"];
    assert_eq!(spec["schedule"], "17 * * * *");
    assert_eq!((&spec["timeZone"], &spec["suspend"]), (&json!("Europe/Berlin"), &json!(true)));
    let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--keep=48")), "{arguments:?}");
}

#[test]
fn a_backup_of_three_redis_pods_has_the_addresses_of_all_and_the_image_of_the_queue() {
    let queue = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "managed": { "replicas": 3 } },
        "worker": {
            "image": "registry.example/bookingq:7",
            "podTemplate": { "spec": { "nodeSelector": { "pool": "sale" } } },
        },
    });
    let backup = json!({ "queue": "concert", "persistentVolumeClaim": volume() });
    let job = check("backup-of-three", &queue, &backup);
    let pod = &job["spec"]["template"]["spec"];
    let environment = pod["containers"][0]["env"].to_string();
    for ordinal in 0..3 {
        let address = format!("concert-redis-{ordinal}.concert-redis.sale.svc:6379");
        assert!(environment.contains(&address), "{environment}");
    }
    assert_eq!(pod["containers"][0]["image"], "registry.example/bookingq:7");
    assert_eq!(pod["nodeSelector"]["pool"], "sale");
}

#[test]
fn a_backup_to_a_bucket_has_its_settings_and_no_volume_but_that_of_the_authorities() {
    let bucket = json!({
        "url": "s3://sale/backups/", "endpoint": "https://minio.storage:9000",
        "region": "eu-central-1", "secretName": "s3", "caSecret": { "name": "ca", "key": "root" },
    });
    let job = check("backup-bucket", &managed(), &json!({ "queue": "concert", "s3": bucket }));
    let pod = &job["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--to=s3://sale/backups")), "{arguments:?}");
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2, "the authorities, and the password of Redis: {volumes:?}");
}
