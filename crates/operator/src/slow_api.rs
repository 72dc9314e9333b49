//! For tests: an API server that accepts every write, and takes seven seconds for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tower::BoxError;

/// Longer than a caller waits, and within the deadline of a call.
pub(crate) const SLOW: Duration = Duration::from_secs(7);

/// Its client, and the number of requests that it got.
pub(crate) fn slow_api() -> (Client, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let answer = move |_: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(SLOW).await;
            let object = json!({
                "apiVersion": "autoscaling/v1", "kind": "Scale",
                "metadata": { "name": "concert", "namespace": "default", "resourceVersion": "7" },
                "spec": { "replicas": 3 },
            });
            Ok::<_, BoxError>(Response::new(Body::from(object.to_string().into_bytes())))
        }
    };
    (Client::new(tower::service_fn(answer), "default"), requests)
}
