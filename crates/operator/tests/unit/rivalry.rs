//! Another writer of the number of workers: seen, and replaced once in ten minutes.

use std::time::{Duration, Instant};

use bookingq_operator::autoscaler::replicas::Rivalry;
use bookingq_operator::cached_object::ObjectStatus;
use serde_json::json;

const OWN: Option<&str> = Some("bookingq-autoscaler");
const HPA: Option<&str> = Some("kube-controller-manager");

#[test]
fn a_rival_is_replaced_once_in_ten_minutes_and_is_gone_after_ten_quiet_ones() {
    let (mut rivalry, start) = (Rivalry::default(), Instant::now());
    let at = |second| start + Duration::from_secs(second);
    rivalry.look(1, None, at(0));
    assert!(rivalry.may_write(at(0)) && rivalry.rival().is_none(), "a new Deployment");
    rivalry.wrote(2, at(0));
    rivalry.look(2, OWN, at(1));
    assert!(rivalry.may_write(at(1)) && rivalry.rival().is_none());
    let mut replaced = Vec::new();
    // The rival writes within fifteen seconds, always.
    for second in (10..3600).step_by(15) {
        rivalry.look(6, HPA, at(second));
        assert_eq!(rivalry.rival(), HPA);
        if rivalry.may_write(at(second)) {
            rivalry.wrote(2, at(second));
            rivalry.look(2, OWN, at(second + 1));
            replaced.push(second);
        }
        assert_eq!(rivalry.rival(), HPA, "it does not flap");
    }
    assert_eq!(replaced, [10, 610, 1210, 1810, 2410, 3010]);
    rivalry.look(6, HPA, at(3700));
    rivalry.wrote(2, at(3700));
    rivalry.look(2, OWN, at(3701));
    assert!(rivalry.may_write(at(3701)), "its own number changes at any time");
    rivalry.look(2, OWN, at(4299));
    assert_eq!(rivalry.rival(), HPA);
    rivalry.look(2, OWN, at(4300));
    assert_eq!(rivalry.rival(), None);
}

#[test]
fn a_number_of_a_rival_that_is_in_the_way_of_nothing_is_forgotten() {
    let (mut rivalry, start) = (Rivalry::default(), Instant::now());
    let at = |second| start + Duration::from_secs(second);
    rivalry.look(1, OWN, at(0));
    for second in 1..=600 {
        rivalry.look(6, HPA, at(second));
        assert_eq!(rivalry.rival(), HPA, "{second}");
    }
    for second in 601..700 {
        rivalry.look(6, HPA, at(second));
        assert_eq!(rivalry.rival(), None, "{second}");
    }
    rivalry.look(7, HPA, at(700));
    assert_eq!(rivalry.rival(), HPA, "it has written again");
}

#[test]
fn a_number_that_changes_by_itself_has_an_unknown_writer() {
    let (mut rivalry, now) = (Rivalry::default(), Instant::now());
    // As an older operator has left it.
    rivalry.look(4, None, now);
    assert_eq!(rivalry.rival(), None);
    rivalry.look(6, None, now);
    assert_eq!(rivalry.rival(), Some("an unknown writer"));
    assert!(rivalry.may_write(now));
    rivalry.wrote(4, now);
    rivalry.look(6, HPA, now);
    assert_eq!(rivalry.rival(), HPA);
    assert!(!rivalry.may_write(now));
}

#[test]
fn a_watch_that_lags_behind_a_first_write_shows_no_other_writer() {
    let (mut rivalry, start) = (Rivalry::default(), Instant::now());
    let at = |second| start + Duration::from_secs(second);
    rivalry.look(1, None, at(0));
    rivalry.wrote(4, at(0));
    // As it was before the write, which no manager has put there.
    rivalry.look(1, None, at(6));
    assert!(rivalry.rival().is_none() && rivalry.may_write(at(6)));
    rivalry.look(4, OWN, at(7));
    rivalry.look(1, None, at(8));
    assert!(rivalry.rival().is_some(), "now it is another write");
}

#[test]
fn the_last_manager_of_the_number_is_found() {
    let entry = |manager: &str, time: &str, fields: serde_json::Value| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": "apps/v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    };
    let replicas = || json!({ "f:spec": { "f:replicas": {} } });
    let of = |fields: serde_json::Value| {
        let object = json!({
            "metadata": { "managedFields": fields }, "spec": { "replicas": 1 },
        });
        ObjectStatus::of(&serde_json::from_value(object).unwrap()).unwrap().scaler
    };
    let template = json!({ "f:spec": { "f:template": {} } });
    let own = entry("bookingq-operator", "2026-12-01T20:00:02Z", template);
    let scaler = entry("bookingq-autoscaler", "2026-12-01T20:00:00Z", replicas());
    let person = entry("kubectl", "2026-12-01T20:00:01Z", replicas());
    assert_eq!(of(json!([own])), None);
    assert_eq!(of(json!([own, scaler])).as_deref(), Some("bookingq-autoscaler"));
    assert_eq!(of(json!([person, scaler, own])).as_deref(), Some("kubectl"));
}
