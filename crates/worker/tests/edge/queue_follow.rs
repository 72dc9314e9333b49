//! The client's `QueueFollow` at workers that come and go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_client::{
    CallPolicy, ChannelConfig, ChannelPool, QueueFollow, QueueFollowEvent, WorkerCallError,
    WorkerClient,
};
use bookingq_core::EventSeq;
use bookingq_core::backoff::Backoff;
use bookingq_proto::v1::ErrorReason;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{LIMIT, World, reason};
use crate::world::{join, outbox};

/// One replica of a Gateway.
struct Replica {
    client: WorkerClient,
    follow: QueueFollow,
    seen: Vec<EventSeq>,
    connected: usize,
    lost: usize,
    gaps: usize,
}

impl Replica {
    fn of(workers: watch::Receiver<Vec<SocketAddr>>, queue: &str) -> Self {
        let pool = ChannelPool::new(ChannelConfig::default(), workers);
        let backoff =
            Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(100) };
        let stop = CancellationToken::new();
        let policy = CallPolicy { deadline: Duration::from_secs(5), limit: None, backoff, stop };
        let client = WorkerClient::new(pool, Arc::new(policy), 0);
        let follow = QueueFollow::new(&client, queue);
        Self { client, follow, seen: Vec::new(), connected: 0, lost: 0, gaps: 0 }
    }

    async fn next(&mut self) -> Result<(), WorkerCallError> {
        let next = timeout(LIMIT, self.follow.next(&mut self.client)).await;
        match next.expect("in time")? {
            QueueFollowEvent::Connected => self.connected += 1,
            QueueFollowEvent::Lost(_) => self.lost += 1,
            QueueFollowEvent::Message(message) => {
                self.gaps += usize::from(message.gap);
                self.seen.extend(
                    message.updates.iter().map(bookingq_proto::v1::BookingUpdate::sequence),
                );
            }
        }
        Ok(())
    }

    async fn until(&mut self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            self.next().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_follower_loses_nothing_when_its_worker_is_killed_or_drains() {
    let world = World::new("stock=1000").await;
    let (first, second) = (world.worker("a").await, world.worker("b").await);
    let addresses = |workers: &[&bookingq_worker::WorkerHandle]| {
        workers.iter().map(|worker| worker.grpc_addr()).collect::<Vec<_>>()
    };
    let (workers, known) = watch::channel(addresses(&[&first, &second]));
    let mut replica = Replica::of(known, "concert");
    replica.until(|replica| replica.connected == 1).await;
    replica.next().await.unwrap();
    let begin = replica.follow.progress().1;
    join(&world.store, 0..100).await;
    replica.until(|replica| replica.seen.len() >= 50).await;
    // The first turn went to the first worker.
    first.kill();
    join(&world.store, 100..200).await;
    replica.until(|replica| replica.connected == 2 && replica.seen.len() >= 250).await;
    let third = world.worker("c").await;
    workers.send_replace(addresses(&[&second, &third]));
    let draining = tokio::spawn(second.drain());
    join(&world.store, 200..300).await;
    replica.until(|replica| replica.connected == 3 && replica.seen.len() >= 300 * 3).await;
    draining.await.unwrap();
    assert_eq!(replica.seen, outbox(&world.store, begin).await, "no loss, no repeat");
    assert_eq!((replica.connected, replica.gaps), (3, 0));
    assert!(replica.lost >= 2 && replica.follow.is_connected());
    third.drain().await;
}

#[tokio::test]
async fn a_refused_follower_may_try_again() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let (_workers, known) = watch::channel(vec![worker.grpc_addr()]);
    let mut replica = Replica::of(known, "theatre");
    for _ in 0..3 {
        let Err(WorkerCallError::Refused(status)) = replica.next().await else {
            panic!("the worker serves another queue")
        };
        assert_eq!(reason(&status), ErrorReason::QueueNotFound);
    }
    worker.drain().await;
}
