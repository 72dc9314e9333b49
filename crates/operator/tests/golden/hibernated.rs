//! A queue that sleeps.

use bookingq_operator::build::Manifest;
use serde_json::json;

use super::{check, secret};

#[test]
fn a_queue_that_hibernates_has_a_suspended_sweeper_and_a_closed_gateway() {
    let mut spec = json!({
        "booking": { "endpoint": "http://booking-service:50051" },
        "gateway": { "keys": { "secretName": "concert-keys" } },
    });
    let found = [secret("concert-redis", &["password"]), secret("concert-keys", &["place-1.json"])];
    spec["hibernate"] = json!(true);
    let asleep = check("hibernated", &spec, &found);
    let of = |objects: &[Manifest], kind: &str| {
        let found = objects.iter().find(|object| object.kind.name == kind);
        found.map(|object| object.value.clone()).unwrap()
    };
    assert_eq!(of(&asleep, "CronJob")["spec"]["suspend"], json!(true));
    let settings = of(&asleep, "ConfigMap")["data"]["gateway.yaml"].clone();
    assert!(settings.as_str().unwrap().contains("hibernates: true"), "{settings}");
    for kind in ["StatefulSet", "Service", "Deployment"] {
        of(&asleep, kind);
    }
}
