//! FollowQueue.

use std::time::Duration;

use bookingq_core::{Admission, EventSeq};
use bookingq_proto::v1::{self, ErrorReason, PublishRequest};
use bookingq_store::memory::MemoryConfig;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support::{self, Client, LIMIT, World, connect, eventually, reason};
use crate::world::{OnRedis, join, memory_with, on_redis, outbox};

/// One stream, and all that it has brought.
struct Follower {
    stream: Streaming<PublishRequest>,
    epoch: String,
    through: EventSeq,
    /// The sequences of the updates, in the order of their arrival.
    seen: Vec<EventSeq>,
    gaps: usize,
    ticks: usize,
}

impl Follower {
    async fn open(client: &Client) -> Self {
        Self::resume(client, "", EventSeq::START).await.unwrap()
    }

    async fn resume(client: &Client, epoch: &str, after: EventSeq) -> Result<Self, Status> {
        let request = v1::FollowQueueRequest {
            queue: "concert".into(),
            epoch: epoch.into(),
            after_ms: after.ms,
            after_number: after.number,
        };
        let stream = client.clone().follow_queue(request).await?.into_inner();
        let (epoch, through) = (epoch.to_owned(), after);
        Ok(Self { stream, epoch, through, seen: Vec::new(), gaps: 0, ticks: 0 })
    }

    async fn next(&mut self) -> Result<PublishRequest, Status> {
        let next = timeout(LIMIT, self.stream.message()).await;
        let message = next.expect("a message in time")?.expect("the stream goes on");
        self.epoch.clone_from(&message.epoch);
        let through = message.through();
        assert!(message.gap || through >= self.through, "{through} after {}", self.through);
        self.through = through;
        assert!(message.updates.len() <= 512);
        assert!(message.updates.iter().all(|update| update.sequence() <= through));
        self.seen.extend(message.updates.iter().map(v1::BookingUpdate::sequence));
        self.gaps += usize::from(message.gap);
        self.ticks += usize::from(message.tick.is_some());
        Ok(message)
    }

    /// Reads until it has seen this many updates.
    async fn until(&mut self, updates: usize) {
        let all = async {
            while self.seen.len() < updates {
                self.next().await.unwrap();
            }
        };
        timeout(3 * LIMIT, all).await.expect("all updates in time");
    }
}

async fn paused(world: &World) {
    world.store.set_admission(Admission::Paused).await.unwrap();
}

#[tokio::test]
async fn a_new_stream_begins_with_a_tick_and_with_what_happens_from_then_on() {
    let world = World::new("stock=1").await;
    paused(&world).await;
    join(&world.store, 0..100).await;
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    let start = Instant::now();
    let mut follower = Follower::open(&client).await;
    let first = follower.next().await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(900), "it did not wait for the next tick");
    let epoch = world.store.snapshot().await.unwrap().epoch;
    assert_eq!((first.queue.as_str(), &first.epoch, first.gap), ("concert", &epoch, false));
    assert!(first.updates.is_empty());
    let tick = first.tick.unwrap();
    assert_eq!((tick.backlog, tick.admission()), (100, v1::Admission::Paused));
    assert_eq!((&tick.epoch, tick.boundaries.len()), (&epoch, 100));
    join(&world.store, 100..103).await;
    follower.until(3).await;
    // A tick about once a second, which follows the line.
    let tick = loop {
        if let Some(tick) = follower.next().await.unwrap().tick {
            break tick;
        }
    };
    assert_eq!(tick.backlog, 103);
    worker.drain().await;
}

#[tokio::test]
async fn a_stream_brings_every_transition_in_order_and_resumes_at_another_worker() {
    resumes(&World::new("stock=1000").await).await;
}

#[tokio::test]
async fn a_stream_resumes_at_another_worker_on_redis_too() {
    resumes(&on_redis("stock=1000").await.world).await;
}

