//! What the notifier publishes to a Realtime Service when updates or data are lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::Admission;
use bookingq_proto::v1::realtime_service_server::{RealtimeService, RealtimeServiceServer};
use bookingq_proto::v1::{PublishRequest, PublishResponse};
use bookingq_store::memory::MemoryConfig;
use bookingq_worker::WorkerConfig;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::support::{World, downstream, eventually};
use crate::world::{OnRedis, join, memory_with, on_redis};

/// Keeps all messages. Refuses the first calls.
#[derive(Clone, Default)]
struct Recorder {
    messages: Arc<Mutex<Vec<PublishRequest>>>,
    refusals: Arc<Mutex<usize>>,
}

#[tonic::async_trait]
impl RealtimeService for Recorder {
    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<PublishResponse>, Status> {
        let mut stream = request.into_inner();
        let mut batch = Vec::new();
        while let Some(message) = stream.message().await? {
            batch.push(message);
        }
        let mut refusals = self.refusals.lock();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(Status::unavailable("not yet"));
        }
        let received = batch.iter().map(|message| message.updates.len() as u64).sum();
        self.messages.lock().extend(batch);
        Ok(Response::new(PublishResponse { received }))
    }
}

impl Recorder {
    async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(RealtimeServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    fn messages(&self) -> Vec<PublishRequest> {
        self.messages.lock().clone()
    }

    async fn until(&self, what: &str, reached: impl Fn(&[PublishRequest]) -> bool) {
        eventually(what, || async { reached(&self.messages.lock()) }).await;
    }
}

async fn publishing(world: &World, address: SocketAddr) -> WorkerConfig {
    world.store.set_admission(Admission::Paused).await.unwrap();
    WorkerConfig { realtime: Some(downstream(address)), ..world.config("w") }
}

#[tokio::test]
async fn trimmed_updates_are_published_as_one_gap_until_it_is_acknowledged() {
    let world = memory_with(|config: &mut MemoryConfig| config.outbox_events = 100).await;
    join(&world.store, 0..500).await;
    let recorder = Recorder::default();
    *recorder.refusals.lock() = 2;
    let address = recorder.listen().await;
    let worker = world.worker_with(publishing(&world, address).await).await;
    recorder.until("the outbox is published", |messages| !messages.is_empty()).await;
    join(&world.store, 500..503).await;
    let count = |messages: &[PublishRequest]| -> usize {
        messages.iter().map(|message| message.updates.len()).sum()
    };
    recorder.until("the new ones are published", |messages| count(messages) == 103).await;
    let messages = recorder.messages();
    assert!(messages[0].gap && messages[0].tick.is_some());
    assert_eq!(messages.iter().filter(|message| message.gap).count(), 1);
    let epoch = world.store.snapshot().await.unwrap().epoch;
    assert!(messages.iter().all(|message| message.epoch == epoch));
    let ticks = messages.iter().filter_map(|message| message.tick.as_ref());
    assert!(ticks.into_iter().all(|tick| tick.epoch == epoch));
    let through = |message: &PublishRequest| (message.through_ms, message.through_number);
    assert!(messages.is_sorted_by_key(through));
    worker.drain().await;
}

#[tokio::test]
async fn lost_data_is_published_as_another_epoch_within_five_seconds() {
    let OnRedis { redis, world } = on_redis("stock=1").await;
    let recorder = Recorder::default();
    let address = recorder.listen().await;
    let worker = world.worker_with(publishing(&world, address).await).await;
    join(&world.store, 0..10).await;
    recorder
        .until("the updates", |messages| messages.iter().any(|message| !message.updates.is_empty()))
        .await;
    let before = recorder.messages().pop().unwrap().epoch;
    redis.cli(&["FLUSHALL"]).unwrap();
    let lost = Instant::now();
    recorder
        .until("another epoch", |messages| {
            messages.last().is_some_and(|message| message.epoch != before)
        })
        .await;
    assert!(lost.elapsed() < Duration::from_secs(5), "{:?}", lost.elapsed());
    let messages = recorder.messages();
    let first = messages.iter().find(|message| message.epoch != before).unwrap();
    assert!(first.gap && first.tick.is_some());
    worker.drain().await;
}
