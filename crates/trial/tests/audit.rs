//! The API server's audit log.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use bookingq_trial::audit::{AuditTail, requests};
use jiff::Timestamp;
use serde_json::json;

#[test]
fn discovery_and_an_incomplete_last_line_are_skipped() {
    let event = json!({
        "verb": "patch", "user": { "username": "operator-1" },
        "objectRef": {
            "resource": "deployments", "subresource": "scale", "namespace": "n", "name": "q"
        },
        "requestReceivedTimestamp": "2026-01-01T00:00:00.5Z",
        "stageTimestamp": "2026-01-01T00:00:01Z",
        "responseStatus": { "code": 200 }, "requestObject": { "spec": { "replicas": 3 } },
    });
    let discovery = json!({ "verb": "get", "requestURI": "/api" });
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    std::fs::write(&log, format!("{event}\n{discovery}\n{{\"verb\":")).unwrap();
    let mut tail = AuditTail::new(&log);
    assert_eq!(tail.more().unwrap().len(), 1);
    assert!(tail.more().unwrap().is_empty());
    let requests = requests(&log, Timestamp::UNIX_EPOCH).unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(request.writes() && !request.is_lease());
    assert_eq!((request.resource.as_str(), request.object.as_str()), ("deployments/scale", "n/q"));
    assert_eq!(request.body["spec"]["replicas"], 3);

    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(format!("\"none\"}}\n{event}\n").as_bytes()).unwrap();
    assert_eq!(tail.more().unwrap().len(), 1, "what came since the last look");
}
