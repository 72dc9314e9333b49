//! apalis-redis 0.7: one script call to add a job; fetches and acknowledges in one loop that ticks.

use anyhow::{Result, bail};
use apalis_07::prelude::{
    Data, Error, Storage as _, WorkerBuilder, WorkerBuilderExt as _, WorkerFactoryFn as _,
};
use apalis_redis_07::{Config, RedisStorage};

use crate::flags::Flags;
use crate::load::{OnJob, PeerQueue};

/// Its queue.
#[derive(Clone)]
pub struct QueueV07(RedisStorage<String>);

impl QueueV07 {
    pub async fn connect(flags: &Flags) -> Result<Self> {
        let connection = apalis_redis_07::connect(format!("redis://{}", flags.redis)).await?;
        let config = Config::default()
            .set_namespace("bench")
            .set_buffer_size(flags.concurrency)
            .set_poll_interval(flags.poll);
        Ok(Self(RedisStorage::new_with_config(connection, config)))
    }
}

impl PeerQueue for QueueV07 {
    async fn add(&mut self, payload: String) -> Result<()> {
        self.0.push(payload).await?;
        Ok(())
    }

    async fn add_bulk(&mut self, _: Vec<String>) -> Result<()> {
        bail!("apalis-redis 0.7 has no call that adds several jobs")
    }

    async fn work(self, on_job: OnJob, flags: &Flags) -> Result<()> {
        let busy = flags.busy;
        let handle = move |job: String, on_job: Data<OnJob>| async move {
            on_job(&job);
            if !busy.is_zero() {
                tokio::time::sleep(busy).await;
            }
            Ok::<(), Error>(())
        };
        WorkerBuilder::new("bench")
            .concurrency(flags.concurrency)
            .data(on_job)
            .backend(self.0)
            .build_fn(handle)
            .run()
            .await;
        bail!("the worker ended")
    }
}
