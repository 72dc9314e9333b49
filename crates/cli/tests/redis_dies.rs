//! A worker process whose Redis is killed and restarted under load: no acknowledged booking is
//! missing, and no client has two places.

#![allow(missing_docs, clippy::unwrap_used)]

mod process;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bookingq_harness::{Fsync, RedisServer};
use bookingq_proto::error::reason_of;
use bookingq_proto::v1;
use process::{Client, Worker};

const KILLS: usize = 10;
const LIMIT: Duration = Duration::from_secs(30);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("not within the limit")
}

/// Counts the answers of all callers.
#[derive(Default)]
struct Seen {
    acknowledged: AtomicU64,
    unavailable: AtomicU64,
    enough: AtomicBool,
}

/// One caller: enqueues new clients one after the other, and repeats each request unchanged until
/// it is acknowledged.
async fn call(mut client: Client, caller: usize, seen: Arc<Seen>) -> HashMap<String, v1::Booking> {
    let mut places = HashMap::new();
    for n in 0.. {
        if seen.enough.load(Ordering::Relaxed) {
            break;
        }
        let request = v1::EnqueueRequest {
            queue: "concert".into(),
            client_id: format!("c{caller}-{n}"),
            request_id: "click".into(),
            ..Default::default()
        };
        let answer = within(async {
            loop {
                match client.enqueue(request.clone()).await {
                    Ok(answer) => return answer.into_inner(),
                    Err(status) => {
                        let reason = reason_of(&status);
                        assert_eq!(reason, Some(v1::ErrorReason::StoreUnavailable), "{status:?}");
                        seen.unavailable.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        })
        .await;
        seen.acknowledged.fetch_add(1, Ordering::Relaxed);
        places.insert(request.client_id, answer.booking.unwrap());
    }
    places
}

#[tokio::test]
async fn invariant_1_no_acknowledged_booking_is_missing_after_redis_was_killed_many_times() {
    let mut redis = RedisServer::start(Fsync::Always).unwrap();
    // A Booking Service that does not exist: no booking becomes final.
    let worker = Worker::start(&redis.url(), "http://127.0.0.1:1", &[]);
    let mut client = worker.connect().await;
    let seen = Arc::new(Seen::default());
    let callers: Vec<_> = (0..8)
        .map(|caller| tokio::spawn(call(client.clone(), caller, Arc::clone(&seen))))
        .collect();
    for _ in 0..KILLS {
        grows(&seen.acknowledged).await;
        redis.kill();
        grows(&seen.unavailable).await;
        redis.restart().unwrap();
    }
    grows(&seen.acknowledged).await;
    seen.enough.store(true, Ordering::Relaxed);

    let (mut numbers, mut clients) = (HashMap::new(), 0u64);
    for caller in callers {
        for (who, place) in caller.await.unwrap() {
            let request = v1::GetStatusRequest { queue: "concert".into(), client_id: who.clone() };
            let found = client.get_status(request).await.unwrap().into_inner().booking.unwrap();
            assert_eq!(
                (&found.booking_id, found.queue_number),
                (&place.booking_id, place.queue_number),
                "{who}"
            );
            assert_eq!(
                numbers.insert(found.queue_number, who),
                None,
                "one queue number, two clients"
            );
            clients += 1;
        }
    }
    let queue = v1::GetQueueRequest { queue: "concert".into() };
    let totals = client.get_queue(queue).await.unwrap().into_inner().totals.unwrap();
    assert_eq!(
        totals.enqueued, clients,
        "a booking that was never acknowledged, or two for one request"
    );
}

/// Waits until fifty more are counted.
async fn grows(counter: &AtomicU64) {
    let wanted = counter.load(Ordering::Relaxed) + 50;
    within(async {
        while counter.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