/// A sale runs while a stream is cut again and again and resumed at the other worker.
async fn resumes(world: &World) {
    let workers = [world.worker("a").await, world.worker("b").await];
    let clients = [connect(&workers[0]).await, connect(&workers[1]).await];
    let mut seen: Vec<EventSeq> = Vec::new();
    let mut follower = Follower::open(&clients[0]).await;
    follower.next().await.unwrap();
    let begin = follower.through;
    for round in 0..20 {
        join(&world.store, round * 20..(round + 1) * 20).await;
        // Cut in the middle of what comes.
        follower.until(20).await;
        seen.append(&mut follower.seen);
        let (epoch, after) = (follower.epoch.clone(), follower.through);
        follower = Follower::resume(&clients[(round + 1) % 2], &epoch, after).await.unwrap();
    }
    support::eventually("every client has a hold", || async {
        world.store.snapshot().await.unwrap().holds == 400
    })
    .await;
    let expected = outbox(&world.store, begin).await;
    assert_eq!(expected.len(), 400 * 3, "queued, reserving, reserved");
    follower.until(expected.len() - seen.len()).await;
    seen.append(&mut follower.seen);
    assert_eq!(seen, expected, "no loss, no repeat");
    assert_eq!(follower.gaps, 0);
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_stream_whose_events_were_trimmed_says_so_and_goes_on() {
    let world = memory_with(|config: &mut MemoryConfig| config.outbox_events = 100).await;
    paused(&world).await;
    says_that_events_are_missing(&world, || ()).await;
}

#[tokio::test]
async fn a_stream_whose_events_were_trimmed_says_so_on_redis_too() {
    let OnRedis { redis, world } = on_redis("stock=1").await;
    paused(&world).await;
    let trim = || {
        let trimmed = redis.cli(&["XTRIM", "booking-events:{concert}", "MAXLEN", "1"]).unwrap();
        assert_ne!(trimmed, "(integer) 0");
    };
    says_that_events_are_missing(&world, trim).await;
}

async fn says_that_events_are_missing(world: &World, trim: impl FnOnce()) {
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    let mut follower = Follower::open(&client).await;
    join(&world.store, 0..1).await;
    follower.until(1).await;
    let (epoch, after) = (follower.epoch.clone(), follower.through);
    drop(follower);
    worker.drain().await;
    for batch in 1..6 {
        join(&world.store, batch * 100..(batch + 1) * 100).await;
    }
    trim();
    let worker = world.worker("next").await;
    let client = connect(&worker).await;
    let mut follower = Follower::resume(&client, &epoch, after).await.unwrap();
    let first = follower.next().await.unwrap();
    assert!(first.gap && first.updates.is_empty());
    assert_eq!(first.epoch, epoch);
    join(&world.store, 10_000..10_003).await;
    follower.until(3).await;
    assert_eq!(follower.gaps, 1, "only once");
    worker.drain().await;
}

#[tokio::test]
async fn a_failed_read_of_the_store_is_no_gap() {
    let OnRedis { redis, world } = on_redis("stock=1").await;
    paused(&world).await;
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    let mut follower = Follower::open(&client).await;
    follower.next().await.unwrap();
    let begin = follower.through;
    for round in 0..3 {
        join(&world.store, round * 20..round * 20 + 10).await;
        // Cuts the worker's blocking read, so that it loads the line again.
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        let joined = support::eventually("the store answers", || async {
            world.store.snapshot().await.is_ok()
        });
        joined.await;
        join(&world.store, round * 20 + 10..(round + 1) * 20).await;
        follower.until((round + 1) * 20).await;
    }
    assert_eq!(follower.seen, outbox(&world.store, begin).await, "no loss, no repeat");
    assert_eq!(follower.gaps, 0);
    worker.drain().await;
}

#[tokio::test]
async fn lost_data_is_known_within_five_seconds() {
    let OnRedis { redis, world } = on_redis("stock=1").await;
    paused(&world).await;
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    join(&world.store, 0..10).await;
    let mut follower = Follower::open(&client).await;
    let before = follower.next().await.unwrap().epoch;
    redis.cli(&["FLUSHALL"]).unwrap();
    let lost = Instant::now();
    let first = loop {
        let message = follower.next().await.unwrap();
        if message.epoch != before {
            break message;
        }
    };
    assert!(lost.elapsed() < Duration::from_secs(5), "{:?}", lost.elapsed());
    assert!(first.gap);
    // With the old epoch, a stream begins with a gap too, whatever its sequence.
    for after in [EventSeq::START, follower.through] {
        let mut resumed = Follower::resume(&client, &before, after).await.unwrap();
        let first = resumed.next().await.unwrap();
        assert!(first.gap && first.tick.is_some());
        assert_eq!(first.epoch, follower.epoch);
    }
    join(&world.store, 10..13).await;
    follower.seen.clear();
    follower.until(3).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_sequence_that_the_data_has_never_had_is_a_gap() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    join(&world.store, 0..1).await;
    let epoch = world.store.snapshot().await.unwrap().epoch;
    let future = EventSeq { ms: u64::MAX, number: 7 };
    let mut follower = Follower::resume(&client, &epoch, future).await.unwrap();
    assert!(follower.next().await.unwrap().gap);
    worker.drain().await;
}

#[tokio::test]
async fn a_slow_stream_delays_no_other_and_loses_nothing() {
    let world = World::new("stock=1").await;
    paused(&world).await;
    let worker = world.worker("w").await;
    // A small window: what the slow stream does not read stays at the worker. And more updates than
    // connection and feed hold together.
    let (window, updates) = (64 * 1024, 60_000);
    let endpoint = Channel::from_shared(format!("http://{}", worker.grpc_addr())).unwrap();
    let endpoint = endpoint.initial_stream_window_size(window);
    let mut slow = Follower::open(&Client::new(endpoint.connect().await.unwrap())).await;
    slow.next().await.unwrap();
    let begin = slow.through;
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(Follower::open(&connect(&worker).await).await);
    }
    let mut reading = tokio::task::JoinSet::new();
    for mut other in others {
        reading.spawn(async move {
            other.until(2_000).await;
            (other.seen.len(), other.gaps)
        });
    }
    for batch in 0..2 {
        join(&world.store, batch * 1_000..(batch + 1) * 1_000).await;
    }
    // None waits for the slow one, which reads nothing meanwhile.
    let read = timeout(LIMIT, reading.join_all()).await.expect("in time");
    assert!(read.iter().all(|read| *read == (2_000, 0)), "{read:?}");
    for batch in 2..60 {
        join(&world.store, batch * 1_000..(batch + 1) * 1_000).await;
    }
    let expected = outbox(&world.store, begin).await;
    slow.until(updates).await;
    assert!(slow.seen == expected && slow.gaps == 0, "no loss, no repeat");
    worker.drain().await;
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_and_a_drain_ends_the_others() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let client = connect(&worker).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Follower::open(&client).await);
    }
    let refused = Follower::resume(&client, "", EventSeq::START).await.err().unwrap();
    assert_eq!(reason(&refused), ErrorReason::Overloaded);
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    let mut kept = open.pop().unwrap();
    drop(open);
    eventually("the limit has room again", || async {
        Follower::resume(&client, "", EventSeq::START).await.is_ok()
    })
    .await;
    let draining = tokio::spawn(worker.drain());
    let end = loop {
        if let Err(status) = kept.next().await {
            break status;
        }
    };
    assert_eq!(end.code(), Code::Unavailable);
    draining.await.unwrap();
}

#[tokio::test]
async fn wrong_requests_are_refused_with_their_field() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    let other = v1::FollowQueueRequest { queue: "theatre".into(), ..Default::default() };
    let refused = client.follow_queue(other).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::QueueNotFound);
    let long = "x".repeat(129);
    for (epoch, after) in [("", EventSeq { ms: 5, number: 0 }), (&*long, EventSeq::START)] {
        let refused = Follower::resume(&client, epoch, after).await.err().unwrap();
        assert_eq!(reason(&refused), ErrorReason::InvalidArgument);
        assert_eq!(refused.get_details_error_info().unwrap().metadata["field"], "epoch");
    }
    worker.drain().await;
}
