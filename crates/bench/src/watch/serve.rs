//! `serve`: the worker as a process of its own, so that its memory is only its own.

use std::net::SocketAddr;

use anyhow::Result;
use bookingq_core::Admission;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle};

use super::server::store_config;
use crate::bookings::fresh_queue;
use crate::child::{ReportingChild, parent_ends_us};
use crate::grpc::WorkerUnderTest;

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// redis://… or kafka://…
    #[arg(long)]
    store: String,
}

/// Its report.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerServes {
    pub address: SocketAddr,
    pub queue: String,
}

/// Serves a paused queue until standard input ends.
pub fn run(args: &Args) -> Result<()> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let queue = fresh_queue()?;
        let config = store_config(&args.store, &queue).await?;
        let worker =
            WorkerUnderTest::start_on(config, queue, Admission::Paused, 1, &Handle::current())
                .await?;
        let serves = WorkerServes { address: worker.address(), queue: worker.queue().to_string() };
        println!("{}", serde_json::to_string(&serves)?);
        parent_ends_us().await;
        worker.stop().await;
        Ok(())
    })
}

/// Starts the process and waits until it serves.
pub async fn start(store: &str) -> Result<(ReportingChild, WorkerServes)> {
    let program = std::env::current_exe()?.into_os_string();
    let words = [program, "serve".into(), "--store".into(), store.into()];
    let mut child = ReportingChild::start("the worker", &words)?;
    let serves = child.report().await?;
    Ok((child, serves))
}
