//! apalis-redis 1.0: one script call to add jobs, to fetch them, to lock them and to acknowledge
//! them, each for a batch.

use anyhow::{Result, anyhow};
use apalis_10::layers::WorkerBuilderExt as _;
use apalis_10::prelude::{BackendExt as _, BoxDynError, Data, TaskSink as _, WorkerBuilder};
use apalis_redis_10::{Config, RedisStorage};

use crate::flags::Flags;
use crate::load::{OnJob, PeerQueue};

/// Its queue.
#[derive(Clone)]
pub struct QueueV10(RedisStorage<String>);

impl QueueV10 {
    pub async fn connect(flags: &Flags) -> Result<Self> {
        let connection = apalis_redis_10::connect(format!("redis://{}", flags.redis)).await?;
        // Events are for a dashboard, which is absent here; jobs have no results.
        let config = Config::default()
            .queue("bench")
            .batch_size(flags.concurrency)
            .emit_events(false)
            .persist_results(true);
        Ok(Self(RedisStorage::new(connection).with_config(config)))
    }
}

impl PeerQueue for QueueV10 {
    async fn add(&mut self, payload: String) -> Result<()> {
        self.0.push(payload).await.map_err(|error| anyhow!("{error}"))
    }

    async fn add_bulk(&mut self, payloads: Vec<String>) -> Result<()> {
        self.0.push_bulk(payloads).await.map_err(|error| anyhow!("{error}"))
    }

    async fn work(self, on_job: OnJob, flags: &Flags) -> Result<()> {
        let busy = flags.busy;
        let handle = move |job: String, on_job: Data<OnJob>| async move {
            on_job(&job);
            if !busy.is_zero() {
                tokio::time::sleep(busy).await;
            }
            Ok::<(), BoxDynError>(())
        };
        let worker = WorkerBuilder::new("bench")
            .backend(self.0.poll_with_interval(flags.poll))
            .concurrency(flags.concurrency)
            .data(on_job)
            .build(handle);
        worker.run().await.map_err(|error| anyhow!("{error}"))
    }
}
