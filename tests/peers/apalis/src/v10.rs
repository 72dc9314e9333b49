//! apalis-redis 1.0: one script call to add jobs, to fetch them, to lock them and to acknowledge them, each for a batch.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use apalis_10::layers::WorkerBuilderExt as _;
use apalis_10::prelude::{BackendExt as _, BoxDynError, Data, TaskSink as _, WorkerBuilder};
use apalis_redis_10::{Config, RedisStorage};

use crate::Flags;
use crate::load;

/// Its queue.
#[derive(Clone)]
pub struct Queue(RedisStorage<String>);

type Handled = Arc<dyn Fn(&str) + Send + Sync>;

impl Queue {
    pub async fn connect(flags: &Flags) -> Result<Self> {
        let connection = apalis_redis_10::connect(format!("redis://{}", flags.redis)).await?;
        // Events are for a board that nobody looks at here; results are nothing.
        let config = Config::default()
            .queue("bench")
            .batch_size(flags.concurrency)
            .emit_events(false)
            .persist_results(true);
        Ok(Self(RedisStorage::new(connection).with_config(config)))
    }
}

impl load::Queue for Queue {
    async fn add(&mut self, payload: String) -> Result<()> {
        self.0.push(payload).await.map_err(|error| anyhow!("{error}"))
    }

    async fn add_bulk(&mut self, payloads: Vec<String>) -> Result<()> {
        self.0.push_bulk(payloads).await.map_err(|error| anyhow!("{error}"))
    }

    async fn work(self, handled: Handled, flags: &Flags) -> Result<()> {
        let busy = flags.busy;
        let handle = move |job: String, handled: Data<Handled>| async move {
            handled(&job);
            if !busy.is_zero() {
                tokio::time::sleep(busy).await;
            }
            Ok::<(), BoxDynError>(())
        };
        let worker = WorkerBuilder::new("bench")
            .backend(self.0.poll_with_interval(flags.poll))
            .concurrency(flags.concurrency)
            .data(handled)
            .build(handle);
        worker.run().await.map_err(|error| anyhow!("{error}"))
    }
}
