//! The yardstick for the store: plain Redis commands, in pipelines.

use std::time::{Duration, Instant};

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::bookings::LANES;

/// Sets `count` keys of 64 bytes, in pipelines of `size`, with as many calls in flight as a store;
/// returns the time.
pub async fn sets(connection: &MultiplexedConnection, count: u64, size: u64) -> Result<Duration> {
    let start = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(set_lane(connection.clone(), lane, count / LANES / size, size));
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(start.elapsed())
}

/// The number of keys that [`sets`] sets: whole pipelines in each lane.
pub fn really_set(count: u64, size: u64) -> u64 {
    count / LANES / size * size * LANES
}

async fn set_lane(
    mut connection: MultiplexedConnection,
    lane: u64,
    pipelines: u64,
    size: u64,
) -> Result<()> {
    let value = [b'x'; 64];
    for number in 0..pipelines {
        let mut pipeline = redis::pipe();
        for key in number * size..(number + 1) * size {
            pipeline.set(format!("key-{lane}-{key}"), &value[..]).ignore();
        }
        pipeline.exec_async(&mut connection).await?;
    }
    Ok(())
}
