//! Before the served schema was read once, no spec is trusted.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use bookingq_operator::metrics::Metrics;
use bookingq_operator::schema::{SchemaWatch, own_schema};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

type Answer = (u16, Value);

/// A watch whose API server gives these answers, and the last one for ever; each answer is to one
/// request. How many it has left to give.
fn watch_of(answers: Vec<Answer>) -> (SchemaWatch, Arc<Mutex<VecDeque<Answer>>>) {
    let left = Arc::new(Mutex::new(VecDeque::from(answers)));
    let answers = left.clone();
    let service = tower::service_fn(move |_: Request<Body>| {
        let mut answers = answers.lock();
        let (code, body) = answers.pop_front().unwrap();
        if answers.is_empty() {
            answers.push_back((code, body.clone()));
        }
        let answer =
            Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        async { Ok::<_, Infallible>(answer.unwrap()) }
    });
    (SchemaWatch::start(Client::new(service, "default"), Metrics::new().unwrap()), left)
}

fn refusal(code: u16) -> Answer {
    (code, json!({ "kind": "Status", "code": code, "message": "no", "reason": "no" }))
}

fn index() -> Answer {
    let version =
        json!({ "serverRelativeURL": "/openapi/v3/apis/bookingqueue.dev/v1alpha1?hash=1" });
    (200, json!({ "paths": { "apis/bookingqueue.dev/v1alpha1": version } }))
}

fn document(schema: Value) -> Answer {
    let mut schema = schema;
    schema["x-kubernetes-group-version-kind"] = json!([{ "kind": "BookingQueue" }]);
    (200, json!({ "components": { "schemas": { "queue": schema } } }))
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_no_spec_is_trusted_meanwhile() {
    let empty = (200, json!({ "paths": {} }));
    let no_kind = (200, json!({ "components": { "schemas": {} } }));
    let bad = [
        refusal(503),
        refusal(500),
        empty,
        index(),
        no_kind,
        index(),
        refusal(404),
        index(),
        document(own_schema()),
    ];
    let all = bad.len();
    let (watch, left) = watch_of(bad.to_vec());
    watch.looked().await;
    assert_eq!(left.lock().len(), all - 1, "the first look is enough to go on");
    let start = tokio::time::Instant::now();
    while watch.is_unread() {
        assert!(watch.holds_back() && watch.missing().is_empty());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!watch.holds_back() && watch.missing().is_empty());
    assert!(start.elapsed().as_secs() < 4, "{:?}: quickly", start.elapsed());
    assert_eq!(left.lock().len(), 1, "each answer was asked for");
}

#[tokio::test(start_paused = true)]
async fn where_the_operator_may_not_read_the_schema_nothing_counts_as_missing() {
    for code in [401, 403, 404] {
        let (watch, _) = watch_of(vec![refusal(code)]);
        watch.looked().await;
        assert!(!watch.is_unread() && !watch.holds_back(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_missing_stays_missing_while_nothing_can_be_read() {
    let mut older = own_schema();
    older["properties"]["spec"]["properties"].as_object_mut().unwrap().remove("outflow").unwrap();
    let (watch, left) = watch_of(vec![index(), document(older), refusal(403), refusal(503)]);
    watch.looked().await;
    assert_eq!(*watch.missing(), ["spec.outflow".to_owned()]);
    while left.lock().len() > 1 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    assert!(watch.holds_back() && !watch.is_unread());
}
