//! The committed OpenAPI document is the one that the gateway makes and serves, and it is true.

use axum::http::Method;
use serde_json::Value;

use crate::client::{ask, get, send};
use crate::world::World;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[test]
fn the_committed_document_is_current() {
    let current = bookingq_gateway::openapi::document();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(FILE, &current).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == current,
        "run: BLESS=1 cargo test -p bookingq-gateway --test http document"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_exists_and_answers_with_a_documented_status() {
    let world = World::waiting().await;
    let document = world.send(get("/openapi.json")).await.json();
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert!(document == committed, "the gateway serves the committed document");
    let (mut count, mut ids) = (0, std::collections::BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let backend = operation["tags"][0] == "backend";
            let port = if backend { world.gateway.backend_addr().unwrap() } else { world.public() };
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{queue}", "concert");
            let answer = send(port, ask(method.clone(), &path)).await;
            let documented = operation["responses"].as_object().unwrap();
            let status = answer.status.as_u16().to_string();
            assert!(documented.contains_key(&status), "{method} {path}: {answer:?}");
            if path.contains("/v1/queues/") {
                let wrong = path.replace("concert", "%C3%9B");
                let answer = send(port, ask(method, &wrong)).await;
                let status = answer.status.as_u16().to_string();
                assert!(documented.contains_key(&status), "{wrong}: {answer:?}");
                let name = &operation["parameters"][0];
                assert!(name["name"] == "queue" && name["schema"]["pattern"].is_string(), "{name}");
            }
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "an operation of its own: {operation}");
            count += 1;
        }
    }
    assert_eq!(count, 13, "operations");
}
