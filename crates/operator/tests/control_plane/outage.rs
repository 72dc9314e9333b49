//! The API server does not answer for longer than the operator may lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::wait::eventually;
use bookingq_operator::leader::Election;
use bookingq_operator::metrics::Metrics;
use bookingq_operator::operator::{self, OperatorError};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::Testbed;

/// Longer than the lease, and than every deadline of a request.
const AWAY: Duration = Duration::from_secs(25);

/// Runs an operator, and another one each time that it has lost the lease, as a kubelet does.
async fn operators(testbed: &Testbed, leaving: CancellationToken, lost: Arc<AtomicU64>) {
    for number in 0.. {
        let election = Election {
            lease: Duration::from_secs(4),
            give_up: Duration::from_secs(3),
            retry: Duration::from_millis(400),
            ..Election::new("operators", &testbed.namespace, &format!("operator-{number}"))
        };
        let (config, settings) = (testbed.cluster.config(), testbed.settings("bookingq:test"));
        let metrics = Metrics::new().unwrap();
        match operator::lead(config, settings, election, metrics, leaving.clone()).await {
            Err(OperatorError::Lost) => lost.fetch_add(1, Ordering::Relaxed),
            other => return other.unwrap(),
        };
    }
}

fn replicas(workers: &Deployment) -> i32 {
    workers.spec.as_ref().and_then(|spec| spec.replicas).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_left_alone_while_the_api_server_is_away_and_follow_the_line_afterwards() {
    let plane = ControlPlane::start(&bookingq_api::crd::definition()).await.unwrap();
    let testbed = Testbed::of(Arc::new(plane), "outage").await;
    let (redis, leaving, lost) = (redis_server(), CancellationToken::new(), Arc::default());
    let running = operators(&testbed, leaving.clone(), Arc::clone(&lost));
    let story = async {
        let fields = json!({
            "redis": { "url": redis.url() },
            "worker": { "concurrency": 1 },
            "autoscaling": { "min": 2, "max": 200, "drainTarget": "10s", "scaleDownWindow": "5m" },
        });
        testbed.create(fields).await;
        let store = store(&redis, &format!("{}.concert", testbed.namespace));
        until_replicas(&testbed, "the least number of workers", |n| n == 2).await;
        join(&*store, 0..200).await;
        // 200 waiting x 0.25 s (assumed) / 10 s / 0.7, and what joined just now besides.
        until_replicas(&testbed, "more workers", |n| n >= 8).await;
        testbed.until_backlog(200).await;
        let before = testbed.deployment().await.unwrap();

        testbed.cluster.freeze_api_server(AWAY);
        join(&*store, 200..1000).await;
        eventually("the operator to give up its lease", AWAY, async || {
            lost.load(Ordering::Relaxed) == 1
        })
        .await;
        // It waits for the API server.
        let mut fewest = i32::MAX;
        until_replicas(&testbed, "workers for the longer line", |n| {
            fewest = fewest.min(n);
            n >= 36
        })
        .await;
        let after = testbed.deployment().await.unwrap();
        assert!(fewest >= replicas(&before), "none was taken away: {fewest}");
        assert_eq!(after.metadata.uid, before.metadata.uid);
        assert_eq!(after.spec.unwrap().template, before.spec.unwrap().template);
        testbed.until_condition("Degraded", "False", "Reconciled").await;
        assert_eq!(lost.load(Ordering::Relaxed), 1, "the next operator waited");
        leaving.cancel();
    };
    let both = Box::pin(async { tokio::join!(running, story) });
    tokio::time::timeout(LIMIT * 5, both).await.unwrap();
}
