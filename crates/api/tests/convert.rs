//! Manifests are converted with their comments, and nothing else in them changes.
#![allow(clippy::unwrap_used)]

use bookingq_api::convert::convert;

const OLD: &str = "\
# Two queues. apiVersion: bookingqueue.dev/v1alpha1
apiVersion: bookingqueue.dev/v1alpha1   # the first
kind: BookingQueue
metadata: { name: concert, annotations: { note: 'apiVersion: bookingqueue.dev/v1alpha1' } }
spec:
  booking: { endpoint: \"http://booking:1\" }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: kept }
data:
  queue.yaml: |
    apiVersion: bookingqueue.dev/v1alpha1
    kind: BookingQueue
---
apiVersion: v1
kind: List
items:
  - kind: BookingQueue
    \"apiVersion\" : 'bookingqueue.dev/v1alpha1'
    metadata: { name: festival }
---
{\"apiVersion\":\"bookingqueue.dev/v1alpha1\",\"kind\":\"BookingQueue\"}
---
apiVersion: bookingqueue.dev/v1alpha1
kind: AnotherKind
";

#[test]
fn each_queue_is_converted_and_every_other_byte_stays() {
    let (text, changed) = convert(OLD).unwrap();
    assert_eq!(changed, 3);
    let lines = OLD.lines().zip(text.lines());
    let differ: Vec<_> = lines.filter(|(old, new)| old != new).map(|(_, new)| new).collect();
    assert_eq!(
        differ,
        [
            "apiVersion: bookingqueue.dev/v1beta1   # the first",
            "    \"apiVersion\" : 'bookingqueue.dev/v1beta1'",
            "{\"apiVersion\":\"bookingqueue.dev/v1beta1\",\"kind\":\"BookingQueue\"}",
        ]
    );
    assert_eq!(OLD.lines().count(), text.lines().count());
    assert_eq!(convert(&text).unwrap(), (text.clone(), 0), "a second time changes nothing");
}

#[test]
fn what_is_no_yaml_is_refused() {
    let refused = convert("kind: [").unwrap_err().to_string();
    assert!(refused.starts_with("the file is no YAML"), "{refused}");
}

#[test]
fn both_versions_are_served_with_one_schema_and_one_is_stored() {
    let crd = serde_json::to_value(bookingq_api::crd::definition()).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let names: Vec<_> = versions.iter().map(|one| (&one["name"], &one["storage"])).collect();
    assert_eq!(
        serde_json::json!(names),
        serde_json::json!([["v1alpha1", true], ["v1beta1", false]])
    );
    assert!(versions.iter().all(|version| version["served"] == true));
    for part in ["schema", "subresources", "additionalPrinterColumns"] {
        assert_eq!(versions[0][part], versions[1][part], "{part}");
    }
    assert_eq!(crd["spec"]["conversion"]["strategy"], "None");
}
